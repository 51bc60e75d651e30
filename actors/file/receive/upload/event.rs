//! The results of an upload: steps, progress and events.

use crate::actors::file::store::error::StoreError;
use crate::wire::file::digest::ChunkHash;
use crate::wire::file::{Failed, Frame, Stored};

/// The result of one step of an upload.
#[derive(Debug)]
pub(crate) enum UploadStep {
    /// All available bytes were received.
    WouldBlock,
    /// More bytes are available.
    More,
    /// The upload has ended: with a reason, or with an error of the store.
    Done(Result<String, StoreError>),
}

/// The progress of the current file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadProgress {
    /// The final name.
    pub(crate) name: String,
    /// The size in bytes, if the sender has announced it.
    pub(crate) size: Option<u64>,
    /// The number of bytes that were stored by an earlier attempt.
    pub(crate) resumed_bytes: u64,
    /// The number of bytes stored so far.
    pub(crate) length: u64,
}

/// An event that is sent to the sender as a reply, and reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UploadEvent {
    /// The server is ready to receive a file, after the chunks that it has already.
    ResumeAt {
        /// The number of chunks that the server has.
        chunk_count: u64,
        /// The hash of the list of their hashes.
        chunk_list_hash: ChunkHash,
    },
    /// A file is stored.
    Stored {
        /// Its size in bytes.
        size: u64,
        /// Its BLAKE3 hash, if it is known.
        hash: Option<ChunkHash>,
        /// Its final name.
        name: String,
    },
    /// A directory exists now.
    DirectoryCreated {
        /// Its name.
        name: String,
    },
    /// A file or directory cannot be stored.
    Failed {
        /// The protocol's code.
        code: u16,
        /// The reason for the sender.
        reason: String,
        /// The name that the sender gave.
        name: String,
        /// The reason for the operator, who may see paths of the server.
        log: String,
    },
}

impl UploadEvent {
    /// Creates a failure whose reason is the same for the sender and the operator.
    pub(crate) fn failed(code: u16, name: &str, reason: String) -> UploadEvent {
        UploadEvent::Failed { code, log: reason.clone(), reason, name: name.into() }
    }

    /// Returns the frame that tells the sender about this event.
    pub(crate) fn as_frame(&self) -> Frame<'_> {
        match self {
            UploadEvent::ResumeAt { chunk_count, chunk_list_hash } => {
                Frame::Answer { chunk_count: *chunk_count, chunk_list_hash: *chunk_list_hash }
            }
            UploadEvent::Stored { size, hash, name } => {
                Frame::Stored(Stored { size: *size, digest: hash.unwrap_or_default(), name })
            }
            UploadEvent::DirectoryCreated { name } => {
                Frame::Stored(Stored { size: 0, digest: [0; 32], name })
            }
            UploadEvent::Failed { code, reason, .. } => {
                Frame::Failed(Failed { code: *code, reason })
            }
        }
    }
}
