//! How those are let in who wait at the door.
//!
//! Whoever waits already is let in without a wait in between, and without any of what a wait needs: whether there is
//! room, whether all have come and whether the listener is to stop are three numbers to look at.

use std::io;

use super::Listener;
use crate::actors::tcp::listener::crowd::{Crowd, Next};
use crate::actors::tcp::listener::rejections::{Refusal, Refused};
use crate::actors::{Connection, Visit};
use crate::net::{AcceptError, Stream, classify};
use crate::runtime::{Context, IntoActor};

/// What one incarnation remembers.
#[derive(Default)]
pub(super) struct Door {
    pub(super) refused: Refused,
    pub(super) crowd: Crowd,
    /// Whether the pool was full when it was last looked.
    pub(super) was_full: bool,
    /// How many connections in a row have failed at accept.
    pub(super) failed: u32,
}

/// What came of asking for the next connection.
pub(super) enum Step {
    /// One was taken, and there may be more.
    In,
    /// Nobody waits, or none may come in, before something has happened.
    Wait,
    /// Nobody can be accepted, or started.
    Failed(io::Error),
}

impl<F, A, K> Listener<F, K>
where
    F: Fn(Connection) -> A + Send + Sync + 'static,
    A: IntoActor<K>,
{
    /// Counts a connection by its address; an error says why it may not stay.
    fn visit(&self, stream: &Stream) -> Result<Option<Visit>, (Refusal, String)> {
        if self.bans.hold_peer(stream.peer()) {
            return Err((Refusal::Banned, "this address is banned".into()));
        }
        let Some(per_address) = &self.per_address else { return Ok(None) };
        match per_address.admit(stream.peer()) {
            None => {
                let limit = per_address.limit();
                let why =
                    format!("{limit} connections of this address are open, as many as may be");
                Err((Refusal::TooMany, why))
            }
            visit => Ok(visit),
        }
    }

    /// Lets the next one in that waits, if there is room for it.
    fn let_one_in(&self, door: &mut Door) -> Step {
        if self.admissions.is_complete() {
            return Step::Wait;
        }
        // The place is taken first, so that nobody is let in who would have to wait for one.
        let vacancy = match self.pool.try_reserve() {
            Ok(Some(vacancy)) => vacancy,
            Ok(None) => return Step::Wait,
            Err(closed) => return Step::Failed(io::Error::other(closed)),
        };
        let stream = match self.socket.try_accept() {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Step::Wait,
            Err(error) => return Step::Failed(error),
        };
        door.failed = 0;
        let visit = match self.visit(&stream) {
            Ok(visit) => visit,
            Err((refusal, why)) => {
                if let Some(parting) = self.parting {
                    // A new connection has room for a line; one that has none is not waited for.
                    let _ = stream.try_write(parting(&why).as_bytes());
                    // What it may have said already is not read, and a close alone would be a reset.
                    let _ = stream.shutdown_write();
                }
                door.refused.add(refusal, 1, Some(stream.peer().clone()), why);
                return Step::In;
            }
        };
        // Another listener may have let the last one in just now.
        let Some(number) = self.admissions.admit() else { return Step::In };
        match vacancy.start((self.serve)(Connection { stream, number, visit })) {
            Ok(_) => Step::In,
            Err(closed) => Step::Failed(io::Error::other(closed)),
        }
    }

    /// Lets those in who wait, as many as there is room for before others on the thread are to have a turn. Nothing is
    /// awaited while a connection is in hand: a crash there would lose it.
    pub(super) fn let_in(&self, ctx: &Context<()>, door: &mut Door) -> Step {
        while !ctx.is_stopping() {
            let step = match self.let_one_in(door) {
                Step::In => match door.crowd.came() {
                    Next::Ask => continue,
                    Next::Wait => Step::Wait,
                    Next::Yield => return Step::In,
                },
                step => step,
            };
            door.crowd.ended();
            return step;
        }
        Step::Wait
    }

    /// Lets those in who wait by now, where there is room. A crowd that goes on coming does not put off the end.
    pub(super) fn let_the_last_in(&self, door: &mut Door) {
        for _ in 0..self.socket.max_pending() {
            match self.let_one_in(door) {
                Step::In => {}
                Step::Failed(error) if matches!(classify(&error), AcceptError::Connection) => {}
                _ => break,
            }
        }
    }
}
