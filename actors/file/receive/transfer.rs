//! The replies to a sender and the reports about its files.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::actors::file::progress::ProgressReporter;
use crate::actors::file::receive::limits::{
    MIN_PROGRESS_BYTES, REPLY_WRITE_TIMEOUT, WAIT_FRAME_INTERVAL,
};
use crate::actors::file::receive::upload::Upload;
use crate::actors::file::receive::upload::event::UploadEvent;
use crate::actors::support::memory_budget::ConnectionMemory;
use crate::actors::support::throttle::{ThrottledEvent, ThrottledReports};
use crate::actors::support::write;
use crate::actors::{Report, Reporter};
use crate::net::{Peer, Stream};
use crate::runtime::Context;
use crate::wire::file::{Frame, FrameWriter};

/// One connection that files are received on.
pub(super) struct Transfer {
    pub(super) stream: Arc<Stream>,
    pub(super) memory: ConnectionMemory,
    peer: Peer,
    reporter: Reporter,
    /// Writes the replies. `None` on a raw connection, which has none.
    pub(super) frame_writer: Option<FrameWriter>,
    /// The events that are not replied to and reported yet.
    pub(super) events: Vec<UploadEvent>,
    /// The start of the current file.
    pub(super) started_at: Instant,
    /// Reports the progress of the current file, once it has enough bytes.
    progress: Option<ProgressReporter>,
    rejections: ThrottledReports<RejectedFile, 1>,
}

/// A file that the sender was told to have failed.
#[derive(Debug)]
struct RejectedFile {
    name: String,
    reason: String,
}

impl ThrottledEvent for RejectedFile {
    fn kind(&self) -> usize {
        0
    }

    fn into_report(self, peer: Option<Peer>, count: u64) -> Report {
        let RejectedFile { name, reason } = self;
        let reason = match (&*name, count) {
            ("", _) => reason,
            (_, 1) => format!("{name}: {reason}"),
            _ => format!("{name}: {reason} ({count} files rejected so far)"),
        };
        Report::Rejected { peer, reason }
    }
}

impl Transfer {
    pub(super) fn new(
        stream: Arc<Stream>,
        memory: ConnectionMemory,
        peer: Peer,
        reporter: Reporter,
        started_at: Instant,
    ) -> Transfer {
        Transfer {
            stream,
            memory,
            peer,
            reporter,
            frame_writer: None,
            events: Vec::new(),
            started_at,
            progress: None,
            rejections: ThrottledReports::default(),
        }
    }

    /// Replies to the sender, and reports stored and rejected files.
    pub(super) async fn flush_events(&mut self, ctx: &Context<()>) -> Result<(), String> {
        let mut bytes = Vec::new();
        for event in mem::take(&mut self.events) {
            self.progress = None;
            if let Some(frame_writer) = &mut self.frame_writer {
                frame_writer.write(&event.as_frame(), &mut bytes);
            }
            match event {
                UploadEvent::ResumeAt { .. } => self.started_at = ctx.now(),
                UploadEvent::DirectoryCreated { .. } => {}
                UploadEvent::Failed { name, log, .. } => {
                    self.rejections.add(RejectedFile { name, reason: log }, Some(&self.peer), 1);
                }
                UploadEvent::Stored { size, hash, name } => {
                    let elapsed = ctx.now() - self.started_at;
                    let blake3 = hash.map(|hash| blake3::Hash::from(hash).to_hex().to_string());
                    let peer = Some(self.peer.clone());
                    let report = || Report::FileStored { name, bytes: size, blake3, elapsed, peer };
                    self.reporter.send(report).await;
                }
            }
        }
        self.report_due_rejections(ctx).await;
        self.write(ctx, &bytes).await
    }

    /// Returns the time until rejected files must be reported, or `None` if there are none.
    pub(super) fn next_rejection_due(&self, ctx: &Context<()>) -> Option<Duration> {
        self.rejections.next_due(|| ctx.now())
    }

    /// Reports the rejected files, at most once per second.
    pub(super) async fn report_due_rejections(&mut self, ctx: &Context<()>) {
        self.reporter.send_all(self.rejections.take_due(|| ctx.now())).await;
    }

    /// Reports the rejected files that are not reported yet.
    pub(super) async fn report_all_rejections(&mut self) {
        self.reporter.send_all(self.rejections.drain()).await;
    }

    /// Reports a failure and returns its reason.
    pub(super) async fn report_failure(&self, reason: String) -> String {
        let (peer, reported) = (Some(self.peer.clone()), reason.clone());
        self.reporter.send(|| Report::Rejected { peer, reason: reported }).await;
        reason
    }

    /// Reports the progress of the current file.
    pub(super) fn report_progress(&mut self, ctx: &Context<()>, upload: &Upload) {
        if !self.reporter.is_enabled() {
            return;
        }
        let progress = upload.progress();
        let Some(progress) = progress.filter(|progress| progress.length >= MIN_PROGRESS_BYTES)
        else {
            return;
        };
        let progress_reporter = self.progress.get_or_insert_with(|| {
            let peer = Some(self.peer.clone());
            let (name, size) = (progress.name, progress.size);
            ProgressReporter::new(&self.reporter, ctx.clock(), peer, name, size, None)
                .with_start(self.started_at)
        });
        progress_reporter.set_resumed(progress.resumed_bytes);
        progress_reporter.update(progress.length);
    }

    /// Tells a framed sender that the server still works on its file.
    pub(super) async fn send_wait_frame(&mut self, ctx: &Context<()>) -> Result<(), String> {
        let mut bytes = Vec::new();
        if let Some(frame_writer) = &mut self.frame_writer {
            frame_writer.write(&Frame::Wait, &mut bytes);
        }
        self.write(ctx, &bytes).await
    }

    /// Sends a `wait` frame if the server has worked for a second without one. `since` is the start
    /// of the work, or the time of the last frame.
    pub(super) async fn send_due_wait_frame(
        &mut self,
        ctx: &Context<()>,
        since: &mut Option<Instant>,
    ) -> Result<(), String> {
        let now = ctx.now();
        if now - *since.get_or_insert(now) < WAIT_FRAME_INTERVAL {
            return Ok(());
        }
        *since = Some(now);
        self.send_wait_frame(ctx).await
    }

    pub(super) async fn write(&self, ctx: &Context<()>, bytes: &[u8]) -> Result<(), String> {
        let written =
            write::write_all_with_timeout(ctx.clock(), &self.stream, REPLY_WRITE_TIMEOUT, bytes)
                .await;
        written.map_err(|error| error.to_string())
    }
}
