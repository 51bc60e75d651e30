//! The file receiver: serves one connection over which files come.
//!
//! The first bytes tell how. What begins with the signature of the [file protocol](crate::wire::file) is served as that
//! asks for: names, digests, resumptions, answers. Everything else is the lecture's way: no name, no length, no answer; the
//! bytes are the file, until the sender closes. A connection that closes without a byte leaves no trace.
//!
//! The receiver waits and keeps the time; an [intake](upload) does the work on the disk, and a [transfer] passes on the
//! news of it.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::actors::{BlockingPool, Connection, FileStore, Report, Reporter, StoreError};
use crate::net::{Peer, Stream};
use crate::runtime::{Actor, Context, Outcome};
use crate::wire::file::{FrameWriter, Preamble, detect_preamble, server_hello};
use upload::framed::FramedUpload;
use upload::raw::RawUpload;
use upload::{Upload, UploadStep};

use transfer::Transfer;

pub(crate) mod transfer;
pub(crate) mod upload;

/// The bytes that tell how a connection goes on: a signature and two versions.
const PREAMBLE_LEN: usize = 10;

/// How long the work on what comes goes on without a look at anything else, where nobody waits for the disk.
const TIME_SLICE: Duration = Duration::from_millis(100);

/// How often a sender is told that its file is still worked on.
const WAIT_FRAME_INTERVAL: Duration = Duration::from_secs(1);

/// How long a sender may be silent once somebody else comes with its file: most likely itself, over another connection.
const YIELD_AFTER: Duration = Duration::from_secs(2);

/// After so long a silence the kernel asks whether the sender still lives, where nothing else limits how long it may be silent.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(120);

/// How long the end of a connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a receiver lets a sender do, and does itself.
#[derive(Debug, Clone, Default)]
pub struct ReceiverConfig {
    /// How long the first byte may take.
    pub first_timeout: Option<Duration>,
    /// How long the sender may be silent.
    pub idle_timeout: Option<Duration>,
    /// Whether the digest of a raw upload is reported, which costs reading its bytes. A framed file always has one.
    pub raw_digest: bool,
}

/// Serves one connection over which files come.
#[derive(Debug)]
pub struct FileReceiver {
    connection: Connection,
    service: Service,
}

/// What every connection is served with.
#[derive(Debug)]
struct Service {
    peer: Peer,
    config: ReceiverConfig,
    store: Arc<FileStore>,
    blocking_pool: BlockingPool,
    reporter: Reporter,
}

impl FileReceiver {
    /// Makes a receiver that stores what comes in `store`, working on `blocking_pool`.
    pub fn new(
        connection: Connection,
        limits: ReceiverConfig,
        vault: Arc<FileStore>,
        disk: BlockingPool,
        reporter: Reporter,
    ) -> FileReceiver {
        let peer = connection.stream.peer().clone();
        FileReceiver {
            connection,
            service: Service { peer, config: limits, store: vault, blocking_pool: disk, reporter },
        }
    }
}

impl Service {
    /// Serves the connection to its end, and tells why that came.
    async fn serve(
        &self,
        ctx: &mut Context<()>,
        stream: Arc<Stream>,
    ) -> Result<String, StoreError> {
        let first = match self.read_preamble(ctx, &stream).await {
            Ok(first) => first,
            Err(why) => return Ok(self.report_failure(why).await),
        };
        let mut transfer = Transfer::new(stream, ctx.now());
        let vault = self.store.clone();
        let intake = match detect_preamble(&first) {
            Preamble::Framed(_, version) => {
                transfer.frame_writer = Some(FrameWriter::default());
                let told = transfer.write(ctx, &server_hello(version)).await;
                match (told, version) {
                    (Err(error), _) => return Ok(self.report_failure(error).await),
                    (_, 0) => {
                        let why = "it speaks no version of the file protocol that is known here";
                        return Ok(self.report_failure(why.into()).await);
                    }
                    _ => Upload::Framed(Box::new(FramedUpload::new(vault))),
                }
            }
            _ => Upload::Raw(Box::new(RawUpload::new(vault, self.config.raw_digest, first))),
        };
        let (intake, ended) = self.run_upload(ctx, &mut transfer, intake).await;
        let left = self.blocking_pool.run(move || intake.suspend()).await;
        match (ended, left) {
            (Err(error), _) => {
                self.report_failure(error.to_string()).await;
                Err(error)
            }
            (Ok(why), Some(left)) => Ok(self.report_failure(format!("{why}; {left}")).await),
            (Ok(why), None) => Ok(why),
        }
    }

