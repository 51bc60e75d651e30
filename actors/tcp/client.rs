//! The TCP client: connects, reads a greeting, and reports or measures it.
//!
//! A client alone reports each greeting. For a measurement several clients share the [`ProbeQuota`]
//! of the connections that are still to be made, and send each result to a
//! [`TcpStatsCollector`](crate::actors::TcpStatsCollector). Two times are measured: until the
//! connection was made, and until the first bytes of the greeting arrived. A client that crashes
//! returns its permit, so that the collector receives as many results as it waits for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use smol::lock::{Semaphore, SemaphoreGuard};

use crate::actors::support::client_error::ClientError;
use crate::actors::support::report::{Report, Reporter};
use crate::actors::support::stats::Schedule;
use crate::actors::tcp::stats_collector::ProbeResult;
use crate::net::{ConnectError, Endpoint, Stream};
use crate::runtime::{Actor, Address, Clock, Context, Outcome};

/// The maximum length of a greeting in bytes, as in the lecture's client.
const MAX_GREETING_LEN: usize = 1024;

/// The time limit of each further read of a greeting, for a client that does not measure.
const REMAINDER_TIMEOUT: Duration = Duration::from_secs(1);

/// The number of connections that are still to be made by several clients.
#[derive(Debug)]
pub struct ProbeQuota(Semaphore);

impl ProbeQuota {
    /// Creates a quota of `count` connections.
    pub fn new(count: u64) -> ProbeQuota {
        ProbeQuota(Semaphore::new(usize::try_from(count).unwrap_or(usize::MAX)))
    }

    /// Takes a permit for one connection. It returns to the quota on drop, unless it is forgotten.
    fn try_acquire(&self) -> Option<SemaphoreGuard<'_>> {
        self.0.try_acquire()
    }
}

/// A client that connects, reads a greeting of at most 1024 bytes and closes the connection,
/// repeatedly.
#[derive(Debug)]
pub struct TcpClient {
    endpoint: Endpoint,
    schedule: Schedule,
    quota: Arc<ProbeQuota>,
    remainder_timeout: Duration,
    output: Output,
}

/// The destination of the results.
#[derive(Debug)]
enum Output {
    /// Each greeting is reported, and the first failure ends the client.
    Reporter(Reporter),
    /// Each result, failures too, is sent to the collector.
    Collector(Address<ProbeResult>),
}

/// A greeting, with times since the attempt to connect.
struct Greeting {
    connect_time: Duration,
    first_byte_time: Duration,
    last_byte_time: Duration,
    text: Vec<u8>,
}

/// An attempt without a greeting.
enum Failure {
    Connect(ConnectError),
    NoGreeting {
        connect_time: Duration,
        /// `None` if the server closed the connection.
        error: Option<io::Error>,
    },
}

impl TcpClient {
    /// Creates a client of the server at `endpoint` that makes as many connections as the schedule
    /// says and reports each greeting as [`Report::Reply`]. It ends at the first failure.
    pub fn new(endpoint: Endpoint, schedule: Schedule, reporter: Reporter) -> TcpClient {
        let quota = Arc::new(ProbeQuota::new(schedule.count));
        let (remainder_timeout, output) = (REMAINDER_TIMEOUT, Output::Reporter(reporter));
        TcpClient { endpoint, schedule, quota, remainder_timeout, output }
    }

    /// Creates a client of the server at `endpoint` that makes connections until the quota is used
    /// up, and sends each result to a [`TcpStatsCollector`](crate::actors::TcpStatsCollector).
    ///
    /// The interval and the timeout of the schedule apply. The count is the collector's.
    pub fn measuring(
        endpoint: Endpoint,
        schedule: Schedule,
        quota: Arc<ProbeQuota>,
        collector: Address<ProbeResult>,
    ) -> TcpClient {
        let (remainder_timeout, output) = (schedule.timeout, Output::Collector(collector));
        TcpClient { endpoint, schedule, quota, remainder_timeout, output }
    }

