//! The I/O of a chat session: one future that waits for everything at once.
//!
//! A session is a loop over [`SessionIo::next`]: input, room messages, its mailbox, the stop
//! request and a deadline. Its output goes into the outbox and is written during the wait, as far
//! as the peer takes it. A peer that takes nothing for [`WRITE_TIMEOUT`] is disconnected. So a
//! slow peer delays only its own session, and an idle session holds no buffer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context as Waking, Poll};
use std::time::Instant;

use crate::actors::chat::broadcast::subscribers::UnfinishedWrite;
use crate::actors::chat::broadcast::subscription::{Delivery, Subscription};
use crate::actors::chat::messages::SessionMessage;
use crate::actors::chat::session::delivery::{fill_outbox, poll_deliver};
use crate::actors::chat::session::outbox::{
    CLOSE_TIMEOUT, HIGH_WATER, MAX_PENDING, Outbox, WRITE_TIMEOUT,
};
use crate::actors::support::memory_budget::ConnectionMemory;
use crate::net::Stream;
use crate::runtime::{Clock, Context, Event, Sleep};
use crate::time::deadline_after;

/// A connection with its outbox.
#[derive(Debug)]
pub(crate) struct SessionIo {
    pub(crate) stream: Stream,
    pub(crate) outbox: Outbox,
    memory: ConnectionMemory,
    /// The current deadline and the sleep until then.
    timer: Option<Box<(Instant, Sleep)>>,
}

/// The events that a session waits for, in addition to the stop request, its mailbox and the
/// outbox.
pub(crate) struct WaitFor<'a> {
    /// The room's messages. `None` outside of a room.
    pub(crate) subscription: Option<&'a mut Subscription>,
    /// Whether the room's messages are written as they are. Otherwise the wait ends with
    /// [`SessionEvent::RoomActivity`] when there is one.
    pub(crate) verbatim: bool,
    /// Whether to read input.
    pub(crate) input: bool,
    /// Whether to end the wait with [`SessionEvent::Drained`] when the outbox is empty. A wait that
    /// begins with a full outbox always ends when it has space again.
    pub(crate) flushed: bool,
    /// When the wait ends with [`SessionEvent::TimedOut`].
    pub(crate) deadline: Option<Instant>,
}

/// The event that ended a wait.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// A stop was requested.
    Stop,
    /// The session received a message.
    Message(SessionMessage),
    /// The room may have more messages.
    RoomActivity,
    /// The number of bytes read. 0 when the peer has closed its side.
    Input(usize),
    /// The outbox has space again, so input that waits for it can be handled. Or it is empty, and
    /// the wait was for that.
    Drained,
    /// The deadline has passed.
    TimedOut,
    /// The connection failed, or the peer took nothing for [`WRITE_TIMEOUT`].
    IoError(io::Error),
}

enum SessionIoEvent {
    Readable(io::Result<()>),
    Writable(io::Result<()>),
    RoomActivity(io::Result<()>),
    TimedOut,
}

/// The future of [`SessionIo::next`]. It is not an `async fn`, because that would hold the
/// arguments twice in each idle session.
pub(crate) struct NextEvent<'a, F> {
    io: &'a mut SessionIo,
    ctx: &'a mut Context<SessionMessage>,
    wait_for: WaitFor<'a>,
    on_input: F,
    /// Whether the outbox was full, so that buffered input waits for space.
    was_full: bool,
}

impl SessionIo {
    /// Creates the I/O of a connection, with an empty outbox.
    pub(crate) fn new(stream: Stream, memory: ConnectionMemory) -> SessionIo {
        SessionIo { stream, outbox: Outbox::default(), memory, timer: None }
    }

