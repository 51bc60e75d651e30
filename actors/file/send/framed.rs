//! The framed sender: sends files so that each arrives complete, or reports why it did not.
//!
//! Each file is offered by its name and sent from the first chunk that the server does not have.
//! It is done when the server has it on its disk under the final name. A lost connection is
//! reconnected with growing delays, for as long as each attempt makes progress.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future;

use crate::actors::file::send::raw::FileInput;
use crate::actors::file::send::read_error::explain_io_error;
use crate::actors::file::send::threads::FileThreads;
use crate::actors::file::send::uploader::{UploadOutcome, Uploader};
use crate::actors::file::send::walk::{SendItem, WalkError, walk};
use crate::actors::{ClientError, Report, Reporter, TotalProgress, TransferSummary};
use crate::net::Endpoint;
#[cfg(feature = "testing")]
use crate::net::Stream;
use crate::runtime::{Actor, Clock, Context, Event, Outcome};

/// An actor that sends files that arrive complete.
#[derive(Debug)]
pub struct FramedSender {
    endpoint: Endpoint,
    /// The files to send. If it is empty, the paths come through the mailbox.
    files: Vec<PathBuf>,
    stdin: Option<Arc<File>>,
    tolerate_errors: bool,
    resume: bool,
    timeout: Duration,
    reporter: Reporter,
    threads: FileThreads,
    #[cfg(feature = "testing")]
    streams: Option<Vec<Stream>>,
}

/// The state of one run, which lasts from the first file to the last.
struct SendRun {
    uploader: Uploader,
    started_at: Instant,
    summary: TransferSummary,
    /// The size of all files in bytes, if there are several and all sizes are known.
    total_size: Option<u64>,
    /// The name of the file that is being sent.
    current: Option<String>,
}

impl FramedSender {
    /// Creates a sender of `files`, which may include directories. If there are none, the paths
    /// come through the mailbox.
    ///
    /// `timeout` is the time limit of connecting, of each write and of each reply.
    pub fn new(
        endpoint: Endpoint,
        files: Vec<PathBuf>,
        timeout: Duration,
        reporter: Reporter,
    ) -> FramedSender {
        FramedSender {
            endpoint,
            files,
            stdin: None,
            tolerate_errors: false,
            resume: true,
            timeout,
            reporter,
            threads: FileThreads::default(),
            #[cfg(feature = "testing")]
            streams: None,
        }
    }

    /// Uses these connections, the last one first, instead of new ones to the endpoint. For
    /// simulations, so it also reads files on the calling thread.
    #[cfg(feature = "testing")]
    pub fn streams(mut self, streams: Vec<Stream>) -> FramedSender {
        self.streams = Some(streams);
        self.threads = FileThreads::Inline;
        self
    }

    /// Sets the file that is sent under the name `stdin` for the path `-`. It cannot be sent a
    /// second time.
    pub fn stdin(mut self, stdin: Option<Arc<File>>) -> FramedSender {
        self.stdin = stdin;
        self
    }

    /// Sets whether a path from the mailbox that cannot be sent is only reported, and does not fail
    /// the actor. Use it if a user can correct the path.
    pub fn tolerate_errors(mut self, tolerate_errors: bool) -> FramedSender {
        self.tolerate_errors = tolerate_errors;
        self
    }

    /// Sets whether a lost connection is reconnected, and whether chunks that the server has are
    /// not sent again. The default is `true`.
    pub fn resume(mut self, resume: bool) -> FramedSender {
        self.resume = resume;
        self
    }

    fn new_run(&mut self, clock: &Clock) -> SendRun {
        let uploader = Uploader {
            clock: clock.clone(),
            endpoint: self.endpoint.clone(),
            timeout: self.timeout,
            resume: self.resume,
            stdin: self.stdin.clone(),
            threads: self.threads,
            #[cfg(feature = "testing")]
            streams: self.streams.take(),
            reporter: self.reporter.clone(),
            connection: None,
            was_connected: false,
        };
        let summary = TransferSummary::default();
        SendRun { uploader, started_at: clock.now(), summary, total_size: None, current: None }
    }

    /// Sends the files that were given at the start. Connects only if a file can be sent.
    async fn send_files(&self, run: &mut SendRun) -> Result<(), ClientError> {
        let paths = self.files.clone();
        let found = move || paths.iter().map(|path| walk(path)).collect::<Vec<_>>();
        let found = self.threads.start(found).await;
        let (items, errors): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        self.report_walk_errors(run, errors.into_iter().flatten().collect()).await;
        let items: Vec<SendItem> = items.into_iter().flatten().collect();
        let sizes: Option<Vec<u64>> = items.iter().map(|item| item.size).collect();
        let has_several = items.iter().filter(|item| !item.is_directory).count() > 1;
        run.total_size = sizes.filter(|_| has_several).map(|sizes| sizes.iter().sum());
        for item in &items {
            self.send_item(run, item).await?;
        }
        Ok(())
    }

