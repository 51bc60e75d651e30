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

use crate::actors::file::send::batch::Batch;
use crate::actors::file::send::hash_checkpoints::Trail;
use crate::wire::file::codec::{CHUNK_SIZE, Frame, FrameWriter, Offer};
use crate::wire::file::digest::{ChunkHash, hash_chunk};

/// What is sent.
#[derive(Debug)]
enum Source {
    /// A file, with what was known of it when it was opened.
    File(File, Metadata),
    /// What comes through stdin, once.
    Stdin(Arc<File>),
}

/// A file on its way out.
#[derive(Debug)]
pub(crate) struct Dispatch {
    source: Source,
    /// Its size, where that is known from the start.
    size: Option<u64>,
    trail: Trail,
    /// How many of its bytes were hashed, which are those that the receiver holds or was sent.
    at: u64,
    /// Whether something of it was written into a frame.
    has_begun: bool,
}

/// What came of filling a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// There is more.
    More,
    /// The file's end is in it, too: its digest.
    End(ChunkHash),
}

impl Dispatch {
    /// Opens a file, or takes stdin where it is given for `-`.
    ///
    /// # Errors
    ///
    /// What the file system says; a directory and a device are no files.
    pub(crate) fn open(path: &Path, stdin: Option<Arc<File>>) -> io::Result<Dispatch> {
        let (source, size) = match stdin.filter(|_| path.as_os_str() == "-") {
            Some(stdin) => (Source::Stdin(stdin), None),
            None => open(path)?,
        };
        Ok(Dispatch { source, size, trail: Trail::new(), at: 0, has_begun: false })
    }

    /// Returns the offer of the file under a name.
    pub(crate) fn offer<'a>(&self, name: &'a [u8]) -> Offer<'a> {
        let meta = match &self.source {
            Source::File(_, meta) => Some(meta),
            Source::Stdin(_) => None,
        };
        Offer {
            is_directory: false,
            size: self.size,
            mode: meta.map_or(0o644, Metadata::mode),
            modified: meta.map_or((0, 0), modified),
            name,
        }
    }

    /// Returns how many bytes of it were sent or are held.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Returns its size, where that is known from the start.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Tells whether it can be sent once more.
    pub(crate) fn can_begin_again(&self) -> bool {
        matches!(self.source, Source::File(..)) || !self.has_begun
    }

    /// Begins, or begins again, with the chunk after those that the receiver holds if these are this file's; returns
    /// the number of that chunk.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(crate) fn begin(&mut self, held: u64, digest: &ChunkHash) -> io::Result<u64> {
        let chunks = self.size.map_or(0, |size| size.div_ceil(CHUNK_SIZE as u64));
        if held == 0 || held > chunks || !self.hash(held)? || self.trail.of_values() != *digest {
            self.trail.go_back(0);
        }
        let begun = self.trail.chunks();
        self.at = begun.saturating_mul(CHUNK_SIZE as u64).min(self.size.unwrap_or(0));
        Ok(begun)
    }

    /// Hashes its first chunks, as far as that was not done; `false` where it has fewer.
    fn hash(&mut self, chunks: u64) -> io::Result<bool> {
        self.trail.go_back(chunks);
        let mut chunk = vec![0; CHUNK_SIZE];
        while self.trail.chunks() < chunks {
            let number = self.trail.chunks();
            let length = self.read(number, &mut chunk)?;
            if length == 0 {
                return Ok(false);
            }
            self.trail.add(hash_chunk(number, &chunk[..length]), &chunk[..length]);
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
        batch: &mut Batch,
    ) -> io::Result<Filled> {
        self.has_begun = true;
        batch.clear();
        while let Some(room) = batch.room() {
            let number = self.trail.chunks();
            let length = self.read(number, room)?;
            if length > 0 {
                let value = hash_chunk(number, &room[..length]);
                self.trail.add(value, &room[..length]);
                batch.seal(frames, number, &value, length);
                self.at += length as u64;
            }
            // One that grows as fast as it is sent would have no end.
            if self.size.is_some_and(|size| size < self.at) {
                return Err(changed());
            }
            if length < CHUNK_SIZE {
                let digest = self.trail.of_file();
                let digest = digest.ok_or_else(|| io::Error::other("its digest is not known"))?;
                self.check()?;
                batch.add(frames, &Frame::End { size: self.at, digest });
                return Ok(Filled::End(digest));
            }
            if matches!(self.source, Source::Stdin(_)) {
                // Who makes it may be slow, and the receiver waits.
                break;
            }
        }
        Ok(Filled::More)
    }

    /// Reads a chunk; it is shorter than others only at the end.
    fn read(&self, number: u64, chunk: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        while length < chunk.len() {
            let rest = &mut chunk[length..];
            let read = match &self.source {
                Source::File(file, _) => {
                    file.read_at(rest, number * CHUNK_SIZE as u64 + length as u64)
                }
                Source::Stdin(file) => (&**file).read(rest),
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
    fn check(&self) -> io::Result<()> {
        let Source::File(file, before) = &self.source else { return Ok(()) };
        let now = file.metadata()?;
        let is_same = now.len() == before.len() && modified(&now) == modified(before);
        match is_same && self.size.is_none_or(|size| size == self.at) {
            true => Ok(()),
            false => Err(changed()),
        }
    }
}

fn changed() -> io::Error {
    io::Error::other("it changed while it was sent; send it again")
}

fn open(path: &Path) -> io::Result<(Source, Option<u64>)> {
    // A pipe in the place of a file would be waited for until somebody writes to it.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Err(io::Error::other(crate::actors::file::send::walk::NO_FILE));
    }
    // What the kernel makes up when it is read, as in /proc, has no size before.
    let is_made_up = meta.len() == 0 && file.read_at(&mut [0], 0)? > 0;
    let size = (!is_made_up).then_some(meta.len());
    Ok((Source::File(file, meta), size))
}

fn modified(meta: &Metadata) -> (i64, u32) {
    (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap_or_default())
}

#[cfg(test)]
mod tests;
