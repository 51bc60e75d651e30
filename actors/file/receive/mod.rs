//! The file receiver: serves one connection over which files come.
//!
//! The first bytes tell how. What begins with the signature of the [file protocol](crate::wire::file::codec) is served as that
//! asks for: names, digests, resumptions, answers. Everything else is the lecture's way: no name, no length, no answer; the
//! bytes are the file, until the sender closes. A connection that closes without a byte leaves no trace.
//!
//! The receiver waits and keeps the time; an [intake](upload) does the work on the disk, and a [transfer] passes on the
//! news of it.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::actors::{BlockingPool, Connection, Report, Reporter, Vault, VaultError};
use crate::net::{Peer, Stream};
use crate::runtime::{Actor, Context, Outcome};
use crate::wire::file::codec::{FrameWriter, Preamble, detect_preamble, server_hello};
use upload::framed::Framed;
use upload::raw::Raw;
use upload::{Intake, Worked};

use transfer::Transfer;

pub(crate) mod transfer;
pub(crate) mod upload;

/// The bytes that tell how a connection goes on: a signature and two versions.
const BEGINNING: usize = 10;

/// How long the work on what comes goes on without a look at anything else, where nobody waits for the disk.
const TURN: Duration = Duration::from_millis(100);

/// How often a sender is told that its file is still worked on.
const WAIT_EVERY: Duration = Duration::from_secs(1);

/// How long a sender may be silent once somebody else comes with its file: most likely itself, over another connection.
const GIVE_WAY_AFTER: Duration = Duration::from_secs(2);

/// After so long a silence the kernel asks whether the sender still lives, where nothing else limits how long it may be silent.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// How long the end of a connection may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// What a receiver lets a sender do, and does itself.
#[derive(Debug, Clone, Default)]
pub struct ReceiveLimits {
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
    limits: ReceiveLimits,
    vault: Arc<Vault>,
    disk: BlockingPool,
    reporter: Reporter,
}

impl FileReceiver {
    /// Makes a receiver that stores what comes in `vault`, working on `disk`.
    pub fn new(
        connection: Connection,
        limits: ReceiveLimits,
        vault: Arc<Vault>,
        disk: BlockingPool,
        reporter: Reporter,
    ) -> FileReceiver {
        let peer = connection.stream.peer().clone();
        FileReceiver { connection, service: Service { peer, limits, vault, disk, reporter } }
    }
}

impl Service {
    /// Serves the connection to its end, and tells why that came.
    async fn serve(
        &self,
        ctx: &mut Context<()>,
        stream: Arc<Stream>,
    ) -> Result<String, VaultError> {
        let first = match self.first_bytes(ctx, &stream).await {
            Ok(first) => first,
            Err(why) => return Ok(self.refuse(why).await),
        };
        let mut transfer = Transfer::new(stream, ctx.now());
        let vault = self.vault.clone();
        let intake = match detect_preamble(&first) {
            Preamble::Framed(_, version) => {
                transfer.frames = Some(FrameWriter::default());
                let told = transfer.write(ctx, &server_hello(version)).await;
                match (told, version) {
                    (Err(error), _) => return Ok(self.refuse(error).await),
                    (_, 0) => {
                        let why = "it speaks no version of the file protocol that is known here";
                        return Ok(self.refuse(why.into()).await);
                    }
                    _ => Intake::Framed(Box::new(Framed::new(vault))),
                }
            }
            _ => Intake::Raw(Box::new(Raw::new(vault, self.limits.raw_digest, first))),
        };
        let (intake, ended) = self.take(ctx, &mut transfer, intake).await;
        let left = self.disk.run(move || intake.leave()).await;
        match (ended, left) {
            (Err(error), _) => {
                self.refuse(error.to_string()).await;
                Err(error)
            }
            (Ok(why), Some(left)) => Ok(self.refuse(format!("{why}; {left}")).await),
            (Ok(why), None) => Ok(why),
        }
    }

