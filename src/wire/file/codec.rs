//! The framed file protocol: its signature, its frames, and how they are checked.
//!
//! `docs/file-protocol.md` is the specification. A [`FrameWriter`] writes frames and a [`FrameReader`] reads them, each for
//! one direction of a connection, since frames are numbered. Nothing here knows a file or a socket.

use thiserror::Error;

use crate::wire::file::frame::{BodyReader, FrameKind};
pub use crate::wire::file::frame::{Failed, Frame, Offer, Stored};

/// What a framed connection begins with, and no text does.
pub const SIGNATURE: [u8; 8] = *b"\x89SAF\r\n\x1a\n";

/// The version that is spoken here; there is one.
pub const VERSION: u8 = 1;

/// The bytes of a chunk; the last one of a file may be shorter.
pub const CHUNK_SIZE: usize = 64 << 10;

/// What stands before a chunk's bytes in a `data` frame: its number and its chaining value.
pub(crate) const DATA_PREFIX_LEN: usize = 8 + 32;

/// The longest body of a frame other than `data`, in bytes.
pub(crate) const MAX_BODY_LEN: usize = 8 << 10;

/// Kind and length.
const FRAME_HEADER_LEN: usize = 1 + 4;

/// The check.
const CHECKSUM_LEN: usize = 8;

/// What the first bytes of a connection tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preamble {
    /// Nothing yet.
    Pending,
    /// The bytes are a file.
    Raw,
    /// The frames follow after so many bytes, in this version; 0 where none is known to both.
    Framed(usize, u8),
}

/// Judges a connection by its first bytes.
///
/// # Examples
///
/// ```
/// use sockactors::wire::file::codec::{Preamble, detect_preamble, client_hello};
///
/// assert_eq!(detect_preamble(b"\x89"), Preamble::Pending);
/// assert_eq!(detect_preamble(b"Hello"), Preamble::Raw);
/// assert_eq!(detect_preamble(&client_hello()), Preamble::Framed(10, 1));
/// ```
pub fn detect_preamble(bytes: &[u8]) -> Preamble {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Preamble::Raw;
    }
    match bytes.get(SIGNATURE.len()..SIGNATURE.len() + 2) {
        Some(&[lowest, highest]) => {
            let version = if (lowest..=highest).contains(&VERSION) { VERSION } else { 0 };
            Preamble::Framed(SIGNATURE.len() + 2, version)
        }
        _ => Preamble::Pending,
    }
}

/// Returns what a client begins with.
pub fn client_hello() -> Vec<u8> {
    [&SIGNATURE[..], &[VERSION, VERSION]].concat()
}

/// Returns what a server answers to that, where it speaks `version`.
pub fn server_hello(version: u8) -> Vec<u8> {
    [&SIGNATURE[..], &[version]].concat()
}

/// Reads what a server answered: the version that it speaks, and after how many bytes the frames follow.
///
/// # Errors
///
/// It is no server of this protocol, or speaks no version that is known here.
pub fn parse_server_hello(bytes: &[u8]) -> Result<Option<(usize, u8)>, FrameError> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(FrameError::Signature);
    }
    match bytes.get(SIGNATURE.len()) {
        Some(&VERSION) => Ok(Some((SIGNATURE.len() + 1, VERSION))),
        Some(_) => Err(FrameError::Version),
        None => Ok(None),
    }
}

/// Why what came is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The other side does not speak this protocol.
    #[error("the other side does not speak the file protocol")]
    Signature,
    /// The other side speaks no version of it that is known here.
    #[error("the other side speaks another version of the file protocol; this one is {VERSION}")]
    Version,
    /// A frame of no kind that there is.
    #[error("a frame of an unknown kind came")]
    UnknownKind,
    /// A frame that is too long.
    #[error("a frame came that is longer than may be")]
    TooLong,
    /// The check is wrong: something was changed, lost, doubled or moved on its way.
    #[error("a frame came that is not the one that was sent")]
    Checksum,
    /// The body does not have what its kind has.
    #[error("a frame came whose body makes no sense")]
    MalformedBody,
}

impl FrameError {
    /// Tells whether the other side speaks something else, rather than that its words were garbled.
    pub fn is_foreign_protocol(&self) -> bool {
        matches!(self, FrameError::Signature | FrameError::Version)
    }
}

/// What stands before a chunk's bytes in the buffer that a `data` frame is made in.
pub const DATA_HEADER_LEN: usize = FRAME_HEADER_LEN + DATA_PREFIX_LEN;

/// What a `data` frame has beside its chunk's bytes: that, and the check behind them.
pub const DATA_OVERHEAD: usize = DATA_HEADER_LEN + CHECKSUM_LEN;

/// Writes the frames of one direction.
#[derive(Debug, Clone, Default)]
pub struct FrameWriter {
    next_number: u64,
}

