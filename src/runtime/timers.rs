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

use super::Context;
use super::scheduler::{Clock, Sleep};

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
        let at = self.clock.now() + after;
        self.timers().add(at, Timed::Once(message))
    }

    /// Sends the actor a message of `make` after each `period`, until it is cancelled or the incarnation
    /// ends. When the actor is late, the periods that it missed are left out.
    pub fn send_every(
        &mut self,
        period: Duration,
        make: impl FnMut() -> M + Send + 'static,
    ) -> TimerId {
        let first = self.clock.now() + period;
        self.timers().add(first, Timed::Every(period, Box::new(make)))
    }

    /// Cancels a timer; tells whether there was anything left to cancel.
    pub fn cancel(&mut self, timer: TimerId) -> bool {
        self.timers.as_mut().is_some_and(|timers| unlocked(timers).cancel(timer))
    }

    fn timers(&mut self) -> &mut Timers<M> {
        unlocked(self.timers.get_or_insert_with(|| Box::new(Mutex::new(Timers::new()))))
    }
}

/// One timer of one incarnation, to cancel it by; made by
/// [`Context::send_after`](super::Context::send_after).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId(u64);

enum Timed<M> {
    Once(M),
    Every(Duration, Box<dyn FnMut() -> M + Send>),
}

/// The messages that wait for their time.
pub(super) struct Timers<M> {
    kept: Slab<Timed<M>>,
    /// Where they are kept, by their time, and among the same time by their age.
    due: BTreeMap<(Instant, u64), usize>,
    next: u64,
    /// Until the first of them.
    sleep: Option<(Instant, Sleep)>,
}

/// Looks into a mutex that is one's own.
pub(super) fn unlocked<T>(mutex: &mut Mutex<T>) -> &mut T {
    mutex.get_mut().unwrap_or_else(PoisonError::into_inner)
}

impl<M> Timers<M> {
    fn new() -> Timers<M> {
        Timers { kept: Slab::new(), due: BTreeMap::new(), next: 0, sleep: None }
    }

    fn add(&mut self, at: Instant, timed: Timed<M>) -> TimerId {
        let number = self.next;
        self.next += 1;
        self.due.insert((at, number), self.kept.insert(timed));
        TimerId(number)
    }

    fn cancel(&mut self, id: TimerId) -> bool {
        let key = self.due.keys().find(|(_, number)| *number == id.0).copied();
        let kept = key.and_then(|key| self.due.remove(&key));
        kept.map(|kept| self.kept.remove(kept)).is_some()
    }

    /// Is ready with the message of the first timer whose time has come.
    pub(super) fn poll(&mut self, cx: &mut Waking<'_>, clock: &Clock) -> Poll<M> {
        let Some((&(at, number), &kept)) = self.due.first_key_value() else {
            return Poll::Pending;
        };
        ready!(poll_until(&mut self.sleep, at, cx, clock));
        self.due.pop_first();
        if let Timed::Every(period, make) = &mut self.kept[kept] {
            self.due.insert((next(at, *period, clock.now()), number), kept);
            return Poll::Ready(make());
        }
        match self.kept.remove(kept) {
            Timed::Once(message) => Poll::Ready(message),
            Timed::Every(..) => Poll::Pending,
        }
    }
}

/// Is ready once it is time, with a sleep that is made anew where it is for another time.
fn poll_until(
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
fn next(last: Instant, period: Duration, now: Instant) -> Instant {
    let (late, period) = (now.saturating_duration_since(last).as_nanos(), period.as_nanos().max(1));
    let ahead = (late / period + 1).saturating_mul(period);
    last + Duration::from_nanos(u64::try_from(ahead).unwrap_or(u64::MAX))
}

impl<M> fmt::Debug for Timers<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timers({} waiting)", self.kept.len())
    }
}
