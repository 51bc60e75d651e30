//! The courier: brings one file after the other to the receiver, over as many connections as that takes.
//!
//! It tells apart what concerns one file (the receiver does not take it, it cannot be read), after which the next one is
//! sent; what may pass (the connection is lost, the receiver is busy), after which it tries again; and what ends the
//! whole run: a receiver that speaks something else, that has no room, or that got something else than was sent.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::actors::file::progress::ProgressReporter;
use crate::actors::file::send::connection::{FramedConnection, ServerReply};
use crate::actors::file::send::pipeline::{StreamOutcome, abort_file, send_chunks};
use crate::actors::file::send::source::SourceFile;
use crate::actors::file::send::walk::SendItem;
use crate::actors::support::backoff::{Backoff, MAX_FAILURES};
use crate::actors::{ClientError, Report, Reporter, TotalProgress};
use crate::net::Endpoint;
use crate::runtime::Clock;
use crate::wire::file::digest::ChunkHash;
use crate::wire::file::{Frame, Offer};

/// Brings files to a receiver.
#[derive(Debug)]
pub(crate) struct Uploader {
    pub(crate) clock: Clock,
    pub(crate) endpoint: Endpoint,
    /// How long the server may take for each thing.
    pub(crate) timeout: Duration,
    /// Whether a lost connection is made anew, and what the receiver holds is not sent again.
    pub(crate) resume: bool,
    pub(crate) stdin: Option<Arc<File>>,
    pub(crate) reporter: Reporter,
    pub(crate) connection: Option<FramedConnection>,
    /// Whether there was ever a connection: one that never was is not lost.
    pub(crate) was_connected: bool,
}

/// What became of a parcel.
#[derive(Debug)]
pub(crate) enum UploadOutcome {
    /// The directory is there.
    DirectoryCreated,
    /// The file is there: its size, its digest, and the name that it was given.
    Stored(u64, ChunkHash, String),
    /// One of that name is there, and that is as it should be.
    Skipped(String),
    /// The receiver does not take it.
    Rejected(String),
    /// It cannot be read.
    Unreadable(io::Error),
}

/// What one attempt came to.
enum AttemptOutcome {
    Done(UploadOutcome),
    /// The receiver does not take it now.
    Retry(String),
}

impl Uploader {
    /// Connects, unless that was done.
    pub(crate) async fn connect(&mut self) -> Result<(), ClientError> {
        if self.connection.is_none() {
            let line = FramedConnection::connect(&self.clock, &self.endpoint, self.timeout).await?;
            self.connection = Some(line);
            self.was_connected = true;
        }
        Ok(())
    }

    /// Delivers a file or a directory; `all` is how far all files are without it.
    ///
    /// # Errors
    ///
    /// What ends the whole run.
    pub(crate) async fn upload(
        &mut self,
        parcel: &SendItem,
        all: Option<TotalProgress>,
    ) -> Result<UploadOutcome, ClientError> {
        let (mut load, mut tries) = (None, Backoff::new());
        if !parcel.is_directory {
            let (path, stdin) = (parcel.path.clone(), self.stdin.clone());
            match smol::unblock(move || SourceFile::open(&path, stdin)).await {
                Ok(dispatch) => load = Some(dispatch),
                Err(error) => return Ok(UploadOutcome::Unreadable(error)),
            }
        }
        let name = parcel.path.display().to_string();
        let size = load.as_ref().and_then(SourceFile::size);
        let mut gauge =
            ProgressReporter::new(&self.reporter, &self.clock, None, name.clone(), size, all);
        loop {
            let failure = match self.try_upload(parcel, &mut load, &mut tries, &mut gauge).await {
                Ok(AttemptOutcome::Done(delivered)) => return Ok(delivered),
                Ok(AttemptOutcome::Retry(why)) => {
                    ClientError::ServerBusy { name: name.clone(), reason: why }
                }
                Err(failure) => failure,
            };
            self.connection = None;
            if !self.resume || !self.was_connected || !is_transient(&failure) {
                return Err(failure);
            }
            if !load.as_ref().is_none_or(SourceFile::is_rewindable) {
                return Err(ClientError::StdinNotResumable { source: Box::new(failure) });
            }
            let Some(pause) = tries.next_delay_limited(MAX_FAILURES) else { return Err(failure) };
            let why = format!("{failure}; trying again");
            self.reporter.send(|| Report::Warning { reason: why }).await;
            self.clock.sleep_jittered(pause).await;
        }
    }

