//! Why a socket could not be bound or connected, told so that somebody can do something about it.
//!
//! Each text names the endpoint and the remedy. The [`io::Error`] beneath, where there is one, is
//! the [`source`](std::error::Error::source), for those who need the number.

use super::address::MAX_PATH_LEN;
use super::{Endpoint, MulticastGroup};
use rustix::io::Errno;
use std::io;
use std::time::Duration;

/// Why a socket could not be bound to an endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another socket is bound there (EADDRINUSE).
    #[error("{endpoint} is in use; stop the program that uses it, or choose another port")]
    InUse {
        /// Where the socket was to be bound.
        endpoint: Endpoint,
        /// What the kernel said.
        source: io::Error,
    },
    /// This user may not bind there (EACCES, EPERM).
    #[error("no permission to bind {endpoint}; {}", permission_remedy(endpoint))]
    PermissionDenied {
        /// Where the socket was to be bound.
        endpoint: Endpoint,
        /// What the kernel said.
        source: io::Error,
    },
    /// The address belongs to no interface of this machine (EADDRNOTAVAIL).
    #[error(
        "{endpoint} is not an address of this machine; choose one of its own, or :PORT for every interface"
    )]
    NotAvailable {
        /// Where the socket was to be bound.
        endpoint: Endpoint,
        /// What the kernel said.
        source: io::Error,
    },
    /// The name has no address.
    #[error(
        "the host of {endpoint} cannot be found ({source}); check its spelling, or give its address"
    )]
    Unresolvable {
        /// Where the socket was to be bound.
        endpoint: Endpoint,
        /// What the resolver said.
        source: io::Error,
    },
    /// The path does not fit a socket address.
    #[error("the path of {endpoint} has {length} bytes; choose one of at most {MAX_PATH_LEN}")]
    PathTooLong {
        /// Where the socket was to be bound.
        endpoint: Endpoint,
        /// The path's length in bytes.
        length: usize,
    },
    /// The directory of the path does not exist (ENOENT, ENOTDIR).
    #[error("the directory of {endpoint} does not exist; create it, or choose another path")]
    NoDirectory {
        /// Where the socket was to be bound.
        endpoint: Endpoint,
        /// What the kernel said.
        source: io::Error,
    },
    /// The path is taken by a file that is not a socket. It was left alone.
    #[error(
        "the file at {endpoint} is not a socket and is left alone; remove it, or choose another path"
    )]
    NotASocket {
        /// Where the socket was to be bound.
        endpoint: Endpoint,
    },
    /// A program answers on the socket at the path.
    #[error("another program answers on {endpoint}; stop it, or choose another path")]
    SocketInUse {
        /// Where the socket was to be bound.
        endpoint: Endpoint,
    },
    /// The multicast group cannot be joined.
    #[error("{group} cannot be joined: {source}; `ip maddr` shows the interfaces")]
    CannotJoinGroup {
        /// The group.
        group: MulticastGroup,
        /// What the kernel said.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot bind {endpoint}: {source}")]
    Other {
        /// Where the socket was to be bound.
        endpoint: Endpoint,
        /// What the kernel said.
        source: io::Error,
    },
}

impl BindError {
    /// Sorts the kernel's error.
    pub(super) fn new(endpoint: &Endpoint, source: io::Error) -> BindError {
        let unix = matches!(endpoint, Endpoint::Unix(_));
        let endpoint = endpoint.clone();
        match errno(&source) {
            Some(Errno::ADDRINUSE) => BindError::InUse { endpoint, source },
            Some(Errno::ACCESS | Errno::PERM) => BindError::PermissionDenied { endpoint, source },
            Some(Errno::ADDRNOTAVAIL) => BindError::NotAvailable { endpoint, source },
            Some(Errno::NOENT | Errno::NOTDIR) if unix => {
                BindError::NoDirectory { endpoint, source }
            }
            _ => BindError::Other { endpoint, source },
        }
    }
}

