//! The timers of one reactor.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Mutex;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// The key of a timer: its time, and a number that distinguishes timers of the same time.
pub(super) type TimerKey = (Instant, u64);

/// The wakers of the timers of one reactor, by their time.
#[derive(Default)]
pub(super) struct TimerQueue {
    due: BTreeMap<TimerKey, Waker>,
    last_id: u64,
    is_closed: bool,
}

impl TimerQueue {
    /// Returns the time until the next timer fires, if there is one.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        let ((at, _), _) = self.due.first_key_value()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Removes the timers that are due, and moves their wakers to `woken`.
    pub(super) fn fire(&mut self, woken: &mut Vec<Waker>) {
        let now = Instant::now();
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) {
            woken.push(first.remove());
        }
    }

    /// Adds a timer and returns its number. Returns `None` if the reactor is closed.
    pub(super) fn add(&mut self, at: Instant, waker: &Waker) -> Option<u64> {
        if self.is_closed {
            return None;
        }
        self.last_id += 1;
        self.due.insert((at, self.last_id), waker.clone());
        Some(self.last_id)
    }

    /// Updates the waker of a timer. Returns `false` if the timer has fired.
    pub(super) fn update_waker(timers: &Mutex<TimerQueue>, key: TimerKey, waker: &Waker) -> bool {
        // Dropped after the lock is released: the drop of a waker may call the reactor.
        let _replaced = {
            let mut timers = lock(timers);
            let Some(last) = timers.due.get_mut(&key) else { return false };
            (!last.will_wake(waker)).then(|| mem::replace(last, waker.clone()))
        };
        true
    }

    /// Removes a timer. The caller drops the waker after the lock is released.
    pub(super) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        self.due.remove(&key)
    }

    /// Rejects further timers and returns the wakers of all timers.
    pub(super) fn close(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.is_closed = true;
        mem::take(&mut self.due).into_values()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}
