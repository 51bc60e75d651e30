//! A descriptor that can be waited for, on whichever thread.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use smol::Async;

use super::registry::Who;
use super::{Reactor, here, lock};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// That there is something to read, or an end, or an error.
    In = 0,
    /// That there is room to write, or an error.
    Out = 1,
}

/// A descriptor in non-blocking mode, which joins a reactor when it is waited for.
///
/// Whoever is told that it is ready tries, and comes back where it was not so after all. Nobody is told of what was ready
/// before they came and has been taken since, but for once in a while.
#[derive(Debug)]
pub(crate) struct Source {
    fd: Arc<OwnedFd>,
    home: Mutex<Option<Home>>,
}

/// Where a descriptor is waited for.
#[derive(Debug, Clone)]
enum Home {
    Here(Arc<Place>),
    Smol(Arc<Async<Arc<OwnedFd>>>),
}

/// A place in the reactor of one thread, given back when it is dropped.
#[derive(Debug)]
struct Place {
    reactor: Arc<Reactor>,
    key: usize,
}

impl Source {
    pub(crate) fn new(fd: OwnedFd) -> Source {
        Source { fd: Arc::new(fd), home: Mutex::new(None) }
    }

    /// Returns the descriptor.
    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Tells whether it has been waited for.
    #[cfg(test)]
    pub(crate) fn has_joined(&self) -> bool {
        lock(&self.home).is_some()
    }

    /// Waits until it is ready, as any number of tasks may at once. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Fails when the kernel has no room for one more descriptor to tell of.
    pub(crate) async fn ready(&self, direction: Direction) -> io::Result<()> {
        loop {
            match self.home()? {
                Home::Here(place) => {
                    let waiter = Waiter { place: &place, direction, who: Who::Newcomer };
                    if waiter.await? {
                        return Ok(());
                    }
                    self.leave(&place);
                }
                Home::Smol(socket) => {
                    return match direction {
                        Direction::In => socket.readable().await,
                        Direction::Out => socket.writable().await,
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
            match self.home()? {
                Home::Here(place) => match ready!(place.poll(direction, &mut Who::Polling, cx)) {
                    Ok(true) => return Poll::Ready(Ok(())),
                    Ok(false) => self.leave(&place),
                    Err(error) => return Poll::Ready(Err(error)),
                },
                Home::Smol(socket) => {
                    return match direction {
                        Direction::In => socket.poll_readable(cx),
                        Direction::Out => socket.poll_writable(cx),
                    };
                }
            }
        }
    }

    /// Returns where it is waited for, which from now on is here if it was nowhere.
    fn home(&self) -> io::Result<Home> {
        let mut home = lock(&self.home);
        if let Some(home) = &*home {
            return Ok(home.clone());
        }
        let place = here().and_then(|reactor| {
            let key = lock(&reactor.interests).add(self.fd.clone())?;
            Some(Arc::new(Place { reactor, key }))
        });
        let found = match place {
            Some(place) => Home::Here(place),
            None => Home::Smol(Arc::new(Async::new_nonblocking(self.fd.clone())?)),
        };
        Ok(home.insert(found).clone())
    }

    /// Goes from a reactor that nobody sleeps in any more.
    fn leave(&self, place: &Place) {
        let is_there = |home: &mut Home| matches!(home, Home::Here(now) if Arc::ptr_eq(&now.reactor, &place.reactor));
        let left = lock(&self.home).take_if(is_there);
        drop(left);
    }
}

impl Place {
    /// Is ready with `true` when the descriptor is, and with `false` when nobody will tell.
    fn poll(
        &self,
        direction: Direction,
        who: &mut Who,
        cx: &Context<'_>,
    ) -> Poll<io::Result<bool>> {
        let Reactor { epoll, interests, .. } = &*self.reactor;
        let polled = lock(interests).poll(epoll, (self.key, direction), who, cx);
        match polled {
            Some((polled, _replaced)) => polled.map(|ready| Ok(ready.map(|()| true)?)),
            None => Poll::Ready(Ok(false)),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = lock(&self.reactor.interests).remove(&self.reactor.epoll, self.key);
        drop(left);
    }
}

/// One of any number who wait for a place; gone when it is dropped.
struct Waiter<'a> {
    place: &'a Place,
    direction: Direction,
    who: Who,
}

impl Future for Waiter<'_> {
    type Output = io::Result<bool>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Waiter { place, direction, who } = &mut *self;
        place.poll(*direction, who, cx)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Who::Other(_) = self.who {
            let Waiter { place, direction, who } = self;
            let gone = lock(&place.reactor.interests).leave(place.key, *direction, who);
            drop(gone);
        }
    }
}
