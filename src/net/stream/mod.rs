//! One connection, over TCP or over a Unix socket.

use super::socket::Socket;
use super::{ConnectError, Endpoint, Peer};
use connect::{connect_endpoint, with_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};
use std::time::Duration;
use transport::Transport;

/// How much unread input [`Stream::close`] takes in at most, in bytes.
const MAX_LINGER_BYTES: usize = 64 * 1024;

/// The length of the buffer that the streams of a thread share, in bytes.
const READ_BUFFER_LEN: usize = 16 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One connection.
///
/// Every operation tries the system call first and joins the reactor only when it has to wait. So a
/// short exchange costs nothing but its own calls; and a loop of operations that are always ready
/// never yields to the executor: it has to do so itself.
///
/// All methods take `&self`: a reader and a writer may run side by side in one task, or share an
/// `Arc`.
///
/// # Examples
///
/// ```
/// use futures_lite::future;
/// use sockactors::net::Stream;
///
/// # fn main() -> std::io::Result<()> {
/// let (ours, theirs) = Stream::pair()?;
/// smol::block_on(async {
///     let mut heard = [0; 16];
///     let (read, written) = future::zip(theirs.read(&mut heard), ours.write_all(b"hello")).await;
///     written?;
///     assert_eq!(&heard[..read?], b"hello");
///     # Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Stream {
    pub(super) transport: Transport,
    peer: Peer,
    inet: bool,
}

impl Stream {
    pub(super) fn new(transport: Transport, peer: Peer, inet: bool) -> Stream {
        Stream { transport, peer, inet }
    }

    pub(super) fn from_socket(socket: Socket, peer: Peer, inet: bool) -> Stream {
        Stream::new(Transport::Socket(socket), peer, inet)
    }

    /// Connects to an endpoint, within the given time in all.
    ///
    /// The addresses of a name are tried in the resolver's order; each gets an equal share of the
    /// time that is left. [`Endpoint::Any`] means this machine, as Linux takes the unspecified
    /// addresses. The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]; of several addresses it is the last one's error.
    pub async fn connect(endpoint: &Endpoint, within: Duration) -> Result<Stream, ConnectError> {
        let (socket, peer) = connect_endpoint(endpoint, within).await?;
        Ok(Stream::from_socket(socket, peer, !matches!(endpoint, Endpoint::Unix(_))))
    }

