//! The reactor: what a thread sleeps in until a descriptor is ready, a time has come, or another thread calls.
//!
//! A system of one thread has one of its own, on an `epoll` (epoll(7)) that is made when the system starts and goes with it.
//! What waits on that thread waits here: a [`Source`] for a descriptor, a [`Timer`] for a time. Everywhere else, on
//! the threads of a system that has several and outside of any system, the same two wait in smol's reactor, which serves
//! every thread of the process. What has begun to wait here and is not over when the system ends goes on there.
//!
//! It is here for what it saves. Smol's reactor forgets a descriptor each time that it has told of it, and sets a timer and
//! looks for a call before and after each sleep: six system calls where an `epoll` loop has one. Here
//!
//! - a descriptor that is waited for again and again stays where it is. Only when it is ready and nobody wants to know, once
//!   all who were woken have had their turns, it is taken out, and put back by whoever waits for it next;
//! - the time of the next timer goes along with the sleep, in whole milliseconds and rounded up, and costs no call;
//! - a call from another thread is one write, and only if this one sleeps.
//!
//! So a sleep is one system call. See `docs/performance.md`.

mod notifier;
mod registry;
mod source;
mod timer;

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use notifier::Notifier;
use registry::Registry;
pub(crate) use source::{Direction, Source};
pub(crate) use timer::Timer;
use timer::TimerQueue;

use crate::sync::lock;

/// Events that are taken from the kernel at a time. The others wait for the next turn, and go first then.
const MAX_EVENTS: usize = 256;

/// After so long a thread looks at the clock again: the kernel counts the milliseconds of a sleep in 31 bits.
const MAX_SLEEP: Duration = Duration::from_secs(24 * 3600);

/// What the kernel calls the bell by.
const NOTIFIER_KEY: u64 = u64::MAX;

/// What one thread sleeps in.
pub(crate) struct Reactor {
    epoll: OwnedFd,
    notifier: Arc<Notifier>,
    registry: Mutex<Registry>,
    timers: Mutex<TimerQueue>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Reactor>>> = const { RefCell::new(None) };
}

/// Returns the reactor that this thread sleeps in.
fn current() -> Option<Arc<Reactor>> {
    CURRENT.try_with(|here| here.borrow().clone()).ok().flatten()
}

impl Reactor {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// Fails when descriptors have run out.
    pub(crate) fn new() -> io::Result<Arc<Reactor>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = Notifier::new()?;
        // Told of each time that it is rung, so that nobody has to read what it holds.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &*bell, epoll::EventData::new_u64(NOTIFIER_KEY), flags)?;
        let (interests, alarms) = Default::default();
        Ok(Arc::new(Reactor { epoll, notifier: bell, registry: interests, timers: alarms }))
    }

    /// Drives a future on this thread until it is ready. Whoever is woken here on the way is woken before it is polled again.
    pub(crate) fn block_on<T>(self: Arc<Reactor>, future: impl Future<Output = T>) -> T {
        // Dropped after the future, by a panic too.
        let _here = EnterGuard::enter(self.clone());
        let waker = Waker::from(self.notifier.clone());
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        let (mut events, mut woken) = (Vec::with_capacity(MAX_EVENTS), Vec::new());
        loop {
            self.notifier.clear();
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            self.react(&mut events, &mut woken);
        }
    }

    /// Sleeps until there is something to do, or looks whether there is if the bell has been rung, and wakes whom it concerns.
    fn react(&self, events: &mut Vec<epoll::Event>, woken: &mut Vec<Waker>) {
        let is_idle = self.notifier.try_park();
        let next = lock(&self.timers).next_timeout();
        let limit = if is_idle { next } else { Some(Duration::ZERO) };
        events.clear();
        // The descriptor and the room are our own, so that nothing fails here but a sleep that a signal interrupts.
        let _ = self.wait_events(events, limit);
        self.notifier.finish_park();
        if !events.is_empty() {
            lock(&self.registry).dispatch(&self.epoll, events, is_idle, woken);
        }
        if next.is_some() {
            lock(&self.timers).fire(woken);
        }
        woken.drain(..).for_each(Waker::wake);
    }

    /// Sleeps for so long, rounded up to what the kernel counts in, or shorter.
    fn wait_events(
        &self,
        events: &mut Vec<epoll::Event>,
        limit: Option<Duration>,
    ) -> Result<(), Errno> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit.min(MAX_SLEEP)).ok());
        epoll::wait(&self.epoll, spare_capacity(events), limit.as_ref()).map(drop)
    }

    /// Sends away whoever waits: nobody will sleep here any more.
    fn close(&self) {
        let mut left = lock(&self.registry).close();
        left.extend(lock(&self.timers).close());
        left.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reactor")
    }
}

/// A thread has a reactor, until this is dropped. One may be driven within a turn of another.
struct EnterGuard {
    reactor: Arc<Reactor>,
    outer: Option<Arc<Reactor>>,
}

impl EnterGuard {
    fn enter(reactor: Arc<Reactor>) -> EnterGuard {
        let outer = CURRENT.replace(Some(reactor.clone()));
        EnterGuard { reactor, outer }
    }
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        CURRENT.set(mem::take(&mut self.outer));
        self.reactor.close();
    }
}

#[cfg(test)]
mod tests;
