//! One file of a framed upload.

use crate::actors::file::failure_code;
use crate::actors::file::receive::upload::event::{UploadEvent, UploadProgress};
use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::existing::ExistingFile;
use crate::actors::file::store::partial::PartialFile;
use crate::actors::file::store::request::FileRequest;
use crate::actors::file::store::{CreateOutcome, FileStore};
use crate::wire::file::CHUNK_SIZE;
use crate::wire::file::digest::{ChunkHash, FileHasher, hash_chunk};

/// A violation of the protocol, which ends the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProtocolViolation(pub(super) &'static str);

/// The reason why a chunk cannot be stored.
#[derive(Debug)]
pub(super) enum ChunkError {
    Protocol(ProtocolViolation),
    Store(StoreError),
}

impl From<StoreError> for ChunkError {
    fn from(error: StoreError) -> ChunkError {
        ChunkError::Store(error)
    }
}

impl ChunkError {
    fn protocol(reason: &'static str) -> ChunkError {
        ChunkError::Protocol(ProtocolViolation(reason))
    }
}

/// One file of a framed upload.
#[derive(Debug)]
pub(super) struct IncomingFile {
    request: FileRequest,
    target: UploadTarget,
    hasher: FileHasher,
    /// The number of bytes that were stored by an earlier attempt.
    resumed_bytes: u64,
    /// The number of bytes stored so far.
    length: u64,
}

/// The file in the store.
#[derive(Debug)]
enum UploadTarget {
    /// The file is written to this partial file.
    Partial(PartialFile),
    /// The store has a file that looks the same. Nothing is written unless the sender says that
    /// its file is another one.
    Existing(ExistingFile),
}

impl IncomingFile {
    /// Creates the file in the store.
    pub(super) fn create(
        store: &FileStore,
        request: FileRequest,
    ) -> Result<IncomingFile, StoreError> {
        let target = match store.create(&request)? {
            CreateOutcome::Partial(partial) => UploadTarget::Partial(partial),
            CreateOutcome::Exists(existing) => UploadTarget::Existing(existing),
        };
        let hasher = FileHasher::default();
        Ok(IncomingFile { request, target, hasher, resumed_bytes: 0, length: 0 })
    }

    pub(super) fn name(&self) -> &str {
        self.request.name.as_str()
    }

    /// Returns the number of bytes stored so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the progress of the file.
    pub(super) fn progress(&self) -> UploadProgress {
        UploadProgress {
            name: self.request.name.to_string(),
            size: self.request.size,
            resumed_bytes: self.resumed_bytes,
            length: self.length,
        }
    }

    /// Returns the event that tells the sender which chunks the store has.
    pub(super) fn resume_event(&self) -> UploadEvent {
        let (chunk_count, chunk_list_hash) = match &self.target {
            UploadTarget::Partial(file) => (file.verified_chunks(), file.verified_hash()),
            UploadTarget::Existing(file) => (file.verified_chunks(), file.verified_hash()),
        };
        UploadEvent::ResumeAt { chunk_count, chunk_list_hash }
    }

    /// Starts the transfer with a chunk. The store must have all chunks before it.
    pub(super) fn start_at(&mut self, store: &FileStore, number: u64) -> Result<(), ChunkError> {
        let verified_chunks = match &self.target {
            UploadTarget::Partial(partial) => partial.verified_chunks(),
            UploadTarget::Existing(existing) => existing.verified_chunks(),
        };
        if number > verified_chunks {
            return Err(ChunkError::protocol(
                "the server does not have the chunks before this one",
            ));
        }
        match &mut self.target {
            UploadTarget::Existing(existing) if number == verified_chunks => {
                self.hasher = existing.hasher();
                self.length = self.request.size.unwrap_or(0);
            }
            UploadTarget::Existing(_) => {
                if number > 0 {
                    return Err(ChunkError::protocol("cannot resume a file that is complete"));
                }
                self.target = UploadTarget::Partial(store.create_despite_match(&self.request)?);
                return self.start_at(store, 0);
            }
            UploadTarget::Partial(partial) => {
                self.hasher = partial.start_at(number)?;
                self.length = number * CHUNK_SIZE as u64;
            }
        }
        self.resumed_bytes = self.length;
        Ok(())
    }

    /// Stores a chunk, if it is the next one and has the hash `expected_hash`.
    pub(super) fn add_chunk(
        &mut self,
        number: u64,
        expected_hash: ChunkHash,
        bytes: &[u8],
    ) -> Result<(), ChunkError> {
        let is_next = number == self.hasher.chunk_count() && self.length % CHUNK_SIZE as u64 == 0;
        let UploadTarget::Partial(partial) = &mut self.target else {
            return Err(ChunkError::protocol("received a chunk of a file that is complete"));
        };
        if !is_next || bytes.is_empty() {
            return Err(ChunkError::protocol("received a chunk out of order"));
        }
        let length = self.length + bytes.len() as u64;
        if self.request.size.is_some_and(|size| length > size) {
            return Err(ChunkError::protocol("received more bytes than were offered"));
        }
        if hash_chunk(number, bytes) != expected_hash {
            return Err(ChunkError::protocol("received a chunk with a wrong checksum"));
        }
        partial.write(bytes)?;
        if bytes.len() == CHUNK_SIZE {
            partial.record_chunk(&expected_hash);
        }
        self.hasher.add(expected_hash, bytes);
        self.length = length;
        Ok(())
    }

    /// Writes the recorded hashes to the checksum file.
    pub(super) fn checkpoint(&mut self) -> Result<(), StoreError> {
        match &mut self.target {
            UploadTarget::Partial(partial) => partial.checkpoint(),
            UploadTarget::Existing(_) => Ok(()),
        }
    }

    /// Keeps the partial file for a later attempt.
    pub(super) fn suspend(self) {
        if let UploadTarget::Partial(partial) = self.target {
            partial.suspend();
        }
    }

    /// Removes the partial file.
    pub(super) fn discard(self) {
        if let UploadTarget::Partial(partial) = self.target {
            partial.discard();
        }
    }

    /// Checks the size and the hash of the whole file, and gives it its final name.
    pub(super) fn finish(self, size: u64, hash: ChunkHash) -> UploadEvent {
        let length = self.length;
        let is_complete = length == size && self.request.size.is_none_or(|offered| offered == size);
        if !is_complete || self.hasher.clone().finish() != Some(hash) {
            self.discard();
            let reason = format!(
                "received {length} of {size} bytes, or a wrong checksum; send the file again"
            );
            return UploadEvent::Failed { code: failure_code::HASH_MISMATCH, reason };
        }
        let committed = match self.target {
            UploadTarget::Partial(partial) => partial.commit(),
            UploadTarget::Existing(existing) => existing.commit(),
        };
        match committed {
            Ok(name) => UploadEvent::Stored { size, hash: Some(hash), name },
            Err(error) => failure_event(&error),
        }
    }
}

/// Returns the event that tells the sender about an error of the store.
pub(super) fn failure_event(error: &StoreError) -> UploadEvent {
    let code = match error {
        StoreError::InvalidName(_) => failure_code::INVALID_NAME,
        StoreError::Exists { .. } => failure_code::EXISTS,
        StoreError::TooLarge { .. } => failure_code::TOO_LARGE,
        StoreError::DiskFull { .. } => failure_code::DISK_FULL,
        StoreError::Busy { .. } => failure_code::BUSY,
        StoreError::Skipped { .. } => failure_code::SKIPPED,
        StoreError::Io { .. } => failure_code::DISK_ERROR,
    };
    UploadEvent::Failed { code, reason: error.to_string() }
}
