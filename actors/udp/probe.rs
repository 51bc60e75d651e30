//! The UDP probe: a client as an instrument, like `ping`.
//!
//! Each request goes out at its time, whether or not the last one was answered, from a port of its own. An answer tells
//! nothing of the request that it is for (the lecture's answers are all alike), but the port that it comes to does: so
//! a lost answer, a second one and one that was overtaken are told apart whoever the server is. A socket is kept for a
//! while after its answer, to hear a second one.

use std::io;
use std::time::{Duration, Instant};

use futures_lite::future;

use crate::actors::support::stats::{LatencyRecorder, Stats};
use crate::actors::udp::in_flight::{InFlight, InFlightProbe, ProbeReply};
use crate::actors::{ClientError, Report, Reporter, Schedule};
use crate::net::{ConnectError, DatagramSocket, Endpoint};
use crate::runtime::{Actor, Clock, Context, Event, Outcome};

/// A request that was sent so long ago, and longer than any answer took, is taken to be lost when the client is stopped.
const MIN_LOSS_AGE: Duration = Duration::from_secs(1);

/// Sends datagrams as often as its [`Schedule`] says, and measures what comes back.
#[derive(Debug)]
pub struct UdpProbe {
    endpoint: Endpoint,
    request: Vec<u8>,
    buffer_size: usize,
    schedule: Schedule,
    max_loss: f64,
    report_numbers: bool,
    reporter: Reporter,
}

/// A probe at work.
struct ProbeRun<'a> {
    probe: &'a UdpProbe,
    clock: Clock,
    target: Endpoint,
    in_flight: InFlight,
    stats: Stats,
    rtts: LatencyRecorder,
    started_at: Instant,
    /// When the next request is due.
    next_send_at: Instant,
    /// The highest number that was answered.
    highest_number: u64,
    refused_count: u64,
    last_error: Option<io::Error>,
}

impl UdpProbe {
    /// Makes a probe of the server at `endpoint` that reads at most `buffer_size` bytes of each answer.
    ///
    /// A pause of nothing sends each request once the last one was answered or given up. No answer is waited for longer
    /// than the pace's time limit.
    pub fn new(
        endpoint: Endpoint,
        request: Vec<u8>,
        buffer_size: usize,
        pace: Schedule,
        reporter: Reporter,
    ) -> UdpProbe {
        UdpProbe {
            endpoint,
            request,
            buffer_size,
            schedule: pace,
            max_loss: 0.0,
            report_numbers: false,
            reporter,
        }
    }

    /// Sets how many percent of the answers may be lost, from 0 (the default) to 100.
    pub fn max_loss(mut self, percent: f64) -> UdpProbe {
        self.max_loss = percent;
        self
    }

    /// Sets whether answers are told by their number, as [`Report::ProbeReply`], and not by their text, as
    /// [`Report::Reply`].
    pub fn report_numbers(mut self, numbered: bool) -> UdpProbe {
        self.report_numbers = numbered;
        self
    }

    /// Finds one address that can be sent to, so that a name is looked up once, and a socket that is connected to it.
    async fn resolve_and_connect(&self) -> Result<(Endpoint, DatagramSocket), ConnectError> {
        if let Endpoint::Host { .. } = self.endpoint {
            // What goes wrong here goes wrong again below, and is told.
            for to in
                self.endpoint.resolve().await.unwrap_or_default().into_iter().map(Endpoint::from)
            {
                if let Ok(socket) = DatagramSocket::connect(&to).await {
                    return Ok((to, socket));
                }
            }
        }
        Ok((self.endpoint.clone(), DatagramSocket::connect(&self.endpoint).await?))
    }

