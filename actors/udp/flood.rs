//! The UDP flood: measures the load that a server can take.
//!
//! Requests are sent at a rate, many with one system call, and replies are received in the same
//! way. All of these are sent from one socket, so a reply does not tell which of them it answers.
//! Therefore one request in [`PROBE_INTERVAL`] has a socket of its own, and its reply is timed.
//! Such probes are a fair sample of the round trips under this load.

use std::io;
use std::time::{Duration, Instant};

use futures_lite::future;

use crate::actors::support::client_error::ClientError;
use crate::actors::support::report::{Report, Reporter};
use crate::actors::support::stats::{LatencyRecorder, Schedule, Stats};
use crate::actors::udp::in_flight::{InFlight, InFlightProbe, ProbeReply};
use crate::actors::udp::targets::Targets;
use crate::net::{ConnectError, DatagramBatch, DatagramSocket, Endpoint};
use crate::runtime::{Actor, Clock, Context, Event, Outcome};
use crate::time::deadline_after;

/// The time for which due requests are collected, to send them with few system calls.
const BATCH_INTERVAL: Duration = Duration::from_millis(1);

/// The number of requests sent between two reads, so that the receive buffer does not overflow.
const MAX_SEND_BATCH: u64 = 64;

/// The number of batches of replies read between two reads of the clock.
const MAX_RECV_BATCHES: usize = 64;

/// The time between two requests that are timed. At lower rates each request is.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);

/// The time between two progress reports.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// A client that sends as many datagrams as its [`Schedule`] says, `interval` apart on average, and
/// counts the replies.
#[derive(Debug)]
pub struct UdpFlood {
    endpoint: Endpoint,
    request: Vec<u8>,
    buffer_size: usize,
    schedule: Schedule,
    max_loss: f64,
    reporter: Reporter,
}

impl UdpFlood {
    /// Creates a flood of the server at `endpoint`. After the last request it waits for replies
    /// until the timeout of the schedule.
    pub fn new(
        endpoint: Endpoint,
        request: Vec<u8>,
        buffer_size: usize,
        schedule: Schedule,
        reporter: Reporter,
    ) -> UdpFlood {
        UdpFlood { endpoint, request, buffer_size, schedule, max_loss: 0.0, reporter }
    }

    /// Sets the percentage of replies that may be lost, from 0 (the default) to 100. A higher loss
    /// is an error.
    pub fn max_loss(mut self, percent: f64) -> UdpFlood {
        self.max_loss = percent;
        self
    }

    /// Returns the number of requests due until one batch interval after `elapsed`.
    fn due_count(&self, elapsed: Duration) -> u64 {
        let interval = self.schedule.interval.as_nanos().max(1);
        let due = elapsed.saturating_add(BATCH_INTERVAL).as_nanos() / interval;
        u64::try_from(due).unwrap_or(u64::MAX).min(self.schedule.count)
    }

    fn check(&self, stats: &Stats, refused_error: Option<io::Error>) -> Outcome {
        match refused_error {
            Some(source) if stats.received == 0 => {
                let endpoint = self.endpoint.clone();
                Err(ClientError::Connect(ConnectError::Refused { endpoint, source }).into())
            }
            _ if stats.loss_percent() > self.max_loss => {
                let (sent, lost, limit) = (stats.sent, stats.lost(), self.schedule.timeout);
                Err(ClientError::LostReplies { sent, lost, limit }.into())
            }
            _ => Ok(()),
        }
    }
}

/// The state of a running flood.
struct FloodRun<'a> {
    flood: &'a UdpFlood,
    targets: Targets,
    socket: DatagramSocket,
    batch: DatagramBatch,
    started_at: Instant,
    last_reported: Instant,
    last_sent_at: Instant,
    sent: u64,
    received: u64,
    received_bytes: u64,
    last_received_at: Instant,
    failed: u64,
    refused_error: Option<io::Error>,
    /// The requests that are timed.
    probes: InFlight,
    next_probe_at: Instant,
    rtts: LatencyRecorder,
}

/// An event that ends a wait.
enum FloodEvent {
    /// A batch of replies was received, or an error.
    Received(io::Result<()>),
    /// A reply to a timed request arrived.
    Timed(ProbeReply),
    /// Requests are due.
    Due,
}

