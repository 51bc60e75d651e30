//! The registry of a reactor: its descriptors, their waiting tasks, and what epoll is armed for.
//!
//! Epoll is level-triggered here (epoll(7)): it reports a descriptor as long as it is ready. No
//! event is lost if a task does not read everything, or reads on another thread. For the same
//! reason a ready descriptor without waiting tasks must be disarmed, or the thread never sleeps.

use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use slab::Slab;

/// A direction of I/O to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Ready when there are bytes to read, the end of the stream, or an error.
    Read = 0,
    /// Ready when there is room to write, or an error.
    Write = 1,
}

impl Direction {
    const ALL: [Direction; 2] = [Direction::Read, Direction::Write];

    fn bit(self) -> u8 {
        1 << self as u8
    }

    fn interest_flags(self) -> EventFlags {
        match self {
            Direction::Read => EventFlags::IN,
            Direction::Write => EventFlags::OUT,
        }
    }

    /// Returns the events after which a call does not block. It may fail instead.
    fn ready_flags(self) -> EventFlags {
        self.interest_flags() | EventFlags::ERR | EventFlags::HUP
    }
}

/// The registered descriptors of one reactor.
#[derive(Default)]
pub(super) struct Registry {
    registrations: Slab<Registration>,
    /// The number of the last [`WaiterKey::Queued`].
    last_waiter: u64,
    is_closed: bool,
}

/// A registered descriptor, with its waiters by direction.
pub(super) struct Registration {
    fd: Arc<OwnedFd>,
    waiters: [Waiters; 2],
    /// The directions that epoll is armed for, a bit each.
    armed: u8,
}

/// The identity of a waiter for one direction of a descriptor.
#[derive(Debug)]
pub(super) enum WaiterKey {
    /// The single waiter of the poll functions.
    Poll,
    /// Another waiter, which has not waited yet.
    New,
    /// Another waiter, with its number.
    Queued(u64),
}

/// The waiters for one direction of a descriptor.
#[derive(Default)]
struct Waiters {
    /// True from an event until a woken waiter polls.
    is_ready: bool,
    /// The waker of [`WaiterKey::Poll`]. A later poll replaces it.
    poll_waker: Option<Waker>,
    /// The wakers of the other waiters, with their numbers.
    queued: Vec<(u64, Waker)>,
}

/// A waker to drop after the lock of the registry is released: its drop may call the registry.
pub(super) type StaleWaker = Option<Waker>;

impl Waiters {
    /// Moves all wakers to `woken`. Returns `false` if there are none.
    fn wake_all(&mut self, woken: &mut Vec<Waker>) -> bool {
        if self.poll_waker.is_none() && self.queued.is_empty() {
            return false;
        }
        self.is_ready = true;
        woken.extend(self.poll_waker.take());
        woken.extend(self.queued.drain(..).map(|(_, waker)| waker));
        true
    }

    /// Registers a waker and returns the one it replaces.
    fn register(&mut self, waiter: &WaiterKey, waker: &Waker) -> StaleWaker {
        let last = match waiter {
            WaiterKey::Poll => self.poll_waker.as_mut(),
            WaiterKey::New | WaiterKey::Queued(_) => {
                self.find(waiter).map(|index| &mut self.queued[index].1)
            }
        };
        match (last, waiter) {
            (Some(last), _) if last.will_wake(waker) => return None,
            (Some(last), _) => return Some(mem::replace(last, waker.clone())),
            (None, WaiterKey::Queued(number)) => self.queued.push((*number, waker.clone())),
            (None, _) => self.poll_waker = Some(waker.clone()),
        }
        None
    }

    /// Removes a queued waiter, and makes its key new again.
    fn deregister(&mut self, waiter: &mut WaiterKey) -> StaleWaker {
        let index = self.find(waiter);
        if let WaiterKey::Queued(_) = waiter {
            *waiter = WaiterKey::New;
        }
        index.map(|index| self.queued.swap_remove(index).1)
    }

    fn find(&self, waiter: &WaiterKey) -> Option<usize> {
        let WaiterKey::Queued(number) = waiter else { return None };
        self.queued.iter().position(|(other, _)| other == number)
    }
}

impl Registry {
    /// Registers a descriptor without arming it. Returns `None` if the reactor is closed.
    pub(super) fn add(&mut self, fd: Arc<OwnedFd>) -> Option<usize> {
        let registration = Registration { fd, waiters: Default::default(), armed: 0 };
        (!self.is_closed).then(|| self.registrations.insert(registration))
    }

