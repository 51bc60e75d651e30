//! The UDP client: sends datagrams and waits for each answer.

use std::io;
use std::time::Duration;

use crate::actors::{Failure, Pace, Report, Reporter};
use crate::net::{ConnectError, DatagramSocket, Endpoint};
use crate::runtime::{Actor, Clock, Context, Outcome};

/// Sends a text as often as its [`Pace`] says, and waits for an answer to each.
#[derive(Debug)]
pub struct UdpClient {
    endpoint: Endpoint,
    message: Vec<u8>,
    buffer_size: usize,
    pace: Pace,
    reporter: Reporter,
}

impl UdpClient {
    /// Makes a client of the server at `endpoint` that reads at most `buffer_size` bytes of each answer.
    pub fn new(
        endpoint: Endpoint,
        message: Vec<u8>,
        buffer_size: usize,
        pace: Pace,
        reporter: Reporter,
    ) -> UdpClient {
        UdpClient { endpoint, message, buffer_size, pace, reporter }
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
        let Some(len) = clock.timeout(self.pace.timeout, exchange).await.transpose()? else {
            return Ok(None);
        };
        let rtt = clock.now() - asked;
        let text = String::from_utf8_lossy(&buf[..len]).into_owned();
        self.reporter.tell(|| Report::Reply { text, bytes: len, rtt }).await;
        Ok(Some(rtt))
    }

    fn broken(&self, source: io::Error) -> Failure {
        match source.kind() {
            io::ErrorKind::ConnectionRefused => {
                Failure::Connect(ConnectError::Refused { endpoint: self.endpoint.clone(), source })
            }
            _ => Failure::Broken { server: self.endpoint.to_string(), source },
        }
    }
}

impl Actor for UdpClient {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let socket = DatagramSocket::connect(&self.endpoint).await.map_err(Failure::Connect)?;
        let clock = ctx.clock().clone();
        let mut times = Vec::new();
        let mut sent = 0;
        let mut refused = None;
        for turn in 0..self.pace.count {
            if turn > 0 {
                ctx.sleep_unless_stopped(self.pace.interval).await;
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
        self.reporter.tell(|| Report::Summary { sent, received, rtt }).await;
        match refused {
            Some(error) if received == 0 => Err(self.broken(error).into()),
            _ if received < sent => {
                Err(Failure::Lost { sent, lost: sent - received, limit: self.pace.timeout }.into())
            }
            _ => Ok(()),
        }
    }
}
