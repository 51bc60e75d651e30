//! A chat connection from its session's side: one place where it waits for everything at once.
//!
//! A session is one loop over what [`Talk::next`] brings: input, something to hear, mail, the stop, a limit that
//! passed. What it says goes into the outbox and is written while it waits, as much as the peer takes; a peer that
//! takes nothing for a while is cut. So a slow peer holds up its own session and nobody else's, and an idle
//! one holds no buffer.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context as Waking, Poll};
use std::time::{Duration, Instant};

use super::ToSession;
use super::outbox::Outbox;
use super::ring::{Ear, Heard};
use crate::net::Stream;
use crate::runtime::{Clock, Context, Event, Sleep};

/// How long a peer may take nothing of what is written to it before it is cut.
pub(super) const WRITE_WITHIN: Duration = Duration::from_secs(30);

/// When so many bytes wait for a peer nothing more is heard for it, and when so many are answers of its own no
/// more is read from it.
const ENOUGH: usize = 64 << 10;

/// How many bytes wait for a peer at most: enough, and one answer more. The longest one is a list of rooms whose
/// topics are all escapes.
const MOST: usize = ENOUGH + (256 << 10);

/// A connection with what waits to be written to it.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) stream: Stream,
    pub(super) outbox: Outbox,
    clock: Clock,
    /// When a limit passes, and the sleep until then.
    limit: Option<(Instant, Box<Sleep>)>,
    /// When the peer last took something, or there was nothing to take.
    stuck_since: Option<Instant>,
}

/// What a session waits for, besides the stop, mail and the peer's taking.
pub(super) struct Wants<'a> {
    /// What there is to hear; nothing where there is no ear.
    pub(super) ear: Option<&'a mut Ear>,
    /// Whether input is wanted.
    pub(super) input: bool,
    /// Whether to tell when all that waited is written.
    pub(super) written: bool,
    /// When it is too late.
    pub(super) until: Option<Instant>,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Happened {
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
    Heard,
    Late,
}

impl Talk {
    pub(super) fn new(stream: Stream, clock: Clock) -> Talk {
        Talk { stream, outbox: Outbox::default(), clock, limit: None, stuck_since: None }
    }

    /// Waits for the next thing that happens, and writes meanwhile. Input is handed to `take`. Cancel-safe.
    pub(super) async fn next(
        &mut self,
        ctx: &mut Context<ToSession>,
        mut wants: Wants<'_>,
        mut take: impl FnMut(&[u8]),
    ) -> Happened {
        loop {
            if let Err(error) = self.flush() {
                return Happened::Broken(error);
            }
            if wants.written && self.outbox.is_empty() {
                return Happened::Written;
            }
            let stuck = self.stuck_since.and_then(|since| since.checked_add(WRITE_WITHIN));
            let until = match (wants.until, stuck) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let Talk { stream, outbox, clock, limit, .. } = self;
            let io = poll_fn(|cx| poll_io(stream, outbox, &mut wants, clock, limit, until, cx));
            match ctx.next(io).await {
                Event::Stop => return Happened::Stop,
                Event::Message(mail) => return Happened::Mail(mail),
                Event::Io(Io::Heard) => return Happened::Heard,
                Event::Io(Io::Readable(Err(error)) | Io::Writable(Err(error))) => {
                    return Happened::Broken(error);
                }
                Event::Io(Io::Writable(Ok(()))) => {}
                Event::Io(Io::Late) if stuck.is_some() && until == stuck => {
                    let why = format!("it took nothing for {WRITE_WITHIN:?}");
                    return Happened::Broken(io::Error::new(io::ErrorKind::TimedOut, why));
                }
                Event::Io(Io::Late) => return Happened::Late,
                Event::Io(Io::Readable(Ok(()))) => match self.stream.try_take(&mut take) {
                    Ok(length) => return Happened::Input(length),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Happened::Broken(error),
                },
            }
        }
    }

    /// Writes what the peer takes now.
    fn flush(&mut self) -> io::Result<()> {
        debug_assert!(self.outbox.len() <= MOST, "{} bytes wait", self.outbox.len());
        let written = self.outbox.flush(&self.stream)?;
        if self.outbox.is_empty() {
            self.stuck_since = None;
        } else if written > 0 || self.stuck_since.is_none() {
            self.stuck_since = Some(self.clock.now());
        }
        Ok(())
    }

    /// Takes what there is to hear into the outbox, if the peer has taken what was there before.
    pub(super) fn hear(&mut self, ear: &mut Ear, mut word: impl FnMut(Heard, &mut Outbox)) {
        if self.outbox.is_empty() {
            let outbox = &mut self.outbox;
            ear.hear(|heard| {
                word(heard, outbox);
                outbox.len() < ENOUGH
            });
        }
    }

    /// Tells whether too many answers wait for the peer to give it more.
    pub(super) fn is_full(&self) -> bool {
        self.outbox.own() >= ENOUGH
    }

    /// Writes what waits, as long as the peer takes it and no stop is asked for.
    pub(super) async fn finish(&mut self, ctx: &mut Context<ToSession>) {
        loop {
            let wants = Wants { ear: None, input: false, written: true, until: None };
            match self.next(ctx, wants, |_| {}).await {
                Happened::Mail(ToSession::Line(line)) if !self.is_full() => self.outbox.push(line),
                Happened::Mail(_) => {}
                _ => return,
            }
        }
    }
}

fn poll_io(
    stream: &Stream,
    outbox: &Outbox,
    wants: &mut Wants<'_>,
    clock: &Clock,
    limit: &mut Option<(Instant, Box<Sleep>)>,
    until: Option<Instant>,
    cx: &mut Waking<'_>,
) -> Poll<Io> {
    if outbox.is_empty() {
        if let Some(ear) = &mut wants.ear {
            if ear.poll_ready(cx).is_ready() {
                return Poll::Ready(Io::Heard);
            }
        }
    } else if let Poll::Ready(ready) = stream.poll_writable(cx) {
        return Poll::Ready(Io::Writable(ready));
    }
    if wants.input && outbox.own() < ENOUGH {
        if let Poll::Ready(ready) = stream.poll_readable(cx) {
            return Poll::Ready(Io::Readable(ready));
        }
    }
    let Some(until) = until else {
        *limit = None;
        return Poll::Pending;
    };
    if limit.as_ref().is_none_or(|(at, _)| *at != until) {
        let after = until.saturating_duration_since(clock.now());
        *limit = Some((until, Box::new(clock.sleep(after))));
    }
    match limit {
        Some((_, sleep)) => Pin::new(sleep.as_mut()).poll(cx).map(|()| Io::Late),
        None => Poll::Pending,
    }
}
