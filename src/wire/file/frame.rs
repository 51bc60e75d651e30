//! The frames of the file protocol: their kinds, the layout of their bodies, and their limits.

use thiserror::Error;

use crate::wire::file::digest::CHUNK_SIZE;

/// The longest body of a frame other than `data`, in bytes.
pub(super) const MAX_BODY_LEN: usize = 8 << 10;

/// The version of the protocol. There is only one.
pub const VERSION: u8 = 1;

/// The part of a `data` body before the chunk, in bytes: the chunk's number and its hash.
pub(super) const DATA_PREFIX_LEN: usize = 8 + 32;

/// The part of an `offer` body before the name, in bytes.
const OFFER_HEADER_LEN: usize = 1 + 8 + 4 + 8 + 4;

/// The size in an `offer` whose sender does not know it yet.
const UNKNOWN_SIZE: u64 = u64::MAX;

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
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
    /// Returns the kind that a byte stands for, or `None`.
    pub(super) fn from_byte(byte: u8) -> Option<FrameKind> {
        use FrameKind::{Answer, Begin, Data, End, Failed, Offer, Stored, Wait};
        let all = [Offer, Answer, Begin, Data, End, Stored, Failed, Wait];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Returns the longest body of this kind, in bytes.
    pub(super) fn max_body_len(self) -> usize {
        match self {
            FrameKind::Data => DATA_PREFIX_LEN + CHUNK_SIZE,
            _ => MAX_BODY_LEN,
        }
    }
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The client offers a file or a directory.
    Offer(Offer<'a>),
    /// The server already holds the first chunks of the file.
    Answer {
        /// The number of chunks that the server holds.
        chunk_count: u64,
        /// The BLAKE3 digest of the concatenated hashes of these chunks.
        chunk_list_hash: [u8; 32],
    },
    /// The client starts to send at the chunk with this number.
    Begin(u64),
    /// A chunk.
    Data {
        /// The chunk's number, counted from 0.
        number: u64,
        /// The chunk's chaining value in the file's BLAKE3 tree.
        hash: [u8; 32],
        /// The chunk's bytes.
        bytes: &'a [u8],
    },
    /// The client has sent the whole file.
    End {
        /// The file's size in bytes.
        size: u64,
        /// The file's BLAKE3 digest.
        digest: [u8; 32],
    },
    /// The server has stored the file durably, under its final name.
    Stored(Stored<'a>),
    /// The offered file cannot be sent or stored, or the connection has failed as a whole.
    Failed(Failed<'a>),
    /// The server is still working on the file.
    Wait,
}

/// A client's offer of a file or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer<'a> {
    /// Whether the offer is a directory.
    pub is_directory: bool,
    /// The file's size in bytes, if it is known.
    pub size: Option<u64>,
    /// The file's mode. The receiver uses only the permission bits.
    pub mode: u32,
    /// The time of the last modification: seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
    /// The sender's name for the file, which the receiver has to check.
    pub name: &'a [u8],
}

/// A server's confirmation that a file is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<'a> {
    /// The file's size in bytes.
    pub size: u64,
    /// The file's BLAKE3 digest.
    pub digest: [u8; 32],
    /// The name under which the server has stored the file.
    pub name: &'a str,
}

/// A report of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed<'a> {
    /// The code for programs. `docs/file-protocol.md` lists the codes.
    pub code: u16,
    /// The reason for people, in one sentence. It is the peer's raw text: escape it before it is
    /// shown.
    pub reason: &'a str,
}

/// The reason why received bytes are not a valid frame or preamble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The peer does not speak the file protocol.
    #[error("the other side does not speak the file protocol")]
    Signature,
    /// The peer speaks none of the supported versions.
    #[error(
        "the other side speaks another version of the file protocol; this side speaks {VERSION}"
    )]
    Version,
    /// The frame's kind is unknown.
    #[error("received a frame of an unknown kind")]
    UnknownKind,
    /// The frame's body is longer than its kind allows.
    #[error("received a frame that is longer than its kind allows")]
    TooLong,
    /// The checksum is wrong: a frame was changed, lost, duplicated or reordered on the way.
    #[error("received a frame with a wrong checksum")]
    Checksum,
    /// A `data` frame arrived although no file is expected.
    #[error("received data without an accepted offer")]
    UnexpectedData,
    /// The body does not have the layout of its kind.
    #[error("received a frame with a malformed body")]
    MalformedBody,
}

impl FrameError {
    /// Returns whether the peer speaks another protocol or version, as opposed to a garbled frame.
    pub fn is_foreign_protocol(&self) -> bool {
        matches!(self, FrameError::Signature | FrameError::Version)
    }
}

impl Frame<'_> {
    /// Returns the frame's kind.
    pub(super) fn kind(&self) -> FrameKind {
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

    /// Appends the body to `to`. A name or a reason that is too long is truncated.
    pub(super) fn encode_body(&self, to: &mut Vec<u8>) {
        match self {
            Frame::Offer(offer) => {
                to.push(u8::from(offer.is_directory));
                to.extend(offer.size.unwrap_or(UNKNOWN_SIZE).to_le_bytes());
                to.extend(offer.mode.to_le_bytes());
                to.extend(offer.modified.0.to_le_bytes());
                to.extend(offer.modified.1.to_le_bytes());
                to.extend_from_slice(truncate(offer.name, OFFER_HEADER_LEN));
            }
            Frame::Answer { chunk_count, chunk_list_hash } => {
                to.extend(chunk_count.to_le_bytes());
                to.extend_from_slice(chunk_list_hash);
            }
            Frame::Begin(number) => to.extend(number.to_le_bytes()),
            Frame::Data { number, hash, bytes } => {
                to.extend(number.to_le_bytes());
                to.extend_from_slice(hash);
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

    /// Decodes a body, or returns `None` if it does not have the layout of its kind.
    pub(super) fn decode_body(kind: FrameKind, body: &[u8]) -> Option<Frame<'_>> {
        let mut body = BodyReader(body);
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
                let name = body.read_remainder();
                Frame::Offer(Offer { is_directory, size, mode, modified, name })
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

/// Truncates bytes so that a body holds them after `prefix_len` other bytes.
fn truncate(bytes: &[u8], prefix_len: usize) -> &[u8] {
    &bytes[..bytes.len().min(MAX_BODY_LEN - prefix_len)]
}

/// Truncates text like [`truncate`], at the end of a character.
fn truncate_text(text: &str, prefix_len: usize) -> &str {
    let mut end = text.len().min(MAX_BODY_LEN - prefix_len);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The unread part of a body.
struct BodyReader<'a>(&'a [u8]);

impl<'a> BodyReader<'a> {
    fn read_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, remainder) = self.0.split_first_chunk::<N>()?;
        self.0 = remainder;
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
