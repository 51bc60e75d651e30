//! A file that is there already, and may be the very one that is offered.
//!
//! A sender that lost its connection before it heard that its file was stored sends it again. So a file of the same name, size
//! and time is read once, and if it turns out to have the same bytes, it is stored.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{OFlags, fsync};
use rustix::io::{Errno, retry_on_intr};

use super::checksums::{ChecksumFile, VerifiedPrefix};
use super::{FileRequest, StoreError, file_type, fs, open_file};
use crate::wire::file::CHUNK_SIZE;
use crate::wire::file::digest::{ChunkHash, FileHasher, hash_chunk};
use crate::wire::file::filename::SafeName;

/// A file that is there.
#[derive(Debug)]
pub struct ExistingFile {
    directory: OwnedFd,
    file: File,
    verified: VerifiedPrefix,
    name: SafeName,
}

/// Finds a file of this name, size and time.
pub(super) fn find_match(
    directory: &OwnedFd,
    wanted: &FileRequest,
) -> Result<Option<ExistingFile>, StoreError> {
    let failed = |source| StoreError::Io { operation: "reading the file that is there", source };
    let (Some(size), true) = (wanted.size, wanted.modified != (0, 0)) else { return Ok(None) };
    let file = match open_file(directory, wanted.name.file_name(), OFlags::RDONLY) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    };
    let meta = file.metadata().map_err(failed)?;
    let modified = (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap_or_default());
    if !meta.is_file() || meta.len() != size || modified != wanted.modified {
        return Ok(None);
    }
    let known = hash_chunks(&file).map_err(failed)?;
    let directory = directory.try_clone().map_err(failed)?;
    Ok(Some(ExistingFile { directory, file, verified: known, name: wanted.name.clone() }))
}

fn hash_chunks(file: &File) -> io::Result<VerifiedPrefix> {
    let (mut known, mut chunk) = (VerifiedPrefix::default(), Vec::with_capacity(CHUNK_SIZE));
    loop {
        chunk.clear();
        file.take(CHUNK_SIZE as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            return Ok(known);
        }
        let value = hash_chunk(known.chunk_count, &chunk);
        known.list_hasher.add(&value);
        known.file_hasher.add(value, &chunk);
        known.chunk_count += 1;
    }
}

impl ExistingFile {
    /// Returns how many chunks it has; the last one may be shorter.
    pub fn verified_chunks(&self) -> u64 {
        self.verified.chunk_count
    }

    /// Returns the digest of their values.
    pub fn verified_hash(&self) -> ChunkHash {
        self.verified.list_hasher.finish()
    }

    /// Returns what they contribute to the file's digest: all of it.
    pub fn hasher(&self) -> FileHasher {
        self.verified.file_hasher.clone()
    }

    /// Sees to it that the file would be there after a power cut, and returns its name.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn commit(self) -> Result<String, StoreError> {
        retry_on_intr(|| fsync(&self.file)).map_err(|error| StoreError::Io {
            operation: "bringing the file to the disk",
            source: error.into(),
        })?;
        // Sums without a part are left where the process ended right after the file got its name.
        if let Ok(None) = file_type(&self.directory, &self.name.partial_name()) {
            let _ = ChecksumFile::remove(&self.directory, &self.name.checksum_name());
        }
        fs::sync_directory(&self.directory)?;
        Ok(self.name.to_string())
    }
}