    /// Tries to deliver a parcel over one connection.
    async fn try_upload(
        &mut self,
        parcel: &SendItem,
        load: &mut Option<SourceFile>,
        tries: &mut Backoff,
        gauge: &mut ProgressReporter,
    ) -> Result<AttemptOutcome, ClientError> {
        self.connect().await?;
        let Some(line) = &mut self.connection else {
            return Ok(AttemptOutcome::Retry(String::new()));
        };
        let Some(dispatch) = load.take() else {
            let answer = line.request(&Frame::Offer(directory_offer(parcel))).await?;
            return match answer {
                ServerReply::Stored(..) => {
                    Ok(AttemptOutcome::Done(UploadOutcome::DirectoryCreated))
                }
                ServerReply::Failed(code, why) => classify_failure(parcel, code, why),
                ServerReply::ResumeAt(..) => Err(line.unexpected_reply()),
            };
        };
        let answer = line.request(&Frame::Offer(dispatch.offer(&parcel.name))).await;
        let (held, digest) = match answer {
            Ok(ServerReply::ResumeAt(..)) if !self.resume => (0, [0; 32]),
            Ok(ServerReply::ResumeAt(held, digest)) => (held, digest),
            other => {
                *load = Some(dispatch);
                return match other? {
                    ServerReply::Failed(code, why) => classify_failure(parcel, code, why),
                    _ => Err(line.unexpected_reply()),
                };
            }
        };
        let (dispatch, begun) = find_resume_point(dispatch, held, digest).await;
        let sent = send_from(line, dispatch, begun, tries, gauge).await;
        let dispatch = load.insert(sent.0);
        match sent.1? {
            TransferOutcome::Stored(digest, name) => {
                Ok(AttemptOutcome::Done(UploadOutcome::Stored(dispatch.position(), digest, name)))
            }
            TransferOutcome::HashMismatch(theirs) => {
                let name = parcel.path.display().to_string();
                let theirs = blake3::Hash::from(theirs).to_hex();
                let why = format!("the server stored another one, whose BLAKE3 is {theirs}");
                Err(ClientError::Mismatch { name, reason: why })
            }
            TransferOutcome::Failed(code, why) => classify_failure(parcel, code, why),
            TransferOutcome::Unreadable(error) => {
                Ok(AttemptOutcome::Done(UploadOutcome::Unreadable(error)))
            }
        }
    }
}

/// What came of sending a file's bytes.
enum TransferOutcome {
    Stored(ChunkHash, String),
    /// It was stored with this digest, which is not its own.
    HashMismatch(ChunkHash),
    Failed(u16, String),
    Unreadable(io::Error),
}

/// Finds out, on a thread that may block, with which chunk a file begins.
async fn find_resume_point(
    mut dispatch: SourceFile,
    held: u64,
    digest: ChunkHash,
) -> (SourceFile, io::Result<u64>) {
    smol::unblock(move || {
        let begun = dispatch.start_after(held, &digest);
        (dispatch, begun)
    })
    .await
}

/// Sends a file from a chunk on, and waits until it is stored; the file comes back whatever happens.
async fn send_from(
    line: &mut FramedConnection,
    dispatch: SourceFile,
    begun: io::Result<u64>,
    tries: &mut Backoff,
    gauge: &mut ProgressReporter,
) -> (SourceFile, Result<TransferOutcome, ClientError>) {
    let (dispatch, poured) = match begun {
        Err(error) => (dispatch, abort_file(line, error).await),
        Ok(number) => {
            tries.record_progress(number);
            gauge.set_resumed(dispatch.position());
            match line.send_frame(&Frame::Begin(number)).await {
                Ok(()) => send_chunks(line, dispatch, gauge).await,
                Err(failure) => (dispatch, Err(failure)),
            }
        }
    };
    let sent = match poured {
        Ok(poured) => await_result(line, poured).await,
        Err(failure) => Err(failure),
    };
    (dispatch, sent)
}

/// Waits for the server's last word on a file.
async fn await_result(
    line: &mut FramedConnection,
    poured: StreamOutcome,
) -> Result<TransferOutcome, ClientError> {
    let (ours, answer) = match poured {
        StreamOutcome::Unreadable(error) => return Ok(TransferOutcome::Unreadable(error)),
        StreamOutcome::Replied(answer) => (None, answer),
        StreamOutcome::Sent(digest, Some(answer)) => (Some(digest), answer),
        StreamOutcome::Sent(digest, None) => (Some(digest), line.recv().await?),
    };
    match answer {
        ServerReply::Failed(code, why) => Ok(TransferOutcome::Failed(code, why)),
        ServerReply::Stored(theirs, name) if ours == Some(theirs) => {
            Ok(TransferOutcome::Stored(theirs, name))
        }
        ServerReply::Stored(theirs, _) if ours.is_some() => {
            Ok(TransferOutcome::HashMismatch(theirs))
        }
        _ => Err(line.unexpected_reply()),
    }
}

fn directory_offer(parcel: &SendItem) -> Offer<'_> {
    let (mode, name) = (parcel.mode, &parcel.name);
    Offer { is_directory: true, size: Some(0), mode, modified: (0, 0), name }
}

/// Takes what the server failed with for what it means; `docs/file-protocol.md` lists the codes.
fn classify_failure(
    parcel: &SendItem,
    code: u16,
    why: String,
) -> Result<AttemptOutcome, ClientError> {
    let name = parcel.path.display().to_string();
    match code {
        1 | 7 => Err(ClientError::Mismatch { name, reason: why }),
        5 => Err(ClientError::ServerDiskFull { name, reason: why }),
        8 | 9 => Ok(AttemptOutcome::Retry(why)),
        11 => Ok(AttemptOutcome::Done(UploadOutcome::Skipped(why))),
        _ => Ok(AttemptOutcome::Done(UploadOutcome::Rejected(why))),
    }
}

/// Tells whether a failure may be over at the next attempt. A server that spoke the protocol before and does not now
/// is perhaps only starting, or it is what stands before it that answers.
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
