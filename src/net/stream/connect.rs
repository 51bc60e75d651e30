//! How a connection is made: every address in turn, with one deadline for all.
//!
//! A name may stand for several addresses of which some do not answer. Each attempt gets an equal
//! share of the time that is left, so that the first address cannot use up what the second one
//! needs.

use crate::net::socket::Socket;
use crate::net::{ConnectError, Endpoint, Peer, address};
use crate::reactor::Timer;
use futures_lite::FutureExt;
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::io;
use std::time::{Duration, Instant};

/// How long to wait at first, and at most, for room in a Unix server's queue.
const RETRY_DELAY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(64));

/// Connects a stream socket.
pub(crate) async fn connect_endpoint(
    endpoint: &Endpoint,
    within: Duration,
) -> Result<(Socket, Peer), ConnectError> {
    let failed = |error| ConnectError::new(endpoint, within, error);
    if let Endpoint::Unix(path) = endpoint {
        let address = address::encode_unix(path).map_err(failed)?;
        let socket = with_timeout(within, connect_address(&address, AddressFamily::UNIX))
            .await
            .map_err(failed)?;
        return Ok((socket, Peer::Unix(Some(path.clone()))));
    }
    let started = Instant::now();
    let addresses =
        with_timeout(within, endpoint.resolve()).await.map_err(|source| match source.kind() {
            io::ErrorKind::TimedOut => failed(source),
            _ => ConnectError::Unresolvable { endpoint: endpoint.clone(), source },
        })?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for (tried, address) in addresses.iter().enumerate() {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let share = within.saturating_sub(started.elapsed()) / (addresses.len() - tried) as u32;
        match with_timeout(share, connect_address(address, family)).await {
            Ok(socket) => return Ok((socket, Peer::from(*address))),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// Connects to one address, and waits for the answer.
async fn connect_address(
    address: &impl SocketAddrArg,
    family: AddressFamily,
) -> io::Result<Socket> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = Socket::new(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?);
    let mut pause = RETRY_DELAY.0;
    loop {
        match rustix::net::connect(&socket, address) {
            Ok(()) => return Ok(socket),
            Err(Errno::INPROGRESS | Errno::INTR) => break,
            // A Unix server's queue is full, and no readiness will tell when it has room again.
            Err(Errno::AGAIN) => {
                Timer::after(pause).await;
                pause = (pause * 2).min(RETRY_DELAY.1);
            }
            Err(error) => return Err(error.into()),
        }
    }
    // On loopback the handshake is over by now, and there is no need to wait for it.
    if rustix::net::getpeername(&socket).is_err() {
        socket.writable().await?;
    }
    sockopt::socket_error(&socket)??;
    Ok(socket)
}

/// Gives the work some time, then fails with [`io::ErrorKind::TimedOut`].
pub(crate) async fn with_timeout<T>(
    within: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let late = async {
        Timer::after(within).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    work.or(late).await
}
