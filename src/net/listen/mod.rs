//! Listening sockets over TCP and Unix paths.

pub(crate) mod accept_error;
pub(crate) mod socket_file;
mod spare_fd;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::net::{Shutdown, SocketAddrAny, SocketFlags, SocketType, accept_with, acceptfrom_with};

use crate::net::address;
use crate::net::bind::{
    BindPurpose, Bound, bind_every_address, bind_inet, clamp_backlog, max_pending,
};
use crate::net::endpoint::Endpoint;
use crate::net::error::BindError;
use crate::net::listen::socket_file::SocketFile;
use crate::net::listen::spare_fd::SpareFd;
use crate::net::listen_address::ListenAddress;
use crate::net::socket::Socket;
use crate::net::stream::Stream;

/// A listening socket.
///
/// Dropping it closes the socket. It also removes the file of a Unix socket, if the file is still
/// the one that [`bind`](ListeningSocket::bind) created.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use sockactors::net::{Endpoint, ListeningSocket, Stream};
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
    /// The first field, so it is dropped first: while the socket is open, no new file can have its
    /// inode.
    _file: Option<SocketFile>,
    socket: Socket,
    endpoint: Endpoint,
    backlog: i32,
    /// The address of a TCP socket.
    local_addr: Option<SocketAddr>,
    spare_fd: SpareFd,
}

impl ListeningSocket {
    /// Binds a socket and starts to listen. At most `backlog` connections can wait to be accepted.
    ///
    /// Linux limits the backlog to `net.core.somaxconn` (listen(2)). A negative backlog counts as
    /// 0, which still lets one connection wait. If a name has several addresses, the first one that
    /// can be bound is used. [`Endpoint::Any`] listens on IPv6 and IPv4 with one socket, and on
    /// IPv4 alone if the machine has no IPv6.
    ///
    /// TCP sockets get `SO_REUSEADDR`, so that a restart need not wait for old connections to leave
    /// TIME_WAIT. The file of a Unix socket is replaced if it is a socket that refuses connections,
    /// because its server is gone then.
    ///
    /// # Errors
    ///
    /// See [`BindError`]. If a name has several addresses, it is the error of the last one.
    pub async fn bind(endpoint: &Endpoint, backlog: i32) -> Result<ListeningSocket, BindError> {
        if let Endpoint::Unix(path) = endpoint {
            return ListeningSocket::bind_unix(endpoint, path, None, backlog);
        }
        let fd = bind_inet(endpoint, BindPurpose::Stream).await?;
        ListeningSocket::listen_inet(fd, endpoint, backlog)
            .map_err(|error| BindError::new(endpoint, error))
    }

    /// Binds a socket to each address of a name, and starts to listen on all of them, with one
    /// common port if the port is 0. Otherwise like [`bind`](ListeningSocket::bind).
    ///
    /// # Errors
    ///
    /// Fails if no address can be bound. Otherwise the result has the errors of the others.
    pub async fn bind_all(
        address: &ListenAddress,
        backlog: i32,
    ) -> Result<Bound<ListeningSocket>, BindError> {
        if let Endpoint::Unix(path) = &address.endpoint {
            let (endpoint, mode) = (&address.endpoint, address.mode);
            let socket = ListeningSocket::bind_unix(endpoint, path, mode, backlog)?;
            return Ok(Bound { sockets: vec![socket], errors: Vec::new() });
        }
        bind_every_address(address, BindPurpose::Stream, |fd, endpoint, _| {
            Ok(vec![ListeningSocket::listen_inet(fd, endpoint, backlog)?])
        })
        .await
    }

    fn bind_unix(
        endpoint: &Endpoint,
        path: &Path,
        mode: Option<u32>,
        backlog: i32,
    ) -> Result<ListeningSocket, BindError> {
        let backlog = clamp_backlog(backlog);
        let (fd, file) = socket_file::bind(endpoint, path, SocketType::STREAM, mode)?;
        rustix::net::listen(&fd, backlog)
            .map_err(|error| BindError::new(endpoint, error.into()))?;
        Ok(ListeningSocket {
            socket: Socket::new(fd),
            endpoint: endpoint.clone(),
            backlog,
            local_addr: None,
            spare_fd: SpareFd::new(),
            _file: file,
        })
    }

    fn listen_inet(fd: OwnedFd, endpoint: &Endpoint, backlog: i32) -> io::Result<ListeningSocket> {
        let backlog = clamp_backlog(backlog);
        rustix::net::listen(&fd, backlog)?;
        let local_addr = address::local_addr(&fd)?;
        Ok(ListeningSocket {
            socket: Socket::new(fd),
            endpoint: endpoint.with_bound_address(local_addr),
            backlog,
            local_addr: Some(local_addr),
            spare_fd: SpareFd::new(),
            _file: None,
        })
    }