    /// Makes two Unix sockets that are connected to each other, as a test of a session needs them.
    ///
    /// # Errors
    ///
    /// Fails when the process has no descriptors left.
    pub fn pair() -> io::Result<(Stream, Stream)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let stream = |fd| Stream::from_socket(Socket::new(fd), Peer::Unix(None), false);
        Ok((stream(one), stream(other)))
    }

    /// Returns who is at the other end. It is known from the start, also after the peer has gone.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Reads what is there, at most `buf.len()` bytes; waits for the first one if need be.
    ///
    /// 0 means that the peer has ended its side, or that `buf` is empty. The future may be dropped
    /// at any time: what was not returned was not read.
    ///
    /// # Errors
    ///
    /// Fails when the connection has failed, for instance with [`io::ErrorKind::ConnectionReset`].
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.transport.read(buf).await
    }

    /// Reads without waiting, like [`read`](Stream::read).
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] when nothing is there, and when the connection has
    /// failed.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.transport.try_read(buf)
    }

    /// Returns how many bytes wait to be read, which are none at the end of the stream; always none of a stream in memory.
    ///
    /// # Errors
    ///
    /// Fails when the kernel refuses, which it does for no live socket.
    pub fn readable_bytes(&self) -> io::Result<usize> {
        self.transport.readable_bytes()
    }

    /// Waits until a read would not block, which the end of the stream and an error also cause.
    ///
    /// It always joins the reactor. The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// Fails when the reactor cannot take the socket, because descriptors or memory have run out.
    pub async fn readable(&self) -> io::Result<()> {
        self.transport.readable().await
    }

    /// Reads without waiting into a buffer that the thread's streams share, and hands what came to `take`;
    /// so a connection that waits holds no buffer. Otherwise, and in its errors, like
    /// [`try_read`](Stream::try_read).
    pub fn try_read_with(&self, take: impl FnOnce(&[u8])) -> io::Result<usize> {
        READ_BUFFER.with_borrow_mut(|buf| {
            buf.resize(READ_BUFFER_LEN, 0);
            let length = self.try_read(buf)?;
            take(&buf[..length]);
            Ok(length)
        })
    }

    /// Is ready once a read would not block. One task at a time is woken.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_readable(cx)
    }

    /// Is ready once a write would not block. One task at a time is woken.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_writable(cx)
    }

    /// Writes without waiting, as much as there is room for.
    ///
    /// # Errors
    ///
    /// As [`try_write_vectored`](Stream::try_write_vectored).
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(buf)])
    }

    /// Writes from several buffers in one call, without waiting; returns how many bytes were taken.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] when there is no room, and as [`write`](Stream::write) does.
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.transport.try_write_vectored(bufs)
    }

    /// Writes as much as there is room for, at least one byte of a `buf` that is not empty; waits
    /// for room if need be.
    ///
    /// A peer that is gone is an error and never a SIGPIPE. The future may be dropped at any time:
    /// what was not returned was not written.
    ///
    /// # Errors
    ///
    /// Fails when the connection has failed, for instance with [`io::ErrorKind::BrokenPipe`].
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.transport.write(buf).await
    }

    /// Writes everything.
    ///
    /// **Not cancel-safe**: nobody knows how much was written when the future is dropped. Race it
    /// with a deadline only if the connection ends when the deadline wins.
    ///
    /// # Errors
    ///
    /// Fails as [`write`](Stream::write) does.
    pub async fn write_all(&self, mut buf: &[u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let written = self.write(buf).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            buf = &buf[written..];
        }
        Ok(())
    }

    /// Ends our side: the peer reads what was written, and then the end of the stream. Reading goes
    /// on.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::NotConnected`] when the connection has ended already.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.transport.shutdown_write()
    }

    /// Closes politely, so that the peer can still read what was written last.
    ///
    /// A socket that is closed with unread input makes the kernel send a reset (RFC 2525 section
    /// 2.17). A reset destroys what is still on its way to the peer, on many systems also what the
    /// peer has received and not read yet. So our side is ended first, and where unread input waits, it
    /// is taken in and dropped until the peer ends its side, too, at most 64 KiB and for at most
    /// `linger`. With no unread input this returns at once and without joining the reactor. Input
    /// that arrives later still causes a reset, behind the end of our side: a Linux peer reads to that
    /// end without an error. A protocol that must exclude it lets the client close first.
    ///
    /// # Errors
    ///
    /// Fails when it is seen that the peer has reset the connection (with [`io::ErrorKind::NotConnected`], or
    /// with [`io::ErrorKind::ConnectionReset`] if that happens while input is dropped), in which case it
    /// may not have read everything. The socket is closed in any case.
    pub async fn close(self, linger: Duration) -> io::Result<()> {
        self.linger_close(linger).await
    }

    /// Does what [`Stream::close`] does before the socket goes, for one that goes with its owner.
    pub(crate) async fn linger_close(&self, linger: Duration) -> io::Result<()> {
        if self.try_close()? {
            return Ok(());
        }
        match with_timeout(linger, self.discard_input()).await {
            // The peer had its time.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
            done => done,
        }
    }

    /// Ends our side, and returns whether the socket may go at once, since nothing is unread.
    ///
    /// In this order: input that came after a look for it, and before an end that only the close tells, would
    /// have the peer read a reset and no end.
    pub(crate) fn try_close(&self) -> io::Result<bool> {
        self.shutdown_write()?;
        Ok(self.readable_bytes()? == 0)
    }

    /// Reads and drops until the end of the stream, or the most that closing takes in.
    async fn discard_input(&self) -> io::Result<()> {
        let mut dropped = 0;
        while dropped < MAX_LINGER_BYTES {
            // The shared buffer is no part of every connection's future.
            match self.try_read_with(|_| {}) {
                Ok(0) => break,
                Ok(length) => dropped += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns the socket, for those options that this type does not know. A stream in memory has none.
    pub fn socket_fd(&self) -> Option<BorrowedFd<'_>> {
        self.transport.socket().map(AsFd::as_fd)
    }

    /// Returns the socket if it is one of the internet's.
    fn inet_socket(&self) -> Option<&Socket> {
        if self.inet { self.transport.socket() } else { None }
    }

    #[cfg(test)]
    pub(super) fn is_registered(&self) -> bool {
        self.transport.socket().is_some_and(Socket::is_registered)
    }
}

pub(crate) mod connect;
#[cfg(feature = "testing")]
pub(crate) mod duplex;
pub(crate) mod options;
pub(crate) mod splice;
pub(crate) mod transport;
pub(crate) mod writer;

#[cfg(test)]
mod tests;