    /// Connects and reads a greeting to its end.
    async fn fetch_greeting(&self, clock: &Clock) -> Result<Greeting, Failure> {
        let started_at = clock.now();
        let connected = Stream::connect(&self.endpoint, self.schedule.timeout).await;
        let stream = connected.map_err(Failure::Connect)?;
        let connect_time = clock.now() - started_at;
        let no_greeting = |error| Failure::NoGreeting { connect_time, error };
        let mut buffer = [0; MAX_GREETING_LEN];
        let mut length = 0;
        let mut times: Option<(Duration, Duration)> = None;
        while length < MAX_GREETING_LEN {
            let remaining = self.remaining_time(times.is_some(), clock.now() - started_at);
            match clock.timeout(remaining, stream.read(&mut buffer[length..])).await {
                Some(Ok(0)) => break,
                Some(Ok(more)) => {
                    let elapsed = clock.now() - started_at;
                    times = Some((times.map_or(elapsed, |times| times.0), elapsed));
                    length += more;
                }
                // A timeout or an error ends a greeting that has begun.
                None | Some(Err(_)) if times.is_some() => break,
                Some(Err(error)) => return Err(no_greeting(Some(error))),
                None => return Err(no_greeting(Some(io::ErrorKind::TimedOut.into()))),
            }
        }
        let (first_byte_time, last_byte_time) = times.ok_or_else(|| no_greeting(None))?;
        let text = buffer[..length].to_vec();
        Ok(Greeting { connect_time, first_byte_time, last_byte_time, text })
    }

    /// Returns the time limit for the next read.
    fn remaining_time(&self, has_begun: bool, elapsed: Duration) -> Duration {
        let remaining = self.schedule.timeout.saturating_sub(elapsed);
        if has_begun { remaining.min(self.remainder_timeout) } else { remaining }
    }

    fn client_error(&self, failure: Failure) -> ClientError {
        match failure {
            Failure::Connect(error) => ClientError::Connect(error),
            Failure::NoGreeting { error: Some(error), .. } => {
                ClientError::from_io(error, &self.endpoint, self.schedule.timeout)
            }
            Failure::NoGreeting { error: None, .. } => ClientError::Closed {
                server: self.endpoint.to_string(),
                phase: Some("without a greeting"),
            },
        }
    }
}

/// Converts an attempt to the result that the collector counts.
fn probe_result(attempt: Result<Greeting, Failure>) -> ProbeResult {
    match attempt {
        Ok(Greeting { connect_time, first_byte_time, text, .. }) => {
            ProbeResult::Replied { connect_time, rtt: first_byte_time, text }
        }
        Err(Failure::NoGreeting { connect_time, error }) => {
            let reason = match error.map(|error| error.kind()) {
                None => "closed without a word",
                Some(io::ErrorKind::TimedOut) => "not greeted in time",
                Some(io::ErrorKind::ConnectionReset) => "reset",
                Some(_) => "broken",
            };
            ProbeResult::NoReply { connect_time, reason }
        }
        Err(Failure::Connect(error)) => {
            let reason = match error {
                ConnectError::Refused { .. } => "refused",
                ConnectError::TimedOut { .. } => "not connected in time",
                _ => "not connected",
            };
            ProbeResult::ConnectFailed { reason, error: Arc::new(error) }
        }
    }
}

impl Actor for TcpClient {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let clock = ctx.clock().clone();
        let mut is_first = true;
        while let Some(permit) = self.quota.try_acquire() {
            if !std::mem::take(&mut is_first) {
                ctx.sleep_unless_stopped(self.schedule.interval).await;
            }
            let attempt = ctx.unless_stopped(self.fetch_greeting(&clock)).await;
            let Some(attempt) = attempt else { break };
            match &self.output {
                Output::Reporter(reporter) => {
                    let greeting = attempt.map_err(|failure| self.client_error(failure))?;
                    let (bytes, rtt) = (greeting.text.len(), greeting.last_byte_time);
                    let text = || String::from_utf8_lossy(&greeting.text).into_owned();
                    reporter.send(|| Report::Reply { text: text(), bytes, rtt }).await;
                }
                Output::Collector(collector) => {
                    // The collector ends first when a stop is requested.
                    if collector.send(probe_result(attempt)).await.is_err() {
                        break;
                    }
                }
            }
            permit.forget();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_probe_permit_returns_to_quota() {
        let quota = ProbeQuota::new(2);
        let (first, second) = (quota.try_acquire(), quota.try_acquire());
        assert!(first.is_some() && quota.try_acquire().is_none());
        drop(first);
        let again = quota.try_acquire();
        assert!(again.is_some());
        again.unwrap().forget();
        second.unwrap().forget();
        assert!(quota.try_acquire().is_none());
    }
}
