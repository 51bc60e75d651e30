//! The courier: brings one file after the other to the receiver, over as many connections as that takes.
//!
//! It tells apart what concerns one file (the receiver does not take it, it cannot be read), after which the next one is
//! sent; what may pass (the connection is lost, the receiver is busy), after which it tries again; and what ends the
//! whole run: a receiver that speaks something else, that has no room, or that got something else than was sent.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::actors::file::progress::Gauge;
use crate::actors::file::send::connection::{Answer, FramedLine};
use crate::actors::file::send::pipeline::{Poured, give_up, pour};
use crate::actors::file::send::source::Dispatch;
use crate::actors::file::send::walk::Parcel;
use crate::actors::support::backoff::Backoff;
use crate::actors::{ClientError, Report, Reporter, TotalProgress};
use crate::net::Endpoint;
use crate::runtime::Clock;
use crate::wire::file::codec::{Frame, Offer};
use crate::wire::file::digest::ChunkHash;

/// Brings files to a receiver.
#[derive(Debug)]
pub(crate) struct Courier {
    pub(crate) clock: Clock,
    pub(crate) endpoint: Endpoint,
    /// How long the server may take for each thing.
    pub(crate) limit: Duration,
    /// Whether a lost connection is made anew, and what the receiver holds is not sent again.
    pub(crate) resumes: bool,
    pub(crate) stdin: Option<Arc<File>>,
    pub(crate) reporter: Reporter,
    pub(crate) line: Option<FramedLine>,
    /// Whether there was ever a connection: one that never was is not lost.
    pub(crate) was_connected: bool,
}

/// What became of a parcel.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// The directory is there.
    Made,
    /// The file is there: its size, its digest, and the name that it was given.
    Stored(u64, ChunkHash, String),
    /// One of that name is there, and that is as it should be.
    Skipped(String),
    /// The receiver does not take it.
    Refused(String),
    /// It cannot be read.
    Unreadable(io::Error),
}

/// What one attempt came to.
enum Attempt {
    Done(Delivered),
    /// The receiver does not take it now.
    Later(String),
}

impl Courier {
    /// Connects, unless that was done.
    pub(crate) async fn connect(&mut self) -> Result<(), ClientError> {
        if self.line.is_none() {
            let line = FramedLine::open(&self.clock, &self.endpoint, self.limit).await?;
            self.line = Some(line);
            self.was_connected = true;
        }
        Ok(())
    }

    /// Delivers a file or a directory; `all` is how far all files are without it.
    ///
    /// # Errors
    ///
    /// What ends the whole run.
    pub(crate) async fn deliver(
        &mut self,
        parcel: &Parcel,
        all: Option<TotalProgress>,
    ) -> Result<Delivered, ClientError> {
        let (mut load, mut tries) = (None, Backoff::new());
        if !parcel.is_directory {
            let (path, stdin) = (parcel.path.clone(), self.stdin.clone());
            match smol::unblock(move || Dispatch::open(&path, stdin)).await {
                Ok(dispatch) => load = Some(dispatch),
                Err(error) => return Ok(Delivered::Unreadable(error)),
            }
        }
        let name = parcel.path.display().to_string();
        let size = load.as_ref().and_then(Dispatch::size);
        let mut gauge = Gauge::new(&self.reporter, &self.clock, None, name.clone(), size, all);
        loop {
            let failure = match self.attempt(parcel, &mut load, &mut tries, &mut gauge).await {
                Ok(Attempt::Done(delivered)) => return Ok(delivered),
                Ok(Attempt::Later(why)) => {
                    ClientError::ServerBusy { name: name.clone(), reason: why }
                }
                Err(failure) => failure,
            };
            self.line = None;
            if !self.resumes || !self.was_connected || !is_passing(&failure) {
                return Err(failure);
            }
            if !load.as_ref().is_none_or(Dispatch::can_begin_again) {
                return Err(ClientError::StdinNotResumable { source: Box::new(failure) });
            }
            let Some(pause) = tries.next_delay() else { return Err(failure) };
            let why = format!("{failure}; trying again");
            self.reporter.send(|| Report::Rejected { peer: None, reason: why }).await;
            self.clock.sleep_jittered(pause).await;
        }
    }

