//! The UDP client: sends datagrams on a schedule, and matches each reply to its request, like
//! `ping`.
//!
//! Each request is sent when it is due, even if the last one has not been answered yet, from a port
//! of its own. The content of a reply does not identify its request (the lecture's replies are all
//! alike), but the port at which it arrives does. So lost, duplicate and reordered replies can be
//! distinguished with every server. A socket is kept for a while after its reply, to receive
//! duplicates.

use std::io;
use std::time::{Duration, Instant};

use futures_lite::future;

use crate::actors::support::client_error::ClientError;
use crate::actors::support::report::{Report, Reporter};
use crate::actors::support::stats::{LatencyRecorder, Schedule, Stats};
use crate::actors::udp::in_flight::{InFlight, InFlightProbe, ProbeReply};
use crate::actors::udp::targets::Targets;
use crate::net::{ConnectError, DatagramSocket, Endpoint};
use crate::runtime::{Actor, Clock, Context, Event, Outcome};
use crate::time::deadline_after;

/// When a measurement is stopped, an unanswered request counts as lost if it is older than this and
/// older than the slowest reply. A younger request is not counted.
const MIN_LOSS_AGE: Duration = Duration::from_secs(1);

/// A client that sends a datagram as often as its [`Schedule`] says, and reports the replies.
#[derive(Debug)]
pub struct UdpClient {
    endpoint: Endpoint,
    request: Vec<u8>,
    buffer_size: usize,
    schedule: Schedule,
    max_loss: f64,
    report_numbers: bool,
    report_stats: bool,
    reporter: Reporter,
}

/// The state of a running client.
struct ClientRun<'a> {
    client: &'a UdpClient,
    clock: Clock,
    targets: Targets,
    in_flight: InFlight,
    stats: Stats,
    rtts: LatencyRecorder,
    started_at: Instant,
    /// The time at which the next request is due.
    next_send_at: Instant,
    /// The highest number of a request that was answered.
    highest_number: u64,
    refused_count: u64,
    last_error: Option<io::Error>,
}

impl UdpClient {
    /// Creates a client of the server at `endpoint` that reads at most `buffer_size` bytes of each
    /// reply.
    ///
    /// With an interval of zero each request is sent once the last one was answered or timed out.
    /// The timeout of the schedule applies to each request.
    pub fn new(
        endpoint: Endpoint,
        request: Vec<u8>,
        buffer_size: usize,
        schedule: Schedule,
        reporter: Reporter,
    ) -> UdpClient {
        UdpClient {
            endpoint,
            request,
            buffer_size,
            schedule,
            max_loss: 0.0,
            report_numbers: false,
            report_stats: false,
            reporter,
        }
    }

    /// Sets the percentage of replies that may be lost, from 0 (the default) to 100. A higher loss
    /// is an error.
    pub fn max_loss(mut self, percent: f64) -> UdpClient {
        self.max_loss = percent;
        self
    }

    /// Sets whether replies are reported by number, as [`Report::ProbeReply`], instead of by text,
    /// as [`Report::Reply`].
    pub fn report_numbers(mut self, report_numbers: bool) -> UdpClient {
        self.report_numbers = report_numbers;
        self
    }

    /// Sets whether the client measures: at its end it sends [`Report::Stats`] instead of
    /// [`Report::RequestSummary`].
    pub fn report_stats(mut self, report_stats: bool) -> UdpClient {
        self.report_stats = report_stats;
        self
    }

    /// Returns the age from which an unanswered request counts as lost when the client is stopped.
    fn loss_age(&self, stats: &Stats) -> Duration {
        match (self.report_stats, &stats.rtt) {
            // The summary counts only requests that were waited for to the end.
            (false, _) => Duration::MAX,
            (true, Some(rtt)) => rtt.max.max(MIN_LOSS_AGE),
            (true, None) => MIN_LOSS_AGE,
        }
    }

