//! A chat connection from its session's side: one place where it waits for everything at once.
//!
//! A session is one loop over what [`Talk::next`] brings: input, something to hear, mail, the stop, a limit that
//! passed. What it says goes into the outbox and is written while it waits, as much as the peer takes; a peer that
//! takes nothing for a while is cut. So a slow peer holds up its own session and nobody else's, and an idle
//! one holds no buffer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context as Waking, Poll};
use std::time::{Duration, Instant};

use crate::actors::ToSession;
use crate::actors::chat::broadcast::subscribers::Left;
use crate::actors::chat::broadcast::subscription::{Ear, Heard};
use crate::actors::chat::session::delivery::{poll_pass, take_in};
use crate::actors::chat::session::outbox::Outbox;
use crate::net::Stream;
use crate::runtime::{Clock, Context, Event, Sleep};

/// How long a peer may take nothing of what is written to it before it is cut.
pub(crate) const WRITE_WITHIN: Duration = Duration::from_secs(30);

/// When so many bytes wait for a peer nothing more is heard for it, and when so many are answers of its own no
/// more is read from it.
pub(crate) const ENOUGH: usize = 64 << 10;

/// How many bytes wait for a peer at most: enough, and one answer more. The longest one is a list of rooms whose
/// topics are all escapes.
const MOST: usize = ENOUGH + (256 << 10);

/// A connection with what waits to be written to it.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) stream: Stream,
    pub(crate) outbox: Outbox,
    /// When a limit passes, and the sleep until then.
    limit: Option<Box<(Instant, Sleep)>>,
}

/// What a session waits for, besides the stop, mail and the peer's taking.
pub(crate) struct Wants<'a> {
    /// What there is to hear; nothing where there is no ear.
    pub(crate) ear: Option<&'a mut Ear>,
    /// Whether it is told as it is, and need not be known when there is some.
    pub(crate) plain: bool,
    /// Whether input is wanted.
    pub(crate) input: bool,
    /// Whether to tell when all that waited is written.
    pub(crate) written: bool,
    /// When it is too late.
    pub(crate) until: Option<Instant>,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Happened {
    /// The session is to stop.
    Stop,
    /// It was told something.
    Mail(ToSession),
    /// There is something to hear.
    Heard,
    /// So many bytes came; none at the end of the peer's side.
    Input(usize),
    /// All that waited is written.
    Written,
    /// It is too late.
    Late,
    /// The connection failed, or the peer took nothing for too long.
    Broken(io::Error),
}

enum Io {
    Readable(io::Result<()>),
    Writable(io::Result<()>),
    Heard(io::Result<()>),
    Late,
}

/// The wait for the next thing that happens. It is written out so that an idle session holds all this once.
pub(crate) struct Next<'a, F> {
    talk: &'a mut Talk,
    ctx: &'a mut Context<ToSession>,
    wants: Wants<'a>,
    take: F,
}

impl Talk {
    pub(crate) fn new(stream: Stream) -> Talk {
        Talk { stream, outbox: Outbox::default(), limit: None }
    }

