//! The UDP responder: replies to datagrams in batches.
//!
//! Pending datagrams are received as one batch, and all of them are answered before any is
//! reported. In between nothing is awaited unless the send buffer is full, so a crash loses no
//! reply. Then the next batch is received at once. The responder waits for readiness only when
//! nothing is pending, because a wait costs more than a reply. A datagram that the [`ReplyPolicy`]
//! denies is reported like every other, counted, and not answered. A source that is in a loop with
//! the responder is answered slowly, as [`SlowedSources`] says.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::actors::support::client_quota::ClientQuota;
use crate::actors::support::report::{Report, Reporter};
use crate::actors::udp::drop_log::{DropLog, DropReason};
use crate::actors::udp::loop_detector::LoopDetector;
use crate::actors::udp::reply_policy::ReplyPolicy;
use crate::actors::udp::slowed_sources::SlowedSources;
use crate::net::{Datagram, DatagramBatch, DatagramSocket, Peer};
use crate::runtime::{Actor, Context, Event, Outcome, Sleep};

/// The time limit for a reply while the send buffer is full. Then it is dropped.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause after an error of the socket, so that the error cannot spin the loop.
const ERROR_BACKOFF: Duration = Duration::from_millis(100);

/// The number of batches that are answered before other tasks of the thread run.
const MAX_BATCHES_PER_TURN: usize = 64;

/// The warning about a source that is in a loop with the responder.
const LOOP: &str = "it repeats one datagram, and may be a server that answers this one; \
                    it gets 100 replies per second until it pauses (--reply-rate off: no limit)";

/// An actor that answers each datagram with one text.
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
    /// Creates a responder with the default [`ReplyPolicy`]. It reports at most `buffer_size` bytes
    /// of each datagram.
    ///
    /// Each datagram that is answered counts as one client. The responder ends normally once the
    /// quota is used up.
    pub fn new(
        socket: Arc<DatagramSocket>,
        reply: Arc<[u8]>,
        buffer_size: usize,
        client_quota: Arc<ClientQuota>,
        reporter: Reporter,
    ) -> UdpResponder {
        let reply_policy = Arc::default();
        UdpResponder { socket, reply, buffer_size, client_quota, reply_policy, reporter }
    }

    /// Sets the rules for which datagrams are answered.
    pub fn reply_policy(mut self, reply_policy: Arc<ReplyPolicy>) -> UdpResponder {
        self.reply_policy = reply_policy;
        self
    }

    /// Waits until the socket is readable or `due` has passed. Returns `None` once the quota is
    /// used up.
    async fn wait(&self, due: Option<Sleep>) -> Option<io::Result<()>> {
        let quota_reached = async {
            self.client_quota.exhausted().await;
            None
        };
        let due = async {
            match due {
                Some(sleep) => sleep.await,
                None => future::pending().await,
            }
            Some(Ok(()))
        };
        let readable = async { Some(self.socket.readable().await) };
        future::or(quota_reached, future::or(readable, due)).await
    }

    /// Answers and reports the pending datagrams, batch by batch.
    async fn serve(&self, ctx: &Context<()>, work: &mut ReplyBatch) -> io::Result<()> {
        for _ in 0..MAX_BATCHES_PER_TURN {
            match self.socket.try_recv_batch(&mut work.batch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                received => received?,
            }
            ctx.record_handled(work.batch.len());
            if let Some(source) = self.detect_loop(ctx, work) {
                let warning = || Report::Rejected { peer: Some(source), reason: LOOP.to_owned() };
                self.reporter.send(warning).await;
            }
            self.select(ctx, work);
            self.send_replies(ctx, &work.batch, &work.selected, &mut work.drop_log).await;
            if self.reporter.is_enabled() {
                self.report_messages(&work.batch).await;
            }
            if ctx.is_stopping() || self.client_quota.is_exhausted() {
                break;
            }
        }
        Ok(())
    }

    /// Selects the datagrams of a batch that are answered.
    fn select(&self, ctx: &Context<()>, work: &mut ReplyBatch) {
        work.selected.clear();
        for (index, datagram) in work.batch.iter().enumerate() {
            match self.reply_policy.check(&self.socket, &datagram, &self.reply, ctx.clock()) {
                Ok(()) if work.slowed.is_empty() || work.slowed.admit(&datagram, ctx.now()) => {
                    work.selected.push(index);
                }
                Ok(()) => {}
                Err(reason) => {
                    work.drop_log.add(DropReason::Denied(reason), Some(datagram.peer), 1);
                }
            }
        }
        work.selected.truncate(self.client_quota.try_acquire_many(work.selected.len()));
    }

    /// Slows the source of a batch, and returns it, if it is in a loop with this responder.
    fn detect_loop(&self, ctx: &Context<()>, work: &mut ReplyBatch) -> Option<Peer> {
        let source = work.loop_detector.as_mut()?.record(&work.batch, || ctx.now())?;
        work.slowed.add(source.clone(), ctx.now());
        Some(source)
    }

    /// Sends the replies to slowed sources that are due.
    async fn send_slowed(&self, ctx: &Context<()>, work: &mut ReplyBatch) {
        while let Some(batch) = work.slowed.pop_due(|| ctx.now()) {
            let count = self.client_quota.try_acquire_many(batch.len());
            self.send_replies(ctx, &batch, &[0][..count], &mut work.drop_log).await;
        }
    }

    /// Sends the replies to the selected datagrams. A reply that cannot be sent is counted and
    /// dropped.
    async fn send_replies(
        &self,
        ctx: &Context<()>,
        batch: &DatagramBatch,
        mut selected: &[usize],
        drop_log: &mut DropLog,
    ) {
        while let Some(first) = selected.first() {
            let result = match self.socket.try_reply_batch(batch, selected, &self.reply) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let sending = self.socket.reply_batch(batch, selected, &self.reply);
                    let timed_out = || Err(io::ErrorKind::TimedOut.into());
                    ctx.timeout(SEND_TIMEOUT, sending).await.unwrap_or_else(timed_out)
                }
                result => result,
            };
            let done = match result {
                Ok(sent) => sent,
                Err(error) => {
                    let peer = batch.get(*first).map(|datagram| datagram.peer);
                    drop_log.add(DropReason::SendFailed(error), peer, 1);
                    1
                }
            };
            // At least one, so that a call that sends nothing is not repeated for ever.
            selected = &selected[done.clamp(1, selected.len())..];
        }
    }

    async fn report_messages(&self, batch: &DatagramBatch) {
        for Datagram { bytes, length, peer, .. } in batch.iter() {
            // The buffer has room for a whole reply, which may be more than is to be reported.
            let bytes = &bytes[..bytes.len().min(self.buffer_size)];
            let text = || String::from_utf8_lossy(bytes).into_owned();
            let report =
                || Report::Message { peer: peer.clone(), nick: None, room: None, text: text() };
            self.reporter.send(report).await;
            if length > bytes.len() {
                let truncated =
                    || Report::Truncated { peer: peer.clone(), bytes: length, kept: bytes.len() };
                self.reporter.send(truncated).await;
            }
        }
    }
}

