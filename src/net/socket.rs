//! A non-blocking descriptor that joins the reactor only when it has to wait.
//!
//! Most exchanges on a fast network find their socket ready: a greeting fits the send buffer, an
//! answer is there by the time it is read. Joining the reactor for them would cost two system calls
//! (`epoll_ctl` to add and to delete) for nothing. So every operation here is tried first;
//! `WouldBlock` is what brings the descriptor to the reactor.

use crate::reactor::{Direction, Source};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll};

/// A non-blocking socket, shared by the reactor once it waits.
#[derive(Debug)]
pub(super) struct Socket(Source);

impl Socket {
    /// Takes a descriptor that is in non-blocking mode already.
    pub(super) fn new(fd: OwnedFd) -> Socket {
        Socket(Source::new(fd))
    }

    /// Waits until a read makes sense. Dropping the future loses nothing.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.0.ready(Direction::Read).await
    }

    /// Waits until a write makes sense. Dropping the future loses nothing.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.0.ready(Direction::Write).await
    }

    /// Is ready when a read makes sense. One task at a time is woken; asked again, it costs no system call.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_ready(Direction::Read, cx)
    }

    /// Is ready when a write makes sense, as [`Socket::poll_readable`].
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_ready(Direction::Write, cx)
    }

    /// Tries `call`, and again after each wait for input, until it does something else than block.
    ///
    /// Dropping the future loses nothing, because a call that did something also ends it.
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

    /// Tries `call`, and again after each wait for room, until it does something else than block.
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

    /// Makes the call once, or as often as a signal interrupts it.
    pub(super) fn retry_on_intr<R>(
        &self,
        mut call: impl FnMut(BorrowedFd<'_>) -> Result<R, Errno>,
    ) -> io::Result<R> {
        Ok(rustix::io::retry_on_intr(|| call(self.as_fd()))?)
    }

    /// Returns the descriptor, to be held by somebody else too.
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
