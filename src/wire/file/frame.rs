//! The frames of the [file protocol](crate::wire::file::codec): what is in each, and how it is laid out.

use crate::wire::file::codec::{CHUNK_SIZE, DATA_PREFIX_LEN, MAX_BODY_LEN};

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Offer = 1,
    Answer = 2,
    Begin = 3,
    Data = 4,
    End = 5,
    Stored = 6,
    Failed = 7,
    Wait = 8,
}

impl FrameKind {
    pub(crate) fn from_byte(byte: u8) -> Option<FrameKind> {
        use FrameKind::{Answer, Begin, Data, End, Failed, Offer, Stored, Wait};
        let all = [Offer, Answer, Begin, Data, End, Stored, Failed, Wait];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Returns the most bytes that a body of this kind has.
    pub(crate) fn max_body_len(self) -> usize {
        match self {
            FrameKind::Data => DATA_PREFIX_LEN + CHUNK_SIZE,
            _ => MAX_BODY_LEN,
        }
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The client offers a file or a directory.
    Offer(Offer<'a>),
    /// The server holds so many chunks of it, whose chaining values have this digest.
    Answer {
        /// How many.
        chunk_count: u64,
        /// BLAKE3 of their chaining values, one behind the other.
        chunk_list_hash: [u8; 32],
    },
    /// The client begins with this chunk.
    Begin(u64),
    /// A chunk.
    Data {
        /// Its number.
        number: u64,
        /// Its chaining value in the file's BLAKE3 tree.
        hash: [u8; 32],
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// That was the file.
    End {
        /// Its size.
        size: u64,
        /// Its BLAKE3 digest.
        digest: [u8; 32],
    },
    /// The file is durable under its final name.
    Stored(Stored<'a>),
    /// The file that was offered last cannot be had or stored, or nothing can.
    Failed(Failed<'a>),
    /// The server still works on it.
    Wait,
}

/// What a client offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer<'a> {
    /// Whether it is a directory.
    pub is_directory: bool,
    /// The size of a file, if it is known.
    pub size: Option<u64>,
    /// Its mode, of which the receiver takes the permissions.
    pub mode: u32,
    /// When it was modified last: seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
    /// Its name, as the sender has it: the receiver judges it.
    pub name: &'a [u8],
}

/// What a server has stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<'a> {
    /// The size.
    pub size: u64,
    /// The BLAKE3 digest.
    pub digest: [u8; 32],
    /// The name that it was given.
    pub name: &'a str,
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed<'a> {
    /// What a program makes of it; `docs/file-protocol.md` lists the codes.
    pub code: u16,
    /// What a person makes of it, in one sentence. It is raw: whoever shows it escapes it.
    pub reason: &'a str,
}

/// The size that says that there is none yet.
const UNKNOWN_SIZE: u64 = u64::MAX;

impl Frame<'_> {
    pub(crate) fn kind(&self) -> FrameKind {
        match self {
            Frame::Offer(_) => FrameKind::Offer,
            Frame::Answer { .. } => FrameKind::Answer,
            Frame::Begin(_) => FrameKind::Begin,
            Frame::Data { .. } => FrameKind::Data,
            Frame::End { .. } => FrameKind::End,
            Frame::Stored(_) => FrameKind::Stored,
            Frame::Failed(_) => FrameKind::Failed,
            Frame::Wait => FrameKind::Wait,
        }
    }

    /// Appends the body. A name or a sentence that is too long is cut.
    pub(crate) fn encode_body(&self, to: &mut Vec<u8>) {
        match self {
            Frame::Offer(offer) => {
                to.push(u8::from(offer.is_directory));
                to.extend(offer.size.unwrap_or(UNKNOWN_SIZE).to_le_bytes());
                to.extend(offer.mode.to_le_bytes());
                to.extend(offer.modified.0.to_le_bytes());
                to.extend(offer.modified.1.to_le_bytes());
                to.extend_from_slice(truncate(offer.name, OFFER_HEADER_LEN));
            }
            Frame::Answer { chunk_count: held, chunk_list_hash: digest } => {
                to.extend(held.to_le_bytes());
                to.extend_from_slice(digest);
            }
            Frame::Begin(number) => to.extend(number.to_le_bytes()),
            Frame::Data { number, hash: value, bytes } => {
                to.extend(number.to_le_bytes());
                to.extend_from_slice(value);
                to.extend_from_slice(bytes);
            }
            Frame::End { size, digest } => {
                to.extend(size.to_le_bytes());
                to.extend_from_slice(digest);
            }
            Frame::Stored(stored) => {
                to.extend(stored.size.to_le_bytes());
                to.extend_from_slice(&stored.digest);
                to.extend_from_slice(truncate_text(stored.name, 8 + 32).as_bytes());
            }
            Frame::Failed(failed) => {
                to.extend(failed.code.to_le_bytes());
                to.extend_from_slice(truncate_text(failed.reason, 2).as_bytes());
            }
            Frame::Wait => {}
        }
    }

    /// Reads a body; nothing comes back where it is not that of its kind.
    pub(crate) fn decode_body(kind: FrameKind, mut body: BodyReader<'_>) -> Option<Frame<'_>> {
        let frame = match kind {
            FrameKind::Offer => {
                let is_directory = match body.read_array::<1>()? {
                    [0] => false,
                    [1] => true,
                    _ => return None,
                };
                let size = Some(body.read_u64()?).filter(|size| *size != UNKNOWN_SIZE);
                let mode = u32::from_le_bytes(body.read_array()?);
                let modified = (
                    i64::from_le_bytes(body.read_array()?),
                    u32::from_le_bytes(body.read_array()?),
                );
                Frame::Offer(Offer {
                    is_directory,
                    size,
                    mode,
                    modified,
                    name: body.read_remainder(),
                })
            }
            FrameKind::Answer => {
                Frame::Answer { chunk_count: body.read_u64()?, chunk_list_hash: body.read_array()? }
            }
            FrameKind::Begin => Frame::Begin(body.read_u64()?),
            FrameKind::Data => Frame::Data {
                number: body.read_u64()?,
                hash: body.read_array()?,
                bytes: body.read_remainder(),
            },
            FrameKind::End => Frame::End { size: body.read_u64()?, digest: body.read_array()? },
            FrameKind::Stored => {
                let (size, digest) = (body.read_u64()?, body.read_array()?);
                Frame::Stored(Stored { size, digest, name: body.read_text()? })
            }
            FrameKind::Failed => {
                let code = u16::from_le_bytes(body.read_array()?);
                Frame::Failed(Failed { code, reason: body.read_text()? })
            }
            FrameKind::Wait => Frame::Wait,
        };
        body.0.is_empty().then_some(frame)
    }
}

/// What stands before the name of an offer.
const OFFER_HEADER_LEN: usize = 1 + 8 + 4 + 8 + 4;

fn truncate(bytes: &[u8], beside: usize) -> &[u8] {
    &bytes[..bytes.len().min(MAX_BODY_LEN - beside)]
}

fn truncate_text(text: &str, beside: usize) -> &str {
    let mut end = text.len().min(MAX_BODY_LEN - beside);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What is left to read of a body.
pub(crate) struct BodyReader<'a>(&'a [u8]);

impl<'a> BodyReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> BodyReader<'a> {
        BodyReader(bytes)
    }

    fn read_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn read_u64(&mut self) -> Option<u64> {
        self.read_array().map(u64::from_le_bytes)
    }

    fn read_remainder(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn read_text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.read_remainder()).ok()
    }
}