impl FrameWriter {
    /// Appends a frame to `to`.
    pub fn write(&mut self, frame: &Frame<'_>, to: &mut Vec<u8>) {
        let start = to.len();
        to.extend_from_slice(&[frame.kind() as u8, 0, 0, 0, 0]);
        frame.encode_body(to);
        let length = u32::try_from(to.len() - start - FRAME_HEADER_LEN).unwrap_or(u32::MAX);
        to[start + 1..start + FRAME_HEADER_LEN].copy_from_slice(&length.to_le_bytes());
        let check = checksum(self.next_number, &to[start..], frame.kind());
        to.extend_from_slice(&check);
        self.next_number += 1;
    }

    /// Makes a `data` frame around a chunk that was read into its place, so that nobody copies it.
    ///
    /// `frame` holds the chunk's bytes from [`DATA_HEADER_LEN`] on, and behind them room for the check.
    ///
    /// # Panics
    ///
    /// Panics if `frame` is shorter than [`DATA_OVERHEAD`].
    pub fn write_data_in_place(&mut self, number: u64, value: &[u8; 32], frame: &mut [u8]) {
        let end = frame.len() - CHECKSUM_LEN;
        let length = u32::try_from(end - FRAME_HEADER_LEN).unwrap_or(u32::MAX);
        frame[0] = FrameKind::Data as u8;
        frame[1..FRAME_HEADER_LEN].copy_from_slice(&length.to_le_bytes());
        frame[FRAME_HEADER_LEN..FRAME_HEADER_LEN + 8].copy_from_slice(&number.to_le_bytes());
        frame[FRAME_HEADER_LEN + 8..DATA_HEADER_LEN].copy_from_slice(value);
        let check = checksum(self.next_number, &frame[..end], FrameKind::Data);
        frame[end..].copy_from_slice(&check);
        self.next_number += 1;
    }
}

/// The check of a frame, given with its head and without its check.
fn checksum(number: u64, frame: &[u8], kind: FrameKind) -> [u8; CHECKSUM_LEN] {
    let covered = match kind {
        FrameKind::Data => frame.len().min(FRAME_HEADER_LEN + DATA_PREFIX_LEN),
        _ => frame.len(),
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_le_bytes()).update(&frame[..covered]);
    let mut check = [0; CHECKSUM_LEN];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM_LEN]);
    check
}

/// Reads the frames of one direction, from bytes in any pieces. It holds at most one frame and one piece.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// A buffer, of which a middle part is of interest.
    buffer: Vec<u8>,
    /// How many of its bytes belong to frames that were read.
    consumed: usize,
    /// How many of its bytes have come.
    filled: usize,
    next_number: u64,
}

impl FrameReader {
    /// Appends bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.spare_capacity(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// Returns room for at least so many bytes that come next; [`filled`](FrameReader::advance) tells how many did.
    pub fn spare_capacity(&mut self, least: usize) -> &mut [u8] {
        self.buffer.copy_within(self.consumed..self.filled, 0);
        self.filled -= std::mem::take(&mut self.consumed);
        if self.buffer.len() < self.filled + least {
            self.buffer.resize(self.filled + least, 0);
        }
        &mut self.buffer[self.filled..]
    }

    /// Takes so many bytes of the [`space`](FrameReader::spare_capacity) as come.
    pub fn advance(&mut self, length: usize) {
        self.filled = (self.filled + length).min(self.buffer.len());
    }

    /// Gives back the memory that what has come of a frame does not need.
    pub fn shrink(&mut self) {
        self.spare_capacity(0);
        self.buffer.truncate(self.filled);
        self.buffer.shrink_to_fit();
    }

    /// Takes the next frame; nothing comes back where more bytes are needed.
    ///
    /// # Errors
    ///
    /// The first error is the last word: where the next frame begins is not known any more.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let rest = &self.buffer[self.consumed..self.filled];
        let Some(head) = rest.first_chunk::<FRAME_HEADER_LEN>() else { return Ok(None) };
        let kind = FrameKind::from_byte(head[0]).ok_or(FrameError::UnknownKind)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > kind.max_body_len() {
            return Err(FrameError::TooLong);
        }
        let end = FRAME_HEADER_LEN + length;
        let Some(given) = rest.get(end..end + CHECKSUM_LEN) else { return Ok(None) };
        if given != checksum(self.next_number, &rest[..end], kind) {
            return Err(FrameError::Checksum);
        }
        let body =
            BodyReader::new(&self.buffer[self.consumed + FRAME_HEADER_LEN..self.consumed + end]);
        self.consumed += end + CHECKSUM_LEN;
        self.next_number += 1;
        Frame::decode_body(kind, body).map(Some).ok_or(FrameError::MalformedBody)
    }

    /// Tells whether a frame has begun that is not whole yet.
    pub fn has_partial_frame(&self) -> bool {
        self.filled > self.consumed
    }
}

#[cfg(test)]
mod tests;
