//! Datagram sockets over UDP and Unix paths.
//!
//! A datagram arrives whole or not at all. One socket serves all peers, and each datagram carries
//! the address of its sender. A Unix client is bound to an abstract name that the kernel picks
//! (unix(7), "Autobind"), because a reply cannot reach a socket without a name.

pub(crate) mod batch;
pub(crate) mod multicast;
mod reuseport;
mod timestamps;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recv, recvfrom,
    send, sendto, sockopt,
};

use crate::net::address;
use crate::net::bind::{BindPurpose, bind_inet};
use crate::net::datagram::multicast::MulticastGroup;
use crate::net::endpoint::Endpoint;
use crate::net::error::{BindError, ConnectError};
use crate::net::listen::socket_file::{self, SocketFile};
use crate::net::peer::Peer;
use crate::net::socket::Socket;

/// A UDP or Unix datagram socket.
///
/// A server [binds](DatagramSocket::bind) it, and replies with
/// [`send_to`](DatagramSocket::send_to). A client [connects](DatagramSocket::connect) it, and
/// receives from its server only. A client of a multicast group or a broadcast address receives
/// from every host that replies.
///
/// # Examples
///
/// ```
/// use sockactors::net::DatagramSocket;
///
/// # smol::block_on(async {
/// let server = DatagramSocket::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
/// let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
///
/// client.send(b"Hello UDP Server").await?;
/// let mut buf = [0; 1024];
/// let (length, peer) = server.recv_from(&mut buf).await?;
/// assert_eq!(&buf[..length], b"Hello UDP Server");
///
/// server.send_to(b"Hello UDP Client", &peer).await?;
/// let length = client.recv(&mut buf).await?;
/// assert_eq!(&buf[..length], b"Hello UDP Client");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct DatagramSocket {
    /// The first field, so it is dropped first: while the socket is open, no new file can have its
    /// inode.
    _file: Option<SocketFile>,
    socket: Socket,
    endpoint: Endpoint,
    /// The address of a UDP socket.
    local_addr: Option<SocketAddr>,
    /// Whether the kernel reports the local address to which each datagram was sent.
    receives_pktinfo: bool,
    /// The target of a client that is not connected: a multicast group or a broadcast address.
    unconnected_target: Option<SocketAddr>,
}

