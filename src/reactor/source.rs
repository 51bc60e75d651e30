//! Descriptors that tasks wait for, on any thread.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use smol::Async;

use crate::reactor::epoll::{Reactor, current};
use crate::reactor::registry::{Direction, WaiterKey};
use crate::sync::lock;

/// A descriptor in non-blocking mode. It is registered with a reactor at its first wait.
///
/// Readiness is a hint: retry the call, and wait again on `WouldBlock`. Each wait asks the kernel
/// whether the descriptor is ready now, except after a rare stale notification.
#[derive(Debug)]
pub(crate) struct Source {
    fd: Arc<OwnedFd>,
    backend: Mutex<Option<SourceBackend>>,
}

/// The reactor that a descriptor is registered with.
#[derive(Debug, Clone)]
enum SourceBackend {
    /// The reactor of one thread.
    Local(Arc<RegistrationHandle>),
    /// Smol's reactor.
    Global(Arc<Async<Arc<OwnedFd>>>),
}

/// A registration in the reactor of one thread. Dropping it removes the registration.
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

    /// Returns whether a task has waited for it.
    #[cfg(test)]
    pub(crate) fn is_registered(&self) -> bool {
        lock(&self.backend).is_some()
    }

    /// Waits until the descriptor is ready. Any number of tasks may wait at once.
    ///
    /// # Errors
    ///
    /// Fails if the kernel cannot register one more descriptor.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(crate) async fn ready(&self, direction: Direction) -> io::Result<()> {
        loop {
            match self.register()? {
                SourceBackend::Local(registration) => {
                    let key = WaiterKey::New;
                    let ready = ReadyFuture { registration: &registration, direction, key };
                    if ready.await? {
                        return Ok(());
                    }
                    self.detach(&registration);
                }
                SourceBackend::Global(source) => {
                    return match direction {
                        Direction::Read => source.readable().await,
                        Direction::Write => source.writable().await,
                    };
                }
            }
        }
    }

    /// Polls whether the descriptor is ready. Only the task that polled last is woken.
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
                SourceBackend::Local(registration) => {
                    match ready!(registration.poll_ready(direction, &mut WaiterKey::Poll, cx)) {
                        Ok(true) => return Poll::Ready(Ok(())),
                        Ok(false) => self.detach(&registration),
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                SourceBackend::Global(source) => {
                    return match direction {
                        Direction::Read => source.poll_readable(cx),
                        Direction::Write => source.poll_writable(cx),
                    };
                }
            }
        }
    }

    /// Returns the backend. Registers the descriptor with this thread's reactor, or with smol's, if
    /// it has none.
    fn register(&self) -> io::Result<SourceBackend> {
        let mut backend = lock(&self.backend);
        if let Some(backend) = &*backend {
            return Ok(backend.clone());
        }
        let registration = current().and_then(|reactor| {
            let key = lock(&reactor.registry).add(self.fd.clone())?;
            Some(Arc::new(RegistrationHandle { reactor, key }))
        });
        let registered = match registration {
            Some(registration) => SourceBackend::Local(registration),
            None => SourceBackend::Global(Arc::new(Async::new_nonblocking(self.fd.clone())?)),
        };
        Ok(backend.insert(registered).clone())
    }

    /// Removes the descriptor from a closed reactor.
    fn detach(&self, registration: &RegistrationHandle) {
        let is_same = |backend: &mut SourceBackend| match backend {
            SourceBackend::Local(handle) => Arc::ptr_eq(&handle.reactor, &registration.reactor),
            SourceBackend::Global(_) => false,
        };
        let removed = lock(&self.backend).take_if(is_same);
        // After the lock is released.
        drop(removed);
    }
}

impl RegistrationHandle {
    /// Polls whether the descriptor is ready. Returns `false` if the reactor is closed.
    fn poll_ready(
        &self,
        direction: Direction,
        waiter: &mut WaiterKey,
        cx: &Context<'_>,
    ) -> Poll<io::Result<bool>> {
        let Reactor { epoll, registry, .. } = &*self.reactor;
        let polled = lock(registry).poll_ready(epoll, (self.key, direction), waiter, cx);
        match polled {
            Some((polled, _stale)) => polled.map(|ready| Ok(ready.map(|()| true)?)),
            None => Poll::Ready(Ok(false)),
        }
    }
}

impl Drop for RegistrationHandle {
    fn drop(&mut self) {
        let removed = lock(&self.reactor.registry).remove(&self.reactor.epoll, self.key);
        // After the lock is released.
        drop(removed);
    }
}

/// The wait of one task for a registration. Dropping it deregisters the waiter.
struct ReadyFuture<'a> {
    registration: &'a RegistrationHandle,
    direction: Direction,
    key: WaiterKey,
}

impl Future for ReadyFuture<'_> {
    type Output = io::Result<bool>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let ReadyFuture { registration, direction, key } = &mut *self;
        registration.poll_ready(*direction, key, cx)
    }
}

impl Drop for ReadyFuture<'_> {
    fn drop(&mut self) {
        if let WaiterKey::Queued(_) = self.key {
            let ReadyFuture { registration: RegistrationHandle { reactor, key }, .. } = *self;
            let stale =
                lock(&reactor.registry).deregister_waiter(*key, self.direction, &mut self.key);
            // After the lock is released.
            drop(stale);
        }
    }
}