    /// Sends the files whose paths come through the mailbox.
    async fn send_from_mailbox(
        &self,
        ctx: &mut Context<FileInput>,
        run: &mut SendRun,
    ) -> Result<(), ClientError> {
        let Some(connected) = ctx.unless_stopped(run.uploader.connect()).await else {
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
            let Some(sent) = ctx.unless_stopped(self.send_path(run, path)).await else {
                return Ok(());
            };
            sent?;
        }
    }

    async fn send_path(&self, run: &mut SendRun, path: PathBuf) -> Result<(), ClientError> {
        let (items, errors) = self.threads.start(move || walk(&path)).await;
        self.report_walk_errors(run, errors).await;
        for item in &items {
            self.send_item(run, item).await?;
        }
        Ok(())
    }

    async fn report_walk_errors(&self, run: &mut SendRun, errors: Vec<WalkError>) {
        for (path, error) in errors {
            run.summary.failed += 1;
            self.report_not_sent(&path, &explain_io_error(&error)).await;
        }
    }

    /// Sends a file, or creates a directory on the server.
    async fn send_item(&self, run: &mut SendRun, item: &SendItem) -> Result<(), ClientError> {
        let clock = run.uploader.clock.clone();
        let started_at = clock.now();
        let (bytes, elapsed) = (run.summary.bytes, started_at - run.started_at);
        let total_before = run.total_size.map(|size| TotalProgress { bytes, size, elapsed });
        run.current = (!item.is_directory).then(|| item.path.display().to_string());
        let outcome = run.uploader.upload(item, total_before).await?;
        run.current = None;
        let reason = match outcome {
            UploadOutcome::DirectoryCreated => return Ok(()),
            UploadOutcome::Stored { size, hash, name, resumed_bytes } => {
                run.summary.file_count += 1;
                run.summary.bytes += size;
                let report = Report::FileSent {
                    name: item.path.display().to_string(),
                    bytes: size,
                    elapsed: clock.now() - started_at,
                    blake3: Some(blake3::Hash::from(hash).to_hex().to_string()),
                    stored_name: Some(name),
                    resumed_bytes,
                };
                self.reporter.send(|| report).await;
                return Ok(());
            }
            UploadOutcome::Skipped(reason) => {
                self.report_not_sent(&item.path, &reason).await;
                return Ok(());
            }
            UploadOutcome::Rejected(reason) => reason,
            UploadOutcome::Unreadable(error) => explain_io_error(&error),
        };
        run.summary.failed += 1;
        self.report_not_sent(&item.path, &reason).await;
        Ok(())
    }

    /// Reports a file that a stop request interrupted.
    async fn report_interrupted(&self, name: String) {
        let remedy = match self.resume && name != "-" {
            true => "; send it again to continue",
            false => "",
        };
        let reason = format!("{name} is not stored{remedy}");
        self.reporter.send(|| Report::Warning { reason }).await;
    }

    async fn report_not_sent(&self, path: &Path, reason: &str) {
        let name = path.display().to_string();
        // Some of the server's reasons start with the name.
        let reason = match reason.starts_with(&name) {
            true => reason.to_owned(),
            false => format!("{name}: {reason}"),
        };
        self.reporter.send(|| Report::Warning { reason }).await;
    }
}

impl Actor for FramedSender {
    type Message = FileInput;

    async fn run(mut self, mut ctx: Context<FileInput>) -> Outcome {
        let mut run = self.new_run(ctx.clock());
        let result = match self.files.is_empty() {
            true => self.send_from_mailbox(&mut ctx, &mut run).await,
            false => ctx.unless_stopped(self.send_files(&mut run)).await.unwrap_or(Ok(())),
        };
        let SendRun { uploader, started_at, mut summary, current, .. } = run;
        if let (Ok(()), Some(name)) = (&result, current) {
            self.report_interrupted(name).await;
        }
        if let Some(connection) = uploader.connection {
            connection.close().await;
        }
        summary.elapsed = ctx.now() - started_at;
        let count = usize::try_from(summary.failed).unwrap_or(usize::MAX);
        self.reporter.send(|| Report::TransferSummary(summary)).await;
        result?;
        match count {
            1.. if !(self.tolerate_errors && self.files.is_empty()) => {
                Err(ClientError::FilesFailed { count }.into())
            }
            _ => Ok(()),
        }
    }
}
