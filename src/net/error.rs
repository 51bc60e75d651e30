//! The errors of binding and connecting, with remedies.
//!
//! Each text names the endpoint and the remedy. If there is an underlying [`io::Error`], it is the
//! [`source`](std::error::Error::source).

use std::io;
use std::time::Duration;

use rustix::io::Errno;

use crate::net::address::MAX_PATH_LEN;
use crate::net::datagram::multicast::MulticastGroup;
use crate::net::endpoint::Endpoint;
use crate::wire::units::format_duration;

/// The error of a socket that could not be bound to an endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another socket has the address (EADDRINUSE).
    #[error("{endpoint} is in use; stop the program that uses it, or choose another port")]
    InUse {
        /// The endpoint to bind.
        endpoint: Endpoint,
        /// The kernel's error.
        source: io::Error,
    },
    /// This user may not bind the address (EACCES, EPERM).
    #[error("no permission to bind {endpoint}; {}", permission_remedy(endpoint))]
    PermissionDenied {
        /// The endpoint to bind.
        endpoint: Endpoint,
        /// The kernel's error.
        source: io::Error,
    },
    /// The address belongs to no interface of this machine (EADDRNOTAVAIL).
    #[error(
        "{endpoint} is not an address of this machine; choose one of its addresses, or :PORT for \
         every interface"
    )]
    NotAvailable {
        /// The endpoint to bind.
        endpoint: Endpoint,
        /// The kernel's error.
        source: io::Error,
    },
    /// The host name has no address.
    #[error(
        "the host of {endpoint} was not found ({source}); check its spelling, or write its address"
    )]
    Unresolvable {
        /// The endpoint to bind.
        endpoint: Endpoint,
        /// The resolver's error.
        source: io::Error,
    },
    /// The path is too long for a socket address.
    #[error("the path of {endpoint} has {length} bytes; choose one of at most {MAX_PATH_LEN}")]
    PathTooLong {
        /// The endpoint to bind.
        endpoint: Endpoint,
        /// The path's length in bytes.
        length: usize,
    },
    /// The directory of the path does not exist (ENOENT, ENOTDIR).
    #[error("the directory of {endpoint} does not exist; create it, or choose another path")]
    NoDirectory {
        /// The endpoint to bind.
        endpoint: Endpoint,
        /// The kernel's error.
        source: io::Error,
    },
    /// The path is a file that is not a socket. It was not removed.
    #[error(
        "the file at {endpoint} is not a socket, so it was not replaced; remove it, or choose \
         another path"
    )]
    NotASocket {
        /// The endpoint to bind.
        endpoint: Endpoint,
    },
    /// Another program answers on the socket at the path.
    #[error("another program answers on {endpoint}; stop it, or choose another path")]
    SocketInUse {
        /// The endpoint to bind.
        endpoint: Endpoint,
    },
    /// The socket cannot join the multicast group.
    #[error("cannot join {group}: {source}; `ip maddr` shows the interfaces")]
    CannotJoinGroup {
        /// The multicast group.
        group: MulticastGroup,
        /// The kernel's error.
        source: io::Error,
    },
    /// Any other error.
    #[error("cannot bind {endpoint}: {source}")]
    Other {
        /// The endpoint to bind.
        endpoint: Endpoint,
        /// The kernel's error.
        source: io::Error,
    },
}

