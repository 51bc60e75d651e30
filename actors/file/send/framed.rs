//! The framed sender: sends files that arrive whole, or tells why not.
//!
//! Each file is offered by its name, sent from where the receiver has it already, and done when the receiver has it on
//! its disk under the final name. A connection that is lost is made anew, with longer and longer pauses, for as long as
//! that gets any further.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future;

use crate::actors::file::send::uploader::{Courier, Delivered};
use crate::actors::file::send::walk::{Fault, Parcel, parcels, remedy};
use crate::actors::{
    ClientError, FileInput, Report, Reporter, SentFile, TotalProgress, TransferSummary,
};
use crate::net::Endpoint;
use crate::runtime::{Actor, Clock, Context, Event, Outcome};
use crate::wire::file::digest::ChunkHash;

/// How many files the report at the end lists.
const ROWS: usize = 1000;

/// Sends files that arrive whole.
#[derive(Debug)]
pub struct FramedSender {
    endpoint: Endpoint,
    /// Empty: the names come through the mailbox.
    files: Vec<PathBuf>,
    stdin: Option<Arc<File>>,
    forgiving: bool,
    resumes: bool,
    timeout: Duration,
    reporter: Reporter,
}

/// What is kept from one file to the next.
struct Work {
    courier: Courier,
    begun: Instant,
    total: TransferSummary,
    /// The bytes of all files, where they are known.
    all: Option<u64>,
}

impl FramedSender {
    /// Makes a sender of `files`, among which may be directories; where there are none, the names come through the
    /// mailbox.
    ///
    /// The server may take `timeout` to accept the connection, and each time to take or to answer something.
    pub fn new(
        endpoint: Endpoint,
        files: Vec<PathBuf>,
        timeout: Duration,
        reporter: Reporter,
    ) -> FramedSender {
        let (stdin, forgiving, resumes) = (None, false, true);
        FramedSender { endpoint, files, stdin, forgiving, resumes, timeout, reporter }
    }

    /// Sets what is sent under the name `stdin` for the file `-`. It cannot be sent a second time.
    pub fn stdin(mut self, stdin: Option<Arc<File>>) -> FramedSender {
        self.stdin = stdin;
        self
    }

    /// Sets whether a bad name among those that come through the mailbox is something that a person will correct: it is told,
    /// and does not fail the role.
    pub fn forgiving(mut self, forgiving: bool) -> FramedSender {
        self.forgiving = forgiving;
        self
    }

    /// Sets whether a lost connection is made anew, and a file is not sent again as far as the receiver holds it.
    pub fn resumes(mut self, resumes: bool) -> FramedSender {
        self.resumes = resumes;
        self
    }

    fn work(&self, clock: &Clock) -> Work {
        let courier = Courier {
            clock: clock.clone(),
            endpoint: self.endpoint.clone(),
            limit: self.timeout,
            resumes: self.resumes,
            stdin: self.stdin.clone(),
            reporter: self.reporter.clone(),
            line: None,
            was_connected: false,
        };
        Work { courier, begun: clock.now(), total: TransferSummary::default(), all: None }
    }

    /// Sends the files that were given at the start. Without one that can be sent there is no connection.
    async fn send_listed(&self, work: &mut Work) -> Result<(), ClientError> {
        let paths = self.files.clone();
        let find = move || paths.iter().map(|path| parcels(path)).collect::<Vec<_>>();
        let found = smol::unblock(find).await;
        let (parcels, faults): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        self.tell_faults(work, faults.into_iter().flatten().collect()).await;
        let parcels: Vec<Parcel> = parcels.into_iter().flatten().collect();
        let sizes: Option<Vec<u64>> = parcels.iter().map(|parcel| parcel.size).collect();
        let is_one = parcels.iter().filter(|parcel| !parcel.is_directory).count() < 2;
        work.all = sizes.filter(|_| !is_one).map(|sizes| sizes.iter().sum());
        for parcel in &parcels {
            self.send(work, parcel).await?;
        }
        Ok(())
    }