    /// Takes in what comes until it is over, and tells why it is.
    async fn run_upload(
        &self,
        ctx: &mut Context<()>,
        transfer: &mut Transfer,
        mut intake: Upload,
    ) -> (Upload, Result<String, StoreError>) {
        loop {
            let worked;
            (intake, worked) = self.receive_on_pool(ctx, transfer, intake).await;
            if let Err(why) = transfer.flush_events(ctx, self).await {
                return (intake, Ok(why));
            }
            transfer.report_progress(ctx, self, &intake);
            match worked {
                UploadStep::More => {}
                UploadStep::Done(why) => return (intake, why),
                UploadStep::WouldBlock => loop {
                    if let Err(why) = self.wait_readable(ctx, &transfer.stream, &intake).await {
                        return (intake, Ok(why));
                    }
                    if !intake.buffer_small_read(&transfer.stream, ctx.now()) {
                        break;
                    }
                },
            }
        }
    }

    /// Reads the bytes that tell how the connection goes on; fewer of them, or none, where it ends before.
    async fn read_preamble(
        &self,
        ctx: &mut Context<()>,
        stream: &Stream,
    ) -> Result<Vec<u8>, String> {
        let clock = ctx.clock().clone();
        let limit = self.config.first_timeout.or(self.config.idle_timeout);
        let bytes = async {
            let (mut first, mut length) = ([0; PREAMBLE_LEN], 0);
            while detect_preamble(&first[..length]) == Preamble::Pending {
                match stream.read(&mut first[length..]).await {
                    Ok(0) => break,
                    Ok(more) => length += more,
                    Err(error) => return Err(error.to_string()),
                }
            }
            Ok(first[..length].to_vec())
        };
        let read = async {
            let late = || Err(idle_timeout_reason(limit));
            clock.timeout(limit, bytes).await.unwrap_or_else(late)
        };
        let stopped = async {
            ctx.stopped().await;
            Err("the server stops".into())
        };
        // What is there already has begun.
        future::or(read, stopped).await
    }

    /// Takes in a piece on the disk. Where the answers are framed, the sender is told meanwhile that it is worked on.
    async fn receive_on_pool(
        &self,
        ctx: &Context<()>,
        transfer: &mut Transfer,
        mut intake: Upload,
    ) -> (Upload, UploadStep) {
        let (stream, mut news) = (transfer.stream.clone(), std::mem::take(&mut transfer.events));
        let (disk, clock, until) =
            (self.blocking_pool.clone(), ctx.clock().clone(), ctx.now() + TIME_SLICE);
        let job = self.blocking_pool.run(move || {
            // Others have their turn, and whoever looks at the progress sees some.
            let may_go_on = || disk.has_idle_thread() && clock.now() < until;
            let worked = intake.receive(&stream, &mut news, may_go_on);
            (intake, worked, news)
        });
        let mut job = Box::pin(job);
        loop {
            let done = async { Some((&mut job).await) };
            let late = async {
                ctx.sleep(WAIT_FRAME_INTERVAL).await;
                None
            };
            if let Some((intake, worked, news)) = future::or(done, late).await {
                transfer.events = news;
                return (intake, worked);
            }
            transfer.send_wait_frame(ctx).await;
        }
    }

    /// Waits until there is something to read. A stop ends that as long as no file has begun; one that has is finished,
    /// within the time that the pool leaves it.
    async fn wait_readable(
        &self,
        ctx: &mut Context<()>,
        stream: &Stream,
        intake: &Upload,
    ) -> Result<(), String> {
        let (clock, limit) = (ctx.clock().clone(), self.config.idle_timeout);
        let readable = async {
            match clock.timeout(limit, stream.readable()).await {
                Some(ready) => ready.map_err(|error| error.to_string()),
                None => Err(idle_timeout_reason(limit)),
            }
        };
        let contested = async {
            match intake.current_file() {
                Some(name) => self.store.yield_requested(name).await,
                None => future::pending().await,
            }
            clock.sleep(YIELD_AFTER).await;
            Err("silent, and another connection goes on with its file".into())
        };
        let readable = future::or(readable, contested);
        match intake.is_between_files() {
            false => readable.await,
            true => {
                let stopped = || Err("the server stops".into());
                ctx.unless_stopped(readable).await.unwrap_or_else(stopped)
            }
        }
    }

    async fn report_failure(&self, why: String) -> String {
        let (peer, told) = (Some(self.peer.clone()), why.clone());
        self.reporter.send(|| Report::Rejected { peer, reason: told }).await;
        why
    }
}

fn idle_timeout_reason(limit: Option<Duration>) -> String {
    format!("silent for {:?}", limit.unwrap_or_default())
}

impl Actor for FileReceiver {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let FileReceiver { connection, service } = self;
        let presence = connection.report_connected(&service.reporter).await;
        let Connection { stream, ip_permit: _visit, .. } = connection;
        if service.config.idle_timeout.is_none() {
            // A sender whose kernel does not do this is merely noticed later.
            let _ = stream.set_keepalive(KEEPALIVE_IDLE);
        }
        let stream = Arc::new(stream);
        let ended = service.serve(&mut ctx, stream.clone()).await;
        // Input that is still unread would destroy the last answer.
        let _ = stream.linger_close(CLOSE_TIMEOUT).await;
        presence
            .report_disconnected(ended.as_ref().map_or_else(ToString::to_string, Clone::clone))
            .await;
        Ok(ended.map(drop)?)
    }
}
