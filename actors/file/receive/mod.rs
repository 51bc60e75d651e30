//! The file receiver: receives the files of one connection and stores them.
//!
//! The first bytes decide the protocol. A connection that starts with the signature of the
//! [file protocol](crate::wire::file) gets names, hashes, resumption and replies. Any other
//! connection is a raw upload, as in the lecture: no name, no length and no reply. All bytes until
//! the sender closes are the file. A connection that closes without a byte leaves no file.
//!
//! The receiver waits for input and keeps the time limits. An [upload] does the disk operations,
//! and a [transfer] sends replies and reports.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::actors::file::receive::limits::{
    CLOSE_TIMEOUT, KEEPALIVE_IDLE, RESERVATION_TIMEOUT, TIME_SLICE, WAIT_FRAME_INTERVAL,
    YIELD_AFTER,
};
use crate::actors::file::receive::min_rate::MinRate;
use crate::actors::file::receive::transfer::Transfer;
use crate::actors::file::receive::upload::Upload;
use crate::actors::file::receive::upload::event::UploadStep;
use crate::actors::file::receive::upload::framed::FramedUpload;
use crate::actors::file::receive::upload::raw::RawUpload;
use crate::actors::file::store::FileStore;
use crate::actors::file::store::error::StoreError;
use crate::actors::support::ip_limit::ip_key;
use crate::actors::support::memory_budget::ConnectionMemory;
use crate::actors::{BlockingPool, Connection, Reporter};
use crate::net::{Peer, Stream};
use crate::runtime::{Actor, Context, Outcome};
use crate::time::deadline_after;
use crate::wire::file::{FrameWriter, Preamble, detect_preamble, server_hello};
use crate::wire::units::{format_duration, format_size};

mod limits;
mod min_rate;
mod transfer;
mod upload;

/// The length of a client's preamble: a signature and two versions.
const PREAMBLE_LEN: usize = 10;

/// The time limits and options of a file receiver.
#[derive(Debug, Clone, Default)]
pub struct ReceiverConfig {
    /// The time limit of the bytes that decide the protocol. `None` uses the idle timeout.
    pub first_timeout: Option<Duration>,
    /// The longest silence of a sender.
    pub idle_timeout: Option<Duration>,
    /// The minimum rate of a framed sender while it sends a file, in bytes per second. It is
    /// averaged over a minute. 0 is no minimum.
    pub min_rate: u64,
    /// Whether a raw upload is hashed, so that its BLAKE3 hash can be reported. The bytes then pass
    /// through the process. Framed files are always hashed.
    pub raw_digest: bool,
}

/// An actor that receives the files of one connection and stores them.
#[derive(Debug)]
pub struct FileReceiver {
    connection: Connection,
    service: Service,
    reporter: Reporter,
}

/// The parts of a receiver that do not depend on its connection.
#[derive(Debug)]
struct Service {
    config: ReceiverConfig,
    store: Arc<FileStore>,
    blocking_pool: BlockingPool,
}

impl FileReceiver {
    /// Creates a receiver that stores files in `store` and runs its disk operations on
    /// `blocking_pool`.
    pub fn new(
        connection: Connection,
        config: ReceiverConfig,
        store: Arc<FileStore>,
        blocking_pool: BlockingPool,
        reporter: Reporter,
    ) -> FileReceiver {
        let service = Service { config, store, blocking_pool };
        FileReceiver { connection, service, reporter }
    }
}

impl Service {
    /// Serves the connection until it ends, and returns the reason.
    async fn serve(&self, ctx: &mut Context<()>, transfer: &mut Transfer) -> String {
        let preamble = match self.read_preamble(ctx, &transfer.stream).await {
            Ok(preamble) => preamble,
            Err(reason) => return transfer.report_failure(reason).await,
        };
        transfer.started_at = ctx.now();
        let store = self.store.clone();
        let upload = match detect_preamble(&preamble) {
            Preamble::Framed(_, version) => {
                transfer.frame_writer = Some(FrameWriter::default());
                let written = transfer.write(ctx, &server_hello(version)).await;
                match (written, version) {
                    (Err(error), _) => return transfer.report_failure(error).await,
                    (_, 0) => {
                        let reason = "the client speaks no known version of the file protocol";
                        return transfer.report_failure(reason.into()).await;
                    }
                    _ => {
                        let source = reservation_source(transfer.stream.peer());
                        Upload::Framed(Box::new(FramedUpload::new(store, source)))
                    }
                }
            }
            _ => Upload::Raw(Box::new(RawUpload::new(store, self.config.raw_digest, preamble))),
        };
        let (upload, ended) = self.run_upload(ctx, transfer, upload).await;
        transfer.report_all_rejections().await;
        // A connection without an open file costs no job.
        let kept = match upload.has_open_file() {
            true => self.blocking_pool.run(move || upload.suspend()).await,
            false => None,
        };
        match (ended, kept) {
            (Err(error), _) => transfer.report_failure(error.operator_text()).await,
            (Ok(reason), Some(kept)) => transfer.report_failure(format!("{reason}; {kept}")).await,
            (Ok(reason), None) => reason,
        }
    }

