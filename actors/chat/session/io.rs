//! A chat connection from its session's side: one place where it waits for everything at once.
//!
//! A session is one loop over what [`SessionIo::next`] brings: input, something to hear, mail, the stop, a limit that
//! passed. What it says goes into the outbox and is written while it waits, as much as the peer takes; a peer that
//! takes nothing for a while is cut. So a slow peer holds up its own session and nobody else's, and an idle
//! one holds no buffer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context as Waking, Poll};
use std::time::{Duration, Instant};

use crate::actors::SessionMessage;
use crate::actors::chat::broadcast::subscribers::UnfinishedWrite;
use crate::actors::chat::broadcast::subscription::{Delivery, Subscription};
use crate::actors::chat::session::delivery::{fill_outbox, poll_deliver};
use crate::actors::chat::session::outbox::Outbox;
use crate::net::Stream;
use crate::runtime::{Clock, Context, Event, Sleep};

/// How long a peer may take nothing of what is written to it before it is cut.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// When so many bytes wait for a peer nothing more is heard for it, and when so many are answers of its own no
/// more is read from it.
pub(crate) const HIGH_WATER: usize = 64 << 10;

/// How many bytes wait for a peer at most: enough, and one answer more. The longest one is a list of rooms whose
/// topics are all escapes.
const MAX_PENDING: usize = HIGH_WATER + (256 << 10);

/// A connection with what waits to be written to it.
#[derive(Debug)]
pub(crate) struct SessionIo {
    pub(crate) stream: Stream,
    pub(crate) outbox: Outbox,
    /// When a limit passes, and the sleep until then.
    timer: Option<Box<(Instant, Sleep)>>,
}

/// What a session waits for, besides the stop, mail and the peer's taking.
pub(crate) struct WaitFor<'a> {
    /// What there is to hear; nothing where there is no ear.
    pub(crate) subscription: Option<&'a mut Subscription>,
    /// Whether it is told as it is, and need not be known when there is some.
    pub(crate) verbatim: bool,
    /// Whether input is wanted.
    pub(crate) input: bool,
    /// Whether to tell when all that waited is written.
    pub(crate) flushed: bool,
    /// When it is too late.
    pub(crate) deadline: Option<Instant>,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// The session is to stop.
    Stop,
    /// It was told something.
    Message(SessionMessage),
    /// There is something to hear.
    RoomActivity,
    /// So many bytes came; none at the end of the peer's side.
    Input(usize),
    /// All that waited is written.
    Flushed,
    /// It is too late.
    TimedOut,
    /// The connection failed, or the peer took nothing for too long.
    IoError(io::Error),
}

enum SessionIoEvent {
    Readable(io::Result<()>),
    Writable(io::Result<()>),
    RoomActivity(io::Result<()>),
    TimedOut,
}

/// The wait for the next thing that happens. It is written out so that an idle session holds all this once.
pub(crate) struct NextEvent<'a, F> {
    io: &'a mut SessionIo,
    ctx: &'a mut Context<SessionMessage>,
    wait_for: WaitFor<'a>,
    on_input: F,
}

impl SessionIo {
    pub(crate) fn new(stream: Stream) -> SessionIo {
        SessionIo { stream, outbox: Outbox::default(), timer: None }
    }

