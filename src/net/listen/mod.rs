//! Sockets that listen for connections, over TCP and over Unix paths.

use super::socket::Socket;
use super::{BindError, Endpoint, Stream, address};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Shutdown, SocketAddrAny, SocketFlags, SocketType, accept_with, acceptfrom_with,
    sockopt,
};
use socket_file::SocketFile;
use spare_fd::SpareFd;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A socket that listens.
///
/// Dropping it closes the socket and removes the file of a Unix socket, if the file is still the
/// one that [`bind`](ListeningSocket::bind) made.
///
/// # Examples
///
/// ```
/// use sockactors::net::{Endpoint, ListeningSocket, Stream};
/// use std::time::Duration;
///
/// # smol::block_on(async {
/// let socket = ListeningSocket::bind(&"127.0.0.1:0".parse().unwrap(), 128).await?;
/// assert_ne!(socket.endpoint().to_string(), "127.0.0.1:0");
///
/// let client = Stream::connect(socket.endpoint(), Duration::from_secs(5)).await.unwrap();
/// let server = socket.accept().await.unwrap();
/// assert!(server.peer().is_loopback());
/// # Ok::<(), sockactors::net::BindError>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct ListeningSocket {
    /// Stands first, hence goes first: while the socket is open, no other file can get its inode.
    _file: Option<SocketFile>,
    socket: Socket,
    endpoint: Endpoint,
    backlog: i32,
    /// The address of a TCP socket.
    local_addr: Option<SocketAddr>,
    spare_fd: SpareFd,
}

impl ListeningSocket {
    /// Binds a socket and lets it listen, for at most `backlog` connections that were not accepted
    /// yet.
    ///
    /// Linux cuts the backlog down to `net.core.somaxconn` (listen(2)); a negative one counts as 0,
    /// which still lets one connection wait. Of a name with several addresses the first that can be
    /// bound is taken. TCP sockets get `SO_REUSEADDR`, so that a restart need not wait for old
    /// connections to leave TIME_WAIT. [`Endpoint::Any`] listens on IPv6 and IPv4 with one socket,
    /// and on IPv4 alone where the machine has no IPv6. A Unix socket's file is replaced if it is a
    /// socket that refuses connections, which means that its server is gone.
    ///
    /// # Errors
    ///
    /// See [`BindError`]; of several addresses it is the last one's error.
    pub async fn bind(endpoint: &Endpoint, backlog: i32) -> Result<ListeningSocket, BindError> {
        let other = |error: io::Error| BindError::new(endpoint, error);
        let listen = |fd: &OwnedFd| {
            rustix::net::listen(fd, backlog.max(0)).map_err(|error| other(error.into()))
        };
        if let Endpoint::Unix(path) = endpoint {
            let (fd, file) = socket_file::bind(endpoint, path, SocketType::STREAM)?;
            listen(&fd)?;
            return Ok(ListeningSocket {
                socket: Socket::new(fd),
                endpoint: endpoint.clone(),
                backlog: backlog.max(0),
                local_addr: None,
                spare_fd: SpareFd::new(),
                _file: file,
            });
        }
        let fd = bind_inet(endpoint, BindPurpose::Stream).await?;
        listen(&fd)?;
        let local = address::local_addr(&fd).map_err(other)?;
        Ok(ListeningSocket {
            socket: Socket::new(fd),
            endpoint: endpoint.with_bound_address(local),
            backlog: backlog.max(0),
            local_addr: Some(local),
            spare_fd: SpareFd::new(),
            _file: None,
        })
    }

    /// Returns where the socket listens, with the real port if port 0 was asked for and the address
    /// that a name resolved to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Refuses TCP connections from now on, those that wait to be accepted too, without giving up the
    /// address: a server that drains says so at its door.
    ///
    /// A Unix socket whose door is closed could never open it again, so there connections go on to
    /// wait, and end with the socket.
    ///
    /// # Errors
    ///
    /// What shutdown(2) says, where the socket does not listen.
    pub fn stop_listening(&self) -> io::Result<()> {
        match self.local_addr {
            Some(_) => Ok(rustix::net::shutdown(&self.socket, Shutdown::Read)?),
            None => Ok(()),
        }
    }

    /// Listens again after [`close_door`](ListeningSocket::stop_listening), and does nothing otherwise.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::AddrInUse`] where the kernel chose the port and somebody else has got it since the
    /// door was closed, and with what listen(2) says.
    pub fn resume_listening(&self) -> io::Result<()> {
        // The kernel takes back a port that it chose itself when the door closes; a socket that still
        // has its address refuses to be bound again, and needs not. One that has lost it must not
        // listen, since the kernel would choose another port then, on every interface.
        let bound = self.local_addr.map(|local| rustix::net::bind(&self.socket, &local));
        if bound == Some(Err(Errno::ADDRINUSE)) {
            let taken = format!("somebody else listens at {} by now", self.endpoint);
            return Err(io::Error::new(io::ErrorKind::AddrInUse, taken));
        }
        Ok(rustix::net::listen(&self.socket, self.backlog)?)
    }

