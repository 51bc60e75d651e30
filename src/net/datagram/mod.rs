//! Sockets for datagrams, over UDP and over Unix paths.
//!
//! A datagram arrives whole or not at all. One socket serves all peers, and each datagram says who
//! sent it. A Unix client is bound to an abstract name that the kernel picks (unix(7), "Autobind"),
//! since a socket without a name cannot be answered.

use super::listen::socket_file;
use super::listen::socket_file::SocketFile;
use super::listen::{BindPurpose, bind_inet};
use super::socket::Socket;
use super::{BindError, ConnectError, Endpoint, Peer, address};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, recvfrom, send, sendto,
};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A UDP or Unix datagram socket.
///
/// A server [binds](DatagramSocket::bind) one and answers with
/// [`send_to`](DatagramSocket::send_to); a client [connects](DatagramSocket::connect) one, and then
/// hears its server only; one that is connected to a multicast group or a broadcast address hears
/// everybody who answers.
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
    /// Stands first, hence goes first: while the socket is open, no other file can get its inode.
    _file: Option<SocketFile>,
    socket: Socket,
    endpoint: Endpoint,
    /// The address of a UDP socket.
    local_addr: Option<SocketAddr>,
    /// Whether the kernel tells of each datagram the address that it was sent to.
    receives_pktinfo: bool,
    /// Where a client sends to that cannot connect: many, who answer from addresses of their own.
    unconnected_target: Option<SocketAddr>,
}

