//! Why something cannot be stored, in words for both sides.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why something cannot be stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The name is refused.
    #[error("the name is refused: {0}")]
    InvalidName(&'static str),
    /// There is something of that name.
    #[error("{name} is there already, and stays")]
    Exists {
        /// The name.
        name: String,
    },
    /// There is something of that name, so the file was left out, as was asked for.
    #[error("{name} is there already; it was skipped")]
    Skipped {
        /// The name.
        name: String,
    },
    /// It is larger than is taken.
    #[error("it is larger than is taken here, which is {limit} bytes at most")]
    TooLarge {
        /// The most.
        limit: u64,
    },
    /// The disk has no more room, or less than is to stay free.
    #[error("the disk of {} is full, or has no more than is to stay free", path.display())]
    DiskFull {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody else has it in hand, and was told that it is wanted.
    #[error("{name} is just being sent by somebody else")]
    Busy {
        /// The name.
        name: String,
    },
    /// The file system failed.
    #[error("{operation} failed: {source}")]
    Io {
        /// What failed.
        operation: &'static str,
        /// How.
        source: io::Error,
    },
}
