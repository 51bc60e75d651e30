//! A non-blocking socket that registers with the reactor only if it has to wait.
//!
//! On a fast network most operations find their socket ready: a greeting fits into the send buffer,
//! and a reply has arrived before it is read. A registration would cost two system calls for
//! nothing (`epoll_ctl` to add and to delete). So every operation tries the call first, and
//! registers only after `WouldBlock`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::io::Errno;

use crate::reactor::{Direction, Source};

/// A non-blocking socket.
#[derive(Debug)]
pub(super) struct Socket(Source);

impl Socket {
    /// Wraps a descriptor, which must be in non-blocking mode.
    pub(super) fn new(fd: OwnedFd) -> Socket {
        Socket(Source::new(fd))
    }

    /// Waits until the socket is readable. The future may be dropped at any time.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.0.ready(Direction::Read).await
    }

    /// Waits until the socket is writable. The future may be dropped at any time.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.0.ready(Direction::Write).await
    }

    /// Polls for readability. It wakes one task at a time. Repeated polls make no system call.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_ready(Direction::Read, cx)
    }

    /// Polls for writability, like [`Socket::poll_readable`].
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_ready(Direction::Write, cx)
    }

    /// Repeats `call`, and waits for input after each `WouldBlock`, until it returns anything else.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time, because the first call with an effect completes it.
    pub(super) async fn read_with<R>(
        &self,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<R, Errno>,
    ) -> io::Result<R> {
        loop {
            match self.retry_on_intr(&mut call) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable().await?,
                done => return done,
            }
        }
    }

    /// Repeats `call`, and waits for buffer space after each `WouldBlock`, until it returns
    /// anything else. It is cancel-safe like [`Socket::read_with`].
    pub(super) async fn write_with<R>(
        &self,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<R, Errno>,
    ) -> io::Result<R> {
        loop {
            match self.retry_on_intr(&mut call) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                done => return done,
            }
        }
    }

    /// Repeats `call` for as long as signals interrupt it.
    pub(super) fn retry_on_intr<R>(
        &self,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<R, Errno>,
    ) -> io::Result<R> {
        Ok(rustix::io::retry_on_intr(|| call(self.as_fd()))?)
    }

    /// Returns a shared handle to the descriptor.
    pub(super) fn shared_fd(&self) -> Arc<OwnedFd> {
        self.0.fd().clone()
    }

    #[cfg(test)]
    pub(super) fn is_registered(&self) -> bool {
        self.0.is_registered()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd().as_fd()
    }
}