/// The buffers of a responder, allocated once per incarnation.
struct ReplyBatch {
    batch: DatagramBatch,
    /// The indices of the datagrams that are answered.
    selected: Vec<usize>,
    drop_log: DropLog,
    /// `None` if a loop is answered in full.
    loop_detector: Option<LoopDetector>,
    slowed: SlowedSources,
}

impl ReplyBatch {
    /// Allocates buffers for datagrams of up to `size` bytes.
    fn new(size: usize, loop_detector: Option<LoopDetector>) -> ReplyBatch {
        let batch = DatagramBatch::new(size);
        let selected = Vec::with_capacity(batch.capacity());
        let (drop_log, slowed) = (DropLog::default(), SlowedSources::default());
        ReplyBatch { batch, selected, drop_log, loop_detector, slowed }
    }

    /// Returns the time until the next report or the next slowed reply, if there is one.
    fn next_due(&self, ctx: &Context<()>) -> Option<Duration> {
        let report_due = self.drop_log.next_due(|| ctx.now());
        if self.slowed.is_empty() {
            return report_due;
        }
        let reply_due = self.slowed.next_due(|| ctx.now());
        report_due.into_iter().chain(reply_due).min()
    }
}

impl Actor for UdpResponder {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        // A datagram can be compared with our own reply only if the buffer holds as many bytes.
        let size = self.buffer_size.max(self.reply.len());
        let mut work = ReplyBatch::new(size, self.reply_policy.loop_detector());
        loop {
            let due = work.next_due(&ctx).map(|delay| ctx.sleep(delay));
            let served = match ctx.next(self.wait(due)).await {
                Event::Stop | Event::Io(None) => break,
                Event::Message(()) => Ok(()),
                // If waiting fails, the socket may still be readable.
                Event::Io(Some(ready)) => self.serve(&ctx, &mut work).await.and(ready),
            };
            if !work.slowed.is_empty() {
                self.send_slowed(&ctx, &mut work).await;
            }
            let is_ok = served.is_ok();
            if let Err(error) = served {
                work.drop_log.add(DropReason::RecvFailed(error), None, 1);
            }
            if !work.drop_log.is_empty() {
                self.reporter.send_all(work.drop_log.take_due(|| ctx.now())).await;
            }
            if !is_ok {
                // Usually the error was caused by an earlier reply, and the next read succeeds.
                ctx.sleep_unless_stopped(ERROR_BACKOFF).await;
            }
        }
        self.reporter.send_all(work.drop_log.drain()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
