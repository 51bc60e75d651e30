//! How TCP and UDP sockets are bound: address families, socket options and the listen backlog.
//!
//! | option | TCP | UDP |
//! |---|---|---|
//! | `SO_REUSEADDR` | on: no wait for TIME_WAIT | off: two servers would share a port |
//! | `SO_REUSEPORT` | off | on only for [`bind_reuseport`](super::DatagramSocket::bind_reuseport) |
//! | `IPV6_V6ONLY` | off for [`Endpoint::Any`], else unchanged | the same |
//!
//! Unix sockets are bound by `listen/socket_file.rs`.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::net::endpoint::Endpoint;
use crate::net::error::BindError;

/// The purpose of a socket, which decides its type and its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BindPurpose {
    /// A TCP socket that will listen.
    Stream,
    /// A UDP socket with an address of its own.
    Datagram,
    /// The first of several UDP sockets that share an address. No other socket may have it yet.
    FirstSharedDatagram,
    /// A further UDP socket on the address of the first one.
    SharedDatagram,
}

/// Binds a socket to the first address of the endpoint that can be bound.
///
/// [`Endpoint::Any`] is bound on IPv6 and IPv4 with one socket, and on IPv4 alone if the machine
/// has no IPv6.
pub(super) async fn bind_inet(
    endpoint: &Endpoint,
    purpose: BindPurpose,
) -> Result<OwnedFd, BindError> {
    let unresolvable = |source| BindError::Unresolvable { endpoint: endpoint.clone(), source };
    let dual_stack = matches!(endpoint, Endpoint::Any(_));
    let mut last_error = Errno::ADDRNOTAVAIL;
    for address in endpoint.resolve().await.map_err(unresolvable)? {
        match bind_address(address, purpose, dual_stack) {
            Ok(fd) => return Ok(fd),
            // If the IPv6 port is in use, IPv4 alone must not be the silent result.
            Err(error)
                if dual_stack && !matches!(error, Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) =>
            {
                return Err(BindError::new(endpoint, error.into()));
            }
            Err(error) => last_error = error,
        }
    }
    Err(BindError::new(endpoint, last_error.into()))
}

/// Creates a non-blocking socket and binds it to an address.
pub(super) fn bind_address(
    address: SocketAddr,
    purpose: BindPurpose,
    dual_stack: bool,
) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket_type = match purpose {
        BindPurpose::Stream => SocketType::STREAM,
        BindPurpose::Datagram | BindPurpose::FirstSharedDatagram | BindPurpose::SharedDatagram => {
            SocketType::DGRAM
        }
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(family, socket_type, flags, None)?;
    match purpose {
        BindPurpose::Stream => sockopt::set_socket_reuseaddr(&fd, true)?,
        // SO_REUSEADDR would let two UDP servers share a port, and one of them would get nothing.
        BindPurpose::Datagram | BindPurpose::FirstSharedDatagram => {}
        BindPurpose::SharedDatagram => sockopt::set_socket_reuseport(&fd, true)?,
    }
    if dual_stack && address.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, false)?;
    }
    rustix::net::bind(&fd, &address)?;
    // The option is set only after the bind, so that the bind fails if the address is in use. The
    // sockets that follow can share the address then.
    if purpose == BindPurpose::FirstSharedDatagram {
        sockopt::set_socket_reuseport(&fd, true)?;
    }
    Ok(fd)
}

/// Returns the backlog that `listen` gets: a negative one counts as 0.
pub(super) fn clamp_backlog(backlog: i32) -> i32 {
    backlog.max(0)
}

/// Returns the largest number of pending connections for a backlog. Linux allows one more than the
/// backlog says.
pub(super) fn max_pending(backlog: i32) -> usize {
    usize::try_from(backlog).unwrap_or_default() + 1
}
