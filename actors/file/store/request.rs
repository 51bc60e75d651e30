//! The description of a file that a sender asks the store to create.

use std::net::IpAddr;

use crate::wire::file::filename::SafeName;

/// The name, size and attributes of a file to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRequest {
    /// The name, relative to the directory of the store.
    pub name: SafeName,
    /// The size in bytes, if it is known in advance.
    pub size: Option<u64>,
    /// The mode. The store uses its permission bits, reduced by the umask of the process.
    pub mode: u32,
    /// The modification time: seconds since 1970 and nanoseconds. `(0, 0)` if it is unknown.
    pub modified: (i64, u32),
    /// The sender's address, which the reserved disk space counts against. `None` is a sender whose
    /// reservations have no common limit.
    pub source: Option<IpAddr>,
}
