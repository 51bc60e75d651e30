//! Frames that are written together: chunks that were read into their places in it, and perhaps a frame behind them.

use crate::wire::file::digest::ChunkHash;
use crate::wire::file::{CHUNK_SIZE, DATA_HEADER_LEN, DATA_OVERHEAD, Frame, FrameWriter};

/// How many chunks a batch has at most: about a mebibyte.
const MAX_CHUNKS: usize = 16;

/// Frames that are written together.
#[derive(Debug)]
pub(crate) struct FrameBatch {
    bytes: Vec<u8>,
    len: usize,
}

impl FrameBatch {
    pub(crate) fn new() -> FrameBatch {
        FrameBatch { bytes: vec![0; MAX_CHUNKS * (CHUNK_SIZE + DATA_OVERHEAD)], len: 0 }
    }

    /// Returns the frames.
    pub(crate) fn frames(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Returns the place of the next chunk's bytes, or nothing where the batch is full.
    pub(crate) fn spare_chunk(&mut self) -> Option<&mut [u8]> {
        let from = self.len + DATA_HEADER_LEN;
        self.bytes.get_mut(from..from + CHUNK_SIZE).filter(|_| self.len < MAX_CHUNKS * CHUNK_SIZE)
    }

    /// Makes a frame of the first bytes in the [`room`](FrameBatch::spare_chunk).
    pub(crate) fn write_data(
        &mut self,
        frames: &mut FrameWriter,
        number: u64,
        value: &ChunkHash,
        length: usize,
    ) {
        let end = self.len + length + DATA_OVERHEAD;
        frames.write_data_in_place(number, value, &mut self.bytes[self.len..end]);
        self.len = end;
    }

    /// Adds another frame.
    pub(crate) fn push_frame(&mut self, frames: &mut FrameWriter, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frames.write(frame, &mut bytes);
        let end = self.len + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[self.len..end].copy_from_slice(&bytes);
        self.len = end;
    }
}
