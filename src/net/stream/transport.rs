//! The transport of a stream: a socket, or in tests two buffers in memory.
//!
//! The methods of [`Stream`](crate::net::Stream) document the behaviour. This file implements it
//! for each transport. Without the feature `testing` there is only one, so the choice costs
//! nothing.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, send, sendmsg, shutdown,
};

use crate::net::socket::Socket;
#[cfg(feature = "testing")]
use crate::net::stream::duplex::{DuplexBuffer, DuplexEnd};

/// The transport of a stream.
#[derive(Debug)]
pub(crate) enum Transport {
    Socket(Socket),
    #[cfg(feature = "testing")]
    Duplex(DuplexEnd),
}

impl Transport {
    /// Returns the socket, if the transport is one.
    pub(crate) fn socket(&self) -> Option<&Socket> {
        match self {
            Transport::Socket(socket) => Some(socket),
            #[cfg(feature = "testing")]
            Transport::Duplex(_) => None,
        }
    }

    pub(crate) fn writer(&self) -> StreamWriter {
        match self {
            Transport::Socket(socket) => StreamWriter::Socket(socket.shared_fd()),
            #[cfg(feature = "testing")]
            Transport::Duplex(end) => StreamWriter::Duplex(end.output()),
        }
    }

    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Socket(socket) => socket
                .retry_on_intr(|fd| recv(fd, &mut *buf, RecvFlags::empty()))
                .map(|(_, length)| length),
            #[cfg(feature = "testing")]
            Transport::Duplex(end) => end.try_read(buf),
        }
    }

    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Socket(socket) => {
                socket.retry_on_intr(|fd| send(fd, buf, SendFlags::NOSIGNAL))
            }
            #[cfg(feature = "testing")]
            Transport::Duplex(end) => end.try_write(&[IoSlice::new(buf)]),
        }
    }

    pub(crate) fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Transport::Socket(socket) => socket.retry_on_intr(|fd| match bufs {
                // `send` with one buffer is faster than `sendmsg` with a list of one.
                [buf] => send(fd, buf, SendFlags::NOSIGNAL),
                _ => sendmsg(fd, bufs, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL),
            }),
            #[cfg(feature = "testing")]
            Transport::Duplex(end) => end.try_write(bufs),
        }
    }

    pub(crate) async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.try_read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable().await?,
                done => return done,
            }
        }
    }

    pub(crate) async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        loop {
            match self.try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                done => return done,
            }
        }
    }

    /// Waits until the transport is readable. The future may be dropped at any time.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Transport::Socket(socket) => socket.readable().await,
            #[cfg(feature = "testing")]
            Transport::Duplex(end) => std::future::poll_fn(|cx| end.poll_readable(cx)).await,
        }
    }

    /// Waits until the transport is writable. The future may be dropped at any time.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Transport::Socket(socket) => socket.writable().await,
            #[cfg(feature = "testing")]
            Transport::Duplex(end) => std::future::poll_fn(|cx| end.poll_writable(cx)).await,
        }
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Socket(socket) => socket.poll_readable(cx),
            #[cfg(feature = "testing")]
            Transport::Duplex(end) => end.poll_readable(cx),
        }
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Socket(socket) => socket.poll_writable(cx),
            #[cfg(feature = "testing")]
            Transport::Duplex(end) => end.poll_writable(cx),
        }
    }

    /// Returns whether the connection has failed or is closed in both directions.
    pub(crate) fn is_disconnected(&self) -> bool {
        match self {
            Transport::Socket(socket) => {
                let mut fds = [PollFd::new(socket, PollFlags::empty())];
                // Errors and hang-ups are always reported.
                poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
            }
            #[cfg(feature = "testing")]
            Transport::Duplex(end) => end.output().is_read_closed(),
        }
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Transport::Socket(socket) => Ok(shutdown(socket, Shutdown::Write)?),
            #[cfg(feature = "testing")]
            Transport::Duplex(end) => {
                end.shutdown_write();
                Ok(())
            }
        }
    }

    /// Returns the number of unread bytes in a socket. If there are any, closing the socket
    /// destroys what was written.
    pub(crate) fn readable_bytes(&self) -> io::Result<usize> {
        match self {
            // A receive buffer never holds more bytes than a `usize` can count.
            Transport::Socket(socket) => Ok(rustix::io::ioctl_fionread(socket)? as usize),
            #[cfg(feature = "testing")]
            Transport::Duplex(_) => Ok(0),
        }
    }
}

/// A second handle to a stream, which only writes.
///
/// A task that waits for something to write can lend its stream to the task that has it. The handle
/// costs no descriptor. The connection is closed when both handles are dropped.
#[derive(Debug, Clone)]
pub(crate) enum StreamWriter {
    Socket(Arc<OwnedFd>),
    #[cfg(feature = "testing")]
    Duplex(DuplexBuffer),
}

impl StreamWriter {
    /// Writes without waiting, and returns the number of bytes written.
    ///
    /// # Errors
    ///
    /// Fails like [`Stream::try_write_vectored`](crate::net::Stream::try_write_vectored).
    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            StreamWriter::Socket(fd) => {
                Ok(rustix::io::retry_on_intr(|| send(fd, buf, SendFlags::NOSIGNAL))?)
            }
            #[cfg(feature = "testing")]
            StreamWriter::Duplex(buffer) => buffer.try_write(&[IoSlice::new(buf)]),
        }
    }
}
