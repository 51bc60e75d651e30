//! What has to be told of a connection on which files come: answers to the sender, reports to everybody else.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Service;
use crate::actors::Report;
use crate::actors::file::progress::ProgressReporter;
use crate::actors::file::receive::upload::{Upload, UploadEvent};
use crate::actors::support::write;
use crate::net::Stream;
use crate::runtime::Context;
use crate::wire::file::{Frame, FrameWriter};

/// How long a sender may take nothing of what it is answered.
const REPLY_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// So many bytes have to be there before anybody is told how far a file is: a crowd of senders of a byte now and then would be
/// told of as often as it says one.
const MIN_PROGRESS_BYTES: u64 = 4 << 10;

/// A connection that has begun.
pub(super) struct Transfer {
    pub(super) stream: Arc<Stream>,
    /// Where the answers are framed.
    pub(super) frame_writer: Option<FrameWriter>,
    /// What is to be passed on.
    pub(super) events: Vec<UploadEvent>,
    /// When the file began that comes in.
    started_at: Instant,
    /// How far it is, once it takes long enough to be of interest.
    progress: Option<ProgressReporter>,
}

impl Transfer {
    pub(super) fn new(stream: Arc<Stream>, begun: Instant) -> Transfer {
        Transfer {
            stream,
            frame_writer: None,
            events: Vec::new(),
            started_at: begun,
            progress: None,
        }
    }

    /// Answers the sender, and tells what is stored and what was refused.
    pub(super) async fn flush_events(
        &mut self,
        ctx: &Context<()>,
        service: &Service,
    ) -> Result<(), String> {
        let mut bytes = Vec::new();
        for news in mem::take(&mut self.events) {
            self.progress = None;
            if let Some(frames) = &mut self.frame_writer {
                frames.write(&news.as_frame(), &mut bytes);
            }
            match news {
                UploadEvent::ResumeAt(..) => self.started_at = ctx.now(),
                UploadEvent::DirectoryCreated(_) => {}
                UploadEvent::Failed(_, why) => drop(service.report_failure(why).await),
                UploadEvent::Stored(bytes, digest, name) => {
                    let took = ctx.now() - self.started_at;
                    let blake3 = digest.map(|hash| blake3::Hash::from(hash).to_hex().to_string());
                    let peer = Some(service.peer.clone());
                    let file = || Report::FileStored { name, bytes, blake3, elapsed: took, peer };
                    service.reporter.send(file).await;
                }
            }
        }
        self.write(ctx, &bytes).await
    }

    /// Tells how far the file is that comes in.
    pub(super) fn report_progress(
        &mut self,
        ctx: &Context<()>,
        service: &Service,
        intake: &Upload,
    ) {
        if !service.reporter.is_enabled() {
            return;
        }
        let Some(extent) = intake.progress().filter(|extent| extent.length >= MIN_PROGRESS_BYTES)
        else {
            return;
        };
        let gauge = self.progress.get_or_insert_with(|| {
            let peer = Some(service.peer.clone());
            ProgressReporter::new(
                &service.reporter,
                ctx.clock(),
                peer,
                extent.name,
                extent.size,
                None,
            )
            .with_start(self.started_at)
        });
        gauge.set_resumed(extent.resumed_bytes);
        gauge.update(extent.length);
    }

    /// Tells a sender that speaks frames that it is worked on. One that is gone is noticed at its answer.
    pub(super) async fn send_wait_frame(&mut self, ctx: &Context<()>) {
        if let Some(frames) = &mut self.frame_writer {
            let mut bytes = Vec::new();
            frames.write(&Frame::Wait, &mut bytes);
            let _ = self.write(ctx, &bytes).await;
        }
    }

    pub(super) async fn write(&self, ctx: &Context<()>, bytes: &[u8]) -> Result<(), String> {
        let written =
            write::write_all_with_timeout(ctx.clock(), &self.stream, REPLY_WRITE_TIMEOUT, bytes)
                .await;
        written.map_err(|error| error.to_string())
    }
}