impl FloodRun<'_> {
    /// Starts again with the next address of the server, if the current one has refused or not
    /// answered.
    async fn try_next_target(&mut self, now: Instant) {
        if self.received > 0 {
            return self.targets.settle();
        }
        let Some(timeout) = self.targets.first_timeout() else { return };
        let is_silent = now >= deadline_after(self.started_at, timeout);
        while (is_silent || self.refused_error.is_some()) && self.targets.advance() {
            if let Ok(socket) = DatagramSocket::connect(self.targets.current()).await {
                self.socket = socket;
                (self.started_at, self.last_sent_at, self.last_received_at) = (now, now, now);
                (self.sent, self.failed, self.refused_error) = (0, 0, None);
                (self.probes, self.next_probe_at) = (InFlight::new(self.flood.buffer_size), now);
                return;
            }
        }
    }

    /// Sends a batch of the requests that are due. Returns whether more are due.
    async fn send(&mut self, clock: &Clock, now: Instant) -> bool {
        let mut due = self.flood.due_count(now - self.started_at).saturating_sub(self.sent);
        if due > 0 && now >= self.next_probe_at && self.probes.has_capacity() {
            self.next_probe_at = deadline_after(now, PROBE_INTERVAL);
            (self.last_sent_at, self.sent) = (now, self.sent + 1);
            due -= 1;
            if let Err(error) = self.send_probe(clock).await {
                self.record_failure(error);
            }
        }
        if due > 0 {
            let count = due.min(MAX_SEND_BATCH);
            let result = self.socket.send_repeated(&self.flood.request, count as usize).await;
            self.last_sent_at = now;
            self.sent += match result {
                Ok(sent) => sent.clamp(1, count as usize) as u64,
                Err(error) => {
                    self.record_failure(error);
                    1
                }
            };
        }
        due > MAX_SEND_BATCH
    }

    /// Sends a request whose reply is timed.
    async fn send_probe(&mut self, clock: &Clock) -> io::Result<()> {
        let connected = DatagramSocket::connect(self.targets.current()).await;
        let socket = connected.map_err(io::Error::other)?;
        // Without timestamps from the kernel a reply is timed when it is read.
        drop(socket.enable_timestamps());
        let sent_at = clock.now();
        socket.send(&self.flood.request).await?;
        self.probes.push(InFlightProbe::new(self.sent, socket, sent_at));
        Ok(())
    }

    fn record_probe(&mut self, reply: ProbeReply, now: Instant) {
        match reply.result {
            Ok(text) => {
                self.received += 1;
                self.received_bytes += text.len() as u64;
                self.last_received_at = now;
                if !reply.duplicate {
                    self.rtts.record(reply.rtt);
                }
            }
            Err(error) => self.record_failure(error),
        }
    }

    fn record_failure(&mut self, error: io::Error) {
        self.failed += 1;
        if error.kind() == io::ErrorKind::ConnectionRefused {
            self.refused_error = Some(error);
        }
    }

    fn record_replies(&mut self, now: Instant) {
        self.received += self.batch.len() as u64;
        self.received_bytes +=
            self.batch.iter().map(|datagram| datagram.length as u64).sum::<u64>();
        self.last_received_at = now;
    }

    async fn recv_replies(&mut self, clock: &Clock, now: Instant) {
        self.probes.expire(now, self.flood.schedule.timeout);
        while let Some(reply) = future::poll_once(self.probes.next_reply(clock)).await {
            self.record_probe(reply, now);
        }
        for _ in 0..MAX_RECV_BATCHES {
            match self.socket.try_recv_batch(&mut self.batch) {
                Ok(()) => self.record_replies(now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The error was caused by an earlier request, and the next read may succeed.
                Err(error) => return self.record_failure(error),
            }
        }
    }

    /// Waits for replies, or until the next requests are due. Returns `None` if a stop is
    /// requested.
    async fn wait(&mut self, ctx: &mut Context<()>, now: Instant) -> Option<()> {
        let schedule = &self.flood.schedule;
        let delay = match self.sent < schedule.count {
            true => BATCH_INTERVAL.max(schedule.interval),
            false => {
                let timeout = self.targets.first_timeout().unwrap_or(schedule.timeout);
                deadline_after(self.last_sent_at, timeout).saturating_duration_since(now)
            }
        };
        let clock = ctx.clock().clone();
        let (socket, batch, probes) = (&self.socket, &mut self.batch, &mut self.probes);
        let received = async { FloodEvent::Received(socket.recv_batch(batch).await) };
        let timed = async { FloodEvent::Timed(probes.next_reply(&clock).await) };
        let passed = async {
            clock.sleep(delay).await;
            FloodEvent::Due
        };
        match ctx.next(future::or(received, future::or(timed, passed))).await {
            Event::Io(FloodEvent::Received(Ok(()))) => self.record_replies(clock.now()),
            Event::Io(FloodEvent::Received(Err(error))) => self.record_failure(error),
            Event::Io(FloodEvent::Timed(reply)) => self.record_probe(reply, clock.now()),
            Event::Io(FloodEvent::Due) | Event::Message(()) => {}
            Event::Stop => return None,
        }
        Some(())
    }

    fn is_finished(&self, now: Instant) -> bool {
        let Schedule { count, timeout, .. } = self.flood.schedule;
        self.sent == count
            && (self.received >= count || now >= deadline_after(self.last_sent_at, timeout))
    }

    async fn report_progress(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last_reported) >= PROGRESS_INTERVAL {
            self.last_reported = now;
            let (sent, received) = (self.sent, self.received);
            self.flood.reporter.send(|| Report::LoadProgress { sent, received }).await;
        }
    }

    fn stats(&self) -> Stats {
        let elapsed = self.last_received_at.max(self.last_sent_at) - self.started_at;
        let failures =
            if self.failed > 0 { vec![("refused or not sent", self.failed)] } else { vec![] };
        let received = self.received.min(self.sent);
        // More replies than requests include duplicates. Other duplicates cannot be detected.
        let duplicated = Some(self.received - received).filter(|count| *count > 0);
        let sent_bytes = self.sent.saturating_mul(self.flood.request.len() as u64);
        Stats {
            sent: self.sent,
            received,
            duplicated,
            failures,
            bytes: Some((sent_bytes, self.received_bytes)),
            rtt: self.rtts.summary(),
            elapsed,
            ..Stats::default()
        }
    }
}