    fn check(&self, run: ProbeRun<'_>) -> Outcome {
        let Stats { sent, received, .. } = run.stats;
        match run.last_error {
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

impl ProbeRun<'_> {
    /// Tells whether the next request may be sent.
    fn can_send(&self) -> bool {
        match self.probe.schedule.interval {
            Duration::ZERO => self.in_flight.pending() == 0,
            _ => self.in_flight.has_capacity(),
        }
    }

    fn is_all_sent(&self) -> bool {
        self.stats.sent == self.probe.schedule.count
    }

    /// Sends the next request.
    async fn send(&mut self) {
        self.stats.sent += 1;
        let number = self.stats.sent;
        // A schedule that was missed is not caught up with: that would be a burst. A request that fails has its pause, too.
        self.next_send_at =
            (self.next_send_at + self.probe.schedule.interval).max(self.clock.now());
        let socket = match DatagramSocket::connect(&self.target).await {
            Ok(socket) => socket,
            Err(error) => return self.record_failure(io::Error::other(error)),
        };
        // Where the kernel does not note arrivals, they are timed when they are read.
        drop(socket.enable_timestamps());
        let sent = self.clock.now();
        let sending =
            self.clock.timeout(self.probe.schedule.timeout, socket.send(&self.probe.request));
        match sending.await {
            Some(Ok(())) => self.in_flight.push(InFlightProbe::new(number, socket, sent)),
            Some(Err(error)) => self.record_failure(error),
            None => self.record_failure(io::ErrorKind::TimedOut.into()),
        }
    }

    fn record_failure(&mut self, error: io::Error) {
        let is_refusal = error.kind() == io::ErrorKind::ConnectionRefused;
        self.refused_count += u64::from(is_refusal);
        let why = if is_refusal { "refused" } else { "not sent" };
        self.stats.record_failure(why);
        self.last_error = Some(error);
    }

    /// Returns when something is to be done although nothing was heard.
    fn next_deadline(&self) -> Option<Instant> {
        let given_up =
            self.in_flight.oldest_sent_at().map(|sent| sent + self.probe.schedule.timeout);
        match self.is_all_sent() || !self.can_send() {
            true => given_up,
            false => {
                Some(given_up.map_or(self.next_send_at, |given_up| given_up.min(self.next_send_at)))
            }
        }
    }

    /// Waits for an answer, or until something else is to be done.
    async fn wait(&mut self) -> Option<ProbeReply> {
        // What was read with another answer is here already, and nothing else may be due any more.
        if let Some(heard) = self.in_flight.pop() {
            return Some(heard);
        }
        let until = self.next_deadline()?;
        let clock = self.clock.clone();
        let expire = async {
            clock.sleep(until.saturating_duration_since(clock.now())).await;
            None
        };
        future::or(async { Some(self.in_flight.next_reply(&clock).await) }, expire).await
    }

    async fn handle_reply(
        &mut self,
        ProbeReply { number, rtt, duplicate: again, result, .. }: ProbeReply,
    ) {
        let text = match result {
            Ok(text) => text,
            Err(error) if !again => return self.record_failure(error),
            Err(_) => return,
        };
        if again {
            *self.stats.duplicated.get_or_insert(0) += 1;
        } else {
            self.stats.received += 1;
            self.rtts.record(rtt);
            self.stats.elapsed = self.clock.now() - self.started_at;
            if number < self.highest_number {
                *self.stats.reordered.get_or_insert(0) += 1;
            }
            self.highest_number = self.highest_number.max(number);
        }
        let (reporter, bytes) = (&self.probe.reporter, text.len());
        if self.probe.report_numbers {
            reporter.send(|| Report::ProbeReply { number, bytes, rtt, duplicate: again }).await;
        } else if !again {
            let text = || String::from_utf8_lossy(&text).into_owned();
            reporter.send(|| Report::Reply { text: text(), bytes, rtt }).await;
        }
    }
}

impl Actor for UdpProbe {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let (to, noting) = self.resolve_and_connect().await.map_err(ClientError::Connect)?;
        // The kernel begins to note arrivals for the first socket that asks, a moment later, and ends with the last one.
        drop(noting.enable_timestamps());
        let begun = ctx.now();
        let mut run = ProbeRun {
            probe: &self,
            clock: ctx.clock().clone(),
            target: to,
            in_flight: InFlight::new(self.buffer_size),
            stats: Stats { duplicated: Some(0), reordered: Some(0), ..Stats::default() },
            rtts: LatencyRecorder::new(),
            started_at: begun,
            next_send_at: begun,
            highest_number: 0,
            refused_count: 0,
            last_error: None,
        };
        loop {
            run.in_flight.expire(ctx.now(), self.schedule.timeout);
            if !run.is_all_sent() && run.can_send() && ctx.now() >= run.next_send_at {
                run.send().await;
            }
            if run.is_all_sent() && run.in_flight.is_drained() {
                break;
            }
            match ctx.next(run.wait()).await {
                Event::Io(Some(heard)) => run.handle_reply(heard).await,
                Event::Io(None) | Event::Message(()) => {}
                Event::Stop => break,
            }
        }
        while let Some(heard) = run.in_flight.pop() {
            run.handle_reply(heard).await;
        }
        run.stats.rtt = run.rtts.summary();
        // Nobody knows whether those would have been answered that had no more time than an answer may take.
        let slowest = run.stats.rtt.as_ref().map_or(MIN_LOSS_AGE, |rtt| rtt.max.max(MIN_LOSS_AGE));
        run.stats.sent -= run.in_flight.count_younger_than(slowest, ctx.now()) as u64;
        let figures = Box::new(run.stats.clone());
        self.reporter.send(|| Report::Stats(figures)).await;
        self.check(run)
    }
}
