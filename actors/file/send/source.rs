//! The file that a framed sender reads, independent of the connection that carries it.
//!
//! It reads each chunk into the caller's buffer, hashes it there, and keeps
//! [checkpoints](super::hash_checkpoints) of the hashing. After a lost connection the sender can
//! thus find out whether the chunks on the server are the start of this file. All methods that read
//! block. Call them on a thread of the blocking pool.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::actors::file::send::hash_checkpoints::HashCheckpoints;
use crate::actors::file::send::read_error::NOT_A_REGULAR_FILE;
use crate::wire::file::digest::{ChunkHash, hash_chunk};
use crate::wire::file::{CHUNK_SIZE, Offer};

/// The kind of file that is read.
#[derive(Debug)]
enum SourceKind {
    /// A regular file, with its metadata from when it was opened.
    File(File, Metadata),
    /// Stdin, which can be read once.
    Stdin(Arc<File>),
}

/// A file that is being sent.
#[derive(Debug)]
pub(super) struct SourceFile {
    kind: SourceKind,
    /// The size in bytes, if it is known in advance.
    size: Option<u64>,
    checkpoints: HashCheckpoints,
    /// The number of bytes that the server has or that were read to be sent.
    position: u64,
    /// Whether bytes were read to be sent.
    started: bool,
}

/// A chunk that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SourceChunk {
    pub(super) number: u64,
    /// The number of bytes. A chunk that is shorter than `CHUNK_SIZE` ends the file. It is empty if
    /// the size of the file is a multiple of `CHUNK_SIZE`.
    pub(super) len: usize,
    /// The hash of the chunk. Zeros if it is empty.
    pub(super) hash: ChunkHash,
}

impl SourceFile {
    /// Opens a file, or uses `stdin` if it is given and the path is `-`.
    ///
    /// # Errors
    ///
    /// Returns the error of the file system. A directory, a pipe and a device are errors, too.
    pub(super) fn open(path: &Path, stdin: Option<Arc<File>>) -> io::Result<SourceFile> {
        let (kind, size) = match stdin.filter(|_| path.as_os_str() == "-") {
            Some(stdin) => (SourceKind::Stdin(stdin), None),
            None => open_source(path)?,
        };
        let checkpoints = HashCheckpoints::new();
        Ok(SourceFile { kind, size, checkpoints, position: 0, started: false })
    }

