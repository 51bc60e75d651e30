//! The UDP responder: answers datagrams, many at once.
//!
//! What waits in the socket is received as one batch, and all of it is answered before any of it is told: nothing is
//! awaited in between unless the kernel has no room, so a crash loses no answer. What a [`ReplyGuard`] objects to is
//! told like everything else, and counted, and not answered.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use super::reply_guard::Denials;
use super::{Admissions, ReplyGuard, Report, Reporter};
use crate::net::{Datagram, DatagramBatch, DatagramSocket, Peer};
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
    guard: Arc<ReplyGuard>,
    reporter: Reporter,
}

impl UdpResponder {
    /// Makes a responder that reads at most `buffer_size` bytes of each datagram, with the default [`ReplyGuard`].
    ///
    /// It ends normally once `admissions` are complete: each answered datagram is one.
    pub fn new(
        socket: Arc<DatagramSocket>,
        reply: Arc<[u8]>,
        buffer_size: usize,
        admissions: Arc<Admissions>,
        reporter: Reporter,
    ) -> UdpResponder {
        let guard = Arc::default();
        UdpResponder { socket, reply, buffer_size, admissions, guard, reporter }
    }

    /// Sets what is checked before an answer.
    pub fn guard(mut self, guard: Arc<ReplyGuard>) -> UdpResponder {
        self.guard = guard;
        self
    }

    /// Picks those of a batch that are to be answered.
    fn pick(
        &self,
        ctx: &Context<()>,
        batch: &DatagramBatch,
        picked: &mut Vec<usize>,
        denials: &mut Denials,
    ) {
        picked.clear();
        for (index, datagram) in batch.iter().enumerate() {
            match self.guard.judge(&self.socket, &datagram, &self.reply, ctx.clock()) {
                Ok(()) => picked.push(index),
                Err(denial) => denials.count(denial, datagram.peer),
            }
        }
        picked.truncate(self.admissions.admit_many(picked.len()));
    }

    /// Answers those that were picked; what cannot be sent is told, and the next one's turn comes.
    async fn answer(&self, ctx: &Context<()>, batch: &DatagramBatch, mut picked: &[usize]) {
        while let Some(first) = picked.first() {
            let sent = ctx.within(PATIENCE, self.socket.answer(batch, picked, &self.reply)).await;
            let full = || Err(io::ErrorKind::TimedOut.into());
            let done = match sent.unwrap_or_else(full) {
                Ok(sent) => sent,
                Err(error) => {
                    let why = format!("the answer could not be sent: {error}");
                    let peer = batch.get(*first).map(|datagram| datagram.peer.clone());
                    self.reporter.tell(|| Report::Refused { peer, why }).await;
                    1
                }
            };
            // A call that sent nothing must not be made again for ever.
            picked = &picked[done.clamp(1, picked.len())..];
        }
    }

    async fn tell(&self, batch: &DatagramBatch) {
        if !self.reporter.is_heard() {
            return;
        }
        for Datagram { bytes, length, peer, .. } in batch.iter() {
            let text = || String::from_utf8_lossy(bytes).into_owned();
            let report =
                || Report::Message { peer: peer.clone(), nick: None, room: None, text: text() };
            self.reporter.tell(report).await;
            if length > bytes.len() {
                let cut = || Report::Cut { peer: peer.clone(), bytes: length, kept: bytes.len() };
                self.reporter.tell(cut).await;
            }
        }
    }

    async fn refuse(&self, denied: Vec<(Peer, String)>) {
        for (peer, why) in denied {
            self.reporter.tell(|| Report::Refused { peer: Some(peer), why }).await;
        }
    }

    async fn receive(&self, batch: &mut DatagramBatch) -> Option<io::Result<()>> {
        let complete = async {
            self.admissions.complete().await;
            None
        };
        future::or(complete, async { Some(self.socket.receive_batch(batch).await) }).await
    }
}

impl Actor for UdpResponder {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let mut batch = DatagramBatch::new(self.buffer_size);
        let mut picked = Vec::with_capacity(batch.capacity());
        let mut denials = Denials::default();
        loop {
            match ctx.next(self.receive(&mut batch)).await {
                Event::Stop | Event::Io(None) => break,
                Event::Message(()) => {}
                Event::Io(Some(Ok(()))) => {
                    self.pick(&ctx, &batch, &mut picked, &mut denials);
                    self.answer(&ctx, &batch, &picked).await;
                    self.tell(&batch).await;
                    self.refuse(denials.take(|| ctx.now())).await;
                }
                Event::Io(Some(Err(error))) => {
                    // An error here is mostly one that an earlier answer met, so the next read is well.
                    let why = format!("a datagram could not be read: {error}");
                    self.reporter.tell(|| Report::Refused { peer: None, why }).await;
                    ctx.pause(BACK_OFF).await;
                }
            }
        }
        self.refuse(denials.rest()).await;
        Ok(())
    }
}
