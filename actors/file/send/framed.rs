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

use crate::actors::file::send::uploader::{UploadOutcome, Uploader};
use crate::actors::file::send::walk::{SendItem, WalkError, explain_io_error, walk};
use crate::actors::{
    ClientError, FileInput, Report, Reporter, SentFile, TotalProgress, TransferSummary,
};
use crate::net::Endpoint;
use crate::runtime::{Actor, Clock, Context, Event, Outcome};
use crate::wire::file::digest::ChunkHash;

/// How many files the report at the end lists.
const MAX_LISTED_FILES: usize = 1000;

/// Sends files that arrive whole.
#[derive(Debug)]
pub struct FramedSender {
    endpoint: Endpoint,
    /// Empty: the names come through the mailbox.
    files: Vec<PathBuf>,
    stdin: Option<Arc<File>>,
    tolerate_errors: bool,
    resume: bool,
    timeout: Duration,
    reporter: Reporter,
}

/// What is kept from one file to the next.
struct SendRun {
    uploader: Uploader,
    started_at: Instant,
    summary: TransferSummary,
    /// The bytes of all files, where they are known.
    total_size: Option<u64>,
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
        FramedSender {
            endpoint,
            files,
            stdin,
            tolerate_errors: forgiving,
            resume: resumes,
            timeout,
            reporter,
        }
    }

    /// Sets what is sent under the name `stdin` for the file `-`. It cannot be sent a second time.
    pub fn stdin(mut self, stdin: Option<Arc<File>>) -> FramedSender {
        self.stdin = stdin;
        self
    }

    /// Sets whether a bad name among those that come through the mailbox is something that a person will correct: it is told,
    /// and does not fail the role.
    pub fn tolerate_errors(mut self, forgiving: bool) -> FramedSender {
        self.tolerate_errors = forgiving;
        self
    }

    /// Sets whether a lost connection is made anew, and a file is not sent again as far as the receiver holds it.
    pub fn resume(mut self, resumes: bool) -> FramedSender {
        self.resume = resumes;
        self
    }

    fn new_run(&self, clock: &Clock) -> SendRun {
        let courier = Uploader {
            clock: clock.clone(),
            endpoint: self.endpoint.clone(),
            timeout: self.timeout,
            resume: self.resume,
            stdin: self.stdin.clone(),
            reporter: self.reporter.clone(),
            connection: None,
            was_connected: false,
        };
        SendRun {
            uploader: courier,
            started_at: clock.now(),
            summary: TransferSummary::default(),
            total_size: None,
        }
    }

    /// Sends the files that were given at the start. Without one that can be sent there is no connection.
    async fn send_files(&self, work: &mut SendRun) -> Result<(), ClientError> {
        let paths = self.files.clone();
        let find = move || paths.iter().map(|path| walk(path)).collect::<Vec<_>>();
        let found = smol::unblock(find).await;
        let (parcels, faults): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        self.report_walk_errors(work, faults.into_iter().flatten().collect()).await;
        let parcels: Vec<SendItem> = parcels.into_iter().flatten().collect();
        let sizes: Option<Vec<u64>> = parcels.iter().map(|parcel| parcel.size).collect();
        let is_one = parcels.iter().filter(|parcel| !parcel.is_directory).count() < 2;
        work.total_size = sizes.filter(|_| !is_one).map(|sizes| sizes.iter().sum());
        for parcel in &parcels {
            self.send_item(work, parcel).await?;
        }
        Ok(())
    }

    /// Sends the files whose names come through the mailbox.
    async fn send_from_mailbox(
        &self,
        ctx: &mut Context<FileInput>,
        work: &mut SendRun,
    ) -> Result<(), ClientError> {
        let Some(connected) = ctx.unless_stopped(work.uploader.connect()).await else {
            return Ok(());
        };
        connected?;
        loop {
            self.reporter.send(|| Report::Ready).await;
            let Event::Message(FileInput::Path(path)) = ctx.next(future::pending::<()>()).await
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

    async fn send_path(&self, work: &mut SendRun, path: PathBuf) -> Result<(), ClientError> {
        let (found, faults) = smol::unblock(move || walk(&path)).await;
        self.report_walk_errors(work, faults).await;
        for parcel in &found {
            self.send_item(work, parcel).await?;
        }
        Ok(())
    }

    async fn report_walk_errors(&self, work: &mut SendRun, faults: Vec<WalkError>) {
        for (path, error) in faults {
            work.summary.failed += 1;
            self.report_not_sent(&path, &explain_io_error(&error)).await;
        }
    }

    /// Sends one file, or makes one directory.
    async fn send_item(&self, work: &mut SendRun, parcel: &SendItem) -> Result<(), ClientError> {
        let clock = work.uploader.clock.clone();
        let begun = clock.now();
        let (bytes, took) = (work.summary.bytes, begun - work.started_at);
        let all = work.total_size.map(|size| TotalProgress { bytes, size, elapsed: took });
        let why = match work.uploader.upload(parcel, all).await? {
            UploadOutcome::DirectoryCreated => return Ok(()),
            UploadOutcome::Stored(bytes, digest, stored) => {
                let took = clock.now() - begun;
                self.record_stored(work, parcel, (bytes, digest, stored), took).await;
                return Ok(());
            }
            UploadOutcome::Skipped(why) => {
                self.report_not_sent(&parcel.path, &why).await;
                return Ok(());
            }
            UploadOutcome::Rejected(why) => why,
            UploadOutcome::Unreadable(error) => explain_io_error(&error),
        };
        work.summary.failed += 1;
        self.report_not_sent(&parcel.path, &why).await;
        Ok(())
    }

    /// Counts and tells a file that was stored.
    async fn record_stored(
        &self,
        work: &mut SendRun,
        parcel: &SendItem,
        (bytes, digest, stored): (u64, ChunkHash, String),
        took: Duration,
    ) {
        let (name, blake3) = (parcel.path.display().to_string(), blake3::Hash::from(digest));
        let blake3 = blake3.to_hex().to_string();
        let total = &mut work.summary;
        total.file_count += 1;
        total.bytes += bytes;
        if total.listed_files.len() < MAX_LISTED_FILES {
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

    async fn report_not_sent(&self, path: &Path, why: &str) {
        let why = format!("{}: {why}", path.display());
        self.reporter.send(|| Report::Warning { reason: why }).await;
    }
}

impl Actor for FramedSender {
    type Message = FileInput;

    async fn run(self, mut ctx: Context<FileInput>) -> Outcome {
        let mut work = self.new_run(ctx.clock());
        let result = match self.files.is_empty() {
            true => self.send_from_mailbox(&mut ctx, &mut work).await,
            false => ctx.unless_stopped(self.send_files(&mut work)).await.unwrap_or(Ok(())),
        };
        let SendRun { uploader: courier, started_at: begun, summary: mut total, .. } = work;
        if let Some(line) = courier.connection {
            line.close().await;
        }
        total.elapsed = ctx.now() - begun;
        let count = usize::try_from(total.failed).unwrap_or(usize::MAX);
        self.reporter.send(|| Report::TransferSummary(total)).await;
        result?;
        match count {
            1.. if !(self.tolerate_errors && self.files.is_empty()) => {
                Err(ClientError::FilesFailed { count }.into())
            }
            _ => Ok(()),
        }
    }
}