    /// Returns the offer of the file under a name.
    pub(super) fn offer<'a>(&self, name: &'a [u8]) -> Offer<'a> {
        let metadata = match &self.kind {
            SourceKind::File(_, metadata) => Some(metadata),
            SourceKind::Stdin(_) => None,
        };
        Offer {
            is_directory: false,
            size: self.size,
            mode: metadata.map_or(0o644, Metadata::mode),
            modified: metadata.map_or((0, 0), modified_time),
            name,
        }
    }

    /// Returns the number of bytes that the server has or that were read to be sent.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Returns the size in bytes, if it is known in advance.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns whether the file can be sent again from its start.
    pub(super) fn is_rewindable(&self) -> bool {
        matches!(self.kind, SourceKind::File(..)) || !self.started
    }

    /// Returns whether the file is stdin, which may produce its bytes slowly.
    pub(super) fn is_stdin(&self) -> bool {
        matches!(self.kind, SourceKind::Stdin(_))
    }

    /// Moves behind the first `chunk_count` chunks if their hashes have this list hash, and to the
    /// start otherwise. Returns the number of the next chunk.
    ///
    /// # Errors
    ///
    /// Returns the error of the file system.
    pub(super) fn start_after(
        &mut self,
        chunk_count: u64,
        chunk_list_hash: &ChunkHash,
    ) -> io::Result<u64> {
        let total_chunks = self.size.map_or(0, |size| size.div_ceil(CHUNK_SIZE as u64));
        if chunk_count == 0
            || chunk_count > total_chunks
            || !self.hash_prefix(chunk_count)?
            || self.checkpoints.chunk_list_hash() != *chunk_list_hash
        {
            self.checkpoints.rewind_to(0);
        }
        let next_chunk = self.checkpoints.chunks();
        self.position = next_chunk.saturating_mul(CHUNK_SIZE as u64).min(self.size.unwrap_or(0));
        Ok(next_chunk)
    }

    /// Hashes the first `chunk_count` chunks, as far as no checkpoint covers them. Returns `false`
    /// if the file has fewer.
    fn hash_prefix(&mut self, chunk_count: u64) -> io::Result<bool> {
        self.checkpoints.rewind_to(chunk_count);
        let mut buffer = vec![0; CHUNK_SIZE];
        while self.checkpoints.chunks() < chunk_count {
            let number = self.checkpoints.chunks();
            let len = self.read_at_chunk(number, &mut buffer)?;
            if len == 0 {
                return Ok(false);
            }
            self.checkpoints.add(hash_chunk(number, &buffer[..len]), &buffer[..len]);
        }
        Ok(true)
    }

    /// Reads the next chunk into `buffer`, which has room for `CHUNK_SIZE` bytes.
    ///
    /// # Errors
    ///
    /// Returns the error of the file system.
    pub(super) fn read_chunk(&mut self, buffer: &mut [u8]) -> io::Result<SourceChunk> {
        self.started = true;
        let number = self.checkpoints.chunks();
        let len = self.read_at_chunk(number, buffer)?;
        if len == 0 {
            return Ok(SourceChunk { number, len, hash: ChunkHash::default() });
        }
        let bytes = &buffer[..len];
        let hash = hash_chunk(number, bytes);
        self.checkpoints.add(hash, bytes);
        self.position += len as u64;
        Ok(SourceChunk { number, len, hash })
    }

    /// Returns the hash of the whole file if `chunk`, which was just read, ends it.
    ///
    /// # Errors
    ///
    /// Returns an error if the file changed since it was opened.
    pub(super) fn hash_at_end(&self, chunk: &SourceChunk) -> io::Result<Option<ChunkHash>> {
        // A file that grows as fast as it is sent would never end.
        if self.size.is_some_and(|size| size < self.position) {
            return Err(changed_error());
        }
        if chunk.len == CHUNK_SIZE {
            return Ok(None);
        }
        let hash = self.checkpoints.file_hash();
        let hash = hash.ok_or_else(|| io::Error::other("the hash of the file is not known"))?;
        self.check_unchanged()?;
        Ok(Some(hash))
    }

    /// Fills `buffer` from the start of a chunk. Reads fewer bytes only at the end of the file.
    fn read_at_chunk(&self, number: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut len = 0;
        while len < buffer.len() {
            let rest = &mut buffer[len..];
            let read = match &self.kind {
                SourceKind::File(file, _) => {
                    file.read_at(rest, number * CHUNK_SIZE as u64 + len as u64)
                }
                SourceKind::Stdin(file) => (&**file).read(rest),
            };
            match read {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }

    /// Returns an error if the file changed since it was opened.
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
    io::Error::other("the file changed while it was sent; send it again")
}

fn open_source(path: &Path) -> io::Result<(SourceKind, Option<u64>)> {
    // NONBLOCK: opening a pipe would wait for a writer.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other(NOT_A_REGULAR_FILE));
    }
    // The kernel generates files such as those in /proc when they are read. Their size is 0 before.
    let is_generated = metadata.len() == 0 && file.read_at(&mut [0], 0)? > 0;
    let size = (!is_generated).then_some(metadata.len());
    Ok((SourceKind::File(file, metadata), size))
}

fn modified_time(metadata: &Metadata) -> (i64, u32) {
    (metadata.mtime(), u32::try_from(metadata.mtime_nsec()).unwrap_or_default())
}

#[cfg(test)]
mod tests;