    /// Waits for the next event, and writes the outbox and the room's messages meanwhile. Input is
    /// handed to `on_input`.
    ///
    /// # Cancel safety
    ///
    /// Cancelling the wait loses no event and no byte.
    pub(crate) fn next<'a, F: FnMut(&[u8])>(
        &'a mut self,
        ctx: &'a mut Context<SessionMessage>,
        wait_for: WaitFor<'a>,
        on_input: F,
    ) -> NextEvent<'a, F> {
        NextEvent { io: self, ctx, wait_for, on_input, was_full: false }
    }

    /// Moves new messages to the outbox with `push`, if the outbox is empty.
    pub(crate) fn fill_outbox_if_empty(
        &mut self,
        subscription: &mut Subscription,
        push: impl FnMut(Delivery, &mut Outbox),
    ) {
        if self.outbox.is_empty() {
            fill_outbox(subscription, &mut self.outbox, push);
        }
    }

    fn poll_io(
        &mut self,
        wait_for: &mut WaitFor<'_>,
        deadline: Option<&(Instant, Clock)>,
        cx: &mut Waking<'_>,
    ) -> Poll<SessionIoEvent> {
        if self.memory.poll_evicted(cx).is_ready() {
            // The peer does not read, and its memory is needed now.
            self.outbox = Outbox::default();
            let error = io::Error::new(io::ErrorKind::OutOfMemory, "the server is out of memory");
            return Poll::Ready(SessionIoEvent::Writable(Err(error)));
        }
        if self.outbox.is_empty() {
            if let Some(subscription) = &mut wait_for.subscription {
                let delivered = match wait_for.verbatim {
                    true => poll_deliver(&self.stream, &mut self.outbox, subscription),
                    false => subscription.poll_ready(cx).map(Ok),
                };
                if let Poll::Ready(result) = delivered {
                    return Poll::Ready(SessionIoEvent::RoomActivity(result));
                }
            }
        } else if let Poll::Ready(result) = self.stream.poll_writable(cx) {
            return Poll::Ready(SessionIoEvent::Writable(result));
        }
        // Input makes replies, and these take memory.
        let has_room = self.memory.poll_room(cx).is_ready();
        if wait_for.input && has_room && self.outbox.private_bytes() < HIGH_WATER {
            if let Poll::Ready(result) = self.stream.poll_readable(cx) {
                return Poll::Ready(SessionIoEvent::Readable(result));
            }
        }
        let Some((deadline, clock)) = deadline else {
            self.timer = None;
            return Poll::Pending;
        };
        if self.timer.as_ref().is_none_or(|timer| timer.0 != *deadline) {
            let duration = deadline.saturating_duration_since(clock.now());
            self.timer = Some(Box::new((*deadline, clock.sleep(duration))));
        }
        match &mut self.timer {
            Some(timer) => Pin::new(&mut timer.1).poll(cx).map(|()| SessionIoEvent::TimedOut),
            None => Poll::Pending,
        }
    }

    /// Lends the idle stream to the log, so that the next sender writes to it directly.
    fn lend_stream(&self, wait_for: &mut WaitFor<'_>, cx: &Waking<'_>) {
        if let (Some(subscription), true, true) =
            (&mut wait_for.subscription, wait_for.verbatim, self.outbox.is_empty())
        {
            if !subscription.lend_stream(&self.stream, cx) {
                // A message was published after the poll.
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Takes a lent stream back, and moves the remainder of a direct write to the outbox.
    fn reclaim_stream(&mut self, wait_for: &mut WaitFor<'_>) -> io::Result<()> {
        let subscription = wait_for.subscription.as_mut();
        match subscription.and_then(|subscription| subscription.reclaim_stream()) {
            None => Ok(()),
            Some(UnfinishedWrite::Remainder(bytes)) => {
                self.outbox.push_remainder(bytes);
                Ok(())
            }
            Some(UnfinishedWrite::Failed(error)) => Err(error),
        }
    }

    /// Returns whether no more replies may be added: [`HIGH_WATER`] private bytes wait, or the
    /// memory of all connections is used up.
    pub(crate) fn is_full(&self) -> bool {
        self.outbox.private_bytes() >= HIGH_WATER || !self.memory.has_room()
    }

    /// Charges the outbox to the memory budget.
    pub(crate) fn charge_memory(&mut self, now: impl FnOnce() -> Instant) {
        self.memory.set(self.outbox.private_bytes(), now);
    }

    /// Writes the outbox until it is empty, [`CLOSE_TIMEOUT`] has passed, the connection fails or a
    /// stop is requested. Messages to the session are dropped meanwhile.
    pub(crate) async fn flush_outbox(&mut self, ctx: &mut Context<SessionMessage>) {
        let deadline = Some(deadline_after(ctx.now(), CLOSE_TIMEOUT));
        while !self.outbox.is_empty() {
            let wait_for = WaitFor {
                subscription: None,
                verbatim: true,
                input: false,
                flushed: true,
                deadline,
            };
            match self.next(ctx, wait_for, |_| {}).await {
                SessionEvent::Drained | SessionEvent::Message(_) => {}
                _ => return,
            }
        }
    }
}

impl<F: FnMut(&[u8]) + Unpin> Future for NextEvent<'_, F> {
    type Output = SessionEvent;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Waking<'_>) -> Poll<SessionEvent> {
        let NextEvent { io, ctx, wait_for, on_input, was_full } = &mut *self;
        if let Err(error) = io.reclaim_stream(wait_for) {
            return Poll::Ready(SessionEvent::IoError(error));
        }
        loop {
            ctx.message_done();
            debug_assert!(io.outbox.len() <= MAX_PENDING, "{} bytes pending", io.outbox.len());
            *was_full |= io.is_full();
            if let Err(error) = io.outbox.flush(&io.stream, || ctx.now()) {
                return Poll::Ready(SessionEvent::IoError(error));
            }
            io.charge_memory(|| ctx.now());
            // Input that is buffered already makes the socket readable no more, so the session
            // must be told that it can handle it.
            if (*was_full && !io.is_full()) || (wait_for.flushed && io.outbox.is_empty()) {
                return Poll::Ready(SessionEvent::Drained);
            }
            let write_deadline =
                io.outbox.stalled_since().map(|since| deadline_after(since, WRITE_TIMEOUT));
            let deadline = match (wait_for.deadline, write_deadline) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let timer = deadline.map(|deadline| (deadline, ctx.clock().clone()));
            let event = match ctx.poll_next(cx, |cx| io.poll_io(wait_for, timer.as_ref(), cx)) {
                Poll::Ready(event) => event,
                Poll::Pending => {
                    io.lend_stream(wait_for, cx);
                    return Poll::Pending;
                }
            };
            return Poll::Ready(match event {
                Event::Stop => SessionEvent::Stop,
                Event::Message(message) => SessionEvent::Message(message),
                Event::Io(SessionIoEvent::RoomActivity(Ok(()))) => SessionEvent::RoomActivity,
                Event::Io(
                    SessionIoEvent::Readable(Err(error))
                    | SessionIoEvent::Writable(Err(error))
                    | SessionIoEvent::RoomActivity(Err(error)),
                ) => SessionEvent::IoError(error),
                Event::Io(SessionIoEvent::Writable(Ok(()))) => continue,
                Event::Io(SessionIoEvent::TimedOut)
                    if write_deadline.is_some() && deadline == write_deadline =>
                {
                    let reason = format!("peer received nothing for {WRITE_TIMEOUT:?}");
                    SessionEvent::IoError(io::Error::new(io::ErrorKind::TimedOut, reason))
                }
                Event::Io(SessionIoEvent::TimedOut) => SessionEvent::TimedOut,
                Event::Io(SessionIoEvent::Readable(Ok(()))) => {
                    match io.stream.try_read_with(&mut *on_input) {
                        Ok(length) => SessionEvent::Input(length),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                        Err(error) => SessionEvent::IoError(error),
                    }
                }
            });
        }
    }
}
