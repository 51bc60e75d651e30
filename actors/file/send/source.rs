//! A file on its way out: what a framed sender knows of it, whichever connection carries it.
//!
//! It reads each chunk into the place that it has in its frame, hashes it there, and remembers [how far it
//! was](crate::actors::file::send::hash_checkpoints), so that after a lost connection the sender can tell whether what the receiver holds is the
//! beginning of this very file. All of this blocks: it runs on a thread of the blocking pool.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::actors::file::send::batch::FrameBatch;
use crate::actors::file::send::hash_checkpoints::HashCheckpoints;
use crate::wire::file::digest::{ChunkHash, hash_chunk};
use crate::wire::file::{CHUNK_SIZE, Frame, FrameWriter, Offer};

/// What is sent.
#[derive(Debug)]
enum SourceKind {
    /// A file, with what was known of it when it was opened.
    File(File, Metadata),
    /// What comes through stdin, once.
    Stdin(Arc<File>),
}

/// A file on its way out.
#[derive(Debug)]
pub(crate) struct SourceFile {
    kind: SourceKind,
    /// Its size, where that is known from the start.
    size: Option<u64>,
    checkpoints: HashCheckpoints,
    /// How many of its bytes were hashed, which are those that the receiver holds or was sent.
    position: u64,
    /// Whether something of it was written into a frame.
    started: bool,
}

/// What came of filling a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FillOutcome {
    /// There is more.
    More,
    /// The file's end is in it, too: its digest.
    End(ChunkHash),
}

impl SourceFile {
    /// Opens a file, or takes stdin where it is given for `-`.
    ///
    /// # Errors
    ///
    /// What the file system says; a directory and a device are no files.
    pub(crate) fn open(path: &Path, stdin: Option<Arc<File>>) -> io::Result<SourceFile> {
        let (source, size) = match stdin.filter(|_| path.as_os_str() == "-") {
            Some(stdin) => (SourceKind::Stdin(stdin), None),
            None => open_source(path)?,
        };
        Ok(SourceFile {
            kind: source,
            size,
            checkpoints: HashCheckpoints::new(),
            position: 0,
            started: false,
        })
    }

    /// Returns the offer of the file under a name.
    pub(crate) fn offer<'a>(&self, name: &'a [u8]) -> Offer<'a> {
        let meta = match &self.kind {
            SourceKind::File(_, meta) => Some(meta),
            SourceKind::Stdin(_) => None,
        };
        Offer {
            is_directory: false,
            size: self.size,
            mode: meta.map_or(0o644, Metadata::mode),
            modified: meta.map_or((0, 0), modified_time),
            name,
        }
    }

    /// Returns how many bytes of it were sent or are held.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Returns its size, where that is known from the start.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Tells whether it can be sent once more.
    pub(crate) fn is_rewindable(&self) -> bool {
        matches!(self.kind, SourceKind::File(..)) || !self.started
    }

    /// Begins, or begins again, with the chunk after those that the receiver holds if these are this file's; returns
    /// the number of that chunk.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(crate) fn start_after(&mut self, held: u64, digest: &ChunkHash) -> io::Result<u64> {
        let chunks = self.size.map_or(0, |size| size.div_ceil(CHUNK_SIZE as u64));
        if held == 0
            || held > chunks
            || !self.hash_prefix(held)?
            || self.checkpoints.chunk_list_hash() != *digest
        {
            self.checkpoints.rewind_to(0);
        }
        let begun = self.checkpoints.chunks();
        self.position = begun.saturating_mul(CHUNK_SIZE as u64).min(self.size.unwrap_or(0));
        Ok(begun)
    }

    /// Hashes its first chunks, as far as that was not done; `false` where it has fewer.
    fn hash_prefix(&mut self, chunks: u64) -> io::Result<bool> {
        self.checkpoints.rewind_to(chunks);
        let mut chunk = vec![0; CHUNK_SIZE];
        while self.checkpoints.chunks() < chunks {
            let number = self.checkpoints.chunks();
            let length = self.read_chunk(number, &mut chunk)?;
            if length == 0 {
                return Ok(false);
            }
            self.checkpoints.add(hash_chunk(number, &chunk[..length]), &chunk[..length]);
        }
        Ok(true)
    }

    /// Fills a batch with the frames of the next chunks.
    ///
    /// # Errors
    ///
    /// What the file system says, or that the file changed since it was opened.
    pub(crate) fn fill(
        &mut self,
        frames: &mut FrameWriter,
        batch: &mut FrameBatch,
    ) -> io::Result<FillOutcome> {
        self.started = true;
        batch.clear();
        while let Some(room) = batch.spare_chunk() {
            let number = self.checkpoints.chunks();
            let length = self.read_chunk(number, room)?;
            if length > 0 {
                let value = hash_chunk(number, &room[..length]);
                self.checkpoints.add(value, &room[..length]);
                batch.write_data(frames, number, &value, length);
                self.position += length as u64;
            }
            // One that grows as fast as it is sent would have no end.
            if self.size.is_some_and(|size| size < self.position) {
                return Err(changed_error());
            }
            if length < CHUNK_SIZE {
                let digest = self.checkpoints.file_hash();
                let digest = digest.ok_or_else(|| io::Error::other("its digest is not known"))?;
                self.check_unchanged()?;
                batch.push_frame(frames, &Frame::End { size: self.position, digest });
                return Ok(FillOutcome::End(digest));
            }
            if matches!(self.kind, SourceKind::Stdin(_)) {
                // Who makes it may be slow, and the receiver waits.
                break;
            }
        }
        Ok(FillOutcome::More)
    }

    /// Reads a chunk; it is shorter than others only at the end.
    fn read_chunk(&self, number: u64, chunk: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        while length < chunk.len() {
            let rest = &mut chunk[length..];
            let read = match &self.kind {
                SourceKind::File(file, _) => {
                    file.read_at(rest, number * CHUNK_SIZE as u64 + length as u64)
                }
                SourceKind::Stdin(file) => (&**file).read(rest),
            };
            match read {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(length)
    }

    /// Checks that the file is the one that was opened.
    fn check_unchanged(&self) -> io::Result<()> {
        let SourceKind::File(file, before) = &self.kind else { return Ok(()) };
        let now = file.metadata()?;
        let is_same = now.len() == before.len() && modified_time(&now) == modified_time(before);
        match is_same && self.size.is_none_or(|size| size == self.position) {
            true => Ok(()),
            false => Err(changed_error()),
        }
    }
}

fn changed_error() -> io::Error {
    io::Error::other("it changed while it was sent; send it again")
}

fn open_source(path: &Path) -> io::Result<(SourceKind, Option<u64>)> {
    // A pipe in the place of a file would be waited for until somebody writes to it.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Err(io::Error::other(crate::actors::file::send::walk::NOT_A_REGULAR_FILE));
    }
    // What the kernel makes up when it is read, as in /proc, has no size before.
    let is_made_up = meta.len() == 0 && file.read_at(&mut [0], 0)? > 0;
    let size = (!is_made_up).then_some(meta.len());
    Ok((SourceKind::File(file, meta), size))
}

fn modified_time(meta: &Metadata) -> (i64, u32) {
    (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap_or_default())
}

#[cfg(test)]
mod tests;
