//! How those are let in who wait at the door.
//!
//! Whoever waits already is let in without a wait in between, and without any of what a wait needs: whether there is
//! room, whether all have come and whether the listener is to stop are three numbers to look at.

use std::io;

use super::Listener;
use crate::actors::tcp::listener::crowd::{AcceptPolicy, NextAccept};
use crate::actors::tcp::listener::rejections::{RejectReason, Rejections};
use crate::actors::{Connection, PerIpPermit};
use crate::net::{AcceptError, Stream, classify};
use crate::runtime::{Context, IntoActor};

/// What one incarnation remembers.
#[derive(Default)]
pub(super) struct AcceptState {
    pub(super) rejections: Rejections,
    pub(super) policy: AcceptPolicy,
    /// Whether the pool was full when it was last looked.
    pub(super) pool_was_full: bool,
    /// How many connections in a row have failed at accept.
    pub(super) consecutive_failures: u32,
}

/// What came of asking for the next connection.
pub(super) enum AcceptStep {
    /// One was taken, and there may be more.
    Accepted,
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
    fn check_peer(&self, stream: &Stream) -> Result<Option<PerIpPermit>, (RejectReason, String)> {
        if self.ban_list.contains_peer(stream.peer()) {
            return Err((RejectReason::Banned, "this address is banned".into()));
        }
        let Some(per_address) = &self.per_ip_limit else { return Ok(None) };
        match per_address.try_acquire(stream.peer()) {
            None => {
                let limit = per_address.limit();
                let why =
                    format!("{limit} connections of this address are open, as many as may be");
                Err((RejectReason::PerIpLimit, why))
            }
            visit => Ok(visit),
        }
    }

    /// Lets the next one in that waits, if there is room for it.
    fn accept_one(&self, door: &mut AcceptState) -> AcceptStep {
        if self.client_quota.is_exhausted() {
            return AcceptStep::Wait;
        }
        // The place is taken first, so that nobody is let in who would have to wait for one.
        let vacancy = match self.pool.try_reserve() {
            Ok(Some(vacancy)) => vacancy,
            Ok(None) => return AcceptStep::Wait,
            Err(closed) => return AcceptStep::Failed(io::Error::other(closed)),
        };
        let stream = match self.socket.try_accept() {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return AcceptStep::Wait,
            Err(error) => return AcceptStep::Failed(error),
        };
        door.consecutive_failures = 0;
        let visit = match self.check_peer(&stream) {
            Ok(visit) => visit,
            Err((refusal, why)) => {
                if let Some(parting) = self.rejection_message {
                    // A new connection has room for a line; one that has none is not waited for.
                    let _ = stream.try_write(parting(&why).as_bytes());
                    // What it may have said already is not read, and a close alone would be a reset.
                    let _ = stream.shutdown_write();
                }
                door.rejections.add(refusal, 1, Some(stream.peer().clone()), why);
                return AcceptStep::Accepted;
            }
        };
        // Another listener may have let the last one in just now.
        let Some(number) = self.client_quota.try_acquire() else { return AcceptStep::Accepted };
        match vacancy.start((self.serve)(Connection { stream, number, ip_permit: visit })) {
            Ok(_) => AcceptStep::Accepted,
            Err(closed) => AcceptStep::Failed(io::Error::other(closed)),
        }
    }

    /// Lets those in who wait, as many as there is room for before others on the thread are to have a turn. Nothing is
    /// awaited while a connection is in hand: a crash there would lose it.
    pub(super) fn accept_batch(&self, ctx: &Context<()>, door: &mut AcceptState) -> AcceptStep {
        while !ctx.is_stopping() {
            let step = match self.accept_one(door) {
                AcceptStep::Accepted => match door.policy.on_accept() {
                    NextAccept::Now => continue,
                    NextAccept::Wait => AcceptStep::Wait,
                    NextAccept::Yield => return AcceptStep::Accepted,
                },
                step => step,
            };
            door.policy.end_burst();
            return step;
        }
        AcceptStep::Wait
    }

    /// Lets those in who wait by now, where there is room. A crowd that goes on coming does not put off the end.
    pub(super) fn accept_backlog(&self, door: &mut AcceptState) {
        for _ in 0..self.socket.max_pending() {
            match self.accept_one(door) {
                AcceptStep::Accepted => {}
                AcceptStep::Failed(error)
                    if matches!(classify(&error), AcceptError::Connection) => {}
                _ => break,
            }
        }
    }
}