    /// Sets the size of the kernel's receive and send buffer of each connection that is accepted
    /// from now on, in bytes (socket(7)). The kernel then no longer sizes them by need.
    ///
    /// # Errors
    ///
    /// Fails if the kernel refuses the size.
    pub fn set_buffer_size(&self, bytes: usize) -> io::Result<()> {
        // The kernel doubles the value, for its own overhead, and counts that against the buffer.
        set_socket_recv_buffer_size(&self.socket, bytes / 2)?;
        set_socket_send_buffer_size(&self.socket, bytes / 2)?;
        Ok(())
    }

    /// Returns the endpoint of the socket: the actual port in place of port 0, and the address in
    /// place of a name.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Refuses TCP connections from now on, including those that wait to be accepted, and keeps the
    /// address. So clients of a draining server are refused at once.
    ///
    /// Does nothing on a Unix socket, which could not listen again. Clients wait until it closes,
    /// or until they give up.
    ///
    /// # Errors
    ///
    /// Fails with the error of shutdown(2) if the socket does not listen.
    pub fn stop_listening(&self) -> io::Result<()> {
        match self.local_addr {
            Some(_) => Ok(rustix::net::shutdown(&self.socket, Shutdown::Read)?),
            None => Ok(()),
        }
    }

    /// Listens again after [`stop_listening`](ListeningSocket::stop_listening). If the socket still
    /// listens, nothing changes.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::AddrInUse`] if the kernel had chosen the port, and another
    /// socket has it now. Fails with the error of bind(2) or listen(2) otherwise.
    pub fn resume_listening(&self) -> io::Result<()> {
        if let Some(local_addr) = self.local_addr {
            if let Err(error) = check_rebind(rustix::net::bind(&self.socket, &local_addr)) {
                let text = format!("cannot listen at {} again: {error}", self.endpoint);
                return Err(io::Error::new(error.kind(), text));
            }
        }
        Ok(rustix::net::listen(&self.socket, self.backlog)?)
    }

    /// Accepts the next connection.
    ///
    /// If a connection is waiting, it is accepted without yielding to the executor. The future may
    /// be dropped at any time: a connection that it has not returned is still in the queue.
    ///
    /// # Errors
    ///
    /// No error of `accept` ends a listening socket. [`classify`](super::classify) tells how to
    /// react before the next call.
    pub async fn accept(&self) -> io::Result<Stream> {
        Ok(self.wrap_accepted(self.socket.read_with(accept_fd).await?))
    }

    /// Waits until a connection can be accepted. The readiness is level-triggered: as long as a
    /// connection is in the queue, the socket is readable. So a caller learns without
    /// a failing `accept` that the queue is empty.
    ///
    /// It always registers with the reactor. The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// Fails if the reactor cannot register the socket, because descriptors or memory have run out.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Accepts a connection without waiting.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] if no connection is in the queue, and like
    /// [`accept`](ListeningSocket::accept).
    pub fn try_accept(&self) -> io::Result<Stream> {
        Ok(self.wrap_accepted(self.socket.retry_on_intr(accept_fd)?))
    }

    /// Returns the largest number of connections that can wait to be accepted.
    pub fn max_pending(&self) -> usize {
        max_pending(self.backlog)
    }

    fn wrap_accepted(&self, (fd, peer): (OwnedFd, Option<SocketAddrAny>)) -> Stream {
        // The address comes from `accept`, because `getpeername` fails after the peer has reset the
        // connection.
        Stream::from_socket(Socket::new(fd), address::decode_peer(peer), self.local_addr.is_some())
    }

    /// Accepts and closes up to `max_count` waiting connections, and returns their number.
    ///
    /// It works even if the process is out of file descriptors, because each listening socket holds
    /// a spare one. So clients do not wait for a server that cannot serve them.
    pub fn reject_pending(&self, max_count: usize) -> usize {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accept = || self.socket.retry_on_intr(|socket| accept_with(socket, flags)).map(drop);
        let results = (0..max_count).map_while(|_| self.spare_fd.with_spare(accept));
        results.take_while(Result::is_ok).count()
    }

    #[cfg(test)]
    pub(super) fn is_registered(&self) -> bool {
        self.socket.is_registered()
    }
}

fn accept_fd(socket: BorrowedFd<'_>) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
}

/// Returns the error of a second bind of a socket after which it must not listen.
///
/// If the kernel chose the port, it takes the port back when the socket stops to listen, and the
/// socket has to be bound again. A socket that still has its address fails with EINVAL. After any
/// other error the socket has no address, and the kernel would choose a port on every interface.
fn check_rebind(bound: Result<(), Errno>) -> io::Result<()> {
    match bound {
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl AsFd for ListeningSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests;
