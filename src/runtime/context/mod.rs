//! What an incarnation has of the world: its mailbox, its stop signal, the clock, its own address.

pub(crate) mod extra;
pub(crate) mod timers;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Waking, Poll, ready};
use std::time::{Duration, Instant};

use futures_lite::future;

use super::executor::{Clock, Sleep};
use super::lifecycle::notifier::ParentNotifier;
use super::mailbox::Mailbox;
use super::tree::node::Node;
use super::{Address, Path};
use extra::{ContextExtras, timers_mut};

/// After so many events without a pause an actor lets the others run: nothing else preempts it.
const POLL_BUDGET: u8 = 64;

/// What [`Context::next`] brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<M, T> {
    /// A stop was asked for. It is told again at each call from now on.
    Stop,
    /// A message arrived.
    Message(M),
    /// The I/O is ready.
    Io(T),
}

/// An incarnation's handle to its mailbox, its stop signal and the clock.
pub struct Context<M> {
    mailbox: Arc<Mailbox<M>>,
    pub(super) node: Arc<Node>,
    message_first: bool,
    timer_first: bool,
    /// Whether its task may be known to the mailbox, as who waits for a message.
    is_registered: bool,
    budget: u8,
    /// As many messages as it takes at most once its stop was asked for.
    drain_limit: u32,
    pub(super) extras: Option<Box<ContextExtras<M>>>,
}

