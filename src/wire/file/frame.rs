//! The frames of the [file protocol](crate::wire::file::codec): what is in each, and how it is laid out.

use crate::wire::file::codec::{BODY_MAX, CHUNK, DATA_HEAD};

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Offer = 1,
    Answer = 2,
    Begin = 3,
    Data = 4,
    End = 5,
    Stored = 6,
    Failed = 7,
    Wait = 8,
}

impl Kind {
    pub(crate) fn of(byte: u8) -> Option<Kind> {
        use Kind::{Answer, Begin, Data, End, Failed, Offer, Stored, Wait};
        let all = [Offer, Answer, Begin, Data, End, Stored, Failed, Wait];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Returns the most bytes that a body of this kind has.
    pub(crate) fn longest(self) -> usize {
        match self {
            Kind::Data => DATA_HEAD + CHUNK,
            _ => BODY_MAX,
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
        held: u64,
        /// BLAKE3 of their chaining values, one behind the other.
        digest: [u8; 32],
    },
    /// The client begins with this chunk.
    Begin(u64),
    /// A chunk.
    Data {
        /// Its number.
        number: u64,
        /// Its chaining value in the file's BLAKE3 tree.
        value: [u8; 32],
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
    pub why: &'a str,
}

/// The size that says that there is none yet.
const UNKNOWN: u64 = u64::MAX;

impl Frame<'_> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Frame::Offer(_) => Kind::Offer,
            Frame::Answer { .. } => Kind::Answer,
            Frame::Begin(_) => Kind::Begin,
            Frame::Data { .. } => Kind::Data,
            Frame::End { .. } => Kind::End,
            Frame::Stored(_) => Kind::Stored,
            Frame::Failed(_) => Kind::Failed,
            Frame::Wait => Kind::Wait,
        }
    }

    /// Appends the body. A name or a sentence that is too long is cut.
    pub(crate) fn body(&self, to: &mut Vec<u8>) {
        match self {
            Frame::Offer(offer) => {
                to.push(u8::from(offer.is_directory));
                to.extend(offer.size.unwrap_or(UNKNOWN).to_le_bytes());
                to.extend(offer.mode.to_le_bytes());
                to.extend(offer.modified.0.to_le_bytes());
                to.extend(offer.modified.1.to_le_bytes());
                to.extend_from_slice(cut(offer.name, OFFER_HEAD));
            }
            Frame::Answer { held, digest } => {
                to.extend(held.to_le_bytes());
                to.extend_from_slice(digest);
            }
            Frame::Begin(number) => to.extend(number.to_le_bytes()),
            Frame::Data { number, value, bytes } => {
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
                to.extend_from_slice(cut_text(stored.name, 8 + 32).as_bytes());
            }
            Frame::Failed(failed) => {
                to.extend(failed.code.to_le_bytes());
                to.extend_from_slice(cut_text(failed.why, 2).as_bytes());
            }
            Frame::Wait => {}
        }
    }

    /// Reads a body; nothing comes back where it is not that of its kind.
    pub(crate) fn of(kind: Kind, mut body: Body<'_>) -> Option<Frame<'_>> {
        let frame = match kind {
            Kind::Offer => {
                let is_directory = match body.array::<1>()? {
                    [0] => false,
                    [1] => true,
                    _ => return None,
                };
                let size = Some(body.u64()?).filter(|size| *size != UNKNOWN);
                let mode = u32::from_le_bytes(body.array()?);
                let modified =
                    (i64::from_le_bytes(body.array()?), u32::from_le_bytes(body.array()?));
                Frame::Offer(Offer { is_directory, size, mode, modified, name: body.rest() })
            }
            Kind::Answer => Frame::Answer { held: body.u64()?, digest: body.array()? },
            Kind::Begin => Frame::Begin(body.u64()?),
            Kind::Data => {
                Frame::Data { number: body.u64()?, value: body.array()?, bytes: body.rest() }
            }
            Kind::End => Frame::End { size: body.u64()?, digest: body.array()? },
            Kind::Stored => {
                let (size, digest) = (body.u64()?, body.array()?);
                Frame::Stored(Stored { size, digest, name: body.text()? })
            }
            Kind::Failed => {
                let code = u16::from_le_bytes(body.array()?);
                Frame::Failed(Failed { code, why: body.text()? })
            }
            Kind::Wait => Frame::Wait,
        };
        body.0.is_empty().then_some(frame)
    }
}

/// What stands before the name of an offer.
const OFFER_HEAD: usize = 1 + 8 + 4 + 8 + 4;

fn cut(bytes: &[u8], beside: usize) -> &[u8] {
    &bytes[..bytes.len().min(BODY_MAX - beside)]
}

fn cut_text(text: &str, beside: usize) -> &str {
    let mut end = text.len().min(BODY_MAX - beside);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What is left to read of a body.
pub(crate) struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Body<'a> {
        Body(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.rest()).ok()
    }
}
