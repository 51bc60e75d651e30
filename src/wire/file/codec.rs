//! The framed file protocol: its signature, its frames, and how they are checked.
//!
//! `docs/file-protocol.md` is the specification. A [`FrameWriter`] writes frames and a [`FrameReader`] reads them, each for
//! one direction of a connection, since frames are numbered. Nothing here knows a file or a socket.

use thiserror::Error;

use crate::wire::file::frame::{Body, Kind};
pub use crate::wire::file::frame::{Failed, Frame, Offer, Stored};

/// What a framed connection begins with, and no text does.
pub const SIGNATURE: [u8; 8] = *b"\x89SAF\r\n\x1a\n";

/// The version that is spoken here; there is one.
pub const VERSION: u8 = 1;

/// The bytes of a chunk; the last one of a file may be shorter.
pub const CHUNK: usize = 64 << 10;

/// What stands before a chunk's bytes in a `data` frame: its number and its chaining value.
pub(crate) const DATA_HEAD: usize = 8 + 32;

/// The longest body of a frame other than `data`, in bytes.
pub(crate) const BODY_MAX: usize = 8 << 10;

/// Kind and length.
const HEAD: usize = 1 + 4;

/// The check.
const CHECK: usize = 8;

/// What the first bytes of a connection tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing yet.
    Wait,
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
/// use sockactors::wire::file::codec::{Beginning, beginning, hello};
///
/// assert_eq!(beginning(b"\x89"), Beginning::Wait);
/// assert_eq!(beginning(b"Hello"), Beginning::Raw);
/// assert_eq!(beginning(&hello()), Beginning::Framed(10, 1));
/// ```
pub fn beginning(bytes: &[u8]) -> Beginning {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Beginning::Raw;
    }
    match bytes.get(SIGNATURE.len()..SIGNATURE.len() + 2) {
        Some(&[lowest, highest]) => {
            let version = if (lowest..=highest).contains(&VERSION) { VERSION } else { 0 };
            Beginning::Framed(SIGNATURE.len() + 2, version)
        }
        _ => Beginning::Wait,
    }
}

/// Returns what a client begins with.
pub fn hello() -> Vec<u8> {
    [&SIGNATURE[..], &[VERSION, VERSION]].concat()
}

/// Returns what a server answers to that, where it speaks `version`.
pub fn welcome(version: u8) -> Vec<u8> {
    [&SIGNATURE[..], &[version]].concat()
}

/// Reads what a server answered: the version that it speaks, and after how many bytes the frames follow.
///
/// # Errors
///
/// It is no server of this protocol, or speaks no version that is known here.
pub fn welcomed(bytes: &[u8]) -> Result<Option<(usize, u8)>, FrameError> {
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
    Kind,
    /// A frame that is too long.
    #[error("a frame came that is longer than may be")]
    TooLong,
    /// The check is wrong: something was changed, lost, doubled or moved on its way.
    #[error("a frame came that is not the one that was sent")]
    Check,
    /// The body does not have what its kind has.
    #[error("a frame came whose body makes no sense")]
    Body,
}

impl FrameError {
    /// Tells whether the other side speaks something else, rather than that its words were garbled.
    pub fn is_strange(&self) -> bool {
        matches!(self, FrameError::Signature | FrameError::Version)
    }
}

/// What stands before a chunk's bytes in the buffer that a `data` frame is made in.
pub const DATA_BEFORE: usize = HEAD + DATA_HEAD;

/// What a `data` frame has beside its chunk's bytes: that, and the check behind them.
pub const DATA_BESIDE: usize = DATA_BEFORE + CHECK;

/// Writes the frames of one direction.
#[derive(Debug, Clone, Default)]
pub struct FrameWriter {
    number: u64,
}