    /// Accepts the next connection.
    ///
    /// A connection that waits already is taken without a wait, and without yielding to the
    /// executor. The future may be dropped at any time: a connection is either returned or stays in
    /// the queue.
    ///
    /// # Errors
    ///
    /// No error of `accept` ends a listening socket: ask [`classify`](super::classify) what to do, and go on.
    pub async fn accept(&self) -> io::Result<Stream> {
        Ok(self.wrap_accepted(self.socket.read_with(accept_fd).await?))
    }

    /// Waits until a connection waits, or has been waiting all along: asked again before all of them were accepted, it
    /// is ready again. So nobody need accept in vain to learn that there are no more.
    ///
    /// It always joins the reactor. The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// Fails when the reactor cannot take the socket, because descriptors or memory have run out.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Accepts a connection that waits already.
    ///
    /// # Errors
    ///
    /// As those of [`accept`](ListeningSocket::accept), and [`io::ErrorKind::WouldBlock`] where none waits.
    pub fn try_accept(&self) -> io::Result<Stream> {
        Ok(self.wrap_accepted(self.socket.retry_on_intr(accept_fd)?))
    }

    /// Returns how many connections wait at most: Linux lets one more wait than it is told.
    pub fn max_pending(&self) -> usize {
        usize::try_from(self.backlog).unwrap_or_default() + 1
    }

    fn wrap_accepted(&self, (fd, peer): (OwnedFd, Option<SocketAddrAny>)) -> Stream {
        // The address that came with the connection is used: asking again fails once the peer has
        // reset it.
        Stream::from_socket(Socket::new(fd), address::decode_peer(peer), self.local_addr.is_some())
    }

    /// Closes the connections that wait, at most so many, and returns how many that were: for when descriptors have run
    /// out, so that nobody waits for what will not come soon.
    ///
    /// It uses a descriptor that each listening socket keeps in reserve for this.
    pub fn reject_pending(&self, most: usize) -> usize {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accept = || self.socket.retry_on_intr(|socket| accept_with(socket, flags)).map(drop);
        let turned_away = (0..most).map_while(|_| self.spare_fd.with_spare(accept));
        turned_away.take_while(Result::is_ok).count()
    }

    #[cfg(test)]
    pub(super) fn is_registered(&self) -> bool {
        self.socket.is_registered()
    }
}

fn accept_fd(socket: BorrowedFd<'_>) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
}

impl AsFd for ListeningSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What a socket is bound for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BindPurpose {
    Stream,
    Datagram,
    /// Datagrams that others are to share, too, once this socket has the address.
    FirstSharedDatagram,
    /// Datagrams that several sockets of one address share.
    SharedDatagram,
}

/// Binds a socket to the first of the endpoint's addresses that can be bound.
pub(super) async fn bind_inet(
    endpoint: &Endpoint,
    purpose: BindPurpose,
) -> Result<OwnedFd, BindError> {
    let unresolvable = |source| BindError::Unresolvable { endpoint: endpoint.clone(), source };
    let dual = matches!(endpoint, Endpoint::Any(_));
    let mut last = Errno::ADDRNOTAVAIL;
    for address in endpoint.resolve().await.map_err(unresolvable)? {
        match bind_address(address, purpose, dual) {
            Ok(fd) => return Ok(fd),
            // A port that is taken must not become one that listens on IPv4 alone.
            Err(error) if dual && !matches!(error, Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
                return Err(BindError::new(endpoint, error.into()));
            }
            Err(error) => last = error,
        }
    }
    Err(BindError::new(endpoint, last.into()))
}

pub(super) fn bind_address(
    address: SocketAddr,
    purpose: BindPurpose,
    dual: bool,
) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = match purpose {
        BindPurpose::Stream => SocketType::STREAM,
        BindPurpose::Datagram | BindPurpose::FirstSharedDatagram | BindPurpose::SharedDatagram => {
            SocketType::DGRAM
        }
    };
    let fd =
        rustix::net::socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    match purpose {
        BindPurpose::Stream => sockopt::set_socket_reuseaddr(&fd, true)?,
        // The option would let two servers share a port, and starve one of them.
        BindPurpose::Datagram | BindPurpose::FirstSharedDatagram => {}
        BindPurpose::SharedDatagram => sockopt::set_socket_reuseport(&fd, true)?,
    }
    if dual && address.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, false)?;
    }
    rustix::net::bind(&fd, &address)?;
    if purpose == BindPurpose::FirstSharedDatagram {
        sockopt::set_socket_reuseport(&fd, true)?;
    }
    Ok(fd)
}

pub(crate) mod accept_error;
pub(crate) mod socket_file;
pub(crate) mod spare_fd;

#[cfg(test)]
mod tests;
