//! A descriptor that can be waited for, on whichever thread.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use smol::Async;

use super::registry::WaiterKey;
use super::{Reactor, current};
use crate::sync::lock;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// That there is something to read, or an end, or an error.
    Read = 0,
    /// That there is room to write, or an error.
    Write = 1,
}

/// A descriptor in non-blocking mode, which joins a reactor when it is waited for.
///
/// Whoever is told that it is ready tries, and comes back where it was not so after all. Nobody is told of what was ready
/// before they came and has been taken since, but for once in a while.
#[derive(Debug)]
pub(crate) struct Source {
    fd: Arc<OwnedFd>,
    backend: Mutex<Option<SourceBackend>>,
}

/// Where a descriptor is waited for.
#[derive(Debug, Clone)]
enum SourceBackend {
    Local(Arc<RegistrationHandle>),
    Global(Arc<Async<Arc<OwnedFd>>>),
}

/// A place in the reactor of one thread, given back when it is dropped.
#[derive(Debug)]
struct RegistrationHandle {
    reactor: Arc<Reactor>,
    key: usize,
}

impl Source {
    pub(crate) fn new(fd: OwnedFd) -> Source {
        Source { fd: Arc::new(fd), backend: Mutex::new(None) }
    }

    /// Returns the descriptor.
    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Tells whether it has been waited for.
    #[cfg(test)]
    pub(crate) fn is_registered(&self) -> bool {
        lock(&self.backend).is_some()
    }

    /// Waits until it is ready, as any number of tasks may at once. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Fails when the kernel has no room for one more descriptor to tell of.
    pub(crate) async fn ready(&self, direction: Direction) -> io::Result<()> {
        loop {
            match self.register()? {
                SourceBackend::Local(place) => {
                    let waiter =
                        ReadyFuture { registration: &place, direction, key: WaiterKey::New };
                    if waiter.await? {
                        return Ok(());
                    }
                    self.detach(&place);
                }
                SourceBackend::Global(socket) => {
                    return match direction {
                        Direction::Read => socket.readable().await,
                        Direction::Write => socket.writable().await,
                    };
                }
            }
        }
    }

    /// Is ready when it is, and has one task at a time woken.
    ///
    /// # Errors
    ///
    /// As [`Source::ready`].
    pub(crate) fn poll_ready(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.register()? {
                SourceBackend::Local(place) => {
                    match ready!(place.poll_ready(direction, &mut WaiterKey::Poll, cx)) {
                        Ok(true) => return Poll::Ready(Ok(())),
                        Ok(false) => self.detach(&place),
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                SourceBackend::Global(socket) => {
                    return match direction {
                        Direction::Read => socket.poll_readable(cx),
                        Direction::Write => socket.poll_writable(cx),
                    };
                }
            }
        }
    }

    /// Returns where it is waited for, which from now on is here if it was nowhere.
    fn register(&self) -> io::Result<SourceBackend> {
        let mut home = lock(&self.backend);
        if let Some(home) = &*home {
            return Ok(home.clone());
        }
        let place = current().and_then(|reactor| {
            let key = lock(&reactor.registry).add(self.fd.clone())?;
            Some(Arc::new(RegistrationHandle { reactor, key }))
        });
        let found = match place {
            Some(place) => SourceBackend::Local(place),
            None => SourceBackend::Global(Arc::new(Async::new_nonblocking(self.fd.clone())?)),
        };
        Ok(home.insert(found).clone())
    }

    /// Goes from a reactor that nobody sleeps in any more.
    fn detach(&self, place: &RegistrationHandle) {
        let is_there = |home: &mut SourceBackend| matches!(home, SourceBackend::Local(now) if Arc::ptr_eq(&now.reactor, &place.reactor));
        let left = lock(&self.backend).take_if(is_there);
        drop(left);
    }
}

impl RegistrationHandle {
    /// Is ready with `true` when the descriptor is, and with `false` when nobody will tell.
    fn poll_ready(
        &self,
        direction: Direction,
        who: &mut WaiterKey,
        cx: &Context<'_>,
    ) -> Poll<io::Result<bool>> {
        let Reactor { epoll, registry: interests, .. } = &*self.reactor;
        let polled = lock(interests).poll_ready(epoll, (self.key, direction), who, cx);
        match polled {
            Some((polled, _replaced)) => polled.map(|ready| Ok(ready.map(|()| true)?)),
            None => Poll::Ready(Ok(false)),
        }
    }
}

impl Drop for RegistrationHandle {
    fn drop(&mut self) {
        let left = lock(&self.reactor.registry).remove(&self.reactor.epoll, self.key);
        drop(left);
    }
}

/// One of any number who wait for a place; gone when it is dropped.
struct ReadyFuture<'a> {
    registration: &'a RegistrationHandle,
    direction: Direction,
    key: WaiterKey,
}

impl Future for ReadyFuture<'_> {
    type Output = io::Result<bool>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let ReadyFuture { registration: place, direction, key: who } = &mut *self;
        place.poll_ready(*direction, who, cx)
    }
}

impl Drop for ReadyFuture<'_> {
    fn drop(&mut self) {
        if let WaiterKey::Queued(_) = self.key {
            let ReadyFuture { registration: place, direction, key: who } = self;
            let gone = lock(&place.reactor.registry).deregister_waiter(place.key, *direction, who);
            drop(gone);
        }
    }
}
