//! The UDP probe: a client as an instrument, like `ping`.
//!
//! Each request goes out at its time, whether or not the last one was answered, from a port of its own. An answer tells
//! nothing of the request that it is for (the lecture's answers are all alike), but the port that it comes to does: so
//! a lost answer, a second one and one that was overtaken are told apart whoever the server is. A socket is kept for a
//! while after its answer, to hear a second one.

use std::io;
use std::time::{Duration, Instant};

use futures_lite::future;

use crate::actors::support::stats::{Figures, Times};
use crate::actors::udp::in_flight::{Heard, Lane, Lanes};
use crate::actors::{Failure, Pace, Report, Reporter};
use crate::net::{ConnectError, DatagramSocket, Endpoint};
use crate::runtime::{Actor, Clock, Context, Event, Outcome};

/// A request that was sent so long ago, and longer than any answer took, is taken to be lost when the client is stopped.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends datagrams as often as its [`Pace`] says, and measures what comes back.
#[derive(Debug)]
pub struct UdpProbe {
    endpoint: Endpoint,
    request: Vec<u8>,
    buffer_size: usize,
    pace: Pace,
    max_loss: f64,
    numbered: bool,
    reporter: Reporter,
}

/// A probe at work.
struct Run<'a> {
    probe: &'a UdpProbe,
    clock: Clock,
    to: Endpoint,
    lanes: Lanes,
    figures: Figures,
    times: Times,
    begun: Instant,
    /// When the next request is due.
    due: Instant,
    /// The highest number that was answered.
    highest: u64,
    refusals: u64,
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
        pace: Pace,
        reporter: Reporter,
    ) -> UdpProbe {
        UdpProbe { endpoint, request, buffer_size, pace, max_loss: 0.0, numbered: false, reporter }
    }

    /// Sets how many percent of the answers may be lost, from 0 (the default) to 100.
    pub fn max_loss(mut self, percent: f64) -> UdpProbe {
        self.max_loss = percent;
        self
    }

    /// Sets whether answers are told by their number, as [`Report::Answer`], and not by their text, as
    /// [`Report::Reply`].
    pub fn numbered(mut self, numbered: bool) -> UdpProbe {
        self.numbered = numbered;
        self
    }

    /// Finds one address that can be sent to, so that a name is looked up once, and a socket that is connected to it.
    async fn find(&self) -> Result<(Endpoint, DatagramSocket), ConnectError> {
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

    fn judge(&self, run: Run<'_>) -> Outcome {
        let Figures { sent, received, .. } = run.figures;
        match run.last_error {
            Some(source) if received == 0 && run.refusals > 0 => {
                let endpoint = self.endpoint.clone();
                Err(Failure::Connect(ConnectError::Refused { endpoint, source }).into())
            }
            Some(source) if received == 0 => {
                Err(Failure::Broken { server: self.endpoint.to_string(), source }.into())
            }
            _ if run.figures.loss() > self.max_loss => {
                let (lost, limit) = (sent - received, self.pace.timeout);
                Err(Failure::Lost { sent, lost, limit }.into())
            }
            _ => Ok(()),
        }
    }
}

