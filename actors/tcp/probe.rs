//! The TCP probe: a client as an instrument, one of several at work together.
//!
//! A connection is measured twice: until there is one, and until the first bytes of the greeting are here. Several
//! probes share the [`ProbeQuota`] for the connections that are to be tried, and tell a [`TcpFigures`](crate::actors::TcpFigures) of each. A probe that
//! crashes gives its ticket back, so that no connection is waited for in vain.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::actors::{ProbeResult, Schedule};
use crate::net::{ConnectError, Endpoint, Stream};
use crate::runtime::{Actor, Address, Clock, Context, Outcome};

/// The most that is read of a greeting, as in the lecture's client.
const MAX_GREETING_LEN: usize = 1024;

/// How many connections are still to be tried, shared by those who try.
#[derive(Debug)]
pub struct ProbeQuota(AtomicU64);

impl ProbeQuota {
    /// Makes so many tickets.
    pub fn new(count: u64) -> ProbeQuota {
        ProbeQuota(AtomicU64::new(count))
    }

    fn try_acquire(&self) -> Option<ProbePermit<'_>> {
        let one_less = |left: u64| left.checked_sub(1);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        taken.is_ok().then(|| ProbePermit { quota: self, used: false })
    }
}

/// A ticket that comes back unless it was used.
struct ProbePermit<'a> {
    quota: &'a ProbeQuota,
    used: bool,
}

impl Drop for ProbePermit<'_> {
    fn drop(&mut self) {
        self.quota.0.fetch_add(u64::from(!self.used), Ordering::Relaxed);
    }
}

/// Connects, waits for the greeting, and hangs up, as long as there are tickets.
#[derive(Debug)]
pub struct TcpProbe {
    endpoint: Endpoint,
    schedule: Schedule,
    quota: Arc<ProbeQuota>,
    collector: Address<ProbeResult>,
}

impl TcpProbe {
    /// Makes a probe of the server at `endpoint` that tells what it measured to a [`TcpFigures`](crate::actors::TcpFigures). Of the pace it keeps
    /// the pause and the time limit.
    pub fn new(
        endpoint: Endpoint,
        pace: Schedule,
        tickets: Arc<ProbeQuota>,
        figures: Address<ProbeResult>,
    ) -> TcpProbe {
        TcpProbe { endpoint, schedule: pace, quota: tickets, collector: figures }
    }

    async fn measure(&self, clock: &Clock) -> ProbeResult {
        let begun = clock.now();
        let stream = match Stream::connect(&self.endpoint, self.schedule.timeout).await {
            Ok(stream) => stream,
            Err(error) => {
                let why = match error {
                    ConnectError::Refused { .. } => "refused",
                    ConnectError::TimedOut { .. } => "not connected in time",
                    _ => "not connected",
                };
                return ProbeResult::ConnectFailed { reason: why, error: Arc::new(error) };
            }
        };
        let connect = clock.now() - begun;
        match self.read_greeting(clock, &stream, begun).await {
            Ok(Some((rtt, text))) => ProbeResult::Replied { connect_time: connect, rtt, text },
            Ok(None) => {
                ProbeResult::NoReply { connect_time: connect, reason: "closed without a word" }
            }
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::TimedOut => "not greeted in time",
                    io::ErrorKind::ConnectionReset => "reset",
                    _ => "broken",
                };
                ProbeResult::NoReply { connect_time: connect, reason: why }
            }
        }
    }

    /// Reads a greeting to its end; none if the connection ended without a word.
    async fn read_greeting(
        &self,
        clock: &Clock,
        stream: &Stream,
        begun: Instant,
    ) -> io::Result<Option<(Duration, Vec<u8>)>> {
        let mut buffer = [0; MAX_GREETING_LEN];
        let mut length = 0;
        let mut first = None;
        while length < MAX_GREETING_LEN {
            let patience = self.schedule.timeout.saturating_sub(clock.now() - begun);
            match clock.timeout(patience, stream.read(&mut buffer[length..])).await {
                Some(Ok(0)) => break,
                Some(Ok(more)) => {
                    first.get_or_insert_with(|| clock.now() - begun);
                    length += more;
                }
                // A greeting that has begun ends where its rest does not come.
                None | Some(Err(_)) if first.is_some() => break,
                Some(Err(error)) => return Err(error),
                None => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        Ok(first.map(|rtt| (rtt, buffer[..length].to_vec())))
    }
}

impl Actor for TcpProbe {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let clock = ctx.clock().clone();
        let mut is_first = true;
        while let Some(mut ticket) = self.quota.try_acquire() {
            if !std::mem::take(&mut is_first) {
                ctx.sleep_unless_stopped(self.schedule.interval).await;
            }
            let Some(measured) = ctx.unless_stopped(self.measure(&clock)).await else { break };
            // Nobody adds up any more once a stop was asked for.
            if self.collector.send(measured).await.is_err() {
                break;
            }
            ticket.used = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_probe_permit_returns_to_quota() {
        let tickets = ProbeQuota::new(2);
        let (first, second) = (tickets.try_acquire(), tickets.try_acquire());
        assert!(first.is_some() && tickets.try_acquire().is_none());
        drop(first);
        let again = tickets.try_acquire();
        assert!(again.is_some());
        again.unwrap().used = true;
        second.unwrap().used = true;
        assert!(tickets.try_acquire().is_none());
    }
}
