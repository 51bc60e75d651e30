//! A complete file in the store that may be the file on offer.
//!
//! A sender that lost its connection before it heard that its file was stored sends the file
//! again. The store therefore hashes an existing file of the same name, size and time once. If the
//! hash is the sender's, the file is stored already.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{OFlags, fsync};
use rustix::io::{Errno, retry_on_intr};

use crate::actors::file::store::checksums::{ChecksumFile, VerifiedPrefix};
use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::fs::{file_type, open_file, sync_directory};
use crate::actors::file::store::request::FileRequest;
use crate::wire::file::CHUNK_SIZE;
use crate::wire::file::digest::{ChunkHash, FileHasher, hash_chunk};
use crate::wire::file::filename::SafeName;

/// A complete file with the name, size and time of an offered file.
#[derive(Debug)]
pub struct ExistingFile {
    directory: OwnedFd,
    file: File,
    verified: VerifiedPrefix,
    name: SafeName,
}

/// Finds a file with the requested name, size and time, and hashes it.
pub(super) fn find_match(
    directory: &OwnedFd,
    request: &FileRequest,
) -> Result<Option<ExistingFile>, StoreError> {
    let failed = |source| StoreError::Io { operation: "reading the existing file", source };
    let (Some(size), true) = (request.size, request.modified != (0, 0)) else { return Ok(None) };
    let file = match open_file(directory, request.name.file_name(), OFlags::RDONLY) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    };
    let metadata = file.metadata().map_err(failed)?;
    let modified = (metadata.mtime(), u32::try_from(metadata.mtime_nsec()).unwrap_or_default());
    if !metadata.is_file() || metadata.len() != size || modified != request.modified {
        return Ok(None);
    }
    let verified = hash_chunks(&file).map_err(failed)?;
    let directory = directory.try_clone().map_err(failed)?;
    Ok(Some(ExistingFile { directory, file, verified, name: request.name.clone() }))
}

fn hash_chunks(file: &File) -> io::Result<VerifiedPrefix> {
    let (mut verified, mut chunk) = (VerifiedPrefix::default(), Vec::with_capacity(CHUNK_SIZE));
    loop {
        chunk.clear();
        file.take(CHUNK_SIZE as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            return Ok(verified);
        }
        let hash = hash_chunk(verified.chunk_count, &chunk);
        verified.list_hasher.add(&hash);
        verified.file_hasher.add(hash, &chunk);
        verified.chunk_count += 1;
    }
}

impl ExistingFile {
    /// Returns the number of chunks. The last one may be shorter than the others.
    pub fn verified_chunks(&self) -> u64 {
        self.verified.chunk_count
    }

    /// Returns the hash of the list of chunk hashes.
    pub fn verified_hash(&self) -> ChunkHash {
        self.verified.list_hasher.finish()
    }

    /// Returns a hasher that has hashed the whole file.
    pub fn hasher(&self) -> FileHasher {
        self.verified.file_hasher.clone()
    }

    /// Flushes the file to the disk, so that it survives a power cut, and returns its name.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Io`] if the file or its directory cannot be synced.
    pub fn commit(self) -> Result<String, StoreError> {
        retry_on_intr(|| fsync(&self.file)).map_err(|error| StoreError::Io {
            operation: "syncing the file",
            source: error.into(),
        })?;
        // A checksum file without a partial file is left behind if the process ended right after
        // the file got its name.
        if let Ok(None) = file_type(&self.directory, &self.name.partial_name()) {
            let _ = ChecksumFile::remove(&self.directory, &self.name.checksum_name());
        }
        sync_directory(&self.directory)?;
        Ok(self.name.to_string())
    }
}
