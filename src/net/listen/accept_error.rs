//! What is to be done when a connection cannot be accepted.
//!
//! No error of `accept` ends a listening socket. Some concern the one connection and some the process or the machine, and
//! whoever takes one kind for the other loses those who wait, or spins.

use crate::net::error::errno;
use rustix::io::Errno;
use std::io;

/// What an error of `accept` calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AcceptError {
    /// The connection that was to be accepted failed: go on with the next one at once.
    Connection,
    /// Descriptors have run out: wait a little, too, and turn away who waits meanwhile, because nobody knows when there
    /// will be some.
    OutOfDescriptors,
    /// Something else has run out, or cannot be known: wait a little before the next attempt, because
    /// the connection stays in the queue and the same error would come back at once.
    Resource,
}

/// Judges an error of [`ListeningSocket::accept`](crate::net::ListeningSocket::accept).
///
/// Linux passes a new connection's pending network errors on through `accept` (accept(2), "Error
/// handling"); they, and a firewall's EPERM, concern that connection only. EMFILE, ENFILE, ENOBUFS
/// and ENOMEM concern the process or the machine, the first two its descriptors. An unknown error counts as a resource's, so that
/// no loop spins on it.
///
/// # Examples
///
/// ```
/// use sockactors::net::{AcceptError, classify};
/// use std::io;
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
    fn errors_of_accept_are_sorted() {
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
        assert_eq!(classify(&io::Error::other("what?")), AcceptError::Resource);
    }
}