impl DatagramSocket {
    /// Binds a socket that receives from every peer.
    ///
    /// The rules for names, for [`Endpoint::Any`] and for the files of Unix sockets are those of
    /// [`ListeningSocket::bind`](crate::net::ListeningSocket::bind), without `SO_REUSEADDR`.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub async fn bind(endpoint: &Endpoint) -> Result<DatagramSocket, BindError> {
        if let Endpoint::Unix(path) = endpoint {
            let (fd, file) = socket_file::bind(endpoint, path, SocketType::DGRAM, None)?;
            return Ok(DatagramSocket::new_unix(fd, endpoint.clone(), file));
        }
        let fd = bind_inet(endpoint, BindPurpose::Datagram).await?;
        let other = |error| BindError::new(endpoint, error);
        let local_addr = address::local_addr(&fd).map_err(other)?;
        let endpoint_bound = endpoint.with_bound_address(local_addr);
        DatagramSocket::new_server(fd, endpoint_bound, local_addr).map_err(other)
    }

    /// Creates the socket of a client: bound to a free port or abstract name, and connected to the
    /// endpoint.
    ///
    /// Nothing is sent, so over UDP it stays unknown whether a server is there. If a name has
    /// several addresses, the first one to which this machine has a route is used.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub async fn connect(endpoint: &Endpoint) -> Result<DatagramSocket, ConnectError> {
        let failed = |error| ConnectError::new(endpoint, Duration::ZERO, error);
        if let Endpoint::Unix(path) = endpoint {
            let fd = address::encode_unix(path)
                .and_then(|address| connect_unix(&address))
                .map_err(failed)?;
            let local_endpoint = address::local_unix_endpoint(&fd).map_err(failed)?;
            return Ok(DatagramSocket::new_unix(fd, local_endpoint, None));
        }
        let unresolvable =
            |source| ConnectError::Unresolvable { endpoint: endpoint.clone(), source };
        let mut last_error = io::Error::from(io::ErrorKind::NotFound);
        for address in endpoint.resolve().await.map_err(unresolvable)? {
            match DatagramSocket::connect_inet(address) {
                Ok(client) => return Ok(client),
                Err(error) => last_error = error,
            }
        }
        Err(failed(last_error))
    }

    /// Connects to an address. The socket stays unconnected for a multicast group or a broadcast
    /// address, because the replies come from other addresses.
    fn connect_inet(target: SocketAddr) -> io::Result<DatagramSocket> {
        let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let connected = match target.ip().is_multicast() {
            true => Err(Errno::ACCESS),
            false => {
                open_socket(family).and_then(|fd| rustix::net::connect(&fd, &target).map(|()| fd))
            }
        };
        let (fd, unconnected_target) = match connected {
            Ok(fd) => (fd, None),
            // The kernel's error for a broadcast address (connect(2)).
            Err(Errno::ACCESS) => (open_unconnected(family)?, Some(target)),
            Err(error) => return Err(error.into()),
        };
        let local_addr = address::local_addr(&fd)?;
        Ok(DatagramSocket {
            unconnected_target,
            ..DatagramSocket::new_inet(fd, local_addr.into(), local_addr)
        })
    }

    fn new_inet(fd: OwnedFd, endpoint: Endpoint, local_addr: SocketAddr) -> DatagramSocket {
        DatagramSocket {
            socket: Socket::new(fd),
            endpoint,
            local_addr: Some(local_addr),
            receives_pktinfo: false,
            unconnected_target: None,
            _file: None,
        }
    }

    fn new_unix(fd: OwnedFd, endpoint: Endpoint, file: Option<SocketFile>) -> DatagramSocket {
        DatagramSocket {
            socket: Socket::new(fd),
            endpoint,
            local_addr: None,
            receives_pktinfo: false,
            unconnected_target: None,
            _file: file,
        }
    }

    /// Makes a bound socket a server. If it is bound to every interface, the kernel reports the
    /// local address of each datagram, so that the reply can come from that address.
    fn new_server(
        fd: OwnedFd,
        endpoint: Endpoint,
        local_addr: SocketAddr,
    ) -> io::Result<DatagramSocket> {
        let mut server = DatagramSocket::new_inet(fd, endpoint, local_addr);
        server.receives_pktinfo = local_addr.ip().is_unspecified();
        match (server.receives_pktinfo, local_addr) {
            (false, _) => {}
            (true, SocketAddr::V4(_)) => setsockopt(&server, Ipv4PacketInfo, &true)?,
            (true, SocketAddr::V6(_)) => setsockopt(&server, Ipv6RecvPacketInfo, &true)?,
        }
        Ok(server)
    }

    /// Joins a multicast group. The socket has to be bound to every interface, or to the address of
    /// the group.
    ///
    /// # Errors
    ///
    /// Fails with [`BindError::CannotJoinGroup`] in these cases:
    ///
    /// - The socket is bound to another address, or to a path.
    /// - The interface does not exist or does not support multicast.
    /// - The group and the socket have different address families.
    pub fn join_multicast(&self, group: &MulticastGroup) -> Result<(), BindError> {
        let failed = |source| BindError::CannotJoinGroup { group: group.clone(), source };
        let invalid =
            |reason: String| Err(failed(io::Error::new(io::ErrorKind::InvalidInput, reason)));
        match self.local_addr.map(|local_addr| local_addr.ip()) {
            Some(ip) if !ip.is_unspecified() && ip != group.address => {
                invalid(format!("a socket on {ip} receives nothing from a group; listen on :PORT"))
            }
            None => invalid("a Unix socket cannot join a group".to_owned()),
            _ => group.join(self.as_fd()).map_err(failed),
        }
    }

    /// Returns the socket's own endpoint, with its actual port or abstract name.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Waits until a datagram can be received. It is a hint: retry the call, and wait again on
    /// [`io::ErrorKind::WouldBlock`]. The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// Fails if the reactor cannot register the socket.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Receives the next datagram. Returns the number of bytes in `buf`, and the sender.
    ///
    /// Bytes that do not fit into `buf` are lost. A datagram may be empty. The future may be
    /// dropped at any time: a datagram that it has not returned is still in the queue.
    ///
    /// # Errors
    ///
    /// A bound socket reports no errors of its peers. A connected one fails with
    /// [`io::ErrorKind::ConnectionRefused`] after the other machine has reported that the port is
    /// closed. The socket stays usable.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, Peer)> {
        let (_, length, sender) =
            self.socket.read_with(|fd| recvfrom(fd, &mut *buf, RecvFlags::empty())).await?;
        Ok((length, address::decode_peer(sender)))
    }

    /// Receives like [`recv_from`](DatagramSocket::recv_from), without waiting. So a caller can
    /// empty the queue.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] if the queue is empty.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, Peer)> {
        let (_, length, sender) =
            self.socket.retry_on_intr(|fd| recvfrom(fd, &mut *buf, RecvFlags::empty()))?;
        Ok((length, address::decode_peer(sender)))
    }

    /// Receives like [`recv_from`](DatagramSocket::recv_from), without returning the sender.
    ///
    /// # Errors
    ///
    /// See [`recv_from`](DatagramSocket::recv_from).
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket
            .read_with(|fd| recv(fd, &mut *buf, RecvFlags::empty()))
            .await
            .map(|(_, length)| length)
    }

    /// Sends one datagram to a peer that [`recv_from`](DatagramSocket::recv_from) has returned.
    ///
    /// Over UDP it waits for space in this socket's send buffer. Over Unix sockets the space is in
    /// the receiver's queue, and no readiness event reports it. So that one slow receiver does not
    /// stall the sender, the call fails at once instead.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::WouldBlock`] if the queue of a Unix receiver is full, where UDP would
    ///   lose the datagram
    /// - [`io::ErrorKind::InvalidInput`] for a peer without a name
    /// - the kernel's error if the datagram is too large, or if the receiver is known to be gone
    pub async fn send_to(&self, bytes: &[u8], peer: &Peer) -> io::Result<()> {
        loop {
            match (self.try_send_to(bytes, peer), peer) {
                (Err(error), Peer::Inet(_)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.writable().await?;
                }
                (result, _) => return result,
            }
        }
    }

    fn try_send_to(&self, bytes: &[u8], peer: &Peer) -> io::Result<()> {
        let flags = SendFlags::NOSIGNAL;
        let sent = match peer {
            Peer::Inet(address) => {
                let address = self.native_address(*address);
                self.socket.retry_on_intr(|fd| sendto(fd, bytes, flags, &address))
            }
            Peer::Unix(Some(path)) => {
                let address = address::encode_unix(path)?;
                self.socket.retry_on_intr(|fd| sendto(fd, bytes, flags, &address))
            }
            Peer::Unix(None) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "cannot reply to a peer without a name",
            )),
        };
        sent.map(drop)
    }

    /// Sends one datagram to the server to which the socket is connected. Waits for buffer space if
    /// necessary.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::ConnectionRefused`] if the server is known to be gone, and with
    /// the kernel's error if the socket is not connected or the datagram is too large.
    pub async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let flags = SendFlags::NOSIGNAL;
        let send = |fd: BorrowedFd<'_>| match &self.unconnected_target {
            Some(target) => sendto(fd, bytes, flags, target),
            None => send(fd, bytes, flags),
        };
        self.socket.write_with(send).await.map(drop)
    }

    fn is_v6(&self) -> bool {
        self.local_addr.is_some_and(|local_addr| local_addr.is_ipv6())
    }

    /// Converts an IPv4 address to a mapped IPv6 address if the socket needs one. [`Peer`] does
    /// the reverse.
    fn native_address(&self, address: SocketAddr) -> SocketAddr {
        match address {
            SocketAddr::V4(v4) if self.is_v6() => {
                SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port()))
            }
            _ => address,
        }
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(family, SocketType::DGRAM, flags, None)
}

/// Opens a Unix socket with an abstract name of its own, and connects it.
fn connect_unix(address: &SocketAddrUnix) -> io::Result<OwnedFd> {
    let fd = open_socket(AddressFamily::UNIX)?;
    rustix::net::bind(&fd, &SocketAddrUnix::new_unnamed())?;
    rustix::net::connect(&fd, address)?;
    Ok(fd)
}

/// Opens a UDP socket that receives from every peer, and may send to broadcast addresses.
fn open_unconnected(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let fd = open_socket(family)?;
    sockopt::set_socket_broadcast(&fd, true)?;
    let any: IpAddr = match family {
        AddressFamily::INET => Ipv4Addr::UNSPECIFIED.into(),
        _ => Ipv6Addr::UNSPECIFIED.into(),
    };
    rustix::net::bind(&fd, &SocketAddr::new(any, 0))?;
    Ok(fd)
}

#[cfg(test)]
mod tests;