impl BindError {
    /// Chooses the variant for an error of the kernel.
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

/// The error of a connection that could not be established.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No server listens on the endpoint (ECONNREFUSED).
    #[error("{endpoint} refused the connection; is a server listening there?")]
    Refused {
        /// The endpoint to connect to.
        endpoint: Endpoint,
        /// The kernel's error.
        source: io::Error,
    },
    /// The host name has no address.
    #[error(
        "the host of {endpoint} was not found ({source}); check its spelling, or write its address"
    )]
    Unresolvable {
        /// The endpoint to connect to.
        endpoint: Endpoint,
        /// The resolver's error.
        source: io::Error,
    },
    /// No server answered in time.
    #[error(
        "{endpoint} did not answer within {}; is it reachable, and is a server listening there?",
        format_duration(*timeout)
    )]
    TimedOut {
        /// The endpoint to connect to.
        endpoint: Endpoint,
        /// The timeout of the whole attempt.
        timeout: Duration,
    },
    /// The Unix socket does not exist (ENOENT).
    #[error("{endpoint} does not exist; is a server running, and is the path right?")]
    NotFound {
        /// The endpoint to connect to.
        endpoint: Endpoint,
        /// The kernel's error.
        source: io::Error,
    },
    /// This user may not connect (EACCES, EPERM), because of the mode of the socket file or a
    /// firewall.
    #[error("no permission to connect to {endpoint}; {}", connect_remedy(endpoint))]
    PermissionDenied {
        /// The endpoint to connect to.
        endpoint: Endpoint,
        /// The kernel's error.
        source: io::Error,
    },
    /// Any other error.
    #[error(
        "cannot connect to {endpoint}: {source}; is it reachable, and a server listening there?"
    )]
    Other {
        /// The endpoint to connect to.
        endpoint: Endpoint,
        /// The kernel's error.
        source: io::Error,
    },
}

impl ConnectError {
    /// Chooses the variant for an error of the kernel.
    pub(super) fn new(endpoint: &Endpoint, timeout: Duration, source: io::Error) -> ConnectError {
        let endpoint = endpoint.clone();
        match errno(&source) {
            Some(Errno::CONNREFUSED) => ConnectError::Refused { endpoint, source },
            Some(Errno::NOENT | Errno::NOTDIR) => ConnectError::NotFound { endpoint, source },
            Some(Errno::ACCESS | Errno::PERM) => {
                ConnectError::PermissionDenied { endpoint, source }
            }
            _ if source.kind() == io::ErrorKind::TimedOut => {
                ConnectError::TimedOut { endpoint, timeout }
            }
            _ => ConnectError::Other { endpoint, source },
        }
    }
}

/// Returns the kernel's error number, if the error came from the kernel.
pub(super) fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}

/// Converts an error number of `nix` to one of `rustix`.
pub(super) fn convert_errno(error: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(error as i32)
}

/// Returns the remedy for a bind without permission.
fn permission_remedy(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Unix(_) => "choose a directory that this user may write to",
        Endpoint::Any(1..1024) | Endpoint::Host { port: 1..1024, .. } => {
            "ports below 1024 need privileges (CAP_NET_BIND_SERVICE): choose a port from 1024 on"
        }
        _ => "a sandbox or a security module may forbid it",
    }
}

/// Returns the remedy for a connect without permission.
fn connect_remedy(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Unix(_) => "this user needs write permission for the socket file",
        _ => "a firewall, a sandbox or a security module may forbid it",
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
    fn bind_error_names_endpoint_and_remedy() {
        for (endpoint, errno, remedy) in [
            ("127.0.0.1:80", Errno::ADDRINUSE, "another port"),
            ("127.0.0.1:80", Errno::ACCESS, "from 1024 on"),
            ("127.0.0.1:8080", Errno::ACCESS, "sandbox"),
            ("192.0.2.1:80", Errno::ADDRNOTAVAIL, ":PORT"),
            ("unix:/x/y", Errno::NOENT, "create it"),
            ("unix:/x/y", Errno::ACCESS, "directory"),
            ("[::1]:80", Errno::AFNOSUPPORT, "Address family"),
        ] {
            let text = bind_error_text(endpoint, errno);
            assert!(text.contains(endpoint) && text.contains(remedy), "{text}");
        }
    }

    #[test]
    fn connect_error_names_endpoint_and_remedy() {
        for (endpoint, errno, remedy) in [
            ("127.0.0.1:80", Errno::CONNREFUSED, "is a server listening there?"),
            ("127.0.0.1:80", Errno::TIMEDOUT, "within 2 s"),
            ("127.0.0.1:80", Errno::PERM, "firewall"),
            ("127.0.0.1:80", Errno::NETUNREACH, "Network is unreachable"),
            ("unix:/x/y", Errno::NOENT, "is the path right"),
            ("unix:/x/y", Errno::ACCESS, "write permission"),
        ] {
            let text = connect_error_text(endpoint, errno);
            assert!(text.contains(endpoint) && text.contains(remedy), "{text}");
        }
    }
}