    /// Polls whether epoll has reported the descriptor since the last poll.
    ///
    /// If it has not, registers the waker and arms the descriptor. Returns `None` if the reactor is
    /// closed.
    pub(super) fn poll_ready(
        &mut self,
        epoll: &OwnedFd,
        (key, direction): (usize, Direction),
        waiter: &mut WaiterKey,
        cx: &Context<'_>,
    ) -> Option<(Poll<Result<(), Errno>>, StaleWaker)> {
        let registration = self.registrations.get_mut(key).filter(|_| !self.is_closed)?;
        let waiters = &mut registration.waiters[direction as usize];
        if mem::take(&mut waiters.is_ready) {
            return Some((Poll::Ready(Ok(())), waiters.deregister(waiter)));
        }
        if let WaiterKey::New = waiter {
            self.last_waiter += 1;
            *waiter = WaiterKey::Queued(self.last_waiter);
        }
        let replaced = waiters.register(waiter, cx.waker());
        Some(match registration.set_armed(epoll, key, registration.armed | direction.bit()) {
            Ok(()) => (Poll::Pending, replaced),
            Err(error) => {
                let removed = registration.waiters[direction as usize].deregister(waiter);
                (Poll::Ready(Err(error)), replaced.or(removed))
            }
        })
    }

    /// Deregisters a waiter. A notification it has already received is dropped.
    pub(super) fn deregister_waiter(
        &mut self,
        key: usize,
        direction: Direction,
        waiter: &mut WaiterKey,
    ) -> StaleWaker {
        let waiters = &mut self.registrations.get_mut(key)?.waiters[direction as usize];
        let removed = waiters.deregister(waiter);
        // Epoll reports the descriptor again for the other waiters.
        waiters.is_ready &= removed.is_some();
        removed
    }

    /// Removes a descriptor. The caller drops it after the lock is released.
    pub(super) fn remove(&mut self, epoll: &OwnedFd, key: usize) -> Option<Registration> {
        let mut registration = self.registrations.try_remove(key)?;
        // Closing the descriptor would not disarm it: a duplicate of it may be open elsewhere.
        let _ = registration.set_armed(epoll, key, 0);
        Some(registration)
    }

    /// Collects the wakers of the events.
    ///
    /// If all woken tasks have been polled (`is_idle`), it disarms ready descriptors without
    /// waiters.
    pub(super) fn dispatch(
        &mut self,
        epoll: &OwnedFd,
        events: &[epoll::Event],
        is_idle: bool,
        woken: &mut Vec<Waker>,
    ) {
        for event in events {
            let (flags, key) = (event.flags, event.data.u64() as usize);
            // The notifier has no registration, nor has a descriptor that was just removed.
            let Some(registration) = self.registrations.get_mut(key) else { continue };
            let mut armed = registration.armed;
            for direction in Direction::ALL {
                let is_ready =
                    armed & direction.bit() != 0 && flags.intersects(direction.ready_flags());
                let waiters = &mut registration.waiters[direction as usize];
                if is_ready && !waiters.wake_all(woken) && is_idle {
                    armed &= !direction.bit();
                }
            }
            let _ = registration.set_armed(epoll, key, armed);
        }
    }

    /// Rejects further registrations and returns the wakers of all waiters.
    pub(super) fn close(&mut self) -> Vec<Waker> {
        self.is_closed = true;
        let mut woken = Vec::new();
        for (_, registration) in &mut self.registrations {
            for waiters in &mut registration.waiters {
                waiters.wake_all(&mut woken);
            }
        }
        woken
    }

    /// Returns the armed directions of each descriptor, a bit each.
    #[cfg(test)]
    pub(super) fn armed(&self) -> Vec<u8> {
        self.registrations.iter().map(|(_, registration)| registration.armed).collect()
    }
}

impl Registration {
    /// Arms epoll for these directions and no others.
    fn set_armed(&mut self, epoll: &OwnedFd, key: usize, armed: u8) -> Result<(), Errno> {
        if armed == self.armed {
            return Ok(());
        }
        let directions = Direction::ALL.iter().filter(|direction| armed & direction.bit() != 0);
        let flags: EventFlags = directions.map(|direction| direction.interest_flags()).collect();
        let data = EventData::new_u64(key as u64);
        match (self.armed, armed) {
            (0, _) => epoll::add(epoll, &self.fd, data, flags)?,
            (_, 0) => epoll::delete(epoll, &self.fd)?,
            _ => epoll::modify(epoll, &self.fd, data, flags)?,
        }
        self.armed = armed;
        Ok(())
    }
}
