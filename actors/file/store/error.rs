//! Errors of the file store. Their texts are read by the operator and by the sender, and name no
//! path of the server.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::wire::units::format_size;

/// The reason why a file or directory cannot be stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The name is not allowed.
    #[error("file name rejected: {0}")]
    InvalidName(&'static str),
    /// The name is taken, and the old file is kept.
    #[error("{name} already exists on the server; it keeps the old file (server: --on-conflict)")]
    Exists {
        /// The name.
        name: String,
    },
    /// The name is taken, and the store was asked to skip such files.
    #[error("{name} already exists on the server; skipped (server: --on-conflict)")]
    Skipped {
        /// The name.
        name: String,
    },
    /// The file is larger than the limit.
    #[error("file exceeds the size limit of {} (--max-size)", format_size(*limit))]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The disk is full, or would have less free space than it must keep.
    #[error("the disk is full, or would have less free space than required (--keep-free)")]
    DiskFull {
        /// The directory of the store.
        path: PathBuf,
    },
    /// The store has created as many files and directories as it may in one run.
    #[error("the server has created its {limit} files and directories of this run (--max-files)")]
    TooManyFiles {
        /// The limit.
        limit: u64,
    },
    /// Another upload has the name. If it sends the same file, it has been asked to yield.
    #[error("{name} is being uploaded over another connection")]
    Busy {
        /// The name.
        name: String,
    },
    /// A file system call failed.
    #[error("{operation} failed: {source}")]
    Io {
        /// The operation, as in "opening the partial file".
        operation: &'static str,
        /// The error of the call.
        source: io::Error,
    },
}

impl StoreError {
    /// Returns the text for the operator, who may see a path of the server. The text for a peer is
    /// that of [`Display`](std::fmt::Display).
    pub fn operator_text(&self) -> String {
        match self {
            StoreError::DiskFull { path } => format!("{self}: {}", path.display()),
            error => error.to_string(),
        }
    }
}