    /// Waits for the next thing that happens, and writes meanwhile. Input is handed to `take`. Cancel-safe.
    pub(crate) fn next<'a, F: FnMut(&[u8])>(
        &'a mut self,
        ctx: &'a mut Context<ToSession>,
        wants: Wants<'a>,
        take: F,
    ) -> Next<'a, F> {
        Next { talk: self, ctx, wants, take }
    }

    /// Takes what there is to hear into the outbox in other words, if the peer has taken what was there before.
    pub(crate) fn hear(&mut self, ear: &mut Ear, word: impl FnMut(Heard, &mut Outbox)) {
        if self.outbox.is_empty() {
            take_in(ear, &mut self.outbox, word);
        }
    }

    fn poll_io(
        &mut self,
        wants: &mut Wants<'_>,
        limit: Option<&(Instant, Clock)>,
        cx: &mut Waking<'_>,
    ) -> Poll<Io> {
        if self.outbox.is_empty() {
            if let Some(ear) = &mut wants.ear {
                let heard = match wants.plain {
                    true => poll_pass(&self.stream, &mut self.outbox, ear),
                    false => ear.poll_ready(cx).map(Ok),
                };
                if let Poll::Ready(heard) = heard {
                    return Poll::Ready(Io::Heard(heard));
                }
            }
        } else if let Poll::Ready(ready) = self.stream.poll_writable(cx) {
            return Poll::Ready(Io::Writable(ready));
        }
        if wants.input && self.outbox.own() < ENOUGH {
            if let Poll::Ready(ready) = self.stream.poll_readable(cx) {
                return Poll::Ready(Io::Readable(ready));
            }
        }
        let Some((until, clock)) = limit else {
            self.limit = None;
            return Poll::Pending;
        };
        if self.limit.as_ref().is_none_or(|limit| limit.0 != *until) {
            let after = until.saturating_duration_since(clock.now());
            self.limit = Some(Box::new((*until, clock.sleep(after))));
        }
        match &mut self.limit {
            Some(limit) => Pin::new(&mut limit.1).poll(cx).map(|()| Io::Late),
            None => Poll::Pending,
        }
    }

    /// Has whoever says the next line write it to the stream, where that is not in use.
    fn lend(&self, wants: &mut Wants<'_>, cx: &Waking<'_>) {
        if let (Some(ear), true, true) = (&mut wants.ear, wants.plain, self.outbox.is_empty()) {
            if !ear.lend(&self.stream, cx) {
                // Something was said just now.
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Takes the stream back if it was lent, and what is left of a line.
    fn take_back(&mut self, wants: &mut Wants<'_>) -> io::Result<()> {
        match wants.ear.as_mut().and_then(|ear| ear.take_back()) {
            None => Ok(()),
            Some(Left::Rest(rest)) => {
                self.outbox.rest(rest);
                Ok(())
            }
            Some(Left::Failed(error)) => Err(error),
        }
    }

    /// Tells whether too many answers wait for the peer to give it more.
    pub(crate) fn is_full(&self) -> bool {
        self.outbox.own() >= ENOUGH
    }

    /// Writes what waits, as long as the peer takes it and no stop is asked for.
    pub(crate) async fn finish(&mut self, ctx: &mut Context<ToSession>) {
        loop {
            let wants = Wants { ear: None, plain: true, input: false, written: true, until: None };
            match self.next(ctx, wants, |_| {}).await {
                Happened::Mail(ToSession::Line(line)) => self.outbox.push(line),
                Happened::Mail(ToSession::End(_)) => {}
                _ => return,
            }
        }
    }
}

impl<F: FnMut(&[u8]) + Unpin> Future for Next<'_, F> {
    type Output = Happened;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Waking<'_>) -> Poll<Happened> {
        let Next { talk, ctx, wants, take } = &mut *self;
        if let Err(error) = talk.take_back(wants) {
            return Poll::Ready(Happened::Broken(error));
        }
        loop {
            ctx.message_done();
            debug_assert!(talk.outbox.len() <= MOST, "{} bytes wait", talk.outbox.len());
            if let Err(error) = talk.outbox.flush(&talk.stream, || ctx.now()) {
                return Poll::Ready(Happened::Broken(error));
            }
            if wants.written && talk.outbox.is_empty() {
                return Poll::Ready(Happened::Written);
            }
            let stuck = talk.outbox.stuck_since().and_then(|since| since.checked_add(WRITE_WITHIN));
            let until = match (wants.until, stuck) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let limit = until.map(|until| (until, ctx.clock().clone()));
            let event = match ctx.poll_next(cx, |cx| talk.poll_io(wants, limit.as_ref(), cx)) {
                Poll::Ready(event) => event,
                Poll::Pending => {
                    talk.lend(wants, cx);
                    return Poll::Pending;
                }
            };
            return Poll::Ready(match event {
                Event::Stop => Happened::Stop,
                Event::Message(mail) => Happened::Mail(mail),
                Event::Io(Io::Heard(Ok(()))) => Happened::Heard,
                Event::Io(
                    Io::Readable(Err(error)) | Io::Writable(Err(error)) | Io::Heard(Err(error)),
                ) => Happened::Broken(error),
                Event::Io(Io::Writable(Ok(()))) => continue,
                Event::Io(Io::Late) if stuck.is_some() && until == stuck => {
                    let why = format!("it took nothing for {WRITE_WITHIN:?}");
                    Happened::Broken(io::Error::new(io::ErrorKind::TimedOut, why))
                }
                Event::Io(Io::Late) => Happened::Late,
                Event::Io(Io::Readable(Ok(()))) => match talk.stream.try_read_with(&mut *take) {
                    Ok(length) => Happened::Input(length),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(error) => Happened::Broken(error),
                },
            });
        }
    }
}
