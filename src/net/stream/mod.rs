//! A connection over TCP or a Unix socket.

pub(crate) mod connect;
#[cfg(feature = "testing")]
pub(crate) mod duplex;
pub(crate) mod options;
pub(crate) mod splice;
pub(crate) mod transport;
pub(crate) mod write_queue;

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::net::endpoint::Endpoint;
use crate::net::error::ConnectError;
use crate::net::peer::Peer;
use crate::net::socket::Socket;
use crate::net::stream::connect::{connect_endpoint, with_timeout};
#[cfg(feature = "testing")]
use crate::net::stream::duplex::DuplexEnd;
use crate::net::stream::transport::{StreamWriter, Transport};

/// The largest amount of unread input that [`Stream::close`] reads and drops, in bytes.
const MAX_LINGER_BYTES: usize = 64 * 1024;

/// The length of the read buffer that all streams of a thread share, in bytes.
const READ_BUFFER_LEN: usize = 16 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A connection.
///
/// Every operation tries the system call first, and registers with the reactor only if it has to
/// wait. So a short exchange costs only its own system calls. A loop of operations that are always
/// ready never yields to the executor, and has to yield itself.
///
/// All methods take `&self`: a reader and a writer may run side by side in one task, or share an
/// [`Arc`](std::sync::Arc).
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
///     let mut buf = [0; 16];
///     let (read, written) = future::zip(theirs.read(&mut buf), ours.write_all(b"hello")).await;
///     written?;
///     assert_eq!(&buf[..read?], b"hello");
///     # Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Stream {
    transport: Transport,
    peer: Peer,
    is_inet: bool,
}

impl Stream {
    /// Makes a stream of a connected socket. `is_inet` is true for TCP.
    pub(super) fn from_socket(socket: Socket, peer: Peer, is_inet: bool) -> Stream {
        Stream { transport: Transport::Socket(socket), peer, is_inet }
    }

    /// Connects to an endpoint, within `timeout` in total.
    ///
    /// The addresses of a name are tried in the resolver's order. Each of them gets an equal share
    /// of the remaining time. [`Endpoint::Any`] means this machine, as Linux takes the unspecified
    /// addresses. The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]. If a name has several addresses, it is the error of the last one.
    pub async fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<Stream, ConnectError> {
        let (socket, peer) = connect_endpoint(endpoint, timeout).await?;
        Ok(Stream::from_socket(socket, peer, !matches!(endpoint, Endpoint::Unix(_))))
    }