/// Why no connection to an endpoint came about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody listens there (ECONNREFUSED).
    #[error("{endpoint} refused the connection; is a server listening there?")]
    Refused {
        /// What was to be reached.
        endpoint: Endpoint,
        /// What the kernel said.
        source: io::Error,
    },
    /// The name has no address.
    #[error(
        "the host of {endpoint} cannot be found ({source}); check its spelling, or give its address"
    )]
    Unresolvable {
        /// What was to be reached.
        endpoint: Endpoint,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nobody answered in time.
    #[error(
        "{endpoint} did not answer within {within:?}; is it reachable, and a server listening there?"
    )]
    TimedOut {
        /// What was to be reached.
        endpoint: Endpoint,
        /// How long was waited in all.
        within: Duration,
    },
    /// There is no such Unix socket (ENOENT).
    #[error("there is no {endpoint}; is a server running, and the path right?")]
    NotFound {
        /// What was to be reached.
        endpoint: Endpoint,
        /// What the kernel said.
        source: io::Error,
    },
    /// This user may not connect (EACCES, EPERM): by the mode of a socket file, or by a firewall.
    #[error("no permission to connect to {endpoint}; {}", connect_remedy(endpoint))]
    PermissionDenied {
        /// What was to be reached.
        endpoint: Endpoint,
        /// What the kernel said.
        source: io::Error,
    },
    /// Anything else.
    #[error(
        "cannot connect to {endpoint}: {source}; is it reachable, and a server listening there?"
    )]
    Other {
        /// What was to be reached.
        endpoint: Endpoint,
        /// What the kernel said.
        source: io::Error,
    },
}

impl ConnectError {
    /// Sorts the kernel's error.
    pub(super) fn new(endpoint: &Endpoint, within: Duration, source: io::Error) -> ConnectError {
        let endpoint = endpoint.clone();
        match errno(&source) {
            Some(Errno::CONNREFUSED) => ConnectError::Refused { endpoint, source },
            Some(Errno::NOENT | Errno::NOTDIR) => ConnectError::NotFound { endpoint, source },
            Some(Errno::ACCESS | Errno::PERM) => {
                ConnectError::PermissionDenied { endpoint, source }
            }
            _ if source.kind() == io::ErrorKind::TimedOut => {
                ConnectError::TimedOut { endpoint, within }
            }
            _ => ConnectError::Other { endpoint, source },
        }
    }
}

/// The kernel's number in an error, if it came from the kernel.
pub(super) fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}

fn permission_remedy(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Unix(_) => "choose a directory that this user may write to",
        Endpoint::Any(1..1024) | Endpoint::Host { port: 1..1024, .. } => {
            "ports below 1024 need privileges (CAP_NET_BIND_SERVICE): choose one from 1024 on"
        }
        _ => "ask what forbids it: a sandbox or a security module",
    }
}

fn connect_remedy(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Unix(_) => "this user needs write permission for the socket file",
        _ => "ask what forbids it: a firewall, a sandbox or a security module",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind_error_text(endpoint: &str, errno: Errno) -> String {
        BindError::new(&endpoint.parse().unwrap(), errno.into()).to_string()
    }

    fn connect_error_text(endpoint: &str, errno: Errno) -> String {
        ConnectError::new(&endpoint.parse().unwrap(), Duration::from_secs(2), errno.into())
            .to_string()
    }

    #[test]
    fn a_failed_bind_names_endpoint_and_remedy() {
        for (endpoint, errno, remedy) in [
            ("127.0.0.1:80", Errno::ADDRINUSE, "another port"),
            ("127.0.0.1:80", Errno::ACCESS, "from 1024 on"),
            ("127.0.0.1:8080", Errno::ACCESS, "sandbox"),
            ("192.0.2.1:80", Errno::ADDRNOTAVAIL, ":PORT"),
            ("unix:/x/y", Errno::NOENT, "create it"),
            ("unix:/x/y", Errno::ACCESS, "directory"),
            ("[::1]:80", Errno::AFNOSUPPORT, "Address family"),
        ] {
            let told = bind_error_text(endpoint, errno);
            assert!(told.contains(endpoint) && told.contains(remedy), "{told}");
        }
    }

    #[test]
    fn a_failed_connect_names_endpoint_and_remedy() {
        for (endpoint, errno, remedy) in [
            ("127.0.0.1:80", Errno::CONNREFUSED, "is a server listening there?"),
            ("127.0.0.1:80", Errno::TIMEDOUT, "within 2s"),
            ("127.0.0.1:80", Errno::PERM, "firewall"),
            ("127.0.0.1:80", Errno::NETUNREACH, "Network is unreachable"),
            ("unix:/x/y", Errno::NOENT, "path right"),
            ("unix:/x/y", Errno::ACCESS, "write permission"),
        ] {
            let told = connect_error_text(endpoint, errno);
            assert!(told.contains(endpoint) && told.contains(remedy), "{told}");
        }
    }
}