impl FrameWriter {
    /// Appends a frame to `to`.
    pub fn write(&mut self, frame: &Frame<'_>, to: &mut Vec<u8>) {
        let start = to.len();
        to.extend_from_slice(&[frame.kind() as u8, 0, 0, 0, 0]);
        frame.body(to);
        let length = u32::try_from(to.len() - start - HEAD).unwrap_or(u32::MAX);
        to[start + 1..start + HEAD].copy_from_slice(&length.to_le_bytes());
        let check = check(self.number, &to[start..], frame.kind());
        to.extend_from_slice(&check);
        self.number += 1;
    }

    /// Makes a `data` frame around a chunk that was read into its place, so that nobody copies it.
    ///
    /// `frame` holds the chunk's bytes from [`DATA_BEFORE`] on, and behind them room for the check.
    ///
    /// # Panics
    ///
    /// Panics if `frame` is shorter than [`DATA_BESIDE`].
    pub fn seal(&mut self, number: u64, value: &[u8; 32], frame: &mut [u8]) {
        let end = frame.len() - CHECK;
        let length = u32::try_from(end - HEAD).unwrap_or(u32::MAX);
        frame[0] = Kind::Data as u8;
        frame[1..HEAD].copy_from_slice(&length.to_le_bytes());
        frame[HEAD..HEAD + 8].copy_from_slice(&number.to_le_bytes());
        frame[HEAD + 8..DATA_BEFORE].copy_from_slice(value);
        let check = check(self.number, &frame[..end], Kind::Data);
        frame[end..].copy_from_slice(&check);
        self.number += 1;
    }
}

/// The check of a frame, given with its head and without its check.
fn check(number: u64, frame: &[u8], kind: Kind) -> [u8; CHECK] {
    let covered = match kind {
        Kind::Data => frame.len().min(HEAD + DATA_HEAD),
        _ => frame.len(),
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_le_bytes()).update(&frame[..covered]);
    let mut check = [0; CHECK];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK]);
    check
}

/// Reads the frames of one direction, from bytes in any pieces. It holds at most one frame and one piece.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// A buffer, of which a middle part is of interest.
    bytes: Vec<u8>,
    /// How many of its bytes belong to frames that were read.
    read: usize,
    /// How many of its bytes have come.
    filled: usize,
    number: u64,
}

impl FrameReader {
    /// Appends bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.space(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// Returns room for at least so many bytes that come next; [`filled`](FrameReader::filled) tells how many did.
    pub fn space(&mut self, least: usize) -> &mut [u8] {
        self.bytes.copy_within(self.read..self.filled, 0);
        self.filled -= std::mem::take(&mut self.read);
        if self.bytes.len() < self.filled + least {
            self.bytes.resize(self.filled + least, 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// Takes so many bytes of the [`space`](FrameReader::space) as come.
    pub fn filled(&mut self, length: usize) {
        self.filled = (self.filled + length).min(self.bytes.len());
    }

    /// Gives back the memory that what has come of a frame does not need.
    pub fn shrink(&mut self) {
        self.space(0);
        self.bytes.truncate(self.filled);
        self.bytes.shrink_to_fit();
    }

    /// Takes the next frame; nothing comes back where more bytes are needed.
    ///
    /// # Errors
    ///
    /// The first error is the last word: where the next frame begins is not known any more.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let rest = &self.bytes[self.read..self.filled];
        let Some(head) = rest.first_chunk::<HEAD>() else { return Ok(None) };
        let kind = Kind::of(head[0]).ok_or(FrameError::Kind)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > kind.longest() {
            return Err(FrameError::TooLong);
        }
        let end = HEAD + length;
        let Some(given) = rest.get(end..end + CHECK) else { return Ok(None) };
        if given != check(self.number, &rest[..end], kind) {
            return Err(FrameError::Check);
        }
        let body = Body::new(&self.bytes[self.read + HEAD..self.read + end]);
        self.read += end + CHECK;
        self.number += 1;
        Frame::of(kind, body).map(Some).ok_or(FrameError::Body)
    }

    /// Tells whether a frame has begun that is not whole yet.
    pub fn is_within(&self) -> bool {
        self.filled > self.read
    }
}

#[cfg(test)]
mod tests;
