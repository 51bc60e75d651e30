//! The TCP client: connects, reads a short answer, reports it.

use std::time::{Duration, Instant};

use crate::actors::{ClientError, Report, Reporter};
use crate::net::{Endpoint, Stream};
use crate::runtime::{Actor, Clock, Context, Outcome};

/// The most that is read of an answer, as in the lecture's client.
const MAX_REPLY_LEN: usize = 1024;

/// How long the rest of an answer may take once its first bytes are there.
const REMAINDER_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a client asks, and how patient it is.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// How many requests.
    pub count: u64,
    /// The pause between two of them.
    pub interval: Duration,
    /// How long it waits for a connection, and for an answer.
    pub timeout: Duration,
}

/// Connects, reads an answer of at most 1024 bytes, reports it, as often as its [`Schedule`] says.
#[derive(Debug)]
pub struct TcpClient {
    endpoint: Endpoint,
    schedule: Schedule,
    reporter: Reporter,
}

impl TcpClient {
    /// Makes a client of the server at `endpoint`.
    pub fn new(endpoint: Endpoint, pace: Schedule, reporter: Reporter) -> TcpClient {
        TcpClient { endpoint, schedule: pace, reporter }
    }

    async fn fetch_reply(&self, clock: &Clock) -> Result<(), ClientError> {
        let asked = clock.now();
        let stream = Stream::connect(&self.endpoint, self.schedule.timeout).await?;
        let mut answer = Vec::with_capacity(MAX_REPLY_LEN);
        let mut heard = asked;
        while answer.len() < MAX_REPLY_LEN
            && self.read(clock, &stream, &mut answer, asked).await? > 0
        {
            heard = clock.now();
        }
        if answer.is_empty() {
            return Err(ClientError::Closed {
                server: self.endpoint.to_string(),
                phase: "without saying anything",
            });
        }
        let rtt = heard - asked;
        let text = String::from_utf8_lossy(&answer).into_owned();
        self.reporter.send(|| Report::Reply { text, bytes: answer.len(), rtt }).await;
        Ok(())
    }

    /// Reads once; an answer that has begun ends where its rest does not come in time.
    async fn read(
        &self,
        clock: &Clock,
        stream: &Stream,
        answer: &mut Vec<u8>,
        asked: Instant,
    ) -> Result<usize, ClientError> {
        let mut buf = [0; MAX_REPLY_LEN];
        let room = MAX_REPLY_LEN - answer.len();
        let left = self.schedule.timeout.saturating_sub(clock.now() - asked);
        let patience = if answer.is_empty() { left } else { left.min(REMAINDER_TIMEOUT) };
        let server = || self.endpoint.to_string();
        match clock.timeout(patience, stream.read(&mut buf[..room])).await {
            Some(Ok(n)) => {
                answer.extend_from_slice(&buf[..n]);
                Ok(n)
            }
            Some(Err(_)) | None if !answer.is_empty() => Ok(0),
            Some(Err(source)) => Err(ClientError::Io { server: server(), source }),
            None => Err(ClientError::TimedOut { server: server(), limit: self.schedule.timeout }),
        }
    }
}

impl Actor for TcpClient {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let clock = ctx.clock().clone();
        for turn in 0..self.schedule.count {
            if turn > 0 {
                ctx.sleep_unless_stopped(self.schedule.interval).await;
            }
            let Some(asked) = ctx.unless_stopped(self.fetch_reply(&clock)).await else { break };
            asked?;
        }
        Ok(())
    }
}
