//! Messages that an actor sends to itself, later.
//!
//! They wait in the incarnation's own context and not in the mailbox: they take no place there, and they are
//! gone with the incarnation, as Erlang's `send_after` to oneself would be after a restart.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context as Waking, Poll, ready};
use std::time::{Duration, Instant};

use slab::Slab;

use crate::runtime::Context;
use crate::runtime::context::extra::timers_mut;
use crate::runtime::executor::{Clock, Sleep};

impl<M: Send + 'static> Context<M> {
    /// Sends `message` to the actor itself after a while. It is gone with the incarnation, and takes no
    /// place in the mailbox. As Erlang's `send_after`.
    ///
    /// # Examples
    ///
    /// This example shows an actor that gives itself a minute for its work; in simulation it takes no time.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// use std::time::Duration;
    /// use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor};
    /// use sockactors::testing::Simulation;
    ///
    /// let mut tree = Supervisor::new("example", Strategy::OneForOne);
    /// tree.child(Child::new("timed", || async |mut ctx: Context<&'static str>| -> Outcome {
    ///     let begun = ctx.now();
    ///     ctx.send_after(Duration::from_secs(60), "time is up");
    ///     let spare = ctx.send_after(Duration::from_secs(1), "never sent");
    ///     assert!(ctx.cancel(spare));
    ///     assert_eq!(ctx.recv().await, Some("time is up"));
    ///     assert_eq!(ctx.now() - begun, Duration::from_secs(60));
    ///     Ok(())
    /// }).transient().significant());
    /// Simulation::new(1).run(tree).unwrap();
    /// ```
    pub fn send_after(&mut self, after: Duration, message: M) -> TimerId {
        let at = saturating_add(self.now(), after);
        self.timers().add(at, TimedMessage::Once(message))
    }

    /// Sends the actor a message of `make` after each `period`, until it is cancelled or the incarnation
    /// ends. When the actor is late, the periods that it missed are left out.
    pub fn send_every(
        &mut self,
        period: Duration,
        make: impl FnMut() -> M + Send + 'static,
    ) -> TimerId {
        let first = saturating_add(self.now(), period);
        self.timers().add(first, TimedMessage::Periodic(period, Box::new(make)))
    }

    /// Cancels a timer; tells whether there was anything left to cancel.
    pub fn cancel(&mut self, timer: TimerId) -> bool {
        timers_mut(&mut self.extras).is_some_and(|timers| timers.cancel(timer))
    }

    fn timers(&mut self) -> &mut Timers<M> {
        let extra = self.extras.get_or_insert_default();
        mutex_mut(extra.timers.get_or_insert_with(|| Mutex::new(Timers::new())))
    }
}

/// One timer of one incarnation, to cancel it by; made by
/// [`Context::send_after`](crate::runtime::Context::send_after).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId {
    number: u64,
    key: usize,
}

enum TimedMessage<M> {
    Once(M),
    Periodic(Duration, Box<dyn FnMut() -> M + Send>),
}

/// The messages that wait for their time.
pub(crate) struct Timers<M> {
    kept: Slab<(Instant, u64, TimedMessage<M>)>,
    /// Where they are kept, by their time, and among the same time by their age.
    due: BTreeMap<(Instant, u64), usize>,
    next: u64,
    /// Until the first of them.
    sleep: Option<(Instant, Sleep)>,
}

/// Looks into a mutex that is one's own.
pub(crate) fn mutex_mut<T>(mutex: &mut Mutex<T>) -> &mut T {
    mutex.get_mut().unwrap_or_else(PoisonError::into_inner)
}

impl<M> Timers<M> {
    fn new() -> Timers<M> {
        Timers { kept: Slab::new(), due: BTreeMap::new(), next: 0, sleep: None }
    }

    fn add(&mut self, at: Instant, timed: TimedMessage<M>) -> TimerId {
        let number = self.next;
        self.next += 1;
        let kept = self.kept.insert((at, number, timed));
        self.due.insert((at, number), kept);
        TimerId { number, key: kept }
    }

    fn cancel(&mut self, id: TimerId) -> bool {
        match self.kept.get(id.key) {
            Some((at, number, _)) if *number == id.number => {
                self.due.remove(&(*at, *number));
                self.kept.remove(id.key);
                true
            }
            _ => false,
        }
    }

    /// Takes the message of the first timer, if its time has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<M> {
        let (&(at, _), &kept) = self.due.first_key_value()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        if let (at, number, TimedMessage::Periodic(period, make)) = &mut self.kept[kept] {
            *at = next_tick(*at, *period, now);
            self.due.insert((*at, *number), kept);
            return Some(make());
        }
        match self.kept.remove(kept).2 {
            TimedMessage::Once(message) => Some(message),
            TimedMessage::Periodic(..) => None,
        }
    }

    /// Is ready with the message of the first timer whose time has come.
    pub(crate) fn poll(&mut self, cx: &mut Waking<'_>, clock: &Clock) -> Poll<M> {
        let Some((&(at, _), _)) = self.due.first_key_value() else {
            return Poll::Pending;
        };
        ready!(poll_sleep_until(&mut self.sleep, at, cx, clock));
        // The clock may not have come quite as far as the timer that slept for it.
        self.pop_due(clock.now().max(at)).map_or(Poll::Pending, Poll::Ready)
    }
}

/// Is ready once it is time, with a sleep that is made anew where it is for another time.
fn poll_sleep_until(
    sleep: &mut Option<(Instant, Sleep)>,
    at: Instant,
    cx: &mut Waking<'_>,
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

/// Returns when a period ends next: in step with `last`, and after `now`, whatever was missed in between.
fn next_tick(last: Instant, period: Duration, now: Instant) -> Instant {
    let (late, period) = (now.saturating_duration_since(last).as_nanos(), period.as_nanos().max(1));
    let ahead = (late / period + 1).saturating_mul(period);
    saturating_add(last, Duration::from_nanos(u64::try_from(ahead).unwrap_or(u64::MAX)))
}

/// Adds to a time what may be more than a clock can show.
fn saturating_add(time: Instant, after: Duration) -> Instant {
    const FAR_FUTURE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    time.checked_add(after).unwrap_or(time + FAR_FUTURE)
}

impl<M> fmt::Debug for Timers<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timers({} waiting)", self.kept.len())
    }
}
