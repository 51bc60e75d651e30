//! Writing behind: what comes of a large file is written by another thread while more of it is received and hashed.
//!
//! Receiving and hashing take about as long as writing, so two cores do in half the time what one would do in turns. What is
//! written behind is remembered only when it is certain that it was written, which is when the writing is
//! [over](Part::catch_up): before anything that counts on it, and at the end of each piece of work, so that there are no more
//! such threads than pieces that are worked on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use smol::Task;

use super::{Part, VaultError};
use crate::wire::digest::Value;
use crate::wire::offer::CHUNK;

/// The chunks that wait for being written, at most.
const QUEUE: usize = 8;

/// Chunks that are written behind.
#[derive(Debug)]
pub(in super::super::super) struct Behind {
    to: SyncSender<Vec<u8>>,
    writer: Task<(u64, io::Result<()>)>,
    /// The values of the whole ones among those that were handed over.
    values: Vec<Value>,
    /// How many bytes were handed over.
    bytes: u64,
}

impl Part {
    /// Begins to write behind; nothing comes back where there is no second core, or no descriptor.
    pub(in super::super::super) fn behind(&self) -> Option<Behind> {
        static CORES: OnceLock<usize> = OnceLock::new();
        let cores =
            CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from));
        if *cores < 2 {
            return None;
        }
        let (file, at) = (self.file.try_clone().ok()?, self.length);
        let (to, chunks) = sync_channel(QUEUE);
        let writer = smol::unblock(move || write(&file, at, &chunks));
        Some(Behind { to, writer, values: Vec::new(), bytes: 0 })
    }

    /// Appends a chunk, of which this is the value.
    ///
    /// # Errors
    ///
    /// It is not taken, see [`VaultError`]. A disk that fails is told by [`catch_up`](Part::catch_up).
    pub(in super::super::super) fn write_behind(
        &mut self,
        behind: &mut Behind,
        bytes: &[u8],
        value: &Value,
    ) -> Result<(), VaultError> {
        let (length, before) = (bytes.len() as u64, self.length + behind.bytes);
        self.promise.spend(&self.file, length, before + length)?;
        behind.bytes += length;
        if bytes.len() == CHUNK {
            behind.values.push(*value);
        }
        // A writer that is gone has failed, and says how in the end.
        let _ = behind.to.send(bytes.to_vec());
        Ok(())
    }

    /// Waits until all is written, and remembers what is.
    ///
    /// # Errors
    ///
    /// The disk failed; what was written before that is remembered.
    pub(in super::super::super) fn catch_up(&mut self, behind: Behind) -> Result<(), VaultError> {
        let Behind { to, writer, values, .. } = behind;
        drop(to);
        let (written, result) = smol::block_on(writer);
        let chunks = usize::try_from(written / CHUNK as u64).unwrap_or(usize::MAX);
        values.iter().take(chunks).for_each(|value| self.remember(value));
        self.grew(written);
        result.map_err(|error| self.vault.fault("writing the file", error))
    }
}

/// Writes chunks one behind the other until there are no more; tells how many bytes that were, and what went wrong.
fn write(file: &File, at: u64, chunks: &Receiver<Vec<u8>>) -> (u64, io::Result<()>) {
    let mut written = 0;
    while let Ok(chunk) = chunks.recv() {
        if let Err(error) = file.write_all_at(&chunk, at + written) {
            return (written, Err(error));
        }
        written += chunk.len() as u64;
    }
    (written, Ok(()))
}
