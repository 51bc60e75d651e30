//! The uploader, which sends one file after the other, over as many connections as that takes.
//!
//! It distinguishes three kinds of failures. A failure of one file, which the server rejects or
//! which cannot be read, ends only that file. A transient failure, such as a lost connection or a
//! busy server, leads to another attempt. All others end the run: the server speaks another
//! protocol, has no disk space, or stored other bytes than were sent.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::actors::file::failure_code;
use crate::actors::file::progress::ProgressReporter;
use crate::actors::file::send::connection::{FramedConnection, ServerReply};
use crate::actors::file::send::pipeline::{StreamOutcome, abort_file, send_chunks};
use crate::actors::file::send::source::SourceFile;
use crate::actors::file::send::threads::FileThreads;
use crate::actors::file::send::walk::SendItem;
use crate::actors::support::backoff::{Backoff, MAX_FAILURES};
use crate::actors::{ClientError, Report, Reporter, TotalProgress};
use crate::net::Endpoint;
#[cfg(feature = "testing")]
use crate::net::Stream;
use crate::runtime::Clock;
use crate::wire::file::digest::ChunkHash;
use crate::wire::file::{Frame, Offer};

/// A client of one server that uploads files, and reconnects if necessary.
#[derive(Debug)]
pub(super) struct Uploader {
    pub(super) clock: Clock,
    pub(super) endpoint: Endpoint,
    /// The time limit of connecting, of each write and of each reply.
    pub(super) timeout: Duration,
    /// Whether a lost connection is reconnected, and whether chunks that the server has are not
    /// sent again.
    pub(super) resume: bool,
    pub(super) stdin: Option<Arc<File>>,
    pub(super) threads: FileThreads,
    /// The connections to use, instead of new ones to the endpoint.
    #[cfg(feature = "testing")]
    pub(super) streams: Option<Vec<Stream>>,
    pub(super) reporter: Reporter,
    pub(super) connection: Option<FramedConnection>,
    /// Whether there ever was a connection. A first connection that fails is not retried.
    pub(super) was_connected: bool,
}

/// The result of uploading an item.
#[derive(Debug)]
pub(super) enum UploadOutcome {
    /// The directory exists on the server.
    DirectoryCreated,
    /// The file is stored.
    Stored {
        /// Its size in bytes.
        size: u64,
        hash: ChunkHash,
        /// The name that the server gave it.
        name: String,
        /// The number of bytes that the server had before this upload.
        resumed_bytes: u64,
    },
    /// The server has a file of this name and skips such files. This is no failure.
    Skipped(String),
    /// The server rejected the item.
    Rejected(String),
    /// The file cannot be read.
    Unreadable(io::Error),
}

/// The result of one attempt.
enum AttemptOutcome {
    Done(UploadOutcome),
    /// The server does not accept the item now.
    Retry(String),
}

impl Uploader {
    /// Connects, unless there is a connection.
    pub(super) async fn connect(&mut self) -> Result<(), ClientError> {
        if self.connection.is_none() {
            self.connection = Some(self.new_connection().await?);
            self.was_connected = true;
        }
        Ok(())
    }

    async fn new_connection(&mut self) -> Result<FramedConnection, ClientError> {
        let (clock, endpoint) = (&self.clock, &self.endpoint);
        #[cfg(feature = "testing")]
        if let Some(streams) = &mut self.streams {
            let closed = ClientError::Closed { server: endpoint.to_string(), phase: None };
            let stream = streams.pop().ok_or(closed)?;
            return FramedConnection::handshake(stream, clock, endpoint, self.timeout).await;
        }
        FramedConnection::connect(clock, endpoint, self.timeout).await
    }

