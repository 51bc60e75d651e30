//! The timers of one incarnation: messages that an actor sends to itself later.
//!
//! A timed message waits in the incarnation's context, not in the mailbox. It takes no room there,
//! and it is dropped with the incarnation. Erlang's `send_after` to the own process does the same.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll, ready};
use std::time::{Duration, Instant};

use slab::Slab;

use crate::runtime::executor::{Clock, Sleep};
use crate::time::deadline_after;

/// A handle that cancels a timer of one incarnation.
///
/// [`Context::send_after`](crate::runtime::Context::send_after) and
/// [`Context::send_every`](crate::runtime::Context::send_every) return it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId {
    /// Unlike the key, it is never reused.
    number: u64,
    key: usize,
}

/// A message that waits for its time.
pub(crate) enum TimedMessage<M> {
    Once(M),
    Periodic(Duration, Box<dyn FnMut() -> M + Send>),
}

/// The timers of one incarnation.
pub(crate) struct Timers<M> {
    entries: Slab<(Instant, u64, TimedMessage<M>)>,
    /// The keys of the entries, by their time and then by their number.
    due: BTreeMap<(Instant, u64), usize>,
    next_number: u64,
    /// The sleep until the first timer.
    sleep: Option<(Instant, Sleep)>,
}

impl<M> Timers<M> {
    pub(crate) fn new() -> Timers<M> {
        Timers { entries: Slab::new(), due: BTreeMap::new(), next_number: 0, sleep: None }
    }

    /// Adds a timer that fires `delay` after `now`.
    pub(crate) fn add(&mut self, now: Instant, delay: Duration, timed: TimedMessage<M>) -> TimerId {
        let at = deadline_after(now, delay);
        let number = self.next_number;
        self.next_number += 1;
        let key = self.entries.insert((at, number, timed));
        self.due.insert((at, number), key);
        TimerId { number, key }
    }

    /// Removes a timer, and returns whether it was there.
    pub(crate) fn cancel(&mut self, id: TimerId) -> bool {
        match self.entries.get(id.key) {
            Some((at, number, _)) if *number == id.number => {
                self.due.remove(&(*at, *number));
                self.entries.remove(id.key);
                true
            }
            _ => false,
        }
    }

    /// Takes the message of the first timer, if its time has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<M> {
        let (&(at, _), &key) = self.due.first_key_value()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        if let (at, number, TimedMessage::Periodic(period, make)) = &mut self.entries[key] {
            *at = next_tick(*at, *period, now);
            self.due.insert((*at, *number), key);
            return Some(make());
        }
        match self.entries.remove(key).2 {
            TimedMessage::Once(message) => Some(message),
            TimedMessage::Periodic(..) => None,
        }
    }

    /// Polls for the message of the first timer.
    pub(crate) fn poll(&mut self, cx: &mut task::Context<'_>, clock: &Clock) -> Poll<M> {
        let Some((&(at, _), _)) = self.due.first_key_value() else {
            return Poll::Pending;
        };
        ready!(poll_sleep_until(&mut self.sleep, at, cx, clock));
        // The clock may be read as slightly earlier than the timer that has just fired.
        self.pop_due(clock.now().max(at)).map_or(Poll::Pending, Poll::Ready)
    }
}

/// Polls a sleep until `at`. Replaces the sleep if it is for another time.
fn poll_sleep_until(
    sleep: &mut Option<(Instant, Sleep)>,
    at: Instant,
    cx: &mut task::Context<'_>,
    clock: &Clock,
) -> Poll<()> {
    if sleep.as_ref().is_none_or(|(until, _)| *until != at) {
        *sleep = Some((at, clock.sleep(at.saturating_duration_since(clock.now()))));
    }
    if let Some((_, sleep)) = sleep {
        ready!(Pin::new(sleep).poll(cx));
    }
    *sleep = None;
    Poll::Ready(())
}

/// Returns the first tick after `now`, a whole number of periods after `last`.
fn next_tick(last: Instant, period: Duration, now: Instant) -> Instant {
    let elapsed = now.saturating_duration_since(last).as_nanos();
    let period = period.as_nanos().max(1);
    let ahead = (elapsed / period + 1).saturating_mul(period);
    deadline_after(last, Duration::from_nanos(u64::try_from(ahead).unwrap_or(u64::MAX)))
}

impl<M> fmt::Debug for Timers<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timers({} waiting)", self.entries.len())
    }
}
