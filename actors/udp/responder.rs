//! The UDP responder: answers datagrams, many at once.
//!
//! What waits in the socket is received as one batch, and all of it is answered before any of it is told: nothing is
//! awaited in between unless the kernel has no room, so a crash loses no answer. What has come meanwhile is next, and
//! only when nothing has is the socket waited for, since a wait costs more than an answer. What a [`ReplyPolicy`]
//! objects to is told like everything else, and counted, and not answered.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::actors::udp::drop_log::{DropLog, DropReason};
use crate::actors::{ClientQuota, ReplyPolicy, Report, Reporter};
use crate::net::{Datagram, DatagramBatch, DatagramSocket};
use crate::runtime::{Actor, Context, Event, Outcome, Sleep};

/// How long a full send buffer may hold up an answer before it is dropped.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Pauses after an error of the socket itself, so that it cannot spin the loop.
const ERROR_BACKOFF: Duration = Duration::from_millis(100);

/// Batches that are answered before others on the same thread have their turn, and the stop is looked for in full.
const MAX_BATCHES_PER_TURN: usize = 64;

/// Answers every datagram with one text.
#[derive(Debug)]
pub struct UdpResponder {
    socket: Arc<DatagramSocket>,
    reply: Arc<[u8]>,
    buffer_size: usize,
    client_quota: Arc<ClientQuota>,
    reply_policy: Arc<ReplyPolicy>,
    reporter: Reporter,
}

impl UdpResponder {
    /// Makes a responder that tells at most `buffer_size` bytes of each datagram, with the default [`ReplyPolicy`].
    ///
    /// It ends normally once `client_quota` are complete: each answered datagram is one.
    pub fn new(
        socket: Arc<DatagramSocket>,
        reply: Arc<[u8]>,
        buffer_size: usize,
        admissions: Arc<ClientQuota>,
        reporter: Reporter,
    ) -> UdpResponder {
        let guard = Arc::default();
        UdpResponder {
            socket,
            reply,
            buffer_size,
            client_quota: admissions,
            reply_policy: guard,
            reporter,
        }
    }

    /// Sets what is checked before an answer.
    pub fn reply_policy(mut self, guard: Arc<ReplyPolicy>) -> UdpResponder {
        self.reply_policy = guard;
        self
    }

    /// Waits for something to do: there may be datagrams, or what was refused is due to be told. `None` is the end.
    async fn wait(&self, due: Option<Sleep>) -> Option<io::Result<()>> {
        let complete = async {
            self.client_quota.exhausted().await;
            None
        };
        let due = async {
            match due {
                Some(due) => due.await,
                None => future::pending().await,
            }
            Some(Ok(()))
        };
        let ready = async { Some(self.socket.readable().await) };
        future::or(complete, future::or(ready, due)).await
    }

    /// Answers what waits in the socket, batch after batch, and tells of each.
    async fn serve(&self, ctx: &Context<()>, work: &mut ReplyBatch) -> io::Result<()> {
        for _ in 0..MAX_BATCHES_PER_TURN {
            match self.socket.try_recv_batch(&mut work.batch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                received => received?,
            }
            self.select(ctx, work);
            self.send_replies(ctx, work).await;
            if self.reporter.is_enabled() {
                self.report_messages(&work.batch).await;
            }
            if ctx.is_stopping() || self.client_quota.is_exhausted() {
                break;
            }
        }
        Ok(())
    }

    /// Picks those of a batch that are to be answered.
    fn select(&self, ctx: &Context<()>, work: &mut ReplyBatch) {
        work.selected.clear();
        for (index, datagram) in work.batch.iter().enumerate() {
            match self.reply_policy.check(&self.socket, &datagram, &self.reply, ctx.clock()) {
                Ok(()) => work.selected.push(index),
                Err(denial) => {
                    work.drop_log.add(DropReason::Denied(denial), Some(datagram.peer));
                }
            }
        }
        work.selected.truncate(self.client_quota.try_acquire_many(work.selected.len()));
    }

    /// Answers those that were picked; what cannot be sent is counted, and the next one's turn comes.
    async fn send_replies(&self, ctx: &Context<()>, work: &mut ReplyBatch) {
        let ReplyBatch { batch, selected: picked, drop_log: unanswered } = work;
        let mut picked = &picked[..];
        while let Some(first) = picked.first() {
            let sent = match self.socket.try_reply_batch(batch, picked, &self.reply) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let sent = self.socket.reply_batch(batch, picked, &self.reply);
                    let full = || Err(io::ErrorKind::TimedOut.into());
                    ctx.timeout(SEND_TIMEOUT, sent).await.unwrap_or_else(full)
                }
                tried => tried,
            };
            let done = match sent {
                Ok(sent) => sent,
                Err(error) => {
                    let peer = batch.get(*first).map(|datagram| datagram.peer);
                    unanswered.add(DropReason::SendFailed(error), peer);
                    1
                }
            };
            // A call that sent nothing must not be made again for ever.
            picked = &picked[done.clamp(1, picked.len())..];
        }
    }

    async fn report_messages(&self, batch: &DatagramBatch) {
        for Datagram { bytes, length, peer, .. } in batch.iter() {
            // There is room for a whole reply, however little is to be told.
            let bytes = &bytes[..bytes.len().min(self.buffer_size)];
            let text = || String::from_utf8_lossy(bytes).into_owned();
            let report =
                || Report::Message { peer: peer.clone(), nick: None, room: None, text: text() };
            self.reporter.send(report).await;
            if length > bytes.len() {
                let cut =
                    || Report::Truncated { peer: peer.clone(), bytes: length, kept: bytes.len() };
                self.reporter.send(cut).await;
            }
        }
    }

    /// Tells what was not answered.
    async fn report_drops(&self, unanswered: Vec<Report>) {
        for report in unanswered {
            self.reporter.send(|| report).await;
        }
    }
}

/// What a responder works with, made once.
struct ReplyBatch {
    batch: DatagramBatch,
    /// Which datagrams of the batch are to be answered.
    selected: Vec<usize>,
    drop_log: DropLog,
}

impl ReplyBatch {
    /// Makes room for datagrams of up to `size` bytes.
    fn new(size: usize) -> ReplyBatch {
        let batch = DatagramBatch::new(size);
        let picked = Vec::with_capacity(batch.capacity());
        ReplyBatch { batch, selected: picked, drop_log: DropLog::default() }
    }
}

impl Actor for UdpResponder {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        // What cannot be told from our own reply is none only if it is seen whole.
        let mut work = ReplyBatch::new(self.buffer_size.max(self.reply.len()));
        loop {
            let due = work.drop_log.next_due(|| ctx.now()).map(|left| ctx.sleep(left));
            let served = match ctx.next(self.wait(due)).await {
                Event::Stop | Event::Io(None) => break,
                Event::Message(()) => Ok(()),
                // A socket that cannot be waited for can still be read now and then.
                Event::Io(Some(ready)) => self.serve(&ctx, &mut work).await.and(ready),
            };
            let is_well = served.is_ok();
            if let Err(error) = served {
                work.drop_log.add(DropReason::RecvFailed(error), None);
            }
            if !work.drop_log.is_empty() {
                self.report_drops(work.drop_log.take_due(&ctx)).await;
            }
            if !is_well {
                // An error here is mostly one that an earlier answer met, so the next read is well.
                ctx.sleep_unless_stopped(ERROR_BACKOFF).await;
            }
        }
        self.report_drops(work.drop_log.drain()).await;
        Ok(())
    }
}
