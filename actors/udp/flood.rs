//! The UDP flood: a client as an instrument for what a server can take.
//!
//! Requests go out at a rate, many with one system call, and answers come in the same way. They are counted and not
//! timed: who sends so many does not know which of them an answer is for.

use std::io;
use std::time::{Duration, Instant};

use futures_lite::future;

use crate::actors::support::stats::Stats;
use crate::actors::{ClientError, Report, Reporter, Schedule};
use crate::net::{ConnectError, DatagramBatch, DatagramSocket, Endpoint};
use crate::runtime::{Actor, Context, Event, Outcome};

/// How long requests are gathered, to be sent with few calls.
const BATCH_INTERVAL: Duration = Duration::from_millis(1);

/// Requests between two looks for answers, so that our own receive buffer does not run over.
const MAX_SEND_BATCH: u64 = 64;

/// Batches of answers that are taken between two looks at the clock, however many may wait.
const MAX_RECV_BATCHES: usize = 64;

/// How often it is told how far the flood is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Sends as many datagrams as its [`Schedule`] says, `interval` apart on average, and counts the answers.
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
    /// Makes a flood of the server at `endpoint`. Once all is sent, the last answers are waited for as long as the
    /// pace's time limit says.
    pub fn new(
        endpoint: Endpoint,
        request: Vec<u8>,
        buffer_size: usize,
        pace: Schedule,
        reporter: Reporter,
    ) -> UdpFlood {
        UdpFlood { endpoint, request, buffer_size, schedule: pace, max_loss: 0.0, reporter }
    }

    /// Sets how many percent of the answers may be lost, from 0 (the default) to 100.
    pub fn max_loss(mut self, percent: f64) -> UdpFlood {
        self.max_loss = percent;
        self
    }

    /// Returns how many requests should be on their way after this time.
    fn due_count(&self, since: Duration) -> u64 {
        let interval = self.schedule.interval.as_nanos().max(1);
        let due = (since + BATCH_INTERVAL).as_nanos() / interval;
        u64::try_from(due).unwrap_or(u64::MAX).min(self.schedule.count)
    }

    fn check(&self, figures: &Stats, refused: Option<io::Error>) -> Outcome {
        match refused {
            Some(source) if figures.received == 0 => {
                let endpoint = self.endpoint.clone();
                Err(ClientError::Connect(ConnectError::Refused { endpoint, source }).into())
            }
            _ if figures.loss_percent() > self.max_loss => {
                let (sent, lost, limit) = (figures.sent, figures.lost(), self.schedule.timeout);
                Err(ClientError::LostReplies { sent, lost, limit }.into())
            }
            _ => Ok(()),
        }
    }
}

/// A flood under way.
struct FloodRun<'a> {
    flood: &'a UdpFlood,
    socket: DatagramSocket,
    batch: DatagramBatch,
    started_at: Instant,
    last_reported: Instant,
    /// When the last request was sent.
    last_sent_at: Instant,
    sent: u64,
    received: u64,
    /// When the last answers came.
    last_received_at: Instant,
    failed: u64,
    refused_error: Option<io::Error>,
}

impl FloodRun<'_> {
    /// Sends some of what is due, and tells whether more is.
    async fn send(&mut self, now: Instant) -> bool {
        let due = self.flood.due_count(now - self.started_at).saturating_sub(self.sent);
        if due > 0 {
            let count = due.min(MAX_SEND_BATCH);
            let sent = self.socket.send_repeated(&self.flood.request, count as usize).await;
            self.last_sent_at = now;
            self.sent += match sent {
                Ok(sent) => sent.clamp(1, count as usize) as u64,
                Err(error) => {
                    self.record_failure(error);
                    1
                }
            };
        }
        due > MAX_SEND_BATCH
    }

    fn record_failure(&mut self, error: io::Error) {
        self.failed += 1;
        self.refused_error = Some(error).filter(|e| e.kind() == io::ErrorKind::ConnectionRefused);
    }

    fn record_replies(&mut self, now: Instant) {
        self.received += self.batch.len() as u64;
        self.last_received_at = now;
    }

    fn recv_replies(&mut self, now: Instant) {
        for _ in 0..MAX_RECV_BATCHES {
            match self.socket.try_recv_batch(&mut self.batch) {
                Ok(()) => self.record_replies(now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // It belongs to a request that was sent before, so the next answer can be read.
                Err(error) => return self.record_failure(error),
            }
        }
    }

    /// Waits for answers, or until the next requests are due.
    async fn wait(&mut self, ctx: &mut Context<()>, now: Instant) -> Option<()> {
        let rest = match self.sent < self.flood.schedule.count {
            true => BATCH_INTERVAL.max(self.flood.schedule.interval),
            false => {
                (self.last_sent_at + self.flood.schedule.timeout).saturating_duration_since(now)
            }
        };
        let clock = ctx.clock().clone();
        let received = async { Some(self.socket.recv_batch(&mut self.batch).await) };
        let passed = async {
            clock.sleep(rest).await;
            None
        };
        match ctx.next(future::or(received, passed)).await {
            Event::Io(Some(Ok(()))) => self.record_replies(clock.now()),
            Event::Io(Some(Err(error))) => self.record_failure(error),
            Event::Io(None) | Event::Message(()) => {}
            Event::Stop => return None,
        }
        Some(())
    }

    fn is_finished(&self, now: Instant) -> bool {
        let Schedule { count, timeout, .. } = self.flood.schedule;
        self.sent == count && (self.received >= count || now >= self.last_sent_at + timeout)
    }

    async fn report_progress(&mut self, now: Instant) {
        if now >= self.last_reported + PROGRESS_INTERVAL {
            self.last_reported = now;
            let (sent, received) = (self.sent, self.received);
            self.flood.reporter.send(|| Report::LoadProgress { sent, received }).await;
        }
    }

    fn stats(&self) -> Stats {
        let took = self.last_received_at.max(self.last_sent_at) - self.started_at;
        let failures =
            if self.failed > 0 { vec![("refused or not sent", self.failed)] } else { vec![] };
        let received = self.received.min(self.sent);
        // What came beyond one for each was surely sent twice.
        let duplicated = Some(self.received - received).filter(|more| *more > 0);
        Stats { sent: self.sent, received, duplicated, failures, elapsed: took, ..Stats::default() }
    }
}

impl Actor for UdpFlood {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let socket = DatagramSocket::connect(&self.endpoint).await.map_err(ClientError::Connect)?;
        let begun = ctx.now();
        let mut run = FloodRun {
            flood: &self,
            socket,
            batch: DatagramBatch::new(self.buffer_size),
            started_at: begun,
            last_reported: begun,
            last_sent_at: begun,
            sent: 0,
            received: 0,
            last_received_at: begun,
            failed: 0,
            refused_error: None,
        };
        loop {
            let now = ctx.now();
            let more = run.send(now).await;
            run.recv_replies(now);
            run.report_progress(now).await;
            if run.is_finished(now) {
                break;
            }
            if more && !ctx.is_stopping() {
                future::yield_now().await;
            } else if run.wait(&mut ctx, now).await.is_none() {
                break;
            }
        }
        let figures = run.stats();
        let told = Box::new(figures.clone());
        self.reporter.send(|| Report::Stats(told)).await;
        self.check(&figures, run.refused_error)
    }
}
