//! A complete file in the store that may be the file on offer.
//!
//! A sender that lost its connection before it heard that its file was stored sends the file
//! again. The store therefore hashes an existing file of the same name, size and time. If the hash
//! is the sender's, the file is stored already.
//!
//! The file is hashed in pieces, because a large one takes minutes. The result is cached, so that
//! repeated offers of a file do not hash it again.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustix::fs::{OFlags, fsync};
use rustix::io::{Errno, retry_on_intr};

use crate::actors::file::store::checksums::{ChecksumFile, VerifiedPrefix};
use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::fs::{file_type, open_file, sync_directory};
use crate::actors::file::store::hash_cache::FileState;
use crate::actors::file::store::request::FileRequest;
use crate::actors::file::store::shared::StoreShared;
use crate::wire::file::CHUNK_SIZE;
use crate::wire::file::digest::{ChunkHash, FileHasher, hash_chunk};
use crate::wire::file::filename::SafeName;

/// A complete file with the name, size and time of an offered file.
#[derive(Debug)]
pub struct ExistingFile {
    shared: Arc<StoreShared>,
    directory: OwnedFd,
    file: File,
    /// The state before the first byte was hashed.
    state: FileState,
    verified: VerifiedPrefix,
    is_hashed: bool,
    name: SafeName,
}

fn read_error(source: io::Error) -> StoreError {
    StoreError::Io { operation: "reading the existing file", source }
}

impl ExistingFile {
    /// Finds a file with the requested name, size and time. It is not hashed yet.
    pub(super) fn find(
        shared: &Arc<StoreShared>,
        directory: &OwnedFd,
        request: &FileRequest,
    ) -> Result<Option<ExistingFile>, StoreError> {
        let (Some(size), true) = (request.size, request.modified != (0, 0)) else {
            return Ok(None);
        };
        let file = match open_file(directory, request.name.file_name(), OFlags::RDONLY) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Ok(None),
            Err(error) => return Err(read_error(error.into())),
        };
        let metadata = file.metadata().map_err(read_error)?;
        let modified = (metadata.mtime(), u32::try_from(metadata.mtime_nsec()).unwrap_or_default());
        if !metadata.is_file() || metadata.len() != size || modified != request.modified {
            return Ok(None);
        }
        let state = FileState::of(&file).map_err(read_error)?;
        let known = shared.hash_cache.get(&state);
        Ok(Some(ExistingFile {
            shared: shared.clone(),
            directory: directory.try_clone().map_err(read_error)?,
            file,
            state,
            is_hashed: known.is_some(),
            verified: known.unwrap_or_default(),
            name: request.name.clone(),
        }))
    }

    /// Hashes at most `max_bytes` more bytes, and at least one chunk. Returns whether the whole
    /// file is hashed.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Io`] if the file cannot be read.
    pub fn verify(&mut self, max_bytes: usize) -> Result<bool, StoreError> {
        let mut chunk = Vec::with_capacity(CHUNK_SIZE);
        let mut hashed = 0;
        while !self.is_hashed {
            chunk.clear();
            let file = &self.file;
            file.take(CHUNK_SIZE as u64).read_to_end(&mut chunk).map_err(read_error)?;
            let hashed_before = self.verified.chunk_count.saturating_mul(CHUNK_SIZE as u64);
            // A file that grows meanwhile is not hashed beyond its size.
            if chunk.is_empty() || hashed_before >= self.state.size {
                self.is_hashed = true;
                if FileState::of(&self.file).is_ok_and(|state| state == self.state) {
                    self.shared.hash_cache.insert(self.state, &self.verified);
                }
                break;
            }
            let hash = hash_chunk(self.verified.chunk_count, &chunk);
            self.verified.list_hasher.add(&hash);
            self.verified.file_hasher.add(hash, &chunk);
            self.verified.chunk_count += 1;
            hashed += chunk.len();
            if hashed >= max_bytes {
                break;
            }
        }
        Ok(self.is_hashed)
    }

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