impl<M: Send + 'static> Context<M> {
    pub(crate) fn new(
        mailbox: Arc<Mailbox<M>>,
        node: Arc<Node>,
        notice: Option<ParentNotifier>,
    ) -> Context<M> {
        Context {
            mailbox,
            node,
            message_first: false,
            timer_first: false,
            is_registered: false,
            budget: POLL_BUDGET,
            drain_limit: u32::MAX,
            extras: notice.map(ContextExtras::with_notifier),
        }
    }

    /// Waits for whatever comes first: the stop, a message, or `io`.
    ///
    /// The stop is looked at first. After it, mail and I/O take turns, so that neither starves the other.
    /// Whichever loses is given up and asked for anew at the next call, so `io` must be cancel-safe:
    /// reading, accepting, receiving; never a `send`, a `write_all` or a `read_line`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockactors::runtime::{Child, Context, Event, Outcome, Strategy, Supervisor, System};
    ///
    /// let mut tree = Supervisor::new("example", Strategy::OneForOne);
    /// let sum = tree.child(Child::new("sum", || async |mut ctx: Context<u8>| -> Outcome {
    ///     let mut sum = 0;
    ///     while sum < 10 {
    ///         match ctx.next(std::future::pending::<()>()).await {
    ///             Event::Stop => break,
    ///             Event::Message(n) => sum += n,
    ///             Event::Io(()) => unreachable!(),
    ///         }
    ///     }
    ///     assert_eq!(sum, 10);
    ///     Ok(())
    /// }).transient().significant());
    /// sum.try_send(4).unwrap();
    /// sum.try_send(6).unwrap();
    /// System::new().run(tree).unwrap();
    /// ```
    pub async fn next<F: Future>(&mut self, io: F) -> Event<M, F::Output> {
        self.message_done();
        let mut io = pin!(io);
        poll_fn(|cx| self.poll_next(cx, |cx| io.as_mut().poll(cx))).await
    }

    /// Notes that what the last event brought is dealt with: an actor that polls by itself says so before each
    /// wait.
    pub(crate) fn message_done(&self) {
        self.node.message_done();
    }

    /// Is ready with whatever comes first, as [`Context::next`], for an actor whose wait is a poll of its own.
    pub(crate) fn poll_next<T>(
        &mut self,
        cx: &mut Waking<'_>,
        mut io: impl FnMut(&mut Waking<'_>) -> Poll<T>,
    ) -> Poll<Event<M, T>> {
        if self.node.control.poll_stop(cx).is_ready() {
            return Poll::Ready(Event::Stop);
        }
        if self.exhaust_budget(cx) {
            return Poll::Pending;
        }
        self.message_first = !self.message_first;
        for mail in [self.message_first, !self.message_first] {
            if mail {
                if let Poll::Ready(message) = self.poll_message(cx) {
                    return Poll::Ready(Event::Message(message));
                }
            } else if let Poll::Ready(output) = io(cx) {
                return Poll::Ready(Event::Io(output));
            }
        }
        self.budget = POLL_BUDGET;
        Poll::Pending
    }

    /// Waits for a message; `None` once a stop was asked for and those were taken that waited in the mailbox by
    /// then. What is sent later stays in it, so nobody puts off the stop by sending on and on. Timers that have
    /// not fired until then do not any more. Cancel-safe.
    pub async fn recv(&mut self) -> Option<M> {
        self.node.message_done();
        poll_fn(|cx| {
            if self.exhaust_budget(cx) {
                return Poll::Pending;
            }
            if self.is_stopping() {
                return Poll::Ready(self.drain_next());
            }
            if let Poll::Ready(message) = self.poll_message(cx) {
                return Poll::Ready(Some(message));
            }
            self.budget = POLL_BUDGET;
            ready!(self.node.control.poll_stop(cx));
            Poll::Ready(self.drain_next())
        })
        .await
    }

    /// Takes one of the messages that waited when it was first asked for them after the stop.
    fn drain_next(&mut self) -> Option<M> {
        if let Some(extra) = &mut self.extras {
            extra.timers = None;
        }
        let waiting = u32::try_from(self.mailbox.len()).unwrap_or(u32::MAX);
        self.drain_limit = self.drain_limit.min(waiting).checked_sub(1)?;
        let message = self.mailbox.queue().try_pop()?;
        self.node.message_started();
        Some(message)
    }

    /// Takes a message if one waits.
    pub fn try_recv(&mut self) -> Option<M> {
        self.node.message_done();
        let node = &self.node;
        let timers = timers_mut(&mut self.extras);
        let timed = timers.and_then(|timers| timers.pop_due(node.clock().now()));
        let message = match timed {
            Some(message) => message,
            None => self.mailbox.queue().try_pop()?,
        };
        self.node.message_started();
        Some(message)
    }

    /// Says that the incarnation is ready, for a child that [says so itself](super::Child::ready_within).
    /// What happens before it is the start: an error or a panic there is a failed start, and an `Ok` there
    /// means that the actor chooses not to run. Said again, or by any other child, it changes nothing.
    pub fn ready(&mut self) {
        let notice = self.extras.as_mut().and_then(|extra| extra.notifier.take());
        self.extras = self.extras.take().filter(|extra| extra.timers.is_some());
        if let Some(notice) = notice {
            notice.ready(&self.node);
        }
    }

    /// Waits until a stop is asked for. Cancel-safe.
    pub async fn stopped(&mut self) {
        poll_fn(|cx| self.node.control.poll_stop(cx)).await;
    }

    /// Awaits `io`, or drops it, wherever it is, when a stop is asked for: then there is `None`.
    pub async fn unless_stopped<T>(&mut self, io: impl Future<Output = T>) -> Option<T> {
        let stop = async {
            self.stopped().await;
            None
        };
        future::or(stop, async { Some(io.await) }).await
    }

    /// Tells whether a stop was asked for.
    pub fn is_stopping(&self) -> bool {
        self.node.control.is_stop_requested()
    }

    /// Returns a future that is ready once `duration` has passed.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.node.clock().sleep(duration)
    }

    /// Sleeps for `duration`, or until a stop is asked for. Cancel-safe.
    pub async fn sleep_unless_stopped(&mut self, duration: Duration) {
        future::or(self.node.clock().sleep(duration), self.stopped()).await;
    }

    /// Awaits `io` for at most `limit`; `None` when it passed first. See [`Clock::timeout`].
    pub async fn timeout<T>(
        &self,
        limit: impl Into<Option<Duration>>,
        io: impl Future<Output = T>,
    ) -> Option<T> {
        self.node.clock().timeout(limit, io).await
    }

    /// Returns the time on the system's monotonic clock.
    pub fn now(&self) -> Instant {
        self.node.clock().now()
    }

    /// Returns the system's clock, for parts of the actor that do not hold its context.
    pub fn clock(&self) -> &Clock {
        self.node.clock()
    }

    /// Returns the actor's own address.
    pub fn address(&self) -> Address<M> {
        Address::from_mailbox(self.mailbox.clone())
    }

    /// Returns where the actor stands in its tree.
    pub fn path(&self) -> Path {
        self.node.path()
    }

    /// Is ready with a message: of a timer or of the mailbox, in turns while both have one.
    fn poll_message(&mut self, cx: &mut Waking<'_>) -> Poll<M> {
        self.is_registered = true;
        let message = match self.extras {
            None => ready!(self.mailbox.queue().poll_pop(cx)),
            Some(_) => ready!(self.poll_message_or_timer(cx)),
        };
        self.node.message_started();
        Poll::Ready(message)
    }

    fn poll_message_or_timer(&mut self, cx: &mut Waking<'_>) -> Poll<M> {
        self.timer_first = !self.timer_first;
        for timer in [self.timer_first, !self.timer_first] {
            let polled = match (timer, timers_mut(&mut self.extras)) {
                (true, Some(timers)) => timers.poll(cx, self.node.clock()),
                (true, None) => Poll::Pending,
                (false, _) => self.mailbox.queue().poll_pop(cx),
            };
            if polled.is_ready() {
                return polled;
            }
        }
        Poll::Pending
    }

    /// Counts one event; when the budget is spent, asks to be polled again and tells so.
    fn exhaust_budget(&mut self, cx: &Waking<'_>) -> bool {
        if let Some(rest) = self.budget.checked_sub(1) {
            self.budget = rest;
            return false;
        }
        self.budget = POLL_BUDGET;
        cx.waker().wake_by_ref();
        true
    }
}

impl<M> Drop for Context<M> {
    fn drop(&mut self) {
        // Else the task of an incarnation that is gone would be kept until the next one looks for mail.
        if self.is_registered {
            self.mailbox.queue().clear_reader();
        }
    }
}

impl<M> fmt::Debug for Context<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({})", self.node.path())
    }
}
