//! The progress of file transfers, and their summary, as the file roles report them.

use std::time::Duration;

use crate::net::Peer;

/// The progress of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The sender, if the file is being received.
    pub peer: Option<Peer>,
    /// The file's name, as given on the command line or by the peer (not escaped).
    pub name: String,
    /// The number of bytes that were received, or written to the socket, including
    /// [`resumed_bytes`](Progress::resumed_bytes).
    pub bytes: u64,
    /// The number of bytes that an earlier attempt had transferred.
    pub resumed_bytes: u64,
    /// The file's size in bytes, if it is known.
    pub size: Option<u64>,
    /// The time since the transfer of this file started.
    pub elapsed: Duration,
    /// The progress of all files together, if several are sent.
    pub total: Option<TotalProgress>,
}

/// The progress of all files that are sent together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TotalProgress {
    /// The number of bytes transferred.
    pub bytes: u64,
    /// The size of all files in bytes.
    pub size: u64,
    /// The time since the first file started.
    pub elapsed: Duration,
}

/// The summary of all files that a client sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TransferSummary {
    /// The number of files that were sent.
    pub file_count: u64,
    /// The size of these files in bytes.
    pub bytes: u64,
    /// The number of files that could not be sent.
    pub failed: u64,
    /// The time from the start of the first file until the last one was stored.
    pub elapsed: Duration,
}
