//! One file that comes in frames.

use super::{UploadEvent, UploadProgress};
use crate::actors::file::store::{CreateOutcome, ExistingFile, FileRequest, PartialFile};
use crate::actors::{FileStore, StoreError};
use std::sync::Arc;

use crate::wire::file::CHUNK_SIZE;
use crate::wire::file::digest::{ChunkHash, FileHasher, hash_chunk};

/// A frame that makes no sense where it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProtocolViolation(pub(super) &'static str);

/// Why a chunk cannot be taken.
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

/// One file that comes in.
#[derive(Debug)]
pub(super) struct IncomingFile {
    request: FileRequest,
    target: UploadTarget,
    hasher: FileHasher,
    /// How many bytes of it were there when it began.
    resumed_bytes: u64,
    /// How many there are.
    length: u64,
}

/// Where it goes.
#[derive(Debug)]
enum UploadTarget {
    Partial(PartialFile),
    /// It goes nowhere: it is there, unless the sender says that it is another one.
    Existing(ExistingFile),
}

impl IncomingFile {
    /// Claims the place of a file.
    pub(super) fn create(
        vault: &Arc<FileStore>,
        wanted: FileRequest,
    ) -> Result<IncomingFile, StoreError> {
        let place = match vault.create(&wanted)? {
            CreateOutcome::Partial(part) => UploadTarget::Partial(part),
            CreateOutcome::Exists(there) => UploadTarget::Existing(there),
        };
        Ok(IncomingFile {
            request: wanted,
            target: place,
            hasher: FileHasher::default(),
            resumed_bytes: 0,
            length: 0,
        })
    }

    pub(super) fn name(&self) -> &str {
        self.request.name.as_str()
    }

    /// Returns how many bytes of it there are.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns how far it has come.
    pub(super) fn progress(&self) -> UploadProgress {
        let IncomingFile {
            request: FileRequest { name, size, .. },
            resumed_bytes: before,
            length,
            ..
        } = self;
        UploadProgress {
            name: name.to_string(),
            size: *size,
            resumed_bytes: *before,
            length: *length,
        }
    }

    /// Returns what is held of it.
    pub(super) fn resume_event(&self) -> UploadEvent {
        match &self.target {
            UploadTarget::Partial(part) => {
                UploadEvent::ResumeAt(part.verified_chunks(), part.verified_hash())
            }
            UploadTarget::Existing(there) => {
                UploadEvent::ResumeAt(there.verified_chunks(), there.verified_hash())
            }
        }
    }

    /// Begins with a chunk up to which all are held.
    pub(super) fn start_at(
        &mut self,
        vault: &Arc<FileStore>,
        number: u64,
    ) -> Result<(), ChunkError> {
        let held = match &self.target {
            UploadTarget::Partial(part) => part.verified_chunks(),
            UploadTarget::Existing(there) => there.verified_chunks(),
        };
        if number > held {
            let why = "it begins with a chunk before which others are missing";
            return Err(ChunkError::Protocol(ProtocolViolation(why)));
        }
        match &mut self.target {
            UploadTarget::Existing(there) if number == held => {
                self.hasher = there.hasher();
                self.length = self.request.size.unwrap_or(0);
            }
            UploadTarget::Existing(_) => {
                if number > 0 {
                    return Err(ChunkError::Protocol(ProtocolViolation(
                        "it begins in the middle of a file",
                    )));
                }
                self.target = UploadTarget::Partial(vault.create_despite_match(&self.request)?);
                return self.start_at(vault, 0);
            }
            UploadTarget::Partial(part) => {
                self.hasher = part.start_at(number)?;
                self.length = number * CHUNK_SIZE as u64;
            }
        }
        self.resumed_bytes = self.length;
        Ok(())
    }

    /// Takes a chunk, if it is the next one and right.
    pub(super) fn add_chunk(
        &mut self,
        number: u64,
        given: ChunkHash,
        bytes: &[u8],
    ) -> Result<(), ChunkError> {
        let is_next = number == self.hasher.chunk_count() && self.length % CHUNK_SIZE as u64 == 0;
        let UploadTarget::Partial(part) = &mut self.target else {
            return Err(ChunkError::Protocol(ProtocolViolation(
                "a chunk came of what is there already",
            )));
        };
        if !is_next || bytes.is_empty() {
            return Err(ChunkError::Protocol(ProtocolViolation(
                "a chunk came that is not the next one",
            )));
        }
        let length = self.length + bytes.len() as u64;
        if self.request.size.is_some_and(|offered| length > offered) {
            return Err(ChunkError::Protocol(ProtocolViolation("more came than was offered")));
        }
        if hash_chunk(number, bytes) != given {
            let why = "a chunk came that is not the one that was sent";
            return Err(ChunkError::Protocol(ProtocolViolation(why)));
        }
        part.write(bytes)?;
        if bytes.len() == CHUNK_SIZE {
            part.record_chunk(&given);
        }
        self.hasher.add(given, bytes);
        self.length = length;
        Ok(())
    }

    /// Writes down what has come.
    pub(super) fn checkpoint(&mut self) -> Result<(), StoreError> {
        match &mut self.target {
            UploadTarget::Partial(part) => part.checkpoint(),
            UploadTarget::Existing(_) => Ok(()),
        }
    }

    /// Leaves it for another attempt.
    pub(super) fn suspend(self) {
        if let UploadTarget::Partial(part) = self.target {
            part.suspend();
        }
    }

    /// Removes what has come of it.
    pub(super) fn discard(self) {
        if let UploadTarget::Partial(part) = self.target {
            part.discard();
        }
    }

    /// Checks the whole, and gives it its name.
    pub(super) fn finish(self, size: u64, digest: ChunkHash) -> UploadEvent {
        let is_whole =
            self.length == size && self.request.size.is_none_or(|offered| offered == size);
        if !is_whole || self.hasher.clone().finish() != Some(digest) {
            let length = self.length;
            self.discard();
            let why = format!("{length} of {size} bytes came, or others; send it again");
            return UploadEvent::Failed(7, why);
        }
        let stored = match self.target {
            UploadTarget::Partial(part) => part.commit(),
            UploadTarget::Existing(there) => there.commit(),
        };
        match stored {
            Ok(name) => UploadEvent::Stored(size, Some(digest), name),
            Err(error) => failure_event(&error),
        }
    }
}

/// Returns what a sender is told of an error.
pub(super) fn failure_event(error: &StoreError) -> UploadEvent {
    let code = match error {
        StoreError::InvalidName(_) => 2,
        StoreError::Exists { .. } => 3,
        StoreError::TooLarge { .. } => 4,
        StoreError::DiskFull { .. } => 5,
        StoreError::Busy { .. } => 8,
        StoreError::Skipped { .. } => 11,
        StoreError::Io { .. } => 6,
    };
    UploadEvent::Failed(code, error.to_string())
}
