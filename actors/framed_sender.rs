//! The framed sender: sends files that arrive whole, or tells why not.
//!
//! Each file is offered by its name, sent from where the receiver has it already, and done when the receiver has it on
//! its disk under the final name. A connection that is lost is made anew, with longer and longer pauses, for as long
//! as that gets any further.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_lite::future;

use super::dispatch::{Dispatch, Filled};
use super::framed_line::{Answer, FramedLine};
use super::parcels::{Parcel, parcels};
use super::{Failure, FileInput, Report, Reporter};
use crate::net::Endpoint;
use crate::runtime::{Actor, Context, Event, Outcome};
use crate::wire::digest::Value;
use crate::wire::offer::{Failed, Frame, FrameWriter, Offer};

/// How many bytes of frames are made at a time.
const BATCH: usize = 1 << 20;

/// The first pause before a lost connection is made anew, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How many attempts in a row may get no further.
const ATTEMPTS: u32 = 10;

/// The code by which a client says that its file cannot be sent to its end.
const CHANGED: u16 = 10;

/// Sends files that arrive whole.
#[derive(Debug)]
pub struct FramedSender {
    endpoint: Endpoint,
    /// Empty: the names come through the mailbox.
    files: Vec<PathBuf>,
    forgiving: bool,
    resumes: bool,
    timeout: Duration,
    reporter: Reporter,
}

/// What one attempt at a file came to.
enum Attempt {
    Stored(Value, String),
    /// The receiver does not take it: the code and a sentence.
    Refused(u16, String),
    /// It cannot be read.
    Unreadable(std::io::Error),
}

/// What is kept over all connections.
struct Work {
    line: Option<FramedLine>,
    /// How many files could not be sent.
    bad: usize,
    /// What the worst of them failed by.
    worst: Option<Failure>,
}

impl FramedSender {
    /// Makes a sender of `files`, among which may be directories and `-` for stdin; where there are none, the names
    /// come through the mailbox.
    ///
    /// The server may take `timeout` to accept the connection, and each time to take or to answer something.
    pub fn new(
        endpoint: Endpoint,
        files: Vec<PathBuf>,
        timeout: Duration,
        reporter: Reporter,
    ) -> FramedSender {
        FramedSender { endpoint, files, forgiving: false, resumes: true, timeout, reporter }
    }

    /// Takes a bad name as something that a person will correct: it is told, and does not fail the role.
    pub fn forgiving(mut self, forgiving: bool) -> FramedSender {
        self.forgiving = forgiving;
        self
    }

    /// Sets whether a lost connection is made anew.
    pub fn resumes(mut self, resumes: bool) -> FramedSender {
        self.resumes = resumes;
        self
    }

    /// Sends a file, or all that is in a directory.
    async fn send(&self, ctx: &Context<FileInput>, work: &mut Work, path: &Path) -> Outcome {
        let from = path.to_path_buf();
        let (found, faults) = smol::unblock(move || parcels(&from)).await;
        for (path, error) in faults {
            work.bad += 1;
            self.refuse(&path, &error.to_string()).await;
        }
        for parcel in found {
            self.send_one(ctx, work, parcel).await?;
        }
        Ok(())
    }

    /// Sends one file or makes one directory, over as many connections as it takes.
    async fn send_one(&self, ctx: &Context<FileInput>, work: &mut Work, parcel: Parcel) -> Outcome {
        let (begun, path) = (ctx.now(), parcel.path.clone());
        let mut dispatch = None;
        let (mut failed, mut pause, mut sent) = (0, PAUSES.0, 0);
        let attempt = loop {
            let failure = match self.attempt(ctx, work, &parcel, &mut dispatch).await {
                // Another one is just sending it; perhaps this very sender, over a connection that is lost.
                Ok(Attempt::Refused(8 | 9, why)) => Failure::Refused { why },
                Ok(attempt) => break attempt,
                Err(failure) => failure,
            };
            work.line = None;
            let now = dispatch.as_ref().map_or(0, |dispatch: &Dispatch| dispatch.sent);
            if now > sent {
                (failed, pause, sent) = (0, PAUSES.0, now);
            }
            failed += 1;
            let again = dispatch.as_ref().is_none_or(Dispatch::can_begin_again);
            let is_lost = !matches!(failure, Failure::Plain { .. } | Failure::Protocol { .. });
            // The first connection of all is not lost but never was.
            let was_there = dispatch.is_some() || work.bad > 0;
            if !(self.resumes && again && is_lost && was_there) || failed >= ATTEMPTS {
                return Err(failure.into());
            }
            let why = format!("{failure}; trying again");
            self.reporter.tell(|| Report::Refused { peer: None, why }).await;
            ctx.clock().sleep_about(pause).await;
            pause = (2 * pause).min(PAUSES.1);
        };
        match attempt {
            Attempt::Stored(..) if parcel.is_directory => {}
            Attempt::Stored(digest, stored) => {
                let bytes = dispatch.map_or(0, |dispatch| dispatch.length());
                let (name, took) = (path.display().to_string(), ctx.now() - begun);
                let blake3 = Some(blake3::Hash::from(digest).to_hex().to_string());
                let stored = Some(stored);
                self.reporter.tell(|| Report::Sent { name, bytes, took, blake3, stored }).await;
            }
            Attempt::Refused(code, why) => {
                work.bad += 1;
                if let Some(failure) = Failure::of_code(code, &why) {
                    work.worst = Some(failure);
                }
                self.refuse(&path, &why).await;
            }
            Attempt::Unreadable(error) => {
                work.bad += 1;
                self.refuse(&path, &error.to_string()).await;
            }
        }
        Ok(())
    }

