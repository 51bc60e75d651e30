//! The UDP flood: a client as an instrument for what a server can take.
//!
//! Requests go out at a rate, many with one system call, and answers come in the same way. They are counted and not
//! timed: who sends so many does not know which of them an answer is for.

use std::io;
use std::time::{Duration, Instant};

use futures_lite::future;

use crate::actors::support::stats::Figures;
use crate::actors::{Failure, Pace, Report, Reporter};
use crate::net::{ConnectError, DatagramBatch, DatagramSocket, Endpoint};
use crate::runtime::{Actor, Context, Event, Outcome};

/// How long requests are gathered, to be sent with few calls.
const TICK: Duration = Duration::from_millis(1);

/// Requests between two looks for answers, so that our own receive buffer does not run over.
const AT_ONCE: u64 = 64;

/// Batches of answers that are taken between two looks at the clock, however many may wait.
const ROUNDS: usize = 64;

/// How often it is told how far the flood is.
const TELL: Duration = Duration::from_secs(1);

/// Sends as many datagrams as its [`Pace`] says, `interval` apart on average, and counts the answers.
#[derive(Debug)]
pub struct UdpFlood {
    endpoint: Endpoint,
    request: Vec<u8>,
    buffer_size: usize,
    pace: Pace,
    max_loss: f64,
    reporter: Reporter,
}

impl UdpFlood {
    /// Makes a flood of the server at `endpoint`. Once all is sent, the last answers are waited for as long as the
    /// pace's time limit says.
    pub fn new(
        endpoint: Endpoint,
        request: Vec<u8>,
        buffer_size: usize,
        pace: Pace,
        reporter: Reporter,
    ) -> UdpFlood {
        UdpFlood { endpoint, request, buffer_size, pace, max_loss: 0.0, reporter }
    }

    /// Sets how many percent of the answers may be lost, from 0 (the default) to 100.
    pub fn max_loss(mut self, percent: f64) -> UdpFlood {
        self.max_loss = percent;
        self
    }

    /// Returns how many requests should be on their way after this time.
    fn due(&self, since: Duration) -> u64 {
        let interval = self.pace.interval.as_nanos().max(1);
        let due = (since + TICK).as_nanos() / interval;
        u64::try_from(due).unwrap_or(u64::MAX).min(self.pace.count)
    }

    fn judge(&self, figures: &Figures, refused: Option<io::Error>) -> Outcome {
        match refused {
            Some(source) if figures.received == 0 => {
                let endpoint = self.endpoint.clone();
                Err(Failure::Connect(ConnectError::Refused { endpoint, source }).into())
            }
            _ if figures.loss() > self.max_loss => {
                let (sent, lost, limit) = (figures.sent, figures.lost(), self.pace.timeout);
                Err(Failure::Lost { sent, lost, limit }.into())
            }
            _ => Ok(()),
        }
    }
}

/// A flood under way.
struct Run<'a> {
    flood: &'a UdpFlood,
    socket: DatagramSocket,
    batch: DatagramBatch,
    begun: Instant,
    told: Instant,
    /// When the last request was sent.
    last: Instant,
    sent: u64,
    answers: u64,
    /// When the last answers came.
    heard: Instant,
    failed: u64,
    refused: Option<io::Error>,
}

impl Run<'_> {
    /// Sends some of what is due, and tells whether more is.
    async fn send(&mut self, now: Instant) -> bool {
        let due = self.flood.due(now - self.begun).saturating_sub(self.sent);
        if due > 0 {
            let count = due.min(AT_ONCE);
            let sent = self.socket.send_repeated(&self.flood.request, count as usize).await;
            self.last = now;
            self.sent += match sent {
                Ok(sent) => sent.clamp(1, count as usize) as u64,
                Err(error) => {
                    self.fail(error);
                    1
                }
            };
        }
        due > AT_ONCE
    }

    fn fail(&mut self, error: io::Error) {
        self.failed += 1;
        self.refused = Some(error).filter(|e| e.kind() == io::ErrorKind::ConnectionRefused);
    }

    fn count(&mut self, now: Instant) {
        self.answers += self.batch.len() as u64;
        self.heard = now;
    }

    fn receive(&mut self, now: Instant) {
        for _ in 0..ROUNDS {
            match self.socket.try_recv_batch(&mut self.batch) {
                Ok(()) => self.count(now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // It belongs to a request that was sent before, so the next answer can be read.
                Err(error) => return self.fail(error),
            }
        }
    }

    /// Waits for answers, or until the next requests are due.
    async fn wait(&mut self, ctx: &mut Context<()>, now: Instant) -> Option<()> {
        let rest = match self.sent < self.flood.pace.count {
            true => TICK.max(self.flood.pace.interval),
            false => (self.last + self.flood.pace.timeout).saturating_duration_since(now),
        };
        let clock = ctx.clock().clone();
        let received = async { Some(self.socket.recv_batch(&mut self.batch).await) };
        let passed = async {
            clock.sleep(rest).await;
            None
        };
        match ctx.next(future::or(received, passed)).await {
            Event::Io(Some(Ok(()))) => self.count(clock.now()),
            Event::Io(Some(Err(error))) => self.fail(error),
            Event::Io(None) | Event::Message(()) => {}
            Event::Stop => return None,
        }
        Some(())
    }

    fn is_over(&self, now: Instant) -> bool {
        let Pace { count, timeout, .. } = self.flood.pace;
        self.sent == count && (self.answers >= count || now >= self.last + timeout)
    }

    async fn tell(&mut self, now: Instant) {
        if now >= self.told + TELL {
            self.told = now;
            let (sent, received) = (self.sent, self.answers);
            self.flood.reporter.tell(|| Report::Tally { sent, received }).await;
        }
    }

    fn figures(&self) -> Figures {
        let took = self.heard.max(self.last) - self.begun;
        let failures =
            if self.failed > 0 { vec![("refused or not sent", self.failed)] } else { vec![] };
        let received = self.answers.min(self.sent);
        // What came beyond one for each was surely sent twice.
        let duplicated = Some(self.answers - received).filter(|more| *more > 0);
        Figures { sent: self.sent, received, duplicated, failures, took, ..Figures::default() }
    }
}

impl Actor for UdpFlood {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let socket = DatagramSocket::connect(&self.endpoint).await.map_err(Failure::Connect)?;
        let begun = ctx.now();
        let mut run = Run {
            flood: &self,
            socket,
            batch: DatagramBatch::new(self.buffer_size),
            begun,
            told: begun,
            last: begun,
            sent: 0,
            answers: 0,
            heard: begun,
            failed: 0,
            refused: None,
        };
        loop {
            let now = ctx.now();
            let more = run.send(now).await;
            run.receive(now);
            run.tell(now).await;
            if run.is_over(now) {
                break;
            }
            if more && !ctx.is_stopping() {
                future::yield_now().await;
            } else if run.wait(&mut ctx, now).await.is_none() {
                break;
            }
        }
        let figures = run.figures();
        let told = Box::new(figures.clone());
        self.reporter.tell(|| Report::Figures(told)).await;
        self.judge(&figures, run.refused)
    }
}