impl DatagramSocket {
    /// Binds a socket, which then hears everybody.
    ///
    /// The rules for names, for [`Endpoint::Any`] and for Unix socket files are those of
    /// [`ListeningSocket::bind`](super::ListeningSocket::bind), without `SO_REUSEADDR`.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub async fn bind(endpoint: &Endpoint) -> Result<DatagramSocket, BindError> {
        if let Endpoint::Unix(path) = endpoint {
            let (fd, file) = socket_file::bind(endpoint, path, SocketType::DGRAM)?;
            return Ok(DatagramSocket {
                socket: Socket::new(fd),
                endpoint: endpoint.clone(),
                local_addr: None,
                receives_pktinfo: false,
                unconnected_target: None,
                _file: file,
            });
        }
        let fd = bind_inet(endpoint, BindPurpose::Datagram).await?;
        let other = |error| BindError::new(endpoint, error);
        let local = address::local_addr(&fd).map_err(other)?;
        DatagramSocket::new_server(fd, endpoint.with_bound_address(local), local).map_err(other)
    }

    /// Makes a client's socket: bound to a free port or abstract name, and connected to the
    /// endpoint.
    ///
    /// Nothing is sent, so over UDP nobody knows yet whether a server is there. Of a name with
    /// several addresses the first is taken that this machine has a route to.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub async fn connect(endpoint: &Endpoint) -> Result<DatagramSocket, ConnectError> {
        let failed = |error| ConnectError::new(endpoint, Duration::ZERO, error);
        if let Endpoint::Unix(path) = endpoint {
            let fd = address::encode_unix(path)
                .and_then(|address| client::connect_unix(&address))
                .map_err(failed)?;
            let local = address::local_unix_endpoint(&fd).map_err(failed)?;
            return Ok(DatagramSocket {
                socket: Socket::new(fd),
                endpoint: local,
                local_addr: None,
                receives_pktinfo: false,
                unconnected_target: None,
                _file: None,
            });
        }
        let unresolvable =
            |source| ConnectError::Unresolvable { endpoint: endpoint.clone(), source };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in endpoint.resolve().await.map_err(unresolvable)? {
            match client::connect_inet(address) {
                Ok(client) => return Ok(client),
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    fn new_inet(fd: OwnedFd, endpoint: Endpoint, local: SocketAddr) -> DatagramSocket {
        let (socket, local) = (Socket::new(fd), Some(local));
        DatagramSocket {
            socket,
            endpoint,
            local_addr: local,
            receives_pktinfo: false,
            unconnected_target: None,
            _file: None,
        }
    }

    /// Makes a socket that is bound, and has the kernel tell of each datagram where it was sent if that is in doubt.
    fn new_server(
        fd: OwnedFd,
        endpoint: Endpoint,
        local: SocketAddr,
    ) -> io::Result<DatagramSocket> {
        let mut server = DatagramSocket::new_inet(fd, endpoint, local);
        server.receives_pktinfo = local.ip().is_unspecified();
        match (server.receives_pktinfo, local) {
            (false, _) => {}
            (true, SocketAddr::V4(_)) => setsockopt(&server, Ipv4PacketInfo, &true)?,
            (true, SocketAddr::V6(_)) => setsockopt(&server, Ipv6RecvPacketInfo, &true)?,
        }
        Ok(server)
    }

    /// Returns where the socket itself is bound, with its real port or abstract name.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Receives the next datagram: how many of its bytes are in `buf`, and who sent it.
    ///
    /// What does not fit `buf` is lost; a datagram may be empty. The future may be dropped at any
    /// time: what was not returned was not received.
    ///
    /// # Errors
    ///
    /// A socket that is bound only reports nothing of its peers. A connected one fails with
    /// [`io::ErrorKind::ConnectionRefused`] once the other machine has said that nobody is there;
    /// it stays usable.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, Peer)> {
        let (_, length, from) =
            self.socket.read_with(|fd| recvfrom(fd, &mut *buf, RecvFlags::empty())).await?;
        Ok((length, address::decode_peer(from)))
    }

    /// Receives without waiting, like [`recv_from`](DatagramSocket::recv_from), to empty the queue
    /// in batches.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] when the queue is empty.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, Peer)> {
        let (_, length, from) =
            self.socket.retry_on_intr(|fd| recvfrom(fd, &mut *buf, RecvFlags::empty()))?;
        Ok((length, address::decode_peer(from)))
    }

    /// Sends one datagram to a peer, as [`recv_from`](DatagramSocket::recv_from) told it.
    ///
    /// Over UDP it waits for room in our own send buffer. Over Unix sockets the room is the
    /// receiver's, whose readiness nobody tells: rather than let one slow receiver stall the
    /// sender, it fails at once.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] when a Unix receiver's queue is full (where UDP
    /// would lose the datagram), with [`io::ErrorKind::InvalidInput`] for a peer without a name,
    /// and with the kernel's error when the datagram is too large or its receiver is known to be
    /// gone.
    pub async fn send_to(&self, bytes: &[u8], peer: &Peer) -> io::Result<()> {
        loop {
            match (self.try_send_to(bytes, peer), peer) {
                (Err(error), Peer::Inet(_)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.writable().await?;
                }
                (tried, _) => return tried,
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
                "a peer without a name cannot be answered",
            )),
        };
        sent.map(drop)
    }

    /// Sends one datagram to the server that the socket is connected to; waits for room if need be.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::ConnectionRefused`] once the server is known not to be there,
    /// and with the kernel's error when the socket is not connected or the datagram is too large.
    pub async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let flags = SendFlags::NOSIGNAL;
        let send = |fd: BorrowedFd<'_>| match &self.unconnected_target {
            Some(many) => sendto(fd, bytes, flags, many),
            None => send(fd, bytes, flags),
        };
        self.socket.write_with(send).await.map(drop)
    }

    /// Receives the next datagram like [`recv_from`](DatagramSocket::recv_from), without saying
    /// from whom.
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

    fn is_v6(&self) -> bool {
        self.local_addr.is_some_and(|local| local.is_ipv6())
    }

    /// Undoes what [`Peer`] does to the addresses of IPv4 peers, for a socket that knows IPv6
    /// addresses only.
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
    rustix::net::socket_with(
        family,
        SocketType::DGRAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )
}

pub(crate) mod batch;
pub(crate) mod client;
pub(crate) mod multicast;
pub(crate) mod reuseport;
pub(crate) mod timestamps;

#[cfg(test)]
mod tests;
