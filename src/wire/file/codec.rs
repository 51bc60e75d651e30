//! The encoding of frames on a connection: header, body, checksum.
//!
//! ```text
//! frame   kind       1 byte
//!         length     4 bytes, little endian: the length of the body
//!         body       see `frame.rs`
//!         checksum   8 bytes: the first of BLAKE3 over the frame's number, its header and its body
//! ```
//!
//! The frames of each direction are numbered from 0. The number is not sent. It is a part of the
//! checksum, so a lost, duplicated or reordered frame is detected. The checksum of a `data` frame
//! leaves out the chunk, whose own hash covers it.

use crate::wire::file::frame::{DATA_PREFIX_LEN, Frame, FrameError, FrameKind};

/// The length of a frame's header in bytes: kind and length.
const FRAME_HEADER_LEN: usize = 1 + 4;

/// The length of a frame's checksum in bytes.
const CHECKSUM_LEN: usize = 8;

/// The part of a `data` frame before the chunk, in bytes.
pub const DATA_HEADER_LEN: usize = FRAME_HEADER_LEN + DATA_PREFIX_LEN;

/// The size of a `data` frame without its chunk, in bytes: the header, and the checksum at the end.
pub const DATA_OVERHEAD: usize = DATA_HEADER_LEN + CHECKSUM_LEN;

/// An encoder of the frames of one direction.
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
        let checksum = checksum(self.next_number, &to[start..], frame.kind());
        to.extend_from_slice(&checksum);
        self.next_number += 1;
    }

    /// Writes a `data` frame around a chunk that is already in its place, without copying the
    /// chunk.
    ///
    /// `frame` is the buffer of the whole frame. The chunk begins at [`DATA_HEADER_LEN`]. The space
    /// of the checksum follows it.
    ///
    /// # Panics
    ///
    /// Panics if `frame` is shorter than [`DATA_OVERHEAD`].
    pub fn write_data_in_place(&mut self, number: u64, hash: &[u8; 32], frame: &mut [u8]) {
        let end = frame.len() - CHECKSUM_LEN;
        let length = u32::try_from(end - FRAME_HEADER_LEN).unwrap_or(u32::MAX);
        frame[0] = FrameKind::Data as u8;
        frame[1..FRAME_HEADER_LEN].copy_from_slice(&length.to_le_bytes());
        frame[FRAME_HEADER_LEN..FRAME_HEADER_LEN + 8].copy_from_slice(&number.to_le_bytes());
        frame[FRAME_HEADER_LEN + 8..DATA_HEADER_LEN].copy_from_slice(hash);
        let checksum = checksum(self.next_number, &frame[..end], FrameKind::Data);
        frame[end..].copy_from_slice(&checksum);
        self.next_number += 1;
    }
}

/// Returns the checksum of a frame, given as its number, and its header and body.
fn checksum(number: u64, frame: &[u8], kind: FrameKind) -> [u8; CHECKSUM_LEN] {
    let covered = match kind {
        FrameKind::Data => frame.len().min(DATA_HEADER_LEN),
        _ => frame.len(),
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_le_bytes()).update(&frame[..covered]);
    let mut checksum = [0; CHECKSUM_LEN];
    checksum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM_LEN]);
    checksum
}

/// The treatment of the `data` frames of a peer.
///
/// They are the only long frames. A reader that expects none need not buffer them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFrames {
    /// Decode them.
    Accept,
    /// Skip them without buffering their bodies. Their checksums are not checked. The frame after
    /// them is detected as wrong if one of them was lost, duplicated or truncated.
    Skip,
    /// Reject them at their header.
    Reject,
}

/// A decoder of the frames of one direction, fed with bytes in pieces of any size.
///
/// It buffers at most one frame and one piece if each piece is decoded before the next.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// The received bytes that are not decoded yet are `buffer[consumed..filled]`.
    buffer: Vec<u8>,
    consumed: usize,
    filled: usize,
    next_number: u64,
    /// The bytes of a skipped frame that have not arrived yet.
    left_to_skip: usize,
}

impl FrameReader {
    /// Appends received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.spare_capacity(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// Returns space for at least `min_len` more bytes, to read into directly.
    ///
    /// Pass the number of bytes read to [`advance`](FrameReader::advance) afterwards.
    pub fn spare_capacity(&mut self, min_len: usize) -> &mut [u8] {
        self.buffer.copy_within(self.consumed..self.filled, 0);
        self.filled -= std::mem::take(&mut self.consumed);
        if self.buffer.len() < self.filled + min_len {
            self.buffer.resize(self.filled + min_len, 0);
        }
        &mut self.buffer[self.filled..]
    }

