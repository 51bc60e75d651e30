//! How TCP and UDP sockets are bound: address families, socket options and the listen backlog.
//!
//! | option | TCP | UDP |
//! |---|---|---|
//! | `SO_REUSEADDR` | on: no wait for TIME_WAIT | off: two servers would share a port |
//! | `SO_REUSEPORT` | off | on only for several sockets of [`bind_all`](super::DatagramSocket::bind_all) |
//! | `IPV6_V6ONLY` | off for [`Endpoint::Any`], on for `[::]` beside `0.0.0.0`, else unchanged | the same |
//!
//! Unix sockets are bound by `listen/socket_file.rs`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::net::address;
use crate::net::endpoint::Endpoint;
use crate::net::error::BindError;
use crate::net::listen_address::ListenAddress;

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

/// Whether a socket on every IPv6 address receives from IPv4 peers too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DualStack {
    On,
    Off,
    /// The kernel's default (`net.ipv6.bindv6only`).
    Default,
}

/// The number of attempts to find a port that is free on each address of a name.
const MAX_PORT_ATTEMPTS: usize = 8;

/// The sockets that were bound to the addresses of an endpoint.
#[derive(Debug)]
pub struct Bound<T> {
    /// At least one socket for an address.
    pub sockets: Vec<T>,
    /// The errors of the other addresses.
    pub errors: Vec<BindError>,
}

/// Binds a socket to the first address of the endpoint that can be bound.
///
/// [`Endpoint::Any`] is bound on IPv6 and IPv4 with one socket, and on IPv4 alone if the machine
/// has no IPv6.
pub(super) async fn bind_inet(
    endpoint: &Endpoint,
    purpose: BindPurpose,
) -> Result<OwnedFd, BindError> {
    let addresses = resolve(endpoint).await?;
    if let Endpoint::Any(_) = endpoint {
        return bind_any(endpoint, &addresses, purpose);
    }
    let mut last_error = Errno::ADDRNOTAVAIL;
    for address in addresses {
        match bind_address(address, purpose, DualStack::Default) {
            Ok(fd) => return Ok(fd),
            Err(error) => last_error = error,
        }
    }
    Err(BindError::new(endpoint, last_error.into()))
}

/// Binds sockets to each address of the endpoint, with one common port if the port is 0.
///
/// `make` turns the bound descriptor of an address into sockets.
///
/// # Errors
///
/// Fails with the last error if no address can be bound.
pub(super) async fn bind_every_address<T>(
    address: &ListenAddress,
    purpose: BindPurpose,
    make: impl Fn(OwnedFd, &Endpoint, DualStack) -> io::Result<Vec<T>>,
) -> Result<Bound<T>, BindError> {
    let endpoint = &address.endpoint;
    let addresses = resolve(endpoint).await?;
    if let Endpoint::Any(_) = endpoint {
        let sockets = make(bind_any(endpoint, &addresses, purpose)?, endpoint, DualStack::On);
        let sockets = sockets.map_err(|error| BindError::new(endpoint, error))?;
        return Ok(Bound { sockets, errors: Vec::new() });
    }
    // One socket per family, if the name stands for every address of both.
    let v6_only = address.v6_only || addresses.iter().any(SocketAddr::is_ipv4);
    let dual_stack = if v6_only { DualStack::Off } else { DualStack::Default };
    let mut attempt = 1;
    loop {
        let mut bound = Bound { sockets: Vec::new(), errors: Vec::new() };
        let mut chosen_port = None;
        let mut is_port_taken = false;
        for mut address in addresses.iter().copied() {
            let is_chosen = address.port() == 0 && chosen_port.is_some();
            address.set_port(chosen_port.unwrap_or(address.port()));
            let result = bind_address(address, purpose, dual_stack)
                .map_err(io::Error::from)
                .and_then(|fd| {
                    let port = address::local_addr(&fd)?.port();
                    Ok((port, make(fd, endpoint, dual_stack)?))
                });
            match result {
                Ok((port, sockets)) => {
                    chosen_port = Some(port);
                    bound.sockets.extend(sockets);
                }
                Err(error) => {
                    is_port_taken |= is_chosen && error.kind() == io::ErrorKind::AddrInUse;
                    bound.errors.push(BindError::new(&address.into(), error));
                }
            }
        }
        if is_port_taken && attempt < MAX_PORT_ATTEMPTS {
            attempt += 1;
        } else if bound.sockets.is_empty() {
            let unavailable = || BindError::new(endpoint, Errno::ADDRNOTAVAIL.into());
            return Err(bound.errors.pop().unwrap_or_else(unavailable));
        } else {
            return Ok(bound);
        }
    }
}

async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, BindError> {
    let unresolvable = |source| BindError::Unresolvable { endpoint: endpoint.clone(), source };
    endpoint.resolve().await.map_err(unresolvable)
}

/// Binds one socket to every interface.
fn bind_any(
    endpoint: &Endpoint,
    addresses: &[SocketAddr],
    purpose: BindPurpose,
) -> Result<OwnedFd, BindError> {
    let mut last_error = Errno::ADDRNOTAVAIL;
    for address in addresses {
        match bind_address(*address, purpose, DualStack::On) {
            Ok(fd) => return Ok(fd),
            Err(error @ (Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)) => last_error = error,
            // If the IPv6 port is in use, IPv4 alone must not be the silent result.
            Err(error) => return Err(BindError::new(endpoint, error.into())),
        }
    }
    Err(BindError::new(endpoint, last_error.into()))
}

/// Creates a non-blocking socket and binds it to an address.
pub(super) fn bind_address(
    address: SocketAddr,
    purpose: BindPurpose,
    dual_stack: DualStack,
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
    if dual_stack != DualStack::Default && address.is_ipv6() && address.ip().is_unspecified() {
        sockopt::set_ipv6_v6only(&fd, dual_stack == DualStack::Off)?;
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
