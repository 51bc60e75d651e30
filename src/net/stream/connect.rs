//! Connecting: every address in turn, with one deadline for all.
//!
//! A name may have several addresses, and some of them may not answer. Each attempt gets an equal
//! share of the remaining time, so that the first address cannot use up the time of the second.

use std::io;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::net::address::encode_unix;
use crate::net::endpoint::Endpoint;
use crate::net::error::ConnectError;
use crate::net::peer::Peer;
use crate::net::socket::Socket;
use crate::reactor::Timer;

/// The first and the longest delay before a retry, while the queue of a Unix server is full.
const RETRY_DELAY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(64));

/// Connects a stream socket to an endpoint, within `timeout` in total.
pub(crate) async fn connect_endpoint(
    endpoint: &Endpoint,
    timeout: Duration,
) -> Result<(Socket, Peer), ConnectError> {
    let failed = |error| ConnectError::new(endpoint, timeout, error);
    if let Endpoint::Unix(path) = endpoint {
        let address = encode_unix(path).map_err(failed)?;
        let socket = with_timeout(timeout, connect_address(&address, AddressFamily::UNIX))
            .await
            .map_err(failed)?;
        return Ok((socket, Peer::Unix(Some(path.clone()))));
    }
    let started_at = Instant::now();
    let addresses =
        with_timeout(timeout, endpoint.resolve()).await.map_err(|source| match source.kind() {
            io::ErrorKind::TimedOut => failed(source),
            _ => ConnectError::Unresolvable { endpoint: endpoint.clone(), source },
        })?;
    let mut last_error = io::Error::from(io::ErrorKind::NotFound);
    for (tried, address) in addresses.iter().enumerate() {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let remaining = timeout.saturating_sub(started_at.elapsed());
        let share = remaining / (addresses.len() - tried) as u32;
        match with_timeout(share, connect_address(address, family)).await {
            Ok(socket) => return Ok((socket, Peer::from(*address))),
            Err(error) => last_error = error,
        }
    }
    Err(failed(last_error))
}

/// Connects to one address, and waits until the connection is established.
async fn connect_address(
    address: &impl SocketAddrArg,
    family: AddressFamily,
) -> io::Result<Socket> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = Socket::new(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?);
    let mut delay = RETRY_DELAY.0;
    loop {
        match rustix::net::connect(&socket, address) {
            Ok(()) => return Ok(socket),
            Err(Errno::INPROGRESS | Errno::INTR) => break,
            // The queue of the Unix server is full. No readiness event reports free space in it.
            Err(Errno::AGAIN) => {
                Timer::after(delay).await;
                delay = delay.saturating_mul(2).min(RETRY_DELAY.1);
            }
            Err(error) => return Err(error.into()),
        }
    }
    // On loopback the handshake is already complete, so there is nothing to wait for.
    if rustix::net::getpeername(&socket).is_err() {
        socket.writable().await?;
    }
    sockopt::socket_error(&socket)??;
    Ok(socket)
}

/// Runs `work`, and fails with [`io::ErrorKind::TimedOut`] after `timeout`.
pub(crate) async fn with_timeout<T>(
    timeout: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let timed_out = async {
        Timer::after(timeout).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    work.or(timed_out).await
}