    async fn report_results(&self, stats: &Stats) {
        if self.report_stats {
            let stats = Box::new(stats.clone());
            return self.reporter.send(|| Report::Stats(stats)).await;
        }
        let Stats { sent, received, .. } = *stats;
        let rtt = stats.rtt.as_ref().map(|rtt| [rtt.min, rtt.mean, rtt.max]);
        self.reporter.send(|| Report::RequestSummary { sent, received, rtt }).await;
    }

    fn check(&self, run: ClientRun<'_>) -> Outcome {
        let Stats { sent, received, .. } = run.stats;
        // A request that could not be sent in time is lost like one without a reply.
        let is_timeout = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
        match run.last_error.filter(|error| !is_timeout(error)) {
            Some(source) if received == 0 && run.refused_count > 0 => {
                let endpoint = self.endpoint.clone();
                Err(ClientError::Connect(ConnectError::Refused { endpoint, source }).into())
            }
            Some(source) if received == 0 => {
                Err(ClientError::Io { server: self.endpoint.to_string(), source }.into())
            }
            _ if run.stats.loss_percent() > self.max_loss => {
                let (lost, limit) = (sent - received, self.schedule.timeout);
                Err(ClientError::LostReplies { sent, lost, limit }.into())
            }
            _ => Ok(()),
        }
    }
}