    /// Marks the first `length` bytes of [`spare_capacity`](FrameReader::spare_capacity) as read.
    pub fn advance(&mut self, length: usize) {
        self.filled = (self.filled + length).min(self.buffer.len());
    }

    /// Returns the number of received bytes that are not decoded yet.
    pub fn buffered_len(&self) -> usize {
        self.filled - self.consumed
    }

    /// Returns a number of bytes without which the next frame is not complete. It is exact once the
    /// header has arrived, and 0 if the frame is complete, invalid, or not accepted.
    pub fn missing_len(&self, data_frames: DataFrames) -> usize {
        let buffered = self.buffered_len();
        if self.left_to_skip > 0 {
            return self.left_to_skip.saturating_sub(buffered);
        }
        let unread = &self.buffer[self.consumed..self.filled];
        let Some(header) = unread.first_chunk::<FRAME_HEADER_LEN>() else {
            return FRAME_HEADER_LEN + CHECKSUM_LEN - buffered;
        };
        let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
        match FrameKind::from_byte(header[0]) {
            Some(FrameKind::Data) if !matches!(data_frames, DataFrames::Accept) => 0,
            Some(kind) if length <= kind.max_body_len() => {
                (FRAME_HEADER_LEN + length + CHECKSUM_LEN).saturating_sub(buffered)
            }
            _ => 0,
        }
    }

    /// Frees the memory beyond the partial frame.
    pub fn shrink(&mut self) {
        self.spare_capacity(0);
        self.buffer.truncate(self.filled);
        self.buffer.shrink_to_fit();
    }

    /// Decodes the next frame, or returns `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not a valid frame. The reader cannot be used after an error, because
    /// the start of the next frame is unknown.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        self.next_frame_with(DataFrames::Accept)
    }

    /// Decodes the next frame like [`next_frame`](FrameReader::next_frame), and treats `data`
    /// frames as `data_frames` says.
    ///
    /// # Errors
    ///
    /// Same as [`next_frame`](FrameReader::next_frame). A rejected frame is
    /// [`FrameError::UnexpectedData`].
    pub fn next_frame_with(
        &mut self,
        data_frames: DataFrames,
    ) -> Result<Option<Frame<'_>>, FrameError> {
        let (kind, length) = loop {
            if !self.finish_skip() {
                return Ok(None);
            }
            let unread = &self.buffer[self.consumed..self.filled];
            let Some(header) = unread.first_chunk::<FRAME_HEADER_LEN>() else { return Ok(None) };
            let kind = FrameKind::from_byte(header[0]).ok_or(FrameError::UnknownKind)?;
            let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
            if length > kind.max_body_len() {
                return Err(FrameError::TooLong);
            }
            match (kind, data_frames) {
                (FrameKind::Data, DataFrames::Reject) => return Err(FrameError::UnexpectedData),
                (FrameKind::Data, DataFrames::Skip) => {
                    self.left_to_skip = FRAME_HEADER_LEN + length + CHECKSUM_LEN;
                    self.next_number += 1;
                }
                _ => break (kind, length),
            }
        };
        let end = FRAME_HEADER_LEN + length;
        let unread = &self.buffer[self.consumed..self.filled];
        let Some(received) = unread.get(end..end + CHECKSUM_LEN) else { return Ok(None) };
        if received != checksum(self.next_number, &unread[..end], kind) {
            return Err(FrameError::Checksum);
        }
        let body = self.consumed + FRAME_HEADER_LEN..self.consumed + end;
        self.consumed += end + CHECKSUM_LEN;
        self.next_number += 1;
        Frame::decode_body(kind, &self.buffer[body]).map(Some).ok_or(FrameError::MalformedBody)
    }

    /// Drops the received bytes of a frame that is skipped. Returns whether all of it has arrived.
    fn finish_skip(&mut self) -> bool {
        let skipped = self.left_to_skip.min(self.filled - self.consumed);
        self.consumed += skipped;
        self.left_to_skip -= skipped;
        self.left_to_skip == 0
    }

    /// Returns whether a frame has begun and is incomplete.
    pub fn has_partial_frame(&self) -> bool {
        self.filled > self.consumed || self.left_to_skip > 0
    }
}

#[cfg(test)]
mod tests;
