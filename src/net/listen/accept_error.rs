//! The errors of `accept`, classified by the right reaction.
//!
//! No error of `accept` ends a listening socket. Some errors concern one connection, others the
//! process or the machine. An accept loop that confuses the two kinds keeps clients waiting, or
//! spins.

use std::io;

use rustix::io::Errno;

use crate::net::error::errno;

/// The kind of an error of `accept`, and so the reaction to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AcceptError {
    /// The connection has failed. Accept the next one at once.
    Connection,
    /// File descriptors have run out. Wait a little, and reject the connections that are queued
    /// meanwhile, because it is unknown when descriptors will be free.
    OutOfDescriptors,
    /// Another resource has run out, or the error is unknown. Wait a little before the next
    /// attempt: the connection stays in the queue, and the same error would recur at once.
    Resource,
}

/// Classifies an error of [`ListeningSocket::accept`](crate::net::ListeningSocket::accept).
///
/// Linux reports the pending network errors of a new connection through `accept` (accept(2), "Error
/// handling"). They concern that connection only, and so does a firewall's EPERM. EMFILE and ENFILE
/// mean that the descriptors of the process or the machine have run out. ENOBUFS and ENOMEM concern
/// its memory. An unknown error counts as a resource error, so that no loop spins on it.
///
/// # Examples
///
/// ```
/// use std::io;
///
/// use sockactors::net::{AcceptError, classify};
///
/// let aborted = io::Error::from_raw_os_error(103);
/// assert_eq!(classify(&aborted), AcceptError::Connection);
/// let too_many_files = io::Error::from_raw_os_error(24);
/// assert_eq!(classify(&too_many_files), AcceptError::OutOfDescriptors);
/// ```
pub fn classify(error: &io::Error) -> AcceptError {
    match errno(error) {
        Some(
            Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::PERM
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::NONET
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::TIMEDOUT
            | Errno::INTR,
        ) => AcceptError::Connection,
        Some(Errno::MFILE | Errno::NFILE) => AcceptError::OutOfDescriptors,
        _ => AcceptError::Resource,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_errors_are_classified() {
        let kind = |errno: Errno| classify(&errno.into());
        for errno in [Errno::MFILE, Errno::NFILE] {
            assert_eq!(kind(errno), AcceptError::OutOfDescriptors, "{errno}");
        }
        for errno in [Errno::NOBUFS, Errno::NOMEM, Errno::BADF] {
            assert_eq!(kind(errno), AcceptError::Resource, "{errno}");
        }
        for errno in [Errno::CONNABORTED, Errno::PERM, Errno::PROTO, Errno::NETDOWN] {
            assert_eq!(kind(errno), AcceptError::Connection, "{errno}");
        }
        assert_eq!(classify(&io::Error::other("unknown")), AcceptError::Resource);
    }
}