    /// Receives until the connection or the upload ends, and returns the reason.
    async fn run_upload(
        &self,
        ctx: &mut Context<()>,
        transfer: &mut Transfer,
        mut upload: Upload,
    ) -> (Upload, Result<String, StoreError>) {
        let mut min_rate = MinRate::new(self.config.min_rate);
        let mut verifying_since = None;
        // A framed connection costs no job until it has sent a frame.
        if let Upload::Framed(_) = upload {
            let waited = self.wait_for_input(ctx, transfer, &mut upload, &mut min_rate).await;
            if let Err(reason) = waited {
                return (upload, Ok(reason));
            }
        }
        loop {
            if let Err(reason) = wait_for_room(ctx, &mut transfer.memory).await {
                return (upload, Ok(reason));
            }
            let was_stopping = ctx.is_stopping();
            let step;
            (upload, step) = self.receive_on_pool(ctx, transfer, upload).await;
            if let Err(reason) = transfer.flush_events(ctx).await {
                return (upload, Ok(reason));
            }
            transfer.report_progress(ctx, &upload);
            transfer.memory.set(upload.buffered_len(), || ctx.now());
            let continued = match step {
                UploadStep::Done(ended) => return (upload, ended),
                // The frames that had arrived before the stop were handled, so no file begins now.
                UploadStep::More | UploadStep::WouldBlock
                    if was_stopping && upload.is_stoppable() =>
                {
                    upload.stop(&mut transfer.events);
                    // If the sender is gone, there is nothing to tell it.
                    let _ = transfer.flush_events(ctx).await;
                    return (upload, Ok(stop_reason()));
                }
                UploadStep::More if upload.is_verifying() => {
                    transfer.send_due_wait_frame(ctx, &mut verifying_since).await
                }
                UploadStep::More => Ok(()),
                UploadStep::WouldBlock => {
                    self.wait_for_input(ctx, transfer, &mut upload, &mut min_rate).await
                }
            };
            if let Err(reason) = continued {
                return (upload, Ok(reason));
            }
            if !upload.is_verifying() {
                verifying_since = None;
            }
        }
    }

    /// Reads the bytes that decide the protocol. Returns fewer, or none, if the connection ends
    /// before.
    async fn read_preamble(
        &self,
        ctx: &mut Context<()>,
        stream: &Stream,
    ) -> Result<Vec<u8>, String> {
        let clock = ctx.clock().clone();
        let limit = self.config.first_timeout.or(self.config.idle_timeout);
        let bytes = async {
            let (mut preamble, mut length) = ([0; PREAMBLE_LEN], 0);
            while detect_preamble(&preamble[..length]) == Preamble::Pending {
                match stream.read(&mut preamble[length..]).await {
                    Ok(0) => break,
                    Ok(count) => length += count,
                    Err(error) => return Err(error.to_string()),
                }
            }
            Ok(preamble[..length].to_vec())
        };
        let read = async {
            let timed_out = || Err(idle_timeout_reason(limit));
            clock.timeout(limit, bytes).await.unwrap_or_else(timed_out)
        };
        let stopped = async {
            ctx.stopped().await;
            Err(stop_reason())
        };
        // `read` is polled first: an upload whose first bytes have arrived is served, even if a
        // stop was requested.
        future::or(read, stopped).await
    }

    /// Receives the available bytes on the blocking pool. If that takes long, a framed sender gets
    /// a `wait` frame every second.
    async fn receive_on_pool(
        &self,
        ctx: &Context<()>,
        transfer: &mut Transfer,
        mut upload: Upload,
    ) -> (Upload, UploadStep) {
        let (stream, mut events) = (transfer.stream.clone(), std::mem::take(&mut transfer.events));
        let (pool, clock) = (self.blocking_pool.clone(), ctx.clock().clone());
        let job = self.blocking_pool.run(move || {
            // The job ends early if others wait for a thread, and at the end of its time slice, so
            // that its progress is reported.
            let until = deadline_after(clock.now(), TIME_SLICE);
            let may_continue = || !pool.has_waiting_jobs() && clock.now() < until;
            let step = upload.receive(&stream, &mut events, may_continue);
            (upload, step, events)
        });
        let mut job = Box::pin(job);
        loop {
            let done = async { Some((&mut job).await) };
            let interval = async {
                ctx.sleep(WAIT_FRAME_INTERVAL).await;
                None
            };
            if let Some((upload, step, events)) = future::or(done, interval).await {
                transfer.events = events;
                return (upload, step);
            }
            // If the sender is gone, the write of the reply fails, too.
            let _ = transfer.send_wait_frame(ctx).await;
        }
    }