    /// Uploads a file or a directory. `total_before` is the progress of all files without it.
    ///
    /// # Errors
    ///
    /// Returns a failure that ends the run.
    pub(super) async fn upload(
        &mut self,
        item: &SendItem,
        total_before: Option<TotalProgress>,
    ) -> Result<UploadOutcome, ClientError> {
        let (mut source, mut backoff) = (None, Backoff::new());
        if !item.is_directory {
            let (path, stdin) = (item.path.clone(), self.stdin.clone());
            match self.threads.start(move || SourceFile::open(&path, stdin)).await {
                Ok(opened) => source = Some(opened),
                Err(error) => return Ok(UploadOutcome::Unreadable(error)),
            }
        }
        let name = item.path.display().to_string();
        let size = source.as_ref().and_then(SourceFile::size);
        let (reporter, clock) = (&self.reporter, &self.clock);
        let mut progress =
            ProgressReporter::new(reporter, clock, None, name.clone(), size, total_before);
        loop {
            let attempt = self.try_upload(item, &mut source, &mut backoff, &mut progress).await;
            let failure = match attempt {
                Ok(AttemptOutcome::Done(outcome)) => return Ok(outcome),
                Ok(AttemptOutcome::Retry(reason)) => {
                    ClientError::ServerBusy { name: name.clone(), reason }
                }
                Err(failure) => failure,
            };
            self.connection = None;
            if !self.resume || !self.was_connected || !is_transient(&failure) {
                return Err(failure);
            }
            if !source.as_ref().is_none_or(SourceFile::is_rewindable) {
                return Err(ClientError::StdinNotResumable { source: Box::new(failure) });
            }
            let Some(delay) = backoff.next_delay_limited(MAX_FAILURES) else { return Err(failure) };
            let reason = format!("{failure}; trying again");
            self.reporter.send(|| Report::Warning { reason }).await;
            self.clock.sleep_jittered(delay).await;
        }
    }

    /// Tries to upload an item over one connection.
    async fn try_upload(
        &mut self,
        item: &SendItem,
        source_slot: &mut Option<SourceFile>,
        backoff: &mut Backoff,
        progress: &mut ProgressReporter,
    ) -> Result<AttemptOutcome, ClientError> {
        self.connect().await?;
        let Some(connection) = &mut self.connection else {
            return Ok(AttemptOutcome::Retry(String::new()));
        };
        let Some(source) = source_slot.take() else {
            let reply = connection.request(&Frame::Offer(directory_offer(item))).await?;
            return match reply {
                ServerReply::Stored { .. } => {
                    Ok(AttemptOutcome::Done(UploadOutcome::DirectoryCreated))
                }
                ServerReply::Failed { code, reason } => classify_failure(item, code, reason),
                ServerReply::ResumeAt { .. } => Err(connection.unexpected_reply()),
            };
        };
        let reply = connection.request(&Frame::Offer(source.offer(&item.name))).await;
        let (chunk_count, chunk_list_hash) = match reply {
            Ok(ServerReply::ResumeAt { .. }) if !self.resume => (0, [0; 32]),
            Ok(ServerReply::ResumeAt { chunk_count, chunk_list_hash }) => {
                (chunk_count, chunk_list_hash)
            }
            other => {
                *source_slot = Some(source);
                return match other? {
                    ServerReply::Failed { code, reason } => classify_failure(item, code, reason),
                    _ => Err(connection.unexpected_reply()),
                };
            }
        };
        let (source, start) =
            find_resume_point(self.threads, source, chunk_count, chunk_list_hash).await;
        let (source, outcome) =
            send_from(connection, self.threads, source, start, backoff, progress).await;
        let source = source_slot.insert(source);
        match outcome? {
            TransferOutcome::Stored { hash, name } => {
                let (size, resumed_bytes) = (source.position(), progress.resumed_before());
                let outcome = UploadOutcome::Stored { size, hash, name, resumed_bytes };
                Ok(AttemptOutcome::Done(outcome))
            }
            TransferOutcome::HashMismatch(hash) => {
                let name = item.path.display().to_string();
                let hash = blake3::Hash::from(hash).to_hex();
                let reason = format!("the server stored other bytes, with the BLAKE3 hash {hash}");
                Err(ClientError::Mismatch { name, reason })
            }
            TransferOutcome::Failed { code, reason } => classify_failure(item, code, reason),
            TransferOutcome::Unreadable(error) => {
                Ok(AttemptOutcome::Done(UploadOutcome::Unreadable(error)))
            }
        }
    }
}