impl Run<'_> {
    /// Tells whether the next request may be sent.
    fn has_room(&self) -> bool {
        match self.probe.pace.interval {
            Duration::ZERO => self.lanes.waiting() == 0,
            _ => self.lanes.has_room(),
        }
    }

    fn is_complete(&self) -> bool {
        self.figures.sent == self.probe.pace.count
    }

    /// Sends the next request.
    async fn send(&mut self) {
        self.figures.sent += 1;
        let number = self.figures.sent;
        // A schedule that was missed is not caught up with: that would be a burst. A request that fails has its pause, too.
        self.due = (self.due + self.probe.pace.interval).max(self.clock.now());
        let socket = match DatagramSocket::connect(&self.to).await {
            Ok(socket) => socket,
            Err(error) => return self.fail(io::Error::other(error)),
        };
        // Where the kernel does not note arrivals, they are timed when they are read.
        drop(socket.enable_timestamps());
        let sent = self.clock.now();
        let sending = self.clock.timeout(self.probe.pace.timeout, socket.send(&self.probe.request));
        match sending.await {
            Some(Ok(())) => self.lanes.push(Lane::new(number, socket, sent)),
            Some(Err(error)) => self.fail(error),
            None => self.fail(io::ErrorKind::TimedOut.into()),
        }
    }

    fn fail(&mut self, error: io::Error) {
        let is_refusal = error.kind() == io::ErrorKind::ConnectionRefused;
        self.refusals += u64::from(is_refusal);
        let why = if is_refusal { "refused" } else { "not sent" };
        self.figures.fail(why);
        self.last_error = Some(error);
    }

    /// Returns when something is to be done although nothing was heard.
    fn next_deadline(&self) -> Option<Instant> {
        let given_up = self.lanes.oldest().map(|sent| sent + self.probe.pace.timeout);
        match self.is_complete() || !self.has_room() {
            true => given_up,
            false => Some(given_up.map_or(self.due, |given_up| given_up.min(self.due))),
        }
    }

    /// Waits for an answer, or until something else is to be done.
    async fn wait(&mut self) -> Option<Heard> {
        // What was read with another answer is here already, and nothing else may be due any more.
        if let Some(heard) = self.lanes.pop() {
            return Some(heard);
        }
        let until = self.next_deadline()?;
        let clock = self.clock.clone();
        let expire = async {
            clock.sleep(until.saturating_duration_since(clock.now())).await;
            None
        };
        future::or(async { Some(self.lanes.hear(&clock).await) }, expire).await
    }

    async fn take(&mut self, Heard { number, rtt, again, result, .. }: Heard) {
        let text = match result {
            Ok(text) => text,
            Err(error) if !again => return self.fail(error),
            Err(_) => return,
        };
        if again {
            *self.figures.duplicated.get_or_insert(0) += 1;
        } else {
            self.figures.received += 1;
            self.times.add(rtt);
            self.figures.took = self.clock.now() - self.begun;
            if number < self.highest {
                *self.figures.reordered.get_or_insert(0) += 1;
            }
            self.highest = self.highest.max(number);
        }
        let (reporter, bytes) = (&self.probe.reporter, text.len());
        if self.probe.numbered {
            reporter.tell(|| Report::Answer { number, bytes, rtt, again }).await;
        } else if !again {
            let text = || String::from_utf8_lossy(&text).into_owned();
            reporter.tell(|| Report::Reply { text: text(), bytes, rtt }).await;
        }
    }
}

impl Actor for UdpProbe {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let (to, noting) = self.find().await.map_err(Failure::Connect)?;
        // The kernel begins to note arrivals for the first socket that asks, a moment later, and ends with the last one.
        drop(noting.enable_timestamps());
        let begun = ctx.now();
        let mut run = Run {
            probe: &self,
            clock: ctx.clock().clone(),
            to,
            lanes: Lanes::new(self.buffer_size),
            figures: Figures { duplicated: Some(0), reordered: Some(0), ..Figures::default() },
            times: Times::new(),
            begun,
            due: begun,
            highest: 0,
            refusals: 0,
            last_error: None,
        };
        loop {
            run.lanes.tidy(ctx.now(), self.pace.timeout);
            if !run.is_complete() && run.has_room() && ctx.now() >= run.due {
                run.send().await;
            }
            if run.is_complete() && run.lanes.are_done() {
                break;
            }
            match ctx.next(run.wait()).await {
                Event::Io(Some(heard)) => run.take(heard).await,
                Event::Io(None) | Event::Message(()) => {}
                Event::Stop => break,
            }
        }
        while let Some(heard) = run.lanes.pop() {
            run.take(heard).await;
        }
        run.figures.rtt = run.times.spread();
        // Nobody knows whether those would have been answered that had no more time than an answer may take.
        let slowest = run.figures.rtt.as_ref().map_or(PATIENCE, |rtt| rtt.max.max(PATIENCE));
        run.figures.sent -= run.lanes.sent_within(slowest, ctx.now()) as u64;
        let figures = Box::new(run.figures.clone());
        self.reporter.tell(|| Report::Figures(figures)).await;
        self.judge(run)
    }
}