    /// Waits for the next thing that happens, and writes meanwhile. Input is handed to `on_input`. Cancel-safe.
    pub(crate) fn next<'a, F: FnMut(&[u8])>(
        &'a mut self,
        ctx: &'a mut Context<SessionMessage>,
        wants: WaitFor<'a>,
        take: F,
    ) -> NextEvent<'a, F> {
        NextEvent { io: self, ctx, wait_for: wants, on_input: take }
    }

    /// Takes what there is to hear into the outbox in other words, if the peer has taken what was there before.
    pub(crate) fn fill_outbox_if_empty(
        &mut self,
        ear: &mut Subscription,
        word: impl FnMut(Delivery, &mut Outbox),
    ) {
        if self.outbox.is_empty() {
            fill_outbox(ear, &mut self.outbox, word);
        }
    }

    fn poll_io(
        &mut self,
        wants: &mut WaitFor<'_>,
        limit: Option<&(Instant, Clock)>,
        cx: &mut Waking<'_>,
    ) -> Poll<SessionIoEvent> {
        if self.outbox.is_empty() {
            if let Some(ear) = &mut wants.subscription {
                let heard = match wants.verbatim {
                    true => poll_deliver(&self.stream, &mut self.outbox, ear),
                    false => ear.poll_ready(cx).map(Ok),
                };
                if let Poll::Ready(heard) = heard {
                    return Poll::Ready(SessionIoEvent::RoomActivity(heard));
                }
            }
        } else if let Poll::Ready(ready) = self.stream.poll_writable(cx) {
            return Poll::Ready(SessionIoEvent::Writable(ready));
        }
        if wants.input && self.outbox.private_bytes() < HIGH_WATER {
            if let Poll::Ready(ready) = self.stream.poll_readable(cx) {
                return Poll::Ready(SessionIoEvent::Readable(ready));
            }
        }
        let Some((until, clock)) = limit else {
            self.timer = None;
            return Poll::Pending;
        };
        if self.timer.as_ref().is_none_or(|limit| limit.0 != *until) {
            let after = until.saturating_duration_since(clock.now());
            self.timer = Some(Box::new((*until, clock.sleep(after))));
        }
        match &mut self.timer {
            Some(limit) => Pin::new(&mut limit.1).poll(cx).map(|()| SessionIoEvent::TimedOut),
            None => Poll::Pending,
        }
    }

    /// Has whoever says the next line write it to the stream, where that is not in use.
    fn lend_stream(&self, wants: &mut WaitFor<'_>, cx: &Waking<'_>) {
        if let (Some(ear), true, true) =
            (&mut wants.subscription, wants.verbatim, self.outbox.is_empty())
        {
            if !ear.lend_stream(&self.stream, cx) {
                // Something was said just now.
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Takes the stream back if it was lent, and what is left of a line.
    fn reclaim_stream(&mut self, wants: &mut WaitFor<'_>) -> io::Result<()> {
        match wants.subscription.as_mut().and_then(|ear| ear.reclaim_stream()) {
            None => Ok(()),
            Some(UnfinishedWrite::Remainder(rest)) => {
                self.outbox.push_remainder(rest);
                Ok(())
            }
            Some(UnfinishedWrite::Failed(error)) => Err(error),
        }
    }

    /// Tells whether too many answers wait for the peer to give it more.
    pub(crate) fn is_full(&self) -> bool {
        self.outbox.private_bytes() >= HIGH_WATER
    }

    /// Writes what waits, as long as the peer takes it and no stop is asked for.
    pub(crate) async fn flush_outbox(&mut self, ctx: &mut Context<SessionMessage>) {
        loop {
            let wants = WaitFor {
                subscription: None,
                verbatim: true,
                input: false,
                flushed: true,
                deadline: None,
            };
            match self.next(ctx, wants, |_| {}).await {
                SessionEvent::Message(SessionMessage::Notice(line)) => self.outbox.push(line),
                SessionEvent::Message(SessionMessage::Close(_)) => {}
                _ => return,
            }
        }
    }
}

impl<F: FnMut(&[u8]) + Unpin> Future for NextEvent<'_, F> {
    type Output = SessionEvent;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Waking<'_>) -> Poll<SessionEvent> {
        let NextEvent { io: talk, ctx, wait_for: wants, on_input: take } = &mut *self;
        if let Err(error) = talk.reclaim_stream(wants) {
            return Poll::Ready(SessionEvent::IoError(error));
        }
        loop {
            ctx.message_done();
            debug_assert!(talk.outbox.len() <= MAX_PENDING, "{} bytes wait", talk.outbox.len());
            if let Err(error) = talk.outbox.flush(&talk.stream, || ctx.now()) {
                return Poll::Ready(SessionEvent::IoError(error));
            }
            if wants.flushed && talk.outbox.is_empty() {
                return Poll::Ready(SessionEvent::Flushed);
            }
            let stuck =
                talk.outbox.stalled_since().and_then(|since| since.checked_add(WRITE_TIMEOUT));
            let until = match (wants.deadline, stuck) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let limit = until.map(|until| (until, ctx.clock().clone()));
            let event = match ctx.poll_next(cx, |cx| talk.poll_io(wants, limit.as_ref(), cx)) {
                Poll::Ready(event) => event,
                Poll::Pending => {
                    talk.lend_stream(wants, cx);
                    return Poll::Pending;
                }
            };
            return Poll::Ready(match event {
                Event::Stop => SessionEvent::Stop,
                Event::Message(mail) => SessionEvent::Message(mail),
                Event::Io(SessionIoEvent::RoomActivity(Ok(()))) => SessionEvent::RoomActivity,
                Event::Io(
                    SessionIoEvent::Readable(Err(error))
                    | SessionIoEvent::Writable(Err(error))
                    | SessionIoEvent::RoomActivity(Err(error)),
                ) => SessionEvent::IoError(error),
                Event::Io(SessionIoEvent::Writable(Ok(()))) => continue,
                Event::Io(SessionIoEvent::TimedOut) if stuck.is_some() && until == stuck => {
                    let why = format!("it took nothing for {WRITE_TIMEOUT:?}");
                    SessionEvent::IoError(io::Error::new(io::ErrorKind::TimedOut, why))
                }
                Event::Io(SessionIoEvent::TimedOut) => SessionEvent::TimedOut,
                Event::Io(SessionIoEvent::Readable(Ok(()))) => {
                    match talk.stream.try_read_with(&mut *take) {
                        Ok(length) => SessionEvent::Input(length),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                        Err(error) => SessionEvent::IoError(error),
                    }
                }
            });
        }
    }
}
