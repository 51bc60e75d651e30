//! An incarnation's handle to its surroundings: its mailbox, its stop signal, the clock, its timers
//! and its own address.

pub(crate) mod timers;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll, ready};
use std::time::{Duration, Instant};

use futures_lite::future;

use crate::runtime::address::Address;
use crate::runtime::context::timers::{TimedMessage, TimerId, Timers};
use crate::runtime::executor::{Clock, Sleep};
use crate::runtime::lifecycle::notifier::ParentNotifier;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::monitor::{self, NotRunning};
use crate::runtime::tree::node::Node;
use crate::runtime::tree::path::Path;

/// An actor yields after this number of events without a wait. Nothing else preempts it.
const POLL_BUDGET: u8 = 64;

/// The result of [`Context::next`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<M, T> {
    /// A stop was requested. All later calls return it too.
    Stop,
    /// A message arrived.
    Message(M),
    /// The I/O is ready.
    Io(T),
}

/// An incarnation's handle to its mailbox, its stop signal and the clock.
pub struct Context<M> {
    mailbox: Arc<Mailbox<M>>,
    node: Arc<Node>,
    /// True if the mailbox is polled before the I/O at the next poll. It alternates.
    message_first: bool,
    /// True if the timers are polled before the mailbox at the next poll. It alternates.
    timer_first: bool,
    /// True if the mailbox may hold the waker of this incarnation.
    is_registered: bool,
    budget: u8,
    /// The number of messages that [`Context::recv`] may still return after a stop request.
    drain_limit: u32,
    extras: Option<Box<ContextExtras<M>>>,
}

/// The rarely used part of a context.
///
/// It is boxed: a tree may have 100,000 incarnations, and most use none of it.
struct ContextExtras<M> {
    /// The mutex is never locked. It makes the context [`Sync`] if messages are not.
    timers: Option<Mutex<Timers<M>>>,
    /// Taken when the incarnation is ready.
    notifier: Option<ParentNotifier>,
}

impl<M> ContextExtras<M> {
    fn timers_mut(&mut self) -> Option<&mut Timers<M>> {
        self.timers.as_mut().map(get_mut)
    }
}

/// Returns the content of a mutex without locking it.
fn get_mut<T>(mutex: &mut Mutex<T>) -> &mut T {
    mutex.get_mut().unwrap_or_else(PoisonError::into_inner)
}

