//! A time that can be waited for, on whichever thread.

use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::{Reactor, here, lock};

/// The times that are waited for in one reactor.
#[derive(Default)]
pub(super) struct Alarms {
    /// By their time, and among the same time by their age.
    due: BTreeMap<(Instant, u64), Waker>,
    last: u64,
    is_closed: bool,
}

impl Alarms {
    /// Returns how long it is until the next one.
    pub(super) fn next(&self) -> Option<Duration> {
        let ((at, _), _) = self.due.first_key_value()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Takes those whose time has come.
    pub(super) fn ring(&mut self, woken: &mut Vec<Waker>) {
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
        self.last += 1;
        self.due.insert((at, self.last), waker.clone());
        Some(self.last)
    }

    /// Has another waker woken; tells whether the time is still waited for.
    fn stays(alarms: &Mutex<Alarms>, key: (Instant, u64), waker: &Waker) -> bool {
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
    at: Option<Instant>,
    home: Home,
}

/// Where a time is waited for.
#[derive(Debug)]
enum Home {
    Nowhere,
    Here(Arc<Reactor>, u64),
    Smol(smol::Timer),
}

impl Timer {
    /// Makes a timer for a while from now on.
    pub(crate) fn after(duration: Duration) -> Timer {
        Timer { at: Instant::now().checked_add(duration), home: Home::Nowhere }
    }

    /// Takes a place in the reactor of this thread, or in smol's.
    fn settle(at: Instant, waker: &Waker) -> Home {
        let joined = here().and_then(|reactor| {
            let age = lock(&reactor.alarms).add(at, waker)?;
            Some(Home::Here(reactor, age))
        });
        joined.unwrap_or_else(|| Home::Smol(smol::Timer::at(at)))
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let stays = match &self.home {
            Home::Here(reactor, age) => Alarms::stays(&reactor.alarms, (at, *age), cx.waker()),
            Home::Nowhere | Home::Smol(_) => false,
        };
        if stays {
            return Poll::Pending;
        }
        if !matches!(self.home, Home::Smol(_)) {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            // It has not been anywhere, or nobody sleeps any more where it was.
            self.home = Timer::settle(at, cx.waker());
        }
        match &mut self.home {
            Home::Smol(timer) => Pin::new(timer).poll(cx).map(drop),
            Home::Nowhere | Home::Here(..) => Poll::Pending,
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let (Home::Here(reactor, age), Some(at)) = (&self.home, self.at) {
            let gone = lock(&reactor.alarms).due.remove(&(at, *age));
            drop(gone);
        }
    }
}
