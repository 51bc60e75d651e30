//! The TCP client: connects, reads a short answer, reports it.

use std::time::{Duration, Instant};

use crate::actors::{Failure, Report, Reporter};
use crate::net::{Endpoint, Stream};
use crate::runtime::{Actor, Clock, Context, Outcome};

/// The most that is read of an answer, as in the lecture's client.
const ANSWER_MAX: usize = 1024;

/// How long the rest of an answer may take once its first bytes are there.
const REST: Duration = Duration::from_secs(1);

/// How often a client asks, and how patient it is.
#[derive(Debug, Clone)]
pub struct Pace {
    /// How many requests.
    pub count: u64,
    /// The pause between two of them.
    pub interval: Duration,
    /// How long it waits for a connection, and for an answer.
    pub timeout: Duration,
}

/// Connects, reads an answer of at most 1024 bytes, reports it, as often as its [`Pace`] says.
#[derive(Debug)]
pub struct TcpClient {
    endpoint: Endpoint,
    pace: Pace,
    reporter: Reporter,
}

impl TcpClient {
    /// Makes a client of the server at `endpoint`.
    pub fn new(endpoint: Endpoint, pace: Pace, reporter: Reporter) -> TcpClient {
        TcpClient { endpoint, pace, reporter }
    }

    async fn ask(&self, clock: &Clock) -> Result<(), Failure> {
        let asked = clock.now();
        let stream = Stream::connect(&self.endpoint, self.pace.timeout).await?;
        let mut answer = Vec::with_capacity(ANSWER_MAX);
        let mut heard = asked;
        while answer.len() < ANSWER_MAX && self.read(clock, &stream, &mut answer, asked).await? > 0
        {
            heard = clock.now();
        }
        if answer.is_empty() {
            return Err(Failure::Closed {
                server: self.endpoint.to_string(),
                when: "without saying anything",
            });
        }
        let rtt = heard - asked;
        let text = String::from_utf8_lossy(&answer).into_owned();
        self.reporter.tell(|| Report::Reply { text, bytes: answer.len(), rtt }).await;
        Ok(())
    }

    /// Reads once; an answer that has begun ends where its rest does not come in time.
    async fn read(
        &self,
        clock: &Clock,
        stream: &Stream,
        answer: &mut Vec<u8>,
        asked: Instant,
    ) -> Result<usize, Failure> {
        let mut buf = [0; ANSWER_MAX];
        let room = ANSWER_MAX - answer.len();
        let left = self.pace.timeout.saturating_sub(clock.now() - asked);
        let patience = if answer.is_empty() { left } else { left.min(REST) };
        let server = || self.endpoint.to_string();
        match clock.timeout(patience, stream.read(&mut buf[..room])).await {
            Some(Ok(n)) => {
                answer.extend_from_slice(&buf[..n]);
                Ok(n)
            }
            Some(Err(_)) | None if !answer.is_empty() => Ok(0),
            Some(Err(source)) => Err(Failure::Broken { server: server(), source }),
            None => Err(Failure::TimedOut { server: server(), limit: self.pace.timeout }),
        }
    }
}

impl Actor for TcpClient {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let clock = ctx.clock().clone();
        for turn in 0..self.pace.count {
            if turn > 0 {
                ctx.sleep_unless_stopped(self.pace.interval).await;
            }
            let Some(asked) = ctx.unless_stopped(self.ask(&clock)).await else { break };
            asked?;
        }
        Ok(())
    }
}
