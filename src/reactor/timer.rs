//! A time that can be waited for, on whichever thread.

use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::{Reactor, current};
use crate::sync::lock;

/// The times that are waited for in one reactor.
#[derive(Default)]
pub(super) struct TimerQueue {
    /// By their time, and among the same time by their age.
    due: BTreeMap<(Instant, u64), Waker>,
    last_id: u64,
    is_closed: bool,
}

impl TimerQueue {
    /// Returns how long it is until the next one.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        let ((at, _), _) = self.due.first_key_value()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Takes those whose time has come.
    pub(super) fn fire(&mut self, woken: &mut Vec<Waker>) {
        let now = Instant::now();
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) {
            woken.push(first.remove());
        }
    }

    /// Has somebody woken at a time; returns the age that it is known by, or `None` where nobody will sleep any more.
    fn add(&mut self, at: Instant, waker: &Waker) -> Option<u64> {
        if self.is_closed {
            return None;
        }
        self.last_id += 1;
        self.due.insert((at, self.last_id), waker.clone());
        Some(self.last_id)
    }

    /// Has another waker woken; tells whether the time is still waited for.
    fn update_waker(alarms: &Mutex<TimerQueue>, key: (Instant, u64), waker: &Waker) -> bool {
        // Dropped once the lock is not held, since a drop may come back here.
        let _replaced = {
            let mut alarms = lock(alarms);
            let Some(last) = alarms.due.get_mut(&key) else { return false };
            (!last.will_wake(waker)).then(|| mem::replace(last, waker.clone()))
        };
        true
    }

    /// Takes in nobody any more, and returns who waits.
    pub(super) fn close(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.is_closed = true;
        mem::take(&mut self.due).into_values()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}

/// A future that is ready once a time has come.
#[derive(Debug)]
pub(crate) struct Timer {
    /// `None` is later than a clock can show.
    deadline: Option<Instant>,
    backend: TimerBackend,
}

/// Where a time is waited for.
#[derive(Debug)]
enum TimerBackend {
    Unregistered,
    Local(Arc<Reactor>, u64),
    Global(smol::Timer),
}

impl Timer {
    /// Makes a timer for a while from now on.
    pub(crate) fn after(duration: Duration) -> Timer {
        Timer {
            deadline: Instant::now().checked_add(duration),
            backend: TimerBackend::Unregistered,
        }
    }

    /// Takes a place in the reactor of this thread, or in smol's.
    fn register(at: Instant, waker: &Waker) -> TimerBackend {
        let joined = current().and_then(|reactor| {
            let age = lock(&reactor.timers).add(at, waker)?;
            Some(TimerBackend::Local(reactor, age))
        });
        joined.unwrap_or_else(|| TimerBackend::Global(smol::Timer::at(at)))
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.deadline else { return Poll::Pending };
        let stays = match &self.backend {
            TimerBackend::Local(reactor, age) => {
                TimerQueue::update_waker(&reactor.timers, (at, *age), cx.waker())
            }
            TimerBackend::Unregistered | TimerBackend::Global(_) => false,
        };
        if stays {
            return Poll::Pending;
        }
        if !matches!(self.backend, TimerBackend::Global(_)) {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            // It has not been anywhere, or nobody sleeps any more where it was.
            self.backend = Timer::register(at, cx.waker());
        }
        match &mut self.backend {
            TimerBackend::Global(timer) => Pin::new(timer).poll(cx).map(drop),
            TimerBackend::Unregistered | TimerBackend::Local(..) => Poll::Pending,
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let (TimerBackend::Local(reactor, age), Some(at)) = (&self.backend, self.deadline) {
            let gone = lock(&reactor.timers).due.remove(&(at, *age));
            drop(gone);
        }
    }
}
