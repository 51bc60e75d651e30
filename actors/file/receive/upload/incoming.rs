//! One file of a framed upload.

use crate::actors::file::failure_code;
use crate::actors::file::receive::limits::{STEP_BYTES, STEP_RECORDS};
use crate::actors::file::receive::upload::event::{UploadEvent, UploadProgress};
use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::partial::PartialFile;
use crate::actors::file::store::request::FileRequest;
use crate::actors::file::store::{FileStore, OfferedFile};
use crate::wire::file::CHUNK_SIZE;
use crate::wire::file::digest::{ChunkHash, FileHasher, hash_chunk, hash_chunk_list};

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
    /// The file in the store, as it was found at the offer. Once the file has begun, its target.
    target: OfferedFile,
    hasher: FileHasher,
    /// The number of bytes that were stored by an earlier attempt.
    resumed_bytes: u64,
    /// The number of bytes stored so far.
    length: u64,
}

impl IncomingFile {
    /// Looks up an offered file in the store. Nothing is created before it begins.
    pub(super) fn look_up(
        store: &FileStore,
        request: FileRequest,
    ) -> Result<IncomingFile, StoreError> {
        let target = store.look_up(&request)?;
        let hasher = FileHasher::default();
        Ok(IncomingFile { request, target, hasher, resumed_bytes: 0, length: 0 })
    }

    /// Verifies one piece of what the store has of the file. Returns whether all is verified.
    pub(super) fn verify(&mut self) -> Result<bool, StoreError> {
        match &mut self.target {
            OfferedFile::New => Ok(true),
            OfferedFile::Partial(partial) => partial.verify(STEP_RECORDS),
            OfferedFile::Existing(existing) => existing.verify(STEP_BYTES),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.request.name.as_str()
    }

    /// Returns the number of bytes stored so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the number of bytes that are still to come, if it is known.
    pub(super) fn missing(&self) -> Option<u64> {
        self.request.size.map(|size| size.saturating_sub(self.length))
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

    /// Returns the number of verified chunks, and the hash of the list of their hashes.
    fn verified(&self) -> (u64, ChunkHash) {
        match &self.target {
            OfferedFile::New => (0, hash_chunk_list(&[])),
            OfferedFile::Partial(file) => (file.verified_chunks(), file.verified_hash()),
            OfferedFile::Existing(file) => (file.verified_chunks(), file.verified_hash()),
        }
    }

    /// Returns the event that tells the sender which chunks the store has.
    pub(super) fn resume_event(&self) -> UploadEvent {
        let (chunk_count, chunk_list_hash) = self.verified();
        UploadEvent::ResumeAt { chunk_count, chunk_list_hash }
    }

    /// Starts the transfer with the chunk after the verified ones, or with chunk 0.
    pub(super) fn start_at(&mut self, store: &FileStore, number: u64) -> Result<(), ChunkError> {
        let (verified_chunks, _) = self.verified();
        if number != 0 && number != verified_chunks {
            return Err(ChunkError::protocol(
                "a file must begin with chunk 0 or the first chunk that the server does not have",
            ));
        }
        match &mut self.target {
            OfferedFile::Existing(existing) if number == verified_chunks => {
                self.hasher = existing.hasher();
                self.length = self.request.size.unwrap_or(0);
                self.resumed_bytes = self.length;
                return Ok(());
            }
            OfferedFile::Partial(_) => {}
            target => *target = OfferedFile::Partial(Box::new(store.create(&self.request)?)),
        }
        if let OfferedFile::Partial(partial) = &mut self.target {
            self.hasher = partial.start_at(number)?;
            self.length = partial.length();
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
        let OfferedFile::Partial(partial) = &mut self.target else {
            return Err(ChunkError::protocol("received a chunk of a file that is complete"));
        };
        if !is_next || bytes.is_empty() {
            return Err(ChunkError::protocol("received a chunk out of order"));
        }
        let length = self.length.saturating_add(bytes.len() as u64);
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
        self.partial_mut().map_or(Ok(()), |partial| partial.checkpoint())
    }

    /// Returns whether space is reserved for the missing bytes.
    pub(super) fn has_reservation(&self) -> bool {
        matches!(&self.target, OfferedFile::Partial(partial) if partial.has_reservation())
    }

    /// Releases the reserved space until the next data arrives.
    pub(super) fn expire_reservation(&mut self) {
        self.partial_mut().map(PartialFile::expire_reservation);
    }

    fn partial_mut(&mut self) -> Option<&mut PartialFile> {
        match &mut self.target {
            OfferedFile::Partial(partial) => Some(partial),
            OfferedFile::New | OfferedFile::Existing(_) => None,
        }
    }

    /// Keeps the partial file for a later attempt.
    pub(super) fn suspend(self) {
        if let OfferedFile::Partial(partial) = self.target {
            partial.suspend();
        }
    }

    /// Removes the partial file.
    pub(super) fn discard(self) {
        if let OfferedFile::Partial(partial) = self.target {
            partial.discard();
        }
    }

    /// Checks the size and the hash of the whole file, and gives it its final name.
    pub(super) fn finish(self, size: u64, hash: ChunkHash) -> UploadEvent {
        let length = self.length;
        let is_complete = length == size && self.request.size.is_none_or(|offered| offered == size);
        if !is_complete || self.hasher.clone().finish() != Some(hash) {
            let name = self.request.name.to_string();
            self.discard();
            let reason = format!(
                "received {length} of {size} bytes, or a wrong checksum; send the file again"
            );
            return UploadEvent::failed(failure_code::HASH_MISMATCH, &name, reason);
        }
        let name = self.request.name.to_string();
        let committed = match self.target {
            // A file that has begun is never new.
            OfferedFile::New => Err(StoreError::Busy { name: name.clone() }),
            OfferedFile::Partial(partial) => partial.commit(),
            OfferedFile::Existing(existing) => existing.commit(),
        };
        match committed {
            Ok(name) => UploadEvent::Stored { size, hash: Some(hash), name },
            Err(error) => failure_event(&name, &error),
        }
    }
}

/// Returns the event that tells the sender and the operator about an error of the store.
pub(super) fn failure_event(name: &str, error: &StoreError) -> UploadEvent {
    let code = match error {
        StoreError::InvalidName(_) => failure_code::INVALID_NAME,
        StoreError::Exists { .. } => failure_code::EXISTS,
        StoreError::TooLarge { .. } => failure_code::TOO_LARGE,
        StoreError::DiskFull { .. } | StoreError::TooManyFiles { .. } => failure_code::DISK_FULL,
        StoreError::Busy { .. } => failure_code::BUSY,
        StoreError::Skipped { .. } => failure_code::SKIPPED,
        StoreError::Io { .. } => failure_code::DISK_ERROR,
    };
    let (name, log) = (name.to_owned(), error.operator_text());
    UploadEvent::Failed { code, reason: error.to_string(), name, log }
}
