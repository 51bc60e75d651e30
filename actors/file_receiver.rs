//! The file receiver: reads one upload from a connection, until the sender closes it.
//!
//! It speaks the lecture's way: no name, no length, no answer; the bytes are the file. They go to the
//! [`FileWriter`](super::FileWriter) in chunks. A connection that closes without a byte leaves no trace.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use super::{Connection, Directory, Report, Reporter, Store, StoreError, Stored, Transfer};
use crate::net::Peer;
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
    connection: Connection,
    peer: Peer,
    limits: ReceiveLimits,
    writer: Address<Store>,
    transfer: Arc<Transfer>,
    reporter: Reporter,
}

/// How reading ended.
enum End {
    Whole,
    TooLarge,
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
            connection,
            limits,
            writer,
            transfer: Arc::new(Transfer::new(directory)),
            reporter,
        }
    }

    /// Reads until the end, counting into `length`.
    async fn read_all(&self, ctx: &mut Context<()>, length: &mut u64) -> End {
        loop {
            let chunk = match self.read(ctx, *length > 0).await {
                Ok(chunk) if chunk.is_empty() => return End::Whole,
                Ok(chunk) => chunk,
                Err(why) => return End::Cut(why),
            };
            *length += chunk.len() as u64;
            if self.limits.max_size.is_some_and(|max| *length > max) {
                return End::TooLarge;
            }
            if self.writer.send(Store::Chunk(self.transfer.clone(), chunk)).await.is_err() {
                return End::Cut("the writer is gone".into());
            }
        }
    }

    /// Reads once; nothing is the end. A stop ends it only as long as nothing has come: an upload that has
    /// begun is finished, within the time that the pool leaves it.
    async fn read(&self, ctx: &mut Context<()>, begun: bool) -> Result<Vec<u8>, String> {
        let limit = if begun { None } else { self.limits.first_timeout };
        let limit = limit.or(self.limits.idle_timeout);
        let clock = ctx.clock().clone();
        // An upload that has failed is over; its end tells why.
        let failed = async {
            self.transfer.failed().await;
            Some(Ok(Vec::new()))
        };
        let read = async {
            match future::or(failed, clock.within(limit, self.chunk())).await {
                Some(read) => read.map_err(|error| error.to_string()),
                None => Err(format!("silent for {:?}", limit.unwrap_or_default())),
            }
        };
        if begun {
            return read.await;
        }
        match ctx.next(read).await {
            Event::Io(result) => result,
            Event::Stop | Event::Message(()) => Ok(Vec::new()),
        }
    }

    /// Waits for bytes. While it waits it holds no buffer, so a silent sender costs no memory.
    async fn chunk(&self) -> io::Result<Vec<u8>> {
        loop {
            let mut chunk = vec![0; CHUNK];
            match self.connection.stream.try_read(&mut chunk) {
                Ok(n) => {
                    chunk.truncate(n);
                    return Ok(chunk);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => drop(chunk),
                Err(error) => return Err(error),
            }
            self.connection.stream.readable().await?;
        }
    }

    /// Ends the upload and returns how it went, in words; a failure of the disk is the receiver's own.
    async fn finish(&self, end: End, length: u64, took: Duration) -> Result<String, StoreError> {
        let why = match end {
            End::Whole if length == 0 => return Ok("closed without sending anything".into()),
            End::Whole => {
                let finish = |reply| Store::Finish(self.transfer.clone(), length, reply);
                match self.writer.ask(STORE_WITHIN, finish).await {
                    Ok(stored) => return Ok(self.stored(stored?, took).await),
                    Err(error) => format!("the upload was not stored: {error}"),
                }
            }
            End::TooLarge => {
                // A writer that is gone leaves the rest to whoever cleans up after it.
                let _ = self.writer.send(Store::Discard(self.transfer.clone())).await;
                "the upload is larger than is taken here, and was dropped".into()
            }
            End::Cut(why) => match self.transfer.part() {
                Some(part) => format!("{why}; the {length} bytes so far are kept in {part}"),
                None => why,
            },
        };
        self.refuse(why.clone()).await;
        Ok(why)
    }

    async fn stored(&self, stored: Stored, took: Duration) -> String {
        let Stored { name, bytes, blake3 } = stored;
        let peer = self.peer.clone();
        self.reporter.tell(|| Report::File { name, bytes, blake3, took, peer }).await;
        "stored".into()
    }

    async fn refuse(&self, why: String) {
        let peer = Some(self.peer.clone());
        self.reporter.tell(|| Report::Refused { peer, why }).await;
    }
}

impl Actor for FileReceiver {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let presence = self.connection.announce(&self.reporter).await;
        let begun = ctx.now();
        let mut length = 0;
        let end = self.read_all(&mut ctx, &mut length).await;
        let ended = self.finish(end, length, ctx.now() - begun).await;
        let why = match &ended {
            Ok(why) => why.clone(),
            Err(error) => {
                self.refuse(error.to_string()).await;
                error.to_string()
            }
        };
        presence.end(why).await;
        Ok(ended.map(drop)?)
    }
}
