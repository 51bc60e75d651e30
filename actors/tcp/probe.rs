//! The TCP probe: a client as an instrument, one of several at work together.
//!
//! A connection is measured twice: until there is one, and until the first bytes of the greeting are here. Several
//! probes share the [`Tickets`] for the connections that are to be tried, and tell a [`TcpFigures`](crate::actors::TcpFigures) of each. A probe that
//! crashes gives its ticket back, so that no connection is waited for in vain.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::actors::{Measured, Pace};
use crate::net::{ConnectError, Endpoint, Stream};
use crate::runtime::{Actor, Address, Clock, Context, Outcome};

/// The most that is read of a greeting, as in the lecture's client.
const GREETING_MAX: usize = 1024;

/// How many connections are still to be tried, shared by those who try.
#[derive(Debug)]
pub struct Tickets(AtomicU64);

impl Tickets {
    /// Makes so many tickets.
    pub fn new(count: u64) -> Tickets {
        Tickets(AtomicU64::new(count))
    }

    fn take(&self) -> Option<Ticket<'_>> {
        let one_less = |left: u64| left.checked_sub(1);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        taken.is_ok().then(|| Ticket { of: self, used: false })
    }
}

/// A ticket that comes back unless it was used.
struct Ticket<'a> {
    of: &'a Tickets,
    used: bool,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.of.0.fetch_add(u64::from(!self.used), Ordering::Relaxed);
    }
}

/// Connects, waits for the greeting, and hangs up, as long as there are tickets.
#[derive(Debug)]
pub struct TcpProbe {
    endpoint: Endpoint,
    pace: Pace,
    tickets: Arc<Tickets>,
    figures: Address<Measured>,
}

impl TcpProbe {
    /// Makes a probe of the server at `endpoint` that tells what it measured to a [`TcpFigures`](crate::actors::TcpFigures). Of the pace it keeps
    /// the pause and the time limit.
    pub fn new(
        endpoint: Endpoint,
        pace: Pace,
        tickets: Arc<Tickets>,
        figures: Address<Measured>,
    ) -> TcpProbe {
        TcpProbe { endpoint, pace, tickets, figures }
    }

    async fn measure(&self, clock: &Clock) -> Measured {
        let begun = clock.now();
        let stream = match Stream::connect(&self.endpoint, self.pace.timeout).await {
            Ok(stream) => stream,
            Err(error) => {
                let why = match error {
                    ConnectError::Refused { .. } => "refused",
                    ConnectError::TimedOut { .. } => "not connected in time",
                    _ => "not connected",
                };
                return Measured::NotConnected { why, error: Arc::new(error) };
            }
        };
        let connect = clock.now() - begun;
        match self.greeting(clock, &stream, begun).await {
            Ok(Some((rtt, text))) => Measured::Greeted { connect, rtt, text },
            Ok(None) => Measured::NotGreeted { connect, why: "closed without a word" },
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::TimedOut => "not greeted in time",
                    io::ErrorKind::ConnectionReset => "reset",
                    _ => "broken",
                };
                Measured::NotGreeted { connect, why }
            }
        }
    }

    /// Reads a greeting to its end; none if the connection ended without a word.
    async fn greeting(
        &self,
        clock: &Clock,
        stream: &Stream,
        begun: Instant,
    ) -> io::Result<Option<(Duration, Vec<u8>)>> {
        let mut buffer = [0; GREETING_MAX];
        let mut length = 0;
        let mut first = None;
        while length < GREETING_MAX {
            let patience = self.pace.timeout.saturating_sub(clock.now() - begun);
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
        while let Some(mut ticket) = self.tickets.take() {
            if !std::mem::take(&mut is_first) {
                ctx.sleep_unless_stopped(self.pace.interval).await;
            }
            let Some(measured) = ctx.unless_stopped(self.measure(&clock)).await else { break };
            // Nobody adds up any more once a stop was asked for.
            if self.figures.send(measured).await.is_err() {
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
    fn a_ticket_comes_back_unless_it_was_used() {
        let tickets = Tickets::new(2);
        let (first, second) = (tickets.take(), tickets.take());
        assert!(first.is_some() && tickets.take().is_none());
        drop(first);
        let again = tickets.take();
        assert!(again.is_some());
        again.unwrap().used = true;
        second.unwrap().used = true;
        assert!(tickets.take().is_none());
    }
}
