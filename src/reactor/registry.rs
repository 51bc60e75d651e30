//! Who waits for which descriptor, and for which of them the kernel is to tell.
//!
//! The kernel tells of a descriptor as long as it is ready (level-triggered, epoll(7)), hence nothing is lost by who does not
//! take all that is there, nor by who takes it on another thread. For the same reason it must not be asked of a descriptor
//! that nobody wants to know of, or it would keep the thread awake.

use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use slab::Slab;

use super::Direction;

const DIRECTIONS: [Direction; 2] = [Direction::Read, Direction::Write];

/// All that is waited for in one reactor.
#[derive(Default)]
pub(super) struct Registry {
    registrations: Slab<Registration>,
    /// The number of the waiter that came last; see [`Waiters`].
    last_waiter: u64,
    is_closed: bool,
}

/// A descriptor, and those who wait for it.
pub(super) struct Registration {
    fd: Arc<OwnedFd>,
    waiters: [Waiters; 2],
    /// What the kernel tells of, a bit for each direction.
    armed: u8,
}

/// One who waits for one direction of a descriptor.
#[derive(Debug)]
pub(super) enum WaiterKey {
    /// The one whose turn it is to poll, of whom there is one.
    Poll,
    /// One of any number of others, who has not waited yet.
    New,
    /// Who has, and is known by a number.
    Queued(u64),
}

/// Those who wait for one direction of a descriptor.
#[derive(Default)]
struct Waiters {
    /// The kernel has told, and who was woken has not come yet.
    is_ready: bool,
    /// The one whose turn it is to poll; one who comes later takes the place.
    poll_waker: Option<Waker>,
    /// Any number of others, each with a number.
    queued: Vec<(u64, Waker)>,
}

impl Waiters {
    /// Wakes all, if there are any.
    fn wake_all(&mut self, woken: &mut Vec<Waker>) -> bool {
        if self.poll_waker.is_none() && self.queued.is_empty() {
            return false;
        }
        self.is_ready = true;
        woken.extend(self.poll_waker.take());
        woken.extend(self.queued.drain(..).map(|(_, waker)| waker));
        true
    }

    /// Has somebody wait; returns the waker that waited for them before.
    fn register(&mut self, who: &WaiterKey, waker: &Waker) -> StaleWaker {
        let last = match who {
            WaiterKey::Poll => self.poll_waker.as_mut(),
            WaiterKey::New | WaiterKey::Queued(_) => {
                self.find(who).map(|at| &mut self.queued[at].1)
            }
        };
        match (last, who) {
            (Some(last), _) if last.will_wake(waker) => return None,
            (Some(last), _) => return Some(mem::replace(last, waker.clone())),
            (None, WaiterKey::Queued(number)) => self.queued.push((*number, waker.clone())),
            (None, _) => self.poll_waker = Some(waker.clone()),
        }
        None
    }

    /// Has one of the others wait no more.
    fn deregister(&mut self, who: &mut WaiterKey) -> StaleWaker {
        let at = self.find(who);
        if let WaiterKey::Queued(_) = who {
            *who = WaiterKey::New;
        }
        at.map(|at| self.queued.swap_remove(at).1)
    }

    fn find(&self, who: &WaiterKey) -> Option<usize> {
        let WaiterKey::Queued(number) = who else { return None };
        self.queued.iter().position(|(other, _)| other == number)
    }
}

/// Whoever has to be dropped once no lock is held, since a drop may come back here.
pub(super) type StaleWaker = Option<Waker>;

impl Registry {
    /// Takes a descriptor, of which nothing is asked yet; `None` where nobody will sleep any more.
    pub(super) fn add(&mut self, fd: Arc<OwnedFd>) -> Option<usize> {
        let interest = Registration { fd, waiters: Default::default(), armed: 0 };
        (!self.is_closed).then(|| self.registrations.insert(interest))
    }