impl<M: Send + 'static> Context<M> {
    /// Makes the context of an incarnation. A `notifier` is told when the incarnation is ready.
    pub(crate) fn new(
        mailbox: Arc<Mailbox<M>>,
        node: Arc<Node>,
        notifier: Option<ParentNotifier>,
    ) -> Context<M> {
        Context {
            mailbox,
            node,
            message_first: false,
            timer_first: false,
            is_registered: false,
            budget: POLL_BUDGET,
            drain_limit: u32::MAX,
            extras: notifier
                .map(|notifier| Box::new(ContextExtras { timers: None, notifier: Some(notifier) })),
        }
    }

    /// Waits for the next event: a stop request, a message, or the output of `io`.
    ///
    /// A stop request comes first. After it, messages and I/O alternate, so that neither starves
    /// the other.
    ///
    /// # Cancel safety
    ///
    /// `io` is dropped when another event is first, so it must be cancel-safe: `recv`, `read` or
    /// `accept`, but never `send`, `write_all` or `read_line`.
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

    /// Records that the last message was handled.
    ///
    /// An actor that calls [`Context::poll_next`] calls this before each wait.
    pub(crate) fn message_done(&self) {
        self.node.message_done();
    }

    /// Counts items in [`Snapshot::handled`](crate::runtime::Snapshot::handled) that are no
    /// messages, such as datagrams or connections.
    pub fn record_handled(&self, count: usize) {
        self.node.record_items(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Polls for the next event, as [`Context::next`], for an actor with its own poll function.
    pub(crate) fn poll_next<T>(
        &mut self,
        cx: &mut task::Context<'_>,
        mut io: impl FnMut(&mut task::Context<'_>) -> Poll<T>,
    ) -> Poll<Event<M, T>> {
        if self.node.control.poll_stop(cx).is_ready() {
            return Poll::Ready(Event::Stop);
        }
        if self.exhaust_budget(cx) {
            return Poll::Pending;
        }
        self.message_first = !self.message_first;
        for is_message in [self.message_first, !self.message_first] {
            if is_message {
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

    /// Waits for a message.
    ///
    /// After a stop request it returns the messages that were queued by then, and then `None`.
    /// Messages that are sent later stay in the mailbox, so senders cannot delay the stop. Timers
    /// that have not fired by then are dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
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

    /// Takes a message after a stop request, if it was queued at the first call.
    fn drain_next(&mut self) -> Option<M> {
        if let Some(extras) = &mut self.extras {
            extras.timers = None;
        }
        let queued = u32::try_from(self.mailbox.len()).unwrap_or(u32::MAX);
        self.drain_limit = self.drain_limit.min(queued).checked_sub(1)?;
        let message = self.mailbox.queue().try_pop()?;
        self.node.message_started();
        Some(message)
    }

    /// Takes a message without waiting: of a timer that is due, or else of the mailbox.
    pub fn try_recv(&mut self) -> Option<M> {
        self.node.message_done();
        let now = || self.node.clock().now();
        let timers = self.extras.as_mut().and_then(|extras| extras.timers_mut());
        let timed = timers.and_then(|timers| timers.pop_due(now()));
        let message = match timed {
            Some(message) => message,
            None => self.mailbox.queue().try_pop()?,
        };
        self.node.message_started();
        Some(message)
    }

    /// Reports that the incarnation is ready. It is for a child with [`Child::ready_within`].
    ///
    /// Until then the child is starting: an error or a panic is a failed start, and `Ok` means that
    /// the actor chooses not to run. Later calls, and calls by other children, do nothing.
    ///
    /// [`Child::ready_within`]: crate::runtime::Child::ready_within
    pub fn ready(&mut self) {
        let notifier = self.extras.as_mut().and_then(|extras| extras.notifier.take());
        self.extras = self.extras.take().filter(|extras| extras.timers.is_some());
        if let Some(notifier) = notifier {
            notifier.ready(&self.node);
        }
    }

    /// Waits until a stop is requested.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn stopped(&mut self) {
        poll_fn(|cx| self.node.control.poll_stop(cx)).await;
    }

    /// Awaits `io`. Returns `None`, and drops `io`, if a stop is requested first.
    pub async fn unless_stopped<T>(&mut self, io: impl Future<Output = T>) -> Option<T> {
        let stop = async {
            self.stopped().await;
            None
        };
        future::or(stop, async { Some(io.await) }).await
    }

    /// Returns whether a stop was requested.
    pub fn is_stopping(&self) -> bool {
        self.node.control.is_stop_requested()
    }

    /// Sleeps for `duration`. See [`Clock::sleep`].
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.node.clock().sleep(duration)
    }

    /// Sleeps for `duration`, or until a stop is requested.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn sleep_unless_stopped(&mut self, duration: Duration) {
        future::or(self.node.clock().sleep(duration), self.stopped()).await;
    }

    /// Awaits `io` for at most `limit`. Returns `None` on a timeout. See [`Clock::timeout`].
    pub async fn timeout<T>(
        &self,
        limit: impl Into<Option<Duration>>,
        io: impl Future<Output = T>,
    ) -> Option<T> {
        self.node.clock().timeout(limit, io).await
    }

    /// Returns the time of the system's monotonic clock.
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

    /// Returns the actor's path in its tree.
    pub fn path(&self) -> Path {
        self.node.path()
    }

    /// Sends `message` to the actor itself after `delay`, as Erlang's `send_after`.
    ///
    /// The message takes no room in the mailbox. It is dropped with the incarnation.
    ///
    /// # Examples
    ///
    /// An actor limits its work to a minute. In a simulation the minute passes at once.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// use std::time::Duration;
    /// use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor};
    /// use sockactors::testing::Simulation;
    ///
    /// let mut tree = Supervisor::new("example", Strategy::OneForOne);
    /// tree.child(Child::new("timed", || async |mut ctx: Context<&'static str>| -> Outcome {
    ///     let start = ctx.now();
    ///     ctx.send_after(Duration::from_secs(60), "time is up");
    ///     let timer = ctx.send_after(Duration::from_secs(1), "never sent");
    ///     assert!(ctx.cancel(timer));
    ///     assert_eq!(ctx.recv().await, Some("time is up"));
    ///     assert_eq!(ctx.now() - start, Duration::from_secs(60));
    ///     Ok(())
    /// }).transient().significant());
    /// Simulation::new(1).run(tree).unwrap();
    /// ```
    pub fn send_after(&mut self, delay: Duration, message: M) -> TimerId {
        let now = self.now();
        self.timers().add(now, delay, TimedMessage::Once(message))
    }

    /// Sends the message of `make` to the actor itself after each `period`.
    ///
    /// It ends when the timer is cancelled, or with the incarnation. Periods that pass while the
    /// actor is busy are skipped.
    pub fn send_every(
        &mut self,
        period: Duration,
        make: impl FnMut() -> M + Send + 'static,
    ) -> TimerId {
        let now = self.now();
        self.timers().add(now, period, TimedMessage::Periodic(period, Box::new(make)))
    }

    /// Cancels a timer. Returns whether it was still pending.
    pub fn cancel(&mut self, timer: TimerId) -> bool {
        let timers = self.extras.as_mut().and_then(|extras| extras.timers_mut());
        timers.is_some_and(|timers| timers.cancel(timer))
    }

    fn timers(&mut self) -> &mut Timers<M> {
        let extras = self
            .extras
            .get_or_insert_with(|| Box::new(ContextExtras { timers: None, notifier: None }));
        get_mut(extras.timers.get_or_insert_with(|| Mutex::new(Timers::new())))
    }

    /// Links the actor with another, as Erlang's `link`.
    ///
    /// When one of the two incarnations ends, the other ends with [`Exit::Linked`]. That exit is as
    /// normal as the first one. If the first actor's loop returns `Ok` on its own, only the link
    /// ends.
    ///
    /// # Errors
    ///
    /// Fails if the other actor is not running.
    ///
    /// [`Exit::Linked`]: crate::runtime::Exit::Linked
    pub fn link<N: Send + 'static>(&self, other: &Address<N>) -> Result<(), NotRunning> {
        match other.node() {
            Some(other) => monitor::link(&self.node, other),
            None => Err(NotRunning { last_exit: None }),
        }
    }

    /// Removes the link with another actor.
    pub fn unlink<N: Send + 'static>(&self, other: &Address<N>) {
        if let Some(other) = other.node() {
            monitor::unlink(&self.node, other);
        }
    }

    /// Polls for a message of a timer or of the mailbox. They alternate while both have one.
    fn poll_message(&mut self, cx: &mut task::Context<'_>) -> Poll<M> {
        self.is_registered = true;
        let message = match self.extras {
            None => ready!(self.mailbox.queue().poll_pop(cx)),
            Some(_) => ready!(self.poll_message_or_timer(cx)),
        };
        self.node.message_started();
        Poll::Ready(message)
    }

    fn poll_message_or_timer(&mut self, cx: &mut task::Context<'_>) -> Poll<M> {
        self.timer_first = !self.timer_first;
        for is_timer in [self.timer_first, !self.timer_first] {
            let timers = self.extras.as_mut().and_then(|extras| extras.timers_mut());
            let polled = match (is_timer, timers) {
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

    /// Counts one event. Once the budget is spent, requests another poll and returns `true`.
    fn exhaust_budget(&mut self, cx: &task::Context<'_>) -> bool {
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
        // The waker keeps the task of this incarnation allocated. Without this, the mailbox would
        // hold it until the next incarnation polls.
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
