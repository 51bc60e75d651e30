//! The UDP client: sends datagrams and waits for each answer.

use std::io;
use std::time::Duration;

use crate::actors::{ClientError, Report, Reporter, Schedule};
use crate::net::{ConnectError, DatagramSocket, Endpoint};
use crate::runtime::{Actor, Clock, Context, Outcome};

/// Sends a text as often as its [`Schedule`] says, and waits for an answer to each.
#[derive(Debug)]
pub struct UdpClient {
    endpoint: Endpoint,
    message: Vec<u8>,
    buffer_size: usize,
    schedule: Schedule,
    reporter: Reporter,
}

impl UdpClient {
    /// Makes a client of the server at `endpoint` that reads at most `buffer_size` bytes of each answer.
    pub fn new(
        endpoint: Endpoint,
        message: Vec<u8>,
        buffer_size: usize,
        pace: Schedule,
        reporter: Reporter,
    ) -> UdpClient {
        UdpClient { endpoint, message, buffer_size, schedule: pace, reporter }
    }

    /// Sends one datagram and waits for one; `None` when none came in time.
    async fn exchange(
        &self,
        clock: &Clock,
        socket: &DatagramSocket,
    ) -> io::Result<Option<Duration>> {
        let mut buf = vec![0; self.buffer_size];
        // An answer that came too late for its own request is no answer to this one.
        while socket.try_recv_from(&mut buf).is_ok() {}
        let asked = clock.now();
        let exchange = async {
            socket.send(&self.message).await?;
            socket.recv(&mut buf).await
        };
        let Some(len) = clock.timeout(self.schedule.timeout, exchange).await.transpose()? else {
            return Ok(None);
        };
        let rtt = clock.now() - asked;
        let text = String::from_utf8_lossy(&buf[..len]).into_owned();
        self.reporter.send(|| Report::Reply { text, bytes: len, rtt }).await;
        Ok(Some(rtt))
    }

    fn map_io_error(&self, source: io::Error) -> ClientError {
        match source.kind() {
            io::ErrorKind::ConnectionRefused => ClientError::Connect(ConnectError::Refused {
                endpoint: self.endpoint.clone(),
                source,
            }),
            _ => ClientError::Io { server: self.endpoint.to_string(), source },
        }
    }
}

impl Actor for UdpClient {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let socket = DatagramSocket::connect(&self.endpoint).await.map_err(ClientError::Connect)?;
        let clock = ctx.clock().clone();
        let mut times = Vec::new();
        let mut sent = 0;
        let mut refused = None;
        for turn in 0..self.schedule.count {
            if turn > 0 {
                ctx.sleep_unless_stopped(self.schedule.interval).await;
            }
            let exchange = self.exchange(&clock, &socket);
            let Some(exchange) = ctx.unless_stopped(exchange).await else { break };
            sent += 1;
            match exchange {
                Ok(rtt) => times.extend(rtt),
                // A host that refuses may be about to start its server: the next request asks again.
                Err(error) => refused = Some(error),
            }
        }
        let received = times.len() as u64;
        let rtt = times.iter().min().zip(times.iter().max()).map(|(least, most)| {
            let mean =
                times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap_or(u32::MAX);
            [*least, mean, *most]
        });
        self.reporter.send(|| Report::RequestSummary { sent, received, rtt }).await;
        match refused {
            Some(error) if received == 0 => Err(self.map_io_error(error).into()),
            _ if received < sent => Err(ClientError::LostReplies {
                sent,
                lost: sent - received,
                limit: self.schedule.timeout,
            }
            .into()),
            _ => Ok(()),
        }
    }
}
