//! What carries a stream's bytes: a socket, or in tests two pipes in memory.
//!
//! A stream's methods say what they promise; here is how each kind keeps it. Without the feature `testing` there is
//! one kind, so that nothing is decided and nothing is paid.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, send, sendmsg, shutdown,
};

use crate::net::socket::Socket;
#[cfg(feature = "testing")]
use crate::net::stream::duplex::DuplexEnd;
use crate::net::stream::writer::StreamWriter;

/// What carries a stream's bytes.
#[derive(Debug)]
pub(crate) enum Transport {
    Socket(Socket),
    #[cfg(feature = "testing")]
    Duplex(DuplexEnd),
}

impl Transport {
    /// Returns the socket, where there is one.
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
                // The kernel is quicker with one buffer than with a list of one.
                [one] => send(fd, one, SendFlags::NOSIGNAL),
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

    /// Waits until a read makes sense. Dropping the future loses nothing.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Transport::Socket(socket) => socket.readable().await,
            #[cfg(feature = "testing")]
            Transport::Duplex(end) => std::future::poll_fn(|cx| end.poll_readable(cx)).await,
        }
    }

    /// Waits until a write makes sense. Dropping the future loses nothing.
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

    /// Returns how many bytes wait to be read from a socket, which make a close destroy what was written.
    pub(crate) fn readable_bytes(&self) -> io::Result<usize> {
        match self {
            // There is no room for more bytes than this has numbers.
            Transport::Socket(socket) => Ok(rustix::io::ioctl_fionread(socket)? as usize),
            #[cfg(feature = "testing")]
            Transport::Duplex(_) => Ok(0),
        }
    }
}