    /// Creates two connected Unix sockets, for tests of a session.
    ///
    /// # Errors
    ///
    /// Fails if the process is out of file descriptors.
    pub fn pair() -> io::Result<(Stream, Stream)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (first, second) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let stream = |fd| Stream::from_socket(Socket::new(fd), Peer::Unix(None), false);
        Ok((stream(first), stream(second)))
    }

    /// Creates the two ends of a connection in memory. Each direction buffers at most `capacity`
    /// bytes (at least 1).
    ///
    /// The streams have no descriptor and no address, and ignore socket options.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockactors::net::Stream;
    ///
    /// let (ours, theirs) = Stream::duplex(4);
    /// smol::block_on(async {
    ///     assert_eq!(ours.write(b"hello").await?, 4);
    ///     drop(ours);
    ///     let mut buf = [0; 16];
    ///     assert_eq!(theirs.read(&mut buf).await?, 4);
    ///     assert_eq!(theirs.read(&mut buf).await?, 0);
    ///     assert!(theirs.write(b"?").await.is_err());
    ///     # Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(feature = "testing")]
    pub fn duplex(capacity: usize) -> (Stream, Stream) {
        let (first, second) = DuplexEnd::pair(capacity);
        let stream = |end| Stream {
            transport: Transport::Duplex(end),
            peer: Peer::Unix(None),
            is_inet: false,
        };
        (stream(first), stream(second))
    }

    /// Returns the address of the other end. It is known from the start, and stays known after the
    /// peer has gone.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Reads up to `buf.len()` bytes, and waits for the first one if necessary.
    ///
    /// Returns 0 at the end of the stream, or if `buf` is empty. The future may be dropped at any
    /// time: bytes that it has not returned are still unread.
    ///
    /// # Errors
    ///
    /// Fails if the connection has failed, for example with [`io::ErrorKind::ConnectionReset`].
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.transport.read(buf).await
    }

    /// Reads like [`read`](Stream::read), without waiting.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] if there is nothing to read, and if the connection
    /// has failed.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.transport.try_read(buf)
    }

    /// Reads without waiting into a buffer that all streams of the thread share, and passes the
    /// bytes to `consume`. So an idle connection holds no buffer.
    ///
    /// # Errors
    ///
    /// Fails like [`try_read`](Stream::try_read).
    pub fn try_read_with(&self, consume: impl FnOnce(&[u8])) -> io::Result<usize> {
        READ_BUFFER.with_borrow_mut(|buf| {
            buf.resize(READ_BUFFER_LEN, 0);
            let length = self.try_read(buf)?;
            consume(&buf[..length]);
            Ok(length)
        })
    }

    /// Returns the number of unread bytes that have arrived. It is 0 at the end of the stream, and
    /// always 0 on a stream in memory.
    ///
    /// # Errors
    ///
    /// Fails if the kernel refuses the request. This does not happen for an open socket.
    pub fn readable_bytes(&self) -> io::Result<usize> {
        self.transport.readable_bytes()
    }

    /// Waits until a read would not block. The end of the stream and an error count as readable.
    ///
    /// It always registers with the reactor. The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// Fails if the reactor cannot register the socket, because descriptors or memory have run out.
    pub async fn readable(&self) -> io::Result<()> {
        self.transport.readable().await
    }

    /// Waits until a write would not block. An error counts as writable.
    ///
    /// It always registers with the reactor, and any number of tasks may wait. The future may be
    /// dropped at any time.
    ///
    /// # Errors
    ///
    /// Fails if the reactor cannot register the socket, because descriptors or memory have run out.
    pub async fn writable(&self) -> io::Result<()> {
        self.transport.writable().await
    }

    /// Polls for readability. It wakes one task at a time.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_readable(cx)
    }

    /// Polls for writability. It wakes one task at a time.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_writable(cx)
    }

    /// Blocks the current thread until the stream is readable or `timeout` has passed, and returns
    /// whether it is readable. The thread must be one that may block.
    ///
    /// The end of the stream counts as readable. A stream in memory never counts as readable.
    pub fn block_until_readable(&self, timeout: Duration) -> bool {
        let Some(socket) = self.socket_fd() else { return false };
        let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        let timeout = Timespec::try_from(timeout).ok();
        // A signal may interrupt the wait, which then starts again.
        let ready = rustix::io::retry_on_intr(|| poll(&mut fds, timeout.as_ref()));
        ready.is_ok_and(|ready| ready > 0)
    }

    /// Returns whether the connection has failed, or is closed in both directions. A peer that has
    /// only shut down its write side still reads, and does not count.
    pub fn is_disconnected(&self) -> bool {
        self.transport.is_disconnected()
    }

    /// Writes at least one byte of a non-empty `buf`, and waits for buffer space if necessary.
    /// Returns the number of bytes written.
    ///
    /// If the peer has gone, the result is an error and never SIGPIPE. The future may be dropped at
    /// any time: bytes that it has not reported are not written.
    ///
    /// # Errors
    ///
    /// Fails if the connection has failed, for example with [`io::ErrorKind::BrokenPipe`].
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.transport.write(buf).await
    }

    /// Writes without waiting, and returns the number of bytes written.
    ///
    /// # Errors
    ///
    /// Fails like [`try_write_vectored`](Stream::try_write_vectored).
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(buf)])
    }

    /// Writes from several buffers with one system call, without waiting. Returns the number of
    /// bytes written.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] if the send buffer is full, and like
    /// [`write`](Stream::write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.transport.try_write_vectored(bufs)
    }

    /// Writes all of `buf`.
    ///
    /// # Cancel safety
    ///
    /// This method is not cancel-safe: if the future is dropped, the number of written bytes is
    /// unknown. Race it with a deadline only if the connection is closed when the deadline wins.
    ///
    /// # Errors
    ///
    /// Fails like [`write`](Stream::write).
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

    /// Returns a second handle that can only write. Its user and the owner of the stream must agree
    /// on who writes, so that lines are not mixed.
    pub(crate) fn writer(&self) -> StreamWriter {
        self.transport.writer()
    }

    /// Shuts down the write side: the peer reads everything that was written, and then the end of
    /// the stream. Reading continues.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::NotConnected`] if the connection has already ended.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.transport.shutdown_write()
    }

    /// Closes the connection without destroying what was written last.
    ///
    /// If a socket with unread input is closed, the kernel sends a reset (RFC 2525 section 2.17). A
    /// reset destroys bytes on their way to the peer. On many systems it also destroys bytes that
    /// the peer has received but not read. So the write side is shut down first. Unread input is
    /// then read and dropped until the peer shuts down, too: at most 64 KiB, and for at most
    /// `linger`. Without unread input the method returns at once, and does not register with the
    /// reactor.
    ///
    /// Input that arrives later still causes a reset, but after the end of the stream. A Linux peer
    /// reads to that end without an error. A protocol that must exclude the reset lets the client
    /// close first.
    ///
    /// # Errors
    ///
    /// Fails if the peer has reset the connection, and so may not have read everything. The error
    /// is [`io::ErrorKind::NotConnected`], or [`io::ErrorKind::ConnectionReset`] if the reset
    /// arrives while input is dropped. The socket is closed in any case.
    pub async fn close(self, linger: Duration) -> io::Result<()> {
        self.linger_close(linger).await
    }

    /// Does the work of [`Stream::close`] except for closing the socket, which its owner drops.
    pub(crate) async fn linger_close(&self, linger: Duration) -> io::Result<()> {
        if self.try_close()? {
            return Ok(());
        }
        match with_timeout(linger, self.discard_input()).await {
            // The peer did not shut down in time.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
            done => done,
        }
    }

    /// Shuts down the write side, and returns whether the socket can be closed at once because
    /// there is no unread input.
    ///
    /// The order matters. If the check came first, input could arrive between the check and the
    /// close. The peer would then read a reset instead of the end of the stream.
    pub(crate) fn try_close(&self) -> io::Result<bool> {
        self.shutdown_write()?;
        Ok(self.readable_bytes()? == 0)
    }

    /// Reads and drops input until the end of the stream, or up to [`MAX_LINGER_BYTES`].
    async fn discard_input(&self) -> io::Result<()> {
        let mut dropped = 0;
        while dropped < MAX_LINGER_BYTES {
            // The thread's buffer keeps the future of every connection small.
            match self.try_read_with(|_| {}) {
                Ok(0) => break,
                Ok(length) => dropped += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns the socket's descriptor, for options that this type does not offer. A stream in
    /// memory has none.
    pub fn socket_fd(&self) -> Option<BorrowedFd<'_>> {
        self.transport.socket().map(AsFd::as_fd)
    }

    /// Returns the socket if it is a TCP socket.
    fn inet_socket(&self) -> Option<&Socket> {
        if self.is_inet { self.transport.socket() } else { None }
    }

    #[cfg(test)]
    pub(super) fn is_registered(&self) -> bool {
        self.transport.socket().is_some_and(Socket::is_registered)
    }
}

#[cfg(test)]
mod tests;