/// The result of sending a file's bytes.
enum TransferOutcome {
    Stored {
        hash: ChunkHash,
        name: String,
    },
    /// The server stored the file with this hash, which is not the file's own.
    HashMismatch(ChunkHash),
    Failed {
        code: u16,
        reason: String,
    },
    Unreadable(io::Error),
}

/// Finds the first chunk to send, on a thread that may block.
async fn find_resume_point(
    threads: FileThreads,
    mut source: SourceFile,
    chunk_count: u64,
    chunk_list_hash: ChunkHash,
) -> (SourceFile, io::Result<u64>) {
    let job = threads.start(move || {
        let start = source.start_after(chunk_count, &chunk_list_hash);
        (source, start)
    });
    job.await
}

/// Sends a file from the chunk `start` on, and waits until it is stored. The file is returned in
/// any case.
async fn send_from(
    connection: &mut FramedConnection,
    threads: FileThreads,
    source: SourceFile,
    start: io::Result<u64>,
    backoff: &mut Backoff,
    progress: &mut ProgressReporter,
) -> (SourceFile, Result<TransferOutcome, ClientError>) {
    let (source, sent) = match start {
        Err(error) => (source, abort_file(connection, error).await),
        Ok(number) => {
            backoff.record_progress(number);
            progress.set_resumed(source.position());
            match connection.send_frame(&Frame::Begin(number)).await {
                Ok(()) => send_chunks(connection, threads, source, progress).await,
                Err(failure) => (source, Err(failure)),
            }
        }
    };
    let outcome = match sent {
        Ok(sent) => await_result(connection, sent).await,
        Err(failure) => Err(failure),
    };
    (source, outcome)
}

/// Waits for the server's final reply about a file.
async fn await_result(
    connection: &mut FramedConnection,
    sent: StreamOutcome,
) -> Result<TransferOutcome, ClientError> {
    let (own_hash, reply) = match sent {
        StreamOutcome::Unreadable(error) => return Ok(TransferOutcome::Unreadable(error)),
        StreamOutcome::Replied(reply) => (None, reply),
        StreamOutcome::Sent(hash, Some(reply)) => (Some(hash), reply),
        StreamOutcome::Sent(hash, None) => (Some(hash), connection.recv().await?),
    };
    match reply {
        ServerReply::Failed { code, reason } => Ok(TransferOutcome::Failed { code, reason }),
        ServerReply::Stored { hash, name } if own_hash == Some(hash) => {
            Ok(TransferOutcome::Stored { hash, name })
        }
        ServerReply::Stored { hash, .. } if own_hash.is_some() => {
            Ok(TransferOutcome::HashMismatch(hash))
        }
        _ => Err(connection.unexpected_reply()),
    }
}

fn directory_offer(item: &SendItem) -> Offer<'_> {
    let (mode, name) = (item.mode, &item.name);
    Offer { is_directory: true, size: Some(0), mode, modified: (0, 0), name }
}

/// Converts a failure reply: to the end of the run, another attempt, or the end of this item.
fn classify_failure(
    item: &SendItem,
    code: u16,
    reason: String,
) -> Result<AttemptOutcome, ClientError> {
    let name = item.path.display().to_string();
    match code {
        failure_code::PROTOCOL_ERROR => Err(ClientError::ProtocolRejected { name, reason }),
        failure_code::HASH_MISMATCH => Err(ClientError::Mismatch { name, reason }),
        failure_code::DISK_FULL => Err(ClientError::ServerDiskFull { name, reason }),
        failure_code::BUSY | failure_code::STOPPING => Ok(AttemptOutcome::Retry(reason)),
        failure_code::SKIPPED => Ok(AttemptOutcome::Done(UploadOutcome::Skipped(reason))),
        _ => Ok(AttemptOutcome::Done(UploadOutcome::Rejected(reason))),
    }
}

/// Returns whether another attempt may succeed.
///
/// A server that spoke the protocol before and does not now may be starting, or a proxy in front of
/// it replies.
fn is_transient(failure: &ClientError) -> bool {
    matches!(
        failure,
        ClientError::Connect(_)
            | ClientError::NotFileProtocol { .. }
            | ClientError::TimedOut { .. }
            | ClientError::Closed { .. }
            | ClientError::Io { .. }
            | ClientError::ServerBusy { .. }
    )
}