    /// Sends the files whose names come through the mailbox.
    async fn send_named(
        &self,
        ctx: &mut Context<FileInput>,
        work: &mut Work,
    ) -> Result<(), ClientError> {
        let Some(connected) = ctx.unless_stopped(work.courier.connect()).await else {
            return Ok(());
        };
        connected?;
        loop {
            self.reporter.send(|| Report::Ready).await;
            let Event::Message(FileInput::Name(path)) = ctx.next(future::pending::<()>()).await
            else {
                return Ok(());
            };
            if path.as_os_str().is_empty() {
                continue;
            }
            let Some(sent) = ctx.unless_stopped(self.send_path(work, path)).await else {
                return Ok(());
            };
            sent?;
        }
    }

    async fn send_path(&self, work: &mut Work, path: PathBuf) -> Result<(), ClientError> {
        let (found, faults) = smol::unblock(move || parcels(&path)).await;
        self.tell_faults(work, faults).await;
        for parcel in &found {
            self.send(work, parcel).await?;
        }
        Ok(())
    }

    async fn tell_faults(&self, work: &mut Work, faults: Vec<Fault>) {
        for (path, error) in faults {
            work.total.failed += 1;
            self.refuse(&path, &remedy(&error)).await;
        }
    }

    /// Sends one file, or makes one directory.
    async fn send(&self, work: &mut Work, parcel: &Parcel) -> Result<(), ClientError> {
        let clock = work.courier.clock.clone();
        let begun = clock.now();
        let (bytes, took) = (work.total.bytes, begun - work.begun);
        let all = work.all.map(|size| TotalProgress { bytes, size, elapsed: took });
        let why = match work.courier.deliver(parcel, all).await? {
            Delivered::Made => return Ok(()),
            Delivered::Stored(bytes, digest, stored) => {
                let took = clock.now() - begun;
                self.count(work, parcel, (bytes, digest, stored), took).await;
                return Ok(());
            }
            Delivered::Skipped(why) => {
                self.refuse(&parcel.path, &why).await;
                return Ok(());
            }
            Delivered::Refused(why) => why,
            Delivered::Unreadable(error) => remedy(&error),
        };
        work.total.failed += 1;
        self.refuse(&parcel.path, &why).await;
        Ok(())
    }

    /// Counts and tells a file that was stored.
    async fn count(
        &self,
        work: &mut Work,
        parcel: &Parcel,
        (bytes, digest, stored): (u64, ChunkHash, String),
        took: Duration,
    ) {
        let (name, blake3) = (parcel.path.display().to_string(), blake3::Hash::from(digest));
        let blake3 = blake3.to_hex().to_string();
        let total = &mut work.total;
        total.file_count += 1;
        total.bytes += bytes;
        if total.listed_files.len() < ROWS {
            total.listed_files.push(SentFile {
                name: name.clone(),
                bytes,
                blake3: blake3.clone(),
                elapsed: took,
            });
        }
        let (blake3, stored) = (Some(blake3), Some(stored));
        self.reporter
            .send(|| Report::FileSent { name, bytes, elapsed: took, blake3, stored_name: stored })
            .await;
    }

    async fn refuse(&self, path: &Path, why: &str) {
        let why = format!("{}: {why}", path.display());
        self.reporter.send(|| Report::Rejected { peer: None, reason: why }).await;
    }
}

impl Actor for FramedSender {
    type Message = FileInput;

    async fn run(self, mut ctx: Context<FileInput>) -> Outcome {
        let mut work = self.work(ctx.clock());
        let result = match self.files.is_empty() {
            true => self.send_named(&mut ctx, &mut work).await,
            false => ctx.unless_stopped(self.send_listed(&mut work)).await.unwrap_or(Ok(())),
        };
        let Work { courier, begun, mut total, .. } = work;
        if let Some(line) = courier.line {
            line.close().await;
        }
        total.elapsed = ctx.now() - begun;
        let count = usize::try_from(total.failed).unwrap_or(usize::MAX);
        self.reporter.send(|| Report::TransferSummary(total)).await;
        result?;
        match count {
            1.. if !(self.forgiving && self.files.is_empty()) => {
                Err(ClientError::FilesFailed { count }.into())
            }
            _ => Ok(()),
        }
    }
}