impl ClientRun<'_> {
    /// Returns whether the next request may be sent.
    fn can_send(&self) -> bool {
        match self.client.schedule.interval {
            Duration::ZERO => self.in_flight.pending() == 0,
            _ => self.in_flight.has_capacity(),
        }
    }

    fn is_all_sent(&self) -> bool {
        self.stats.sent == self.client.schedule.count
    }

    /// Sends the next request.
    async fn send(&mut self) {
        self.stats.sent += 1;
        let number = self.stats.sent;
        // After a delay the missed requests are not caught up, as that would be a burst. A request
        // that fails is followed by the interval too.
        self.next_send_at =
            deadline_after(self.next_send_at, self.client.schedule.interval).max(self.clock.now());
        let socket = match DatagramSocket::connect(self.targets.current()).await {
            Ok(socket) => socket,
            Err(error) => return self.record_failure(io::Error::other(error)),
        };
        // Without timestamps from the kernel a reply is timed when it is read.
        drop(socket.enable_timestamps());
        let sent_at = self.clock.now();
        let sending =
            self.clock.timeout(self.client.schedule.timeout, socket.send(&self.client.request));
        match sending.await {
            Some(Ok(())) => self.in_flight.push(InFlightProbe::new(number, socket, sent_at)),
            Some(Err(error)) => self.record_failure(error),
            None => self.record_failure(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Starts again with the next address of the server, if the current one has refused or not
    /// answered.
    fn try_next_target(&mut self) {
        let Some(timeout) = self.targets.first_timeout() else { return };
        let due_at = self.in_flight.oldest_sent_at().map(|at| deadline_after(at, timeout));
        let is_silent = due_at.is_some_and(|at| at <= self.clock.now());
        if (is_silent || self.last_error.is_some()) && self.targets.advance() {
            self.in_flight = InFlight::new(self.client.buffer_size);
            self.stats = initial_stats();
            self.refused_count = 0;
            self.last_error = None;
            self.next_send_at = self.clock.now();
        }
    }

    fn record_failure(&mut self, error: io::Error) {
        let is_refused = error.kind() == io::ErrorKind::ConnectionRefused;
        self.refused_count += u64::from(is_refused);
        self.stats.record_failure(if is_refused { "refused" } else { "not sent" });
        self.last_error = Some(error);
    }

    /// Returns the time at which a request is due or times out, whichever comes first.
    fn next_deadline(&self) -> Option<Instant> {
        let timeout = self.targets.first_timeout().unwrap_or(self.client.schedule.timeout);
        let timeout_at = self.in_flight.oldest_sent_at().map(|at| deadline_after(at, timeout));
        match self.is_all_sent() || !self.can_send() {
            true => timeout_at,
            false => Some(timeout_at.map_or(self.next_send_at, |at| at.min(self.next_send_at))),
        }
    }

    /// Waits for a reply, or until the next deadline.
    async fn wait(&mut self) -> Option<ProbeReply> {
        // One poll can read several replies, so some may be left even without a deadline.
        if let Some(reply) = self.in_flight.pop() {
            return Some(reply);
        }
        let deadline = self.next_deadline()?;
        let clock = self.clock.clone();
        let expire = async {
            clock.sleep(deadline.saturating_duration_since(clock.now())).await;
            None
        };
        future::or(async { Some(self.in_flight.next_reply(&clock).await) }, expire).await
    }

    async fn handle_reply(&mut self, reply: ProbeReply) {
        let ProbeReply { number, rtt, duplicate, result, .. } = reply;
        let text = match result {
            Ok(text) => text,
            Err(error) if !duplicate => return self.record_failure(error),
            Err(_) => return,
        };
        if duplicate {
            *self.stats.duplicated.get_or_insert(0) += 1;
        } else {
            self.targets.settle();
            self.stats.received += 1;
            self.rtts.record(rtt);
            self.stats.elapsed = self.clock.now() - self.started_at;
            if number < self.highest_number {
                *self.stats.reordered.get_or_insert(0) += 1;
            }
            self.highest_number = self.highest_number.max(number);
        }
        let (reporter, bytes) = (&self.client.reporter, text.len());
        if self.client.report_numbers {
            reporter.send(|| Report::ProbeReply { number, bytes, rtt, duplicate }).await;
        } else if !duplicate {
            let text = || String::from_utf8_lossy(&text).into_owned();
            reporter.send(|| Report::Reply { text: text(), bytes, rtt }).await;
        }
    }
}

/// Returns the statistics before the first request. They count duplicate and reordered replies.
fn initial_stats() -> Stats {
    Stats { duplicated: Some(0), reordered: Some(0), ..Stats::default() }
}

impl Actor for UdpClient {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let timeout = self.schedule.timeout;
        let targets =
            Targets::resolve(&self.endpoint, timeout).await.map_err(ClientError::Connect)?;
        let (targets, first_socket) = targets.connect().await.map_err(ClientError::Connect)?;
        // The kernel takes timestamps as long as any socket has them enabled, and starts with a
        // delay. So this socket keeps them enabled for the whole run.
        drop(first_socket.enable_timestamps());
        let started_at = ctx.now();
        let mut run = ClientRun {
            client: &self,
            clock: ctx.clock().clone(),
            targets,
            in_flight: InFlight::new(self.buffer_size),
            stats: initial_stats(),
            rtts: LatencyRecorder::new(),
            started_at,
            next_send_at: started_at,
            highest_number: 0,
            refused_count: 0,
            last_error: None,
        };
        loop {
            run.try_next_target();
            run.in_flight.expire(ctx.now(), self.schedule.timeout);
            if !run.is_all_sent() && run.can_send() && ctx.now() >= run.next_send_at {
                run.send().await;
            }
            if run.is_all_sent() && run.in_flight.is_drained() {
                break;
            }
            match ctx.next(run.wait()).await {
                Event::Io(Some(reply)) => run.handle_reply(reply).await,
                Event::Io(None) | Event::Message(()) => {}
                Event::Stop => break,
            }
        }
        while let Some(reply) = run.in_flight.pop() {
            run.handle_reply(reply).await;
        }
        run.stats.rtt = run.rtts.summary();
        // A recent request may still have been answered, so it counts neither as sent nor as lost.
        let loss_age = self.loss_age(&run.stats);
        run.stats.sent -= run.in_flight.count_younger_than(loss_age, ctx.now()) as u64;
        self.report_results(&run.stats).await;
        self.check(run)
    }
}
