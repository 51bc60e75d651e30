//! The file receiver: reads one upload from a connection, until the sender closes it.
//!
//! It speaks the lecture's way: no name, no length, no answer; the bytes are the file. They go to the
//! [`FileWriter`](super::FileWriter) in chunks. A connection that closes without a byte leaves no trace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future;

use super::{Connection, Directory, Report, Reporter, Store, Transfer};
use crate::net::{Peer, Stream};
use crate::runtime::{Actor, Address, Context, Event, Outcome};

/// The bytes of one chunk at most.
const CHUNK: usize = 64 << 10;

/// How long the writer may take to store the rest of an upload.
const STORE_WITHIN: Duration = Duration::from_secs(120);

/// What a receiver lets a sender do.
#[derive(Debug, Clone, Default)]
pub struct ReceiveLimits {
    /// How long the first byte may take.
    pub first_timeout: Option<Duration>,
    /// How long the sender may be silent.
    pub idle_timeout: Option<Duration>,
    /// The largest upload, in bytes.
    pub max_size: Option<u64>,
}

/// Reads one upload from a connection.
#[derive(Debug)]
pub struct FileReceiver {
    stream: Stream,
    number: u64,
    peer: Peer,
    limits: ReceiveLimits,
    writer: Address<Store>,
    transfer: Arc<Transfer>,
    reporter: Reporter,
}

/// How reading ended.
enum End {
    Whole,
    Cut(String),
}

impl FileReceiver {
    /// Makes a receiver that stores what comes in `directory`, by way of `writer`.
    pub fn new(
        connection: Connection,
        limits: ReceiveLimits,
        writer: Address<Store>,
        directory: Arc<Directory>,
        reporter: Reporter,
    ) -> FileReceiver {
        FileReceiver {
            peer: connection.stream.peer().clone(),
            stream: connection.stream,
            number: connection.number,
            limits,
            writer,
            transfer: Arc::new(Transfer::new(directory)),
            reporter,
        }
    }

    /// Reads until the end, counting into `length`.
    async fn read_all(&self, ctx: &mut Context<()>, length: &mut u64) -> End {
        loop {
            let limit = if *length == 0 { self.limits.first_timeout } else { None };
            let limit = limit.or(self.limits.idle_timeout);
            let mut chunk = vec![0; CHUNK];
            let n = match self.read(ctx, &mut chunk, limit, *length > 0).await {
                Ok(0) => return End::Whole,
                Ok(n) => n,
                Err(why) => return End::Cut(why),
            };
            *length += n as u64;
            if self.limits.max_size.is_some_and(|max| *length > max) {
                return End::Cut("the upload is larger than is taken here".into());
            }
            chunk.truncate(n);
            if self.writer.send(Store::Chunk(self.transfer.clone(), chunk)).await.is_err() {
                return End::Cut("the writer is gone".into());
            }
        }
    }

    /// Reads once. A stop ends it only as long as nothing has come: an upload that has begun is finished,
    /// within the time that the pool leaves it.
    async fn read(
        &self,
        ctx: &mut Context<()>,
        chunk: &mut [u8],
        limit: Option<Duration>,
        begun: bool,
    ) -> Result<usize, String> {
        let clock = ctx.clock().clone();
        // An upload that has failed is over; its end tells why.
        let failed = async {
            self.transfer.failed().await;
            Some(Ok(0))
        };
        let read = async {
            match future::or(failed, clock.within(limit, self.stream.read(chunk))).await {
                Some(read) => read.map_err(|error| error.to_string()),
                None => Err(format!("silent for {:?}", limit.unwrap_or_default())),
            }
        };
        if begun {
            return read.await;
        }
        match ctx.next(read).await {
            Event::Io(result) => result,
            Event::Stop | Event::Message(()) => Ok(0),
        }
    }

    async fn finish(&self, length: u64, begun: Instant, ctx: &Context<()>) -> Result<(), String> {
        let finish = |reply| Store::Finish(self.transfer.clone(), length, reply);
        let stored = match self.writer.ask(STORE_WITHIN, finish).await {
            Ok(stored) => stored.map_err(|error| error.to_string())?,
            Err(error) => return Err(format!("the upload was not stored: {error}")),
        };
        let (peer, took) = (self.peer.clone(), ctx.now() - begun);
        let (name, bytes, blake3) = (stored.name, stored.bytes, stored.blake3);
        self.reporter.tell(|| Report::File { name, bytes, blake3, took, peer }).await;
        Ok(())
    }

    async fn refuse(&self, why: String) {
        let peer = Some(self.peer.clone());
        self.reporter.tell(|| Report::Refused { peer, why }).await;
    }
}

impl Actor for FileReceiver {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let begun = ctx.now();
        let mut length = 0;
        let end = self.read_all(&mut ctx, &mut length).await;
        let why = match end {
            End::Whole if length == 0 => "closed without sending anything".into(),
            End::Whole => match self.finish(length, begun, &ctx).await {
                Ok(()) => "stored".into(),
                Err(why) => {
                    self.refuse(why.clone()).await;
                    why
                }
            },
            End::Cut(why) => {
                let kept = match self.transfer.part() {
                    Some(part) => format!("{why}; the {length} bytes so far are kept in {part}"),
                    None => why,
                };
                self.refuse(kept.clone()).await;
                kept
            }
        };
        let (peer, conn) = (self.peer, self.number);
        self.reporter.tell(|| Report::Disconnected { peer, conn, why }).await;
        Ok(())
    }
}