    /// Takes in what comes until it is over, and tells why it is.
    async fn take(
        &self,
        ctx: &mut Context<()>,
        transfer: &mut Transfer,
        mut intake: Intake,
    ) -> (Intake, Result<String, VaultError>) {
        loop {
            let worked;
            (intake, worked) = self.work(ctx, transfer, intake).await;
            if let Err(why) = transfer.pass_on(ctx, self).await {
                return (intake, Ok(why));
            }
            transfer.show(ctx, self, &intake);
            match worked {
                Worked::More => {}
                Worked::Over(why) => return (intake, why),
                Worked::Idle => loop {
                    if let Err(why) = self.wait(ctx, &transfer.stream, &intake).await {
                        return (intake, Ok(why));
                    }
                    if !intake.gathers(&transfer.stream, ctx.now()) {
                        break;
                    }
                },
            }
        }
    }

    /// Reads the bytes that tell how the connection goes on; fewer of them, or none, where it ends before.
    async fn first_bytes(&self, ctx: &mut Context<()>, stream: &Stream) -> Result<Vec<u8>, String> {
        let clock = ctx.clock().clone();
        let limit = self.limits.first_timeout.or(self.limits.idle_timeout);
        let bytes = async {
            let (mut first, mut length) = ([0; BEGINNING], 0);
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
            let late = || Err(silent(limit));
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
    async fn work(
        &self,
        ctx: &Context<()>,
        transfer: &mut Transfer,
        mut intake: Intake,
    ) -> (Intake, Worked) {
        let (stream, mut news) = (transfer.stream.clone(), std::mem::take(&mut transfer.news));
        let (disk, clock, until) = (self.disk.clone(), ctx.clock().clone(), ctx.now() + TURN);
        let job = self.disk.run(move || {
            // Others have their turn, and whoever looks at the progress sees some.
            let may_go_on = || disk.has_idle_thread() && clock.now() < until;
            let worked = intake.work(&stream, &mut news, may_go_on);
            (intake, worked, news)
        });
        let mut job = Box::pin(job);
        loop {
            let done = async { Some((&mut job).await) };
            let late = async {
                ctx.sleep(WAIT_EVERY).await;
                None
            };
            if let Some((intake, worked, news)) = future::or(done, late).await {
                transfer.news = news;
                return (intake, worked);
            }
            transfer.ask_for_patience(ctx).await;
        }
    }

    /// Waits until there is something to read. A stop ends that as long as no file has begun; one that has is finished,
    /// within the time that the pool leaves it.
    async fn wait(
        &self,
        ctx: &mut Context<()>,
        stream: &Stream,
        intake: &Intake,
    ) -> Result<(), String> {
        let (clock, limit) = (ctx.clock().clone(), self.limits.idle_timeout);
        let readable = async {
            match clock.timeout(limit, stream.readable()).await {
                Some(ready) => ready.map_err(|error| error.to_string()),
                None => Err(silent(limit)),
            }
        };
        let contested = async {
            match intake.in_hand() {
                Some(name) => self.vault.contested(name).await,
                None => future::pending().await,
            }
            clock.sleep(GIVE_WAY_AFTER).await;
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

    async fn refuse(&self, why: String) -> String {
        let (peer, told) = (Some(self.peer.clone()), why.clone());
        self.reporter.send(|| Report::Rejected { peer, reason: told }).await;
        why
    }
}

fn silent(limit: Option<Duration>) -> String {
    format!("silent for {:?}", limit.unwrap_or_default())
}

impl Actor for FileReceiver {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let FileReceiver { connection, service } = self;
        let presence = connection.report_connected(&service.reporter).await;
        let Connection { stream, ip_permit: _visit, .. } = connection;
        if service.limits.idle_timeout.is_none() {
            // A sender whose kernel does not do this is merely noticed later.
            let _ = stream.set_keepalive(KEEPALIVE);
        }
        let stream = Arc::new(stream);
        let ended = service.serve(&mut ctx, stream.clone()).await;
        // Input that is still unread would destroy the last answer.
        let _ = stream.linger_close(CLOSE_WITHIN).await;
        presence
            .report_disconnected(ended.as_ref().map_or_else(ToString::to_string, Clone::clone))
            .await;
        Ok(ended.map(drop)?)
    }
}