    /// Tries to deliver a parcel over one connection.
    async fn attempt(
        &mut self,
        parcel: &Parcel,
        load: &mut Option<Dispatch>,
        tries: &mut Backoff,
        gauge: &mut Gauge,
    ) -> Result<Attempt, ClientError> {
        self.connect().await?;
        let Some(line) = &mut self.line else { return Ok(Attempt::Later(String::new())) };
        let Some(dispatch) = load.take() else {
            let answer = line.ask(&Frame::Offer(directory(parcel))).await?;
            return match answer {
                Answer::Stored(..) => Ok(Attempt::Done(Delivered::Made)),
                Answer::Failed(code, why) => failed(parcel, code, why),
                Answer::Held(..) => Err(line.senseless()),
            };
        };
        let answer = line.ask(&Frame::Offer(dispatch.offer(&parcel.name))).await;
        let (held, digest) = match answer {
            Ok(Answer::Held(..)) if !self.resumes => (0, [0; 32]),
            Ok(Answer::Held(held, digest)) => (held, digest),
            other => {
                *load = Some(dispatch);
                return match other? {
                    Answer::Failed(code, why) => failed(parcel, code, why),
                    _ => Err(line.senseless()),
                };
            }
        };
        let (dispatch, begun) = begin(dispatch, held, digest).await;
        let sent = send(line, dispatch, begun, tries, gauge).await;
        let dispatch = load.insert(sent.0);
        match sent.1? {
            Sent::Stored(digest, name) => {
                Ok(Attempt::Done(Delivered::Stored(dispatch.at(), digest, name)))
            }
            Sent::Other(theirs) => {
                let name = parcel.path.display().to_string();
                let theirs = blake3::Hash::from(theirs).to_hex();
                let why = format!("the server stored another one, whose BLAKE3 is {theirs}");
                Err(ClientError::Mismatch { name, reason: why })
            }
            Sent::Failed(code, why) => failed(parcel, code, why),
            Sent::Unreadable(error) => Ok(Attempt::Done(Delivered::Unreadable(error))),
        }
    }
}

/// What came of sending a file's bytes.
enum Sent {
    Stored(ChunkHash, String),
    /// It was stored with this digest, which is not its own.
    Other(ChunkHash),
    Failed(u16, String),
    Unreadable(io::Error),
}

/// Finds out, on a thread that may block, with which chunk a file begins.
async fn begin(
    mut dispatch: Dispatch,
    held: u64,
    digest: ChunkHash,
) -> (Dispatch, io::Result<u64>) {
    smol::unblock(move || {
        let begun = dispatch.begin(held, &digest);
        (dispatch, begun)
    })
    .await
}

/// Sends a file from a chunk on, and waits until it is stored; the file comes back whatever happens.
async fn send(
    line: &mut FramedLine,
    dispatch: Dispatch,
    begun: io::Result<u64>,
    tries: &mut Backoff,
    gauge: &mut Gauge,
) -> (Dispatch, Result<Sent, ClientError>) {
    let (dispatch, poured) = match begun {
        Err(error) => (dispatch, give_up(line, error).await),
        Ok(number) => {
            tries.record_progress(number);
            gauge.holds(dispatch.at());
            match line.tell(&Frame::Begin(number)).await {
                Ok(()) => pour(line, dispatch, gauge).await,
                Err(failure) => (dispatch, Err(failure)),
            }
        }
    };
    let sent = match poured {
        Ok(poured) => settle(line, poured).await,
        Err(failure) => Err(failure),
    };
    (dispatch, sent)
}

/// Waits for the server's last word on a file.
async fn settle(line: &mut FramedLine, poured: Poured) -> Result<Sent, ClientError> {
    let (ours, answer) = match poured {
        Poured::Unreadable(error) => return Ok(Sent::Unreadable(error)),
        Poured::Answered(answer) => (None, answer),
        Poured::Out(digest, Some(answer)) => (Some(digest), answer),
        Poured::Out(digest, None) => (Some(digest), line.answer().await?),
    };
    match answer {
        Answer::Failed(code, why) => Ok(Sent::Failed(code, why)),
        Answer::Stored(theirs, name) if ours == Some(theirs) => Ok(Sent::Stored(theirs, name)),
        Answer::Stored(theirs, _) if ours.is_some() => Ok(Sent::Other(theirs)),
        _ => Err(line.senseless()),
    }
}

fn directory(parcel: &Parcel) -> Offer<'_> {
    let (mode, name) = (parcel.mode, &parcel.name);
    Offer { is_directory: true, size: Some(0), mode, modified: (0, 0), name }
}

/// Takes what the server failed with for what it means; `docs/file-protocol.md` lists the codes.
fn failed(parcel: &Parcel, code: u16, why: String) -> Result<Attempt, ClientError> {
    let name = parcel.path.display().to_string();
    match code {
        1 | 7 => Err(ClientError::Mismatch { name, reason: why }),
        5 => Err(ClientError::ServerDiskFull { name, reason: why }),
        8 | 9 => Ok(Attempt::Later(why)),
        11 => Ok(Attempt::Done(Delivered::Skipped(why))),
        _ => Ok(Attempt::Done(Delivered::Refused(why))),
    }
}

/// Tells whether a failure may be over at the next attempt. A server that spoke the protocol before and does not now
/// is perhaps only starting, or it is what stands before it that answers.
fn is_passing(failure: &ClientError) -> bool {
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