    /// Waits until there is enough input for a job. Fails with the reason if the connection ends.
    ///
    /// A stop ends the wait only if no file has begun. A file that has begun is received to its
    /// end, within the shutdown timeout of the pool.
    async fn wait_for_input(
        &self,
        ctx: &mut Context<()>,
        transfer: &mut Transfer,
        upload: &mut Upload,
        min_rate: &mut MinRate,
    ) -> Result<(), String> {
        let idle_limit = self.config.idle_timeout;
        let mut silent_since = ctx.now();
        loop {
            let started_at = ctx.now();
            let silence = started_at - silent_since;
            let received = upload.received_at_min_rate();
            let limits = [
                idle_limit.map(|limit| limit.saturating_sub(silence)),
                min_rate.next_check(received),
                upload.has_reservation().then(|| RESERVATION_TIMEOUT.saturating_sub(silence)),
                transfer.next_rejection_due(ctx),
            ];
            let limit = limits.into_iter().flatten().min();
            let is_readable = match self.wait_readable(ctx, transfer, upload, limit).await {
                Some(ready) => ready.map(|()| true)?,
                None if ctx.is_stopping() && upload.is_stoppable() => return Ok(()),
                None => false,
            };
            let now = ctx.now();
            if !min_rate.record_wait(now - started_at, received) {
                let rate = format_size(self.config.min_rate);
                return Err(format!("slower than {rate}/s for a minute (--min-rate)"));
            }
            if is_readable {
                // Without room for more, the caller waits for it.
                let may_buffer = transfer.memory.has_room();
                if !may_buffer || !upload.buffer_small_read(&transfer.stream, now) {
                    return Ok(());
                }
                transfer.memory.set(upload.buffered_len(), || now);
                silent_since = now;
                continue;
            }
            if idle_limit.is_some_and(|limit| now - silent_since >= limit) {
                return Err(idle_timeout_reason(idle_limit));
            }
            if now - silent_since >= RESERVATION_TIMEOUT {
                upload.expire_reservation();
            }
            transfer.report_due_rejections(ctx).await;
        }
    }

    /// Waits until the stream is readable, and returns `None` after `limit`. Also returns `None`
    /// after a stop request, unless a file has begun. Fails with the reason if the connection must
    /// end.
    async fn wait_readable(
        &self,
        ctx: &mut Context<()>,
        transfer: &mut Transfer,
        upload: &Upload,
        limit: Option<Duration>,
    ) -> Option<Result<(), String>> {
        let clock = ctx.clock().clone();
        let Transfer { stream, memory, .. } = transfer;
        let readable = async {
            let ready = clock.timeout(limit, stream.readable()).await?;
            Some(ready.map_err(|error| error.to_string()))
        };
        let yielded = async {
            match upload.current_file() {
                Some(name) => self.store.yield_requested(name).await,
                None => future::pending().await,
            }
            clock.sleep(YIELD_AFTER).await;
            Some(Err("silent while another connection sends the same file".into()))
        };
        let evicted = async { Some(Err(wait_evicted(memory).await)) };
        let readable = future::or(future::or(readable, yielded), evicted);
        match upload.is_stoppable() {
            false => readable.await,
            true => ctx.unless_stopped(readable).await.flatten(),
        }
    }
}

/// Waits until there is memory for further bytes, or a stop is requested. Fails with the reason if
/// the memory of this connection is needed for others.
async fn wait_for_room(ctx: &mut Context<()>, memory: &mut ConnectionMemory) -> Result<(), String> {
    if memory.has_room() {
        return Ok(());
    }
    let budget = memory.budget().clone();
    let room = async {
        future::or(budget.room(), ctx.stopped()).await;
        Ok(())
    };
    future::or(room, async { Err(wait_evicted(memory).await) }).await
}

/// Waits until the memory of a connection is needed for others. Returns the reason of its end.
async fn wait_evicted(memory: &mut ConnectionMemory) -> String {
    future::poll_fn(|cx| memory.poll_evicted(cx)).await;
    "the server is out of memory".into()
}

/// Returns the address whose uploads share the reserved space. A sender on this machine is a source
/// of its own.
fn reservation_source(peer: &Peer) -> Option<IpAddr> {
    match peer {
        Peer::Inet(address) if !peer.is_loopback() => Some(ip_key(address.ip())),
        _ => None,
    }
}

fn idle_timeout_reason(limit: Option<Duration>) -> String {
    format!("silent for {}", format_duration(limit.unwrap_or_default()))
}

fn stop_reason() -> String {
    "the server is stopping".into()
}

impl Actor for FileReceiver {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let FileReceiver { connection, service, reporter } = self;
        let connection_guard = connection.report_connected(&reporter).await;
        let Connection { stream, ip_permit: _ip_permit, memory, .. } = connection;
        if service.config.idle_timeout.is_none() {
            // Without keepalive a dead sender is noticed later. That is no reason to fail.
            let _ = stream.set_keepalive(KEEPALIVE_IDLE);
        }
        let peer = stream.peer().clone();
        let stream = Arc::new(stream);
        let mut transfer = Transfer::new(stream.clone(), memory, peer, reporter, ctx.now());
        let ended = service.serve(&mut ctx, &mut transfer).await;
        drop(transfer);
        // Closing with unread input would reset the connection and destroy the last reply.
        let _ = stream.linger_close(CLOSE_TIMEOUT).await;
        connection_guard.report_disconnected(ended).await;
        // Whatever the peer caused, the role has done its work.
        Ok(())
    }
}