impl Actor for UdpFlood {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let timeout = self.schedule.timeout;
        let targets =
            Targets::resolve(&self.endpoint, timeout).await.map_err(ClientError::Connect)?;
        let (targets, socket) = targets.connect().await.map_err(ClientError::Connect)?;
        let started_at = ctx.now();
        let mut run = FloodRun {
            flood: &self,
            targets,
            socket,
            batch: DatagramBatch::new(self.buffer_size),
            started_at,
            last_reported: started_at,
            last_sent_at: started_at,
            sent: 0,
            received: 0,
            last_received_at: started_at,
            received_bytes: 0,
            failed: 0,
            refused_error: None,
            probes: InFlight::new(self.buffer_size),
            next_probe_at: started_at,
            rtts: LatencyRecorder::new(),
        };
        loop {
            let now = ctx.now();
            run.try_next_target(now).await;
            let more_due = run.send(ctx.clock(), now).await;
            run.recv_replies(ctx.clock(), now).await;
            run.report_progress(now).await;
            if run.is_finished(now) {
                break;
            }
            if more_due && !ctx.is_stopping() {
                future::yield_now().await;
            } else if run.wait(&mut ctx, now).await.is_none() {
                break;
            }
        }
        let stats = run.stats();
        let reported = Box::new(stats.clone());
        self.reporter.send(|| Report::Stats(reported)).await;
        self.check(&stats, run.refused_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_failure_keeps_refused_connection() {
        let endpoint: Endpoint = "127.0.0.1:9".parse().unwrap();
        let schedule =
            Schedule { count: 1, interval: Duration::ZERO, timeout: Duration::from_secs(1) };
        let flood = UdpFlood::new(endpoint, Vec::new(), 1, schedule, Reporter::disabled());
        let now = Instant::now();
        let mut run = FloodRun {
            flood: &flood,
            targets: smol::block_on(Targets::resolve(&flood.endpoint, Duration::ZERO)).unwrap(),
            socket: smol::block_on(DatagramSocket::connect(&flood.endpoint)).unwrap(),
            batch: DatagramBatch::new(1),
            started_at: now,
            last_reported: now,
            last_sent_at: now,
            sent: 1,
            received: 0,
            last_received_at: now,
            received_bytes: 0,
            failed: 0,
            refused_error: None,
            probes: InFlight::new(1),
            next_probe_at: now,
            rtts: LatencyRecorder::new(),
        };
        for kind in [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut] {
            run.record_failure(kind.into());
        }
        assert_eq!((run.failed, run.refused_error.is_some()), (2, true));
    }
}