    async fn refuse(&self, path: &Path, why: &str) {
        let why = format!("{}: {why}", path.display());
        self.reporter.tell(|| Report::Refused { peer: None, why }).await;
    }

    /// Tries to send a parcel over one connection.
    async fn attempt(
        &self,
        ctx: &Context<FileInput>,
        work: &mut Work,
        parcel: &Parcel,
        kept: &mut Option<Dispatch>,
    ) -> Result<Attempt, Failure> {
        if !parcel.is_directory && kept.is_none() {
            let path = parcel.path.clone();
            match smol::unblock(move || Dispatch::open(&path)).await {
                Ok(dispatch) => *kept = Some(dispatch),
                Err(error) => return Ok(Attempt::Unreadable(error)),
            }
        }
        if work.line.is_none() {
            let line = FramedLine::open(ctx.clock(), &self.endpoint, self.timeout).await?;
            work.line = Some(line);
        }
        let Some(line) = &mut work.line else { return Ok(Attempt::Refused(9, String::new())) };
        let offer = match kept {
            Some(dispatch) => dispatch.offer(&parcel.name),
            None => Offer {
                is_directory: true,
                size: Some(0),
                mode: parcel.mode,
                modified: (0, 0),
                name: &parcel.name,
            },
        };
        line.tell(&Frame::Offer(offer)).await?;
        let (held, digest) = match line.answer().await? {
            Answer::Stored(digest, name) => return Ok(Attempt::Stored(digest, name)),
            Answer::Failed(code, why) => return Ok(Attempt::Refused(code, why)),
            Answer::Held(held, digest) => (held, digest),
        };
        let Some(mut dispatch) = kept.take() else { return Ok(Attempt::Refused(1, String::new())) };
        let (begun, came_back) = smol::unblock(move || {
            let begun = dispatch.begin(held, digest);
            (begun, dispatch)
        })
        .await;
        *kept = Some(came_back);
        match begun {
            Ok(number) => line.tell(&Frame::Begin(number)).await?,
            Err(error) => return self.give_up(line, error).await,
        }
        self.pour(line, kept).await
    }

    /// Sends chunks until the end, and waits until they are stored.
    async fn pour(
        &self,
        line: &mut FramedLine,
        kept: &mut Option<Dispatch>,
    ) -> Result<Attempt, Failure> {
        let mut frames = std::mem::take(&mut line.frames);
        let mut bytes = Vec::new();
        loop {
            let Some(mut dispatch) = kept.take() else { break };
            bytes.clear();
            let filled;
            (filled, dispatch, frames, bytes) = fill(dispatch, frames, bytes).await;
            *kept = Some(dispatch);
            match filled {
                Err(error) => {
                    line.frames = frames;
                    line.write(&bytes).await?;
                    return self.give_up(line, error).await;
                }
                Ok(filled) => {
                    line.write(&bytes).await?;
                    if let Some(Answer::Failed(code, why)) = line.heard()? {
                        line.frames = frames;
                        return Ok(Attempt::Refused(code, why));
                    }
                    if filled != Filled::More {
                        break;
                    }
                }
            }
        }
        line.frames = frames;
        Ok(match line.answer().await? {
            Answer::Stored(digest, name) => Attempt::Stored(digest, name),
            Answer::Failed(code, why) => Attempt::Refused(code, why),
            Answer::Held(..) => Attempt::Refused(1, "the server answered twice".into()),
        })
    }

    /// Tells the receiver that the file cannot be sent to its end.
    async fn give_up(
        &self,
        line: &mut FramedLine,
        error: std::io::Error,
    ) -> Result<Attempt, Failure> {
        let why = error.to_string();
        line.tell(&Frame::Failed(Failed { code: CHANGED, why: &why })).await?;
        Ok(Attempt::Unreadable(error))
    }

    /// Sends the files whose names come through the mailbox.
    async fn send_named(&self, ctx: &mut Context<FileInput>, work: &mut Work) -> Outcome {
        loop {
            self.reporter.tell(|| Report::Ready).await;
            let Event::Message(FileInput::Name(path)) = ctx.next(future::pending::<()>()).await
            else {
                return Ok(());
            };
            if !path.as_os_str().is_empty() {
                self.send(ctx, work, &path).await?;
            }
        }
    }
}

/// Makes the next frames, on a thread that may block.
async fn fill(
    mut dispatch: Dispatch,
    mut frames: FrameWriter,
    mut bytes: Vec<u8>,
) -> (std::io::Result<Filled>, Dispatch, FrameWriter, Vec<u8>) {
    smol::unblock(move || {
        let filled = dispatch.fill(&mut frames, &mut bytes, BATCH);
        (filled, dispatch, frames, bytes)
    })
    .await
}

impl Actor for FramedSender {
    type Message = FileInput;

    async fn run(self, mut ctx: Context<FileInput>) -> Outcome {
        let mut work = Work { line: None, bad: 0, worst: None };
        if self.files.is_empty() {
            self.send_named(&mut ctx, &mut work).await?;
        }
        for path in &self.files {
            // A stop ends it at the next file; the program's second signal does at once.
            if ctx.is_stopping() {
                break;
            }
            self.send(&ctx, &mut work, path).await?;
        }
        if let Some(line) = work.line {
            line.close().await;
        }
        match (work.worst, work.bad) {
            (Some(failure), _) => Err(failure.into()),
            (None, count @ 1..) if !self.forgiving => Err(Failure::NotSent { count }.into()),
            _ => Ok(()),
        }
    }
}
