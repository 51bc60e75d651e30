//! The file receiver: receives the files of one connection and stores them.
//!
//! The first bytes decide the protocol. A connection that starts with the signature of the
//! [file protocol](crate::wire::file) gets names, hashes, resumption and replies. Any other
//! connection is a raw upload, as in the lecture: no name, no length and no reply. All bytes until
//! the sender closes are the file. A connection that closes without a byte leaves no file.
//!
//! The receiver waits for input and keeps the time limits. An [upload] does the disk operations,
//! and a [transfer] sends replies and reports.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::actors::file::receive::limits::{
    CLOSE_TIMEOUT, KEEPALIVE_IDLE, TIME_SLICE, WAIT_FRAME_INTERVAL, YIELD_AFTER,
};
use crate::actors::file::receive::transfer::Transfer;
use crate::actors::file::receive::upload::Upload;
use crate::actors::file::receive::upload::event::UploadStep;
use crate::actors::file::receive::upload::framed::FramedUpload;
use crate::actors::file::receive::upload::raw::RawUpload;
use crate::actors::file::store::FileStore;
use crate::actors::file::store::error::StoreError;
use crate::actors::{BlockingPool, Connection, Reporter};
use crate::net::Stream;
use crate::runtime::{Actor, Context, Outcome};
use crate::wire::file::{FrameWriter, Preamble, detect_preamble, server_hello};
use crate::wire::units::format_duration;

mod limits;
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
    async fn serve(
        &self,
        ctx: &mut Context<()>,
        transfer: &mut Transfer,
    ) -> Result<String, StoreError> {
        let preamble = match self.read_preamble(ctx, &transfer.stream).await {
            Ok(preamble) => preamble,
            Err(reason) => return Ok(transfer.report_failure(reason).await),
        };
        transfer.started_at = ctx.now();
        let store = self.store.clone();
        let upload = match detect_preamble(&preamble) {
            Preamble::Framed(_, version) => {
                transfer.frame_writer = Some(FrameWriter::default());
                let written = transfer.write(ctx, &server_hello(version)).await;
                match (written, version) {
                    (Err(error), _) => return Ok(transfer.report_failure(error).await),
                    (_, 0) => {
                        let reason = "the client speaks no known version of the file protocol";
                        return Ok(transfer.report_failure(reason.into()).await);
                    }
                    _ => Upload::Framed(Box::new(FramedUpload::new(store))),
                }
            }
            _ => Upload::Raw(Box::new(RawUpload::new(store, self.config.raw_digest, preamble))),
        };
        let (upload, ended) = self.run_upload(ctx, transfer, upload).await;
        let kept = self.blocking_pool.run(move || upload.suspend()).await;
        match (ended, kept) {
            (Err(error), _) => {
                transfer.report_failure(error.to_string()).await;
                Err(error)
            }
            (Ok(reason), Some(kept)) => {
                Ok(transfer.report_failure(format!("{reason}; {kept}")).await)
            }
            (Ok(reason), None) => Ok(reason),
        }
    }

    /// Receives until the connection or the upload ends, and returns the reason.
    async fn run_upload(
        &self,
        ctx: &mut Context<()>,
        transfer: &mut Transfer,
        mut upload: Upload,
    ) -> (Upload, Result<String, StoreError>) {
        loop {
            let step;
            (upload, step) = self.receive_on_pool(ctx, transfer, upload).await;
            if let Err(reason) = transfer.flush_events(ctx).await {
                return (upload, Ok(reason));
            }
            transfer.report_progress(ctx, &upload);
            match step {
                UploadStep::More => {}
                UploadStep::Done(ended) => return (upload, ended),
                UploadStep::WouldBlock => loop {
                    if let Err(reason) = self.wait_readable(ctx, &transfer.stream, &upload).await {
                        return (upload, Ok(reason));
                    }
                    if !upload.buffer_small_read(&transfer.stream, ctx.now()) {
                        break;
                    }
                },
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

    /// Receives the available bytes on the blocking pool. Meanwhile a framed sender gets a `wait`
    /// frame every second.
    async fn receive_on_pool(
        &self,
        ctx: &Context<()>,
        transfer: &mut Transfer,
        mut upload: Upload,
    ) -> (Upload, UploadStep) {
        let (stream, mut events) = (transfer.stream.clone(), std::mem::take(&mut transfer.events));
        let (pool, clock) = (self.blocking_pool.clone(), ctx.clock().clone());
        let until = ctx.now() + TIME_SLICE;
        let job = self.blocking_pool.run(move || {
            // The job ends early if others wait for a thread, and at the end of its time slice, so
            // that its progress is reported.
            let may_continue = || pool.has_idle_thread() && clock.now() < until;
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
            transfer.send_wait_frame(ctx).await;
        }
    }

    /// Waits until there is something to read.
    ///
    /// A stop ends the wait only between files. A file that has started is received to its end,
    /// within the shutdown timeout of the pool.
    async fn wait_readable(
        &self,
        ctx: &mut Context<()>,
        stream: &Stream,
        upload: &Upload,
    ) -> Result<(), String> {
        let (clock, limit) = (ctx.clock().clone(), self.config.idle_timeout);
        let readable = async {
            match clock.timeout(limit, stream.readable()).await {
                Some(ready) => ready.map_err(|error| error.to_string()),
                None => Err(idle_timeout_reason(limit)),
            }
        };
        let yielded = async {
            match upload.current_file() {
                Some(name) => self.store.yield_requested(name).await,
                None => future::pending().await,
            }
            clock.sleep(YIELD_AFTER).await;
            Err("silent while another connection sends the same file".into())
        };
        let readable = future::or(readable, yielded);
        match upload.is_between_files() {
            false => readable.await,
            true => {
                let stopped = || Err(stop_reason());
                ctx.unless_stopped(readable).await.unwrap_or_else(stopped)
            }
        }
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
        let Connection { stream, ip_permit: _ip_permit, .. } = connection;
        if service.config.idle_timeout.is_none() {
            // Without keepalive a dead sender is noticed later. That is no reason to fail.
            let _ = stream.set_keepalive(KEEPALIVE_IDLE);
        }
        let peer = stream.peer().clone();
        let stream = Arc::new(stream);
        let mut transfer = Transfer::new(stream.clone(), peer, reporter, ctx.now());
        let ended = service.serve(&mut ctx, &mut transfer).await;
        drop(transfer);
        // Closing with unread input would reset the connection and destroy the last reply.
        let _ = stream.linger_close(CLOSE_TIMEOUT).await;
        connection_guard
            .report_disconnected(ended.as_ref().map_or_else(ToString::to_string, Clone::clone))
            .await;
        Ok(ended.map(drop)?)
    }
}
