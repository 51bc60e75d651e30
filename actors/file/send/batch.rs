//! Frames that are written together: chunks that were read into their places in it, and perhaps a frame behind them.

use crate::wire::file::codec::{CHUNK_SIZE, DATA_HEADER_LEN, DATA_OVERHEAD, Frame, FrameWriter};
use crate::wire::file::digest::ChunkHash;

/// How many chunks a batch has at most: about a mebibyte.
const CHUNKS: usize = 16;

/// Frames that are written together.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    filled: usize,
}

impl Batch {
    pub(crate) fn new() -> Batch {
        Batch { bytes: vec![0; CHUNKS * (CHUNK_SIZE + DATA_OVERHEAD)], filled: 0 }
    }

    /// Returns the frames.
    pub(crate) fn frames(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Returns the place of the next chunk's bytes, or nothing where the batch is full.
    pub(crate) fn room(&mut self) -> Option<&mut [u8]> {
        let from = self.filled + DATA_HEADER_LEN;
        self.bytes.get_mut(from..from + CHUNK_SIZE).filter(|_| self.filled < CHUNKS * CHUNK_SIZE)
    }

    /// Makes a frame of the first bytes in the [`room`](Batch::room).
    pub(crate) fn seal(
        &mut self,
        frames: &mut FrameWriter,
        number: u64,
        value: &ChunkHash,
        length: usize,
    ) {
        let end = self.filled + length + DATA_OVERHEAD;
        frames.write_data_in_place(number, value, &mut self.bytes[self.filled..end]);
        self.filled = end;
    }

    /// Adds another frame.
    pub(crate) fn add(&mut self, frames: &mut FrameWriter, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frames.write(frame, &mut bytes);
        let end = self.filled + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[self.filled..end].copy_from_slice(&bytes);
        self.filled = end;
    }
}
