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

const BOTH: [Direction; 2] = [Direction::In, Direction::Out];

/// All that is waited for in one reactor.
#[derive(Default)]
pub(super) struct Interests {
    kept: Slab<Interest>,
    /// The number of the waiter that came last; see [`Waiters`].
    last: u64,
    is_closed: bool,
}

/// A descriptor, and those who wait for it.
pub(super) struct Interest {
    fd: Arc<OwnedFd>,
    waiters: [Waiters; 2],
    /// What the kernel tells of, a bit for each direction.
    armed: u8,
}

/// One who waits for one direction of a descriptor.
#[derive(Debug)]
pub(super) enum Who {
    /// The one whose turn it is to poll, of whom there is one.
    Polling,
    /// One of any number of others, who has not waited yet.
    Newcomer,
    /// Who has, and is known by a number.
    Other(u64),
}

/// Those who wait for one direction of a descriptor.
#[derive(Default)]
struct Waiters {
    /// The kernel has told, and who was woken has not come yet.
    is_told: bool,
    /// The one whose turn it is to poll; one who comes later takes the place.
    polling: Option<Waker>,
    /// Any number of others, each with a number.
    others: Vec<(u64, Waker)>,
}

impl Waiters {
    /// Wakes all, if there are any.
    fn tell(&mut self, woken: &mut Vec<Waker>) -> bool {
        if self.polling.is_none() && self.others.is_empty() {
            return false;
        }
        self.is_told = true;
        woken.extend(self.polling.take());
        woken.extend(self.others.drain(..).map(|(_, waker)| waker));
        true
    }

    /// Has somebody wait; returns the waker that waited for them before.
    fn join(&mut self, who: &Who, waker: &Waker) -> Replaced {
        let last = match who {
            Who::Polling => self.polling.as_mut(),
            Who::Newcomer | Who::Other(_) => self.find(who).map(|at| &mut self.others[at].1),
        };
        match (last, who) {
            (Some(last), _) if last.will_wake(waker) => return None,
            (Some(last), _) => return Some(mem::replace(last, waker.clone())),
            (None, Who::Other(number)) => self.others.push((*number, waker.clone())),
            (None, _) => self.polling = Some(waker.clone()),
        }
        None
    }

    /// Has one of the others wait no more.
    fn leave(&mut self, who: &mut Who) -> Replaced {
        let at = self.find(who);
        if let Who::Other(_) = who {
            *who = Who::Newcomer;
        }
        at.map(|at| self.others.swap_remove(at).1)
    }

    fn find(&self, who: &Who) -> Option<usize> {
        let Who::Other(number) = who else { return None };
        self.others.iter().position(|(other, _)| other == number)
    }
}

/// Whoever has to be dropped once no lock is held, since a drop may come back here.
pub(super) type Replaced = Option<Waker>;

impl Interests {
    /// Takes a descriptor, of which nothing is asked yet; `None` where nobody will sleep any more.
    pub(super) fn add(&mut self, fd: Arc<OwnedFd>) -> Option<usize> {
        let interest = Interest { fd, waiters: Default::default(), armed: 0 };
        (!self.is_closed).then(|| self.kept.insert(interest))
    }

    /// Is ready when the kernel has told of the descriptor since it was last asked, and has `who` woken otherwise; `None` where
    /// nobody will sleep any more.
    pub(super) fn poll(
        &mut self,
        epoll: &OwnedFd,
        (key, direction): (usize, Direction),
        who: &mut Who,
        cx: &Context<'_>,
    ) -> Option<(Poll<Result<(), Errno>>, Replaced)> {
        let interest = self.kept.get_mut(key).filter(|_| !self.is_closed)?;
        let waiters = &mut interest.waiters[direction as usize];
        if mem::take(&mut waiters.is_told) {
            return Some((Poll::Ready(Ok(())), waiters.leave(who)));
        }
        if let Who::Newcomer = who {
            self.last += 1;
            *who = Who::Other(self.last);
        }
        let replaced = waiters.join(who, cx.waker());
        Some(match interest.ask(epoll, key, interest.armed | direction.bit()) {
            Ok(()) => (Poll::Pending, replaced),
            Err(error) => {
                let gone = interest.waiters[direction as usize].leave(who);
                (Poll::Ready(Err(error)), replaced.or(gone))
            }
        })
    }

    /// Has a waiter go who was not told, or was told and did not come.
    pub(super) fn leave(&mut self, key: usize, direction: Direction, who: &mut Who) -> Replaced {
        let waiters = &mut self.kept.get_mut(key)?.waiters[direction as usize];
        let gone = waiters.leave(who);
        // The kernel tells anew whom else it concerns.
        waiters.is_told &= gone.is_some();
        gone
    }

    /// Gives a descriptor back, and returns what was kept of it.
    pub(super) fn remove(&mut self, epoll: &OwnedFd, key: usize) -> Option<Interest> {
        let mut interest = self.kept.try_remove(key)?;
        // Somebody else may hold the descriptor open.
        let _ = interest.ask(epoll, key, 0);
        Some(interest)
    }

    /// Wakes whom the events concern. Where all have had their turns and nobody waits, the kernel is not asked any more.
    pub(super) fn tell(
        &mut self,
        epoll: &OwnedFd,
        events: &[epoll::Event],
        is_idle: bool,
        woken: &mut Vec<Waker>,
    ) {
        for event in events {
            let (flags, key) = (event.flags, event.data.u64() as usize);
            // The bell is none of them, nor is what has gone meanwhile.
            let Some(interest) = self.kept.get_mut(key) else { continue };
            let mut armed = interest.armed;
            for direction in BOTH {
                let is_meant = armed & direction.bit() != 0 && flags.intersects(direction.events());
                if is_meant && !interest.waiters[direction as usize].tell(woken) && is_idle {
                    armed &= !direction.bit();
                }
            }
            let _ = interest.ask(epoll, key, armed);
        }
    }

    /// Takes in nobody any more, and returns who waits.
    pub(super) fn close(&mut self) -> Vec<Waker> {
        self.is_closed = true;
        let mut left = Vec::new();
        for waiters in self.kept.iter_mut().flat_map(|(_, interest)| &mut interest.waiters) {
            waiters.tell(&mut left);
        }
        left
    }

    #[cfg(test)]
    pub(super) fn armed(&self) -> Vec<u8> {
        self.kept.iter().map(|(_, interest)| interest.armed).collect()
    }
}

impl Interest {
    /// Asks the kernel to tell of these directions and no others.
    fn ask(&mut self, epoll: &OwnedFd, key: usize, armed: u8) -> Result<(), Errno> {
        if armed == self.armed {
            return Ok(());
        }
        let meant = |direction: &&Direction| armed & direction.bit() != 0;
        let flags: EventFlags =
            BOTH.iter().filter(meant).map(|direction| direction.ask()).collect();
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

    fn ask(self) -> EventFlags {
        match self {
            Direction::In => EventFlags::IN,
            Direction::Out => EventFlags::OUT,
        }
    }

    /// What makes a call in this direction not block, if only because it fails.
    fn events(self) -> EventFlags {
        self.ask() | EventFlags::ERR | EventFlags::HUP
    }
}