    /// Is ready when the kernel has told of the descriptor since it was last asked, and has `who` woken otherwise; `None` where
    /// nobody will sleep any more.
    pub(super) fn poll_ready(
        &mut self,
        epoll: &OwnedFd,
        (key, direction): (usize, Direction),
        who: &mut WaiterKey,
        cx: &Context<'_>,
    ) -> Option<(Poll<Result<(), Errno>>, StaleWaker)> {
        let interest = self.registrations.get_mut(key).filter(|_| !self.is_closed)?;
        let waiters = &mut interest.waiters[direction as usize];
        if mem::take(&mut waiters.is_ready) {
            return Some((Poll::Ready(Ok(())), waiters.deregister(who)));
        }
        if let WaiterKey::New = who {
            self.last_waiter += 1;
            *who = WaiterKey::Queued(self.last_waiter);
        }
        let replaced = waiters.register(who, cx.waker());
        Some(match interest.set_armed(epoll, key, interest.armed | direction.bit()) {
            Ok(()) => (Poll::Pending, replaced),
            Err(error) => {
                let gone = interest.waiters[direction as usize].deregister(who);
                (Poll::Ready(Err(error)), replaced.or(gone))
            }
        })
    }

    /// Has a waiter go who was not told, or was told and did not come.
    pub(super) fn deregister_waiter(
        &mut self,
        key: usize,
        direction: Direction,
        who: &mut WaiterKey,
    ) -> StaleWaker {
        let waiters = &mut self.registrations.get_mut(key)?.waiters[direction as usize];
        let gone = waiters.deregister(who);
        // The kernel tells anew whom else it concerns.
        waiters.is_ready &= gone.is_some();
        gone
    }

    /// Gives a descriptor back, and returns what was kept of it.
    pub(super) fn remove(&mut self, epoll: &OwnedFd, key: usize) -> Option<Registration> {
        let mut interest = self.registrations.try_remove(key)?;
        // Somebody else may hold the descriptor open.
        let _ = interest.set_armed(epoll, key, 0);
        Some(interest)
    }

    /// Wakes whom the events concern. Where all have had their turns and nobody waits, the kernel is not asked any more.
    pub(super) fn dispatch(
        &mut self,
        epoll: &OwnedFd,
        events: &[epoll::Event],
        is_idle: bool,
        woken: &mut Vec<Waker>,
    ) {
        for event in events {
            let (flags, key) = (event.flags, event.data.u64() as usize);
            // The bell is none of them, nor is what has gone meanwhile.
            let Some(interest) = self.registrations.get_mut(key) else { continue };
            let mut armed = interest.armed;
            for direction in DIRECTIONS {
                let is_meant =
                    armed & direction.bit() != 0 && flags.intersects(direction.ready_flags());
                if is_meant && !interest.waiters[direction as usize].wake_all(woken) && is_idle {
                    armed &= !direction.bit();
                }
            }
            let _ = interest.set_armed(epoll, key, armed);
        }
    }

    /// Takes in nobody any more, and returns who waits.
    pub(super) fn close(&mut self) -> Vec<Waker> {
        self.is_closed = true;
        let mut left = Vec::new();
        for waiters in self.registrations.iter_mut().flat_map(|(_, interest)| &mut interest.waiters)
        {
            waiters.wake_all(&mut left);
        }
        left
    }

    #[cfg(test)]
    pub(super) fn armed(&self) -> Vec<u8> {
        self.registrations.iter().map(|(_, interest)| interest.armed).collect()
    }
}

impl Registration {
    /// Asks the kernel to tell of these directions and no others.
    fn set_armed(&mut self, epoll: &OwnedFd, key: usize, armed: u8) -> Result<(), Errno> {
        if armed == self.armed {
            return Ok(());
        }
        let meant = |direction: &&Direction| armed & direction.bit() != 0;
        let flags: EventFlags =
            DIRECTIONS.iter().filter(meant).map(|direction| direction.interest_flags()).collect();
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

impl Direction {
    fn bit(self) -> u8 {
        1 << self as u8
    }

    fn interest_flags(self) -> EventFlags {
        match self {
            Direction::Read => EventFlags::IN,
            Direction::Write => EventFlags::OUT,
        }
    }

    /// What makes a call in this direction not block, if only because it fails.
    fn ready_flags(self) -> EventFlags {
        self.interest_flags() | EventFlags::ERR | EventFlags::HUP
    }
}
