//! The UDP responder: answers every datagram.
//!
//! Two responders that answered each other would never stop, so a datagram that is exactly the reply is
//! reported and not answered; every other one is, the empty one too.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use super::{Admissions, Report, Reporter};
use crate::net::{DatagramSocket, Peer};
use crate::runtime::{Actor, Context, Event, Outcome};

/// How long a full send buffer may hold up an answer before it is dropped.
const PATIENCE: Duration = Duration::from_secs(1);

/// Pauses after an error of the socket itself, so that it cannot spin the loop.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Answers every datagram with one text.
#[derive(Debug)]
pub struct UdpResponder {
    socket: Arc<DatagramSocket>,
    reply: Arc<[u8]>,
    buffer_size: usize,
    admissions: Arc<Admissions>,
    reporter: Reporter,
}

impl UdpResponder {
    /// Makes a responder that reads at most `buffer_size` bytes of each datagram.
    ///
    /// It ends normally once `admissions` are complete: each answered datagram is one.
    pub fn new(
        socket: Arc<DatagramSocket>,
        reply: Arc<[u8]>,
        buffer_size: usize,
        admissions: Arc<Admissions>,
        reporter: Reporter,
    ) -> UdpResponder {
        UdpResponder { socket, reply, buffer_size, admissions, reporter }
    }

    /// Tells whether another responder with the same reply said this, as far as the buffer shows.
    fn is_own_reply(&self, said: &[u8]) -> bool {
        let is_cut = said.len() == self.buffer_size && self.reply.starts_with(said);
        said == &*self.reply || is_cut
    }

    async fn tell(&self, said: &[u8], peer: &Peer) {
        let text = || String::from_utf8_lossy(said).into_owned();
        let report =
            || Report::Message { peer: peer.clone(), nick: None, room: None, text: text() };
        self.reporter.tell(report).await;
    }

    async fn answer(&self, ctx: &Context<()>, peer: Peer) {
        let sent = ctx.within(PATIENCE, self.socket.send_to(&self.reply, &peer)).await;
        let full = || Err(std::io::ErrorKind::TimedOut.into());
        if let Err(error) = sent.unwrap_or_else(full) {
            let why = format!("the answer could not be sent: {error}");
            self.reporter.tell(|| Report::Refused { peer: Some(peer), why }).await;
        }
    }
}

impl Actor for UdpResponder {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let mut buf = vec![0; self.buffer_size];
        loop {
            let receive = async {
                let complete = async {
                    self.admissions.complete().await;
                    None
                };
                future::or(complete, async { Some(self.socket.recv_from(&mut buf).await) }).await
            };
            match ctx.next(receive).await {
                Event::Stop | Event::Io(None) => return Ok(()),
                Event::Message(()) => {}
                Event::Io(Some(Ok((len, peer)))) => {
                    self.tell(&buf[..len], &peer).await;
                    if !self.is_own_reply(&buf[..len]) && self.admissions.admit().is_some() {
                        self.answer(&ctx, peer).await;
                    }
                }
                Event::Io(Some(Err(error))) => {
                    // An error here is mostly one that an earlier answer met, so the next read is well.
                    let why = format!("a datagram could not be read: {error}");
                    self.reporter.tell(|| Report::Refused { peer: None, why }).await;
                    ctx.pause(BACK_OFF).await;
                }
            }
        }
    }
}
