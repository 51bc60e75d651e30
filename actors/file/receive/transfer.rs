//! What has to be told of a connection on which files come: answers to the sender, reports to everybody else.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Service;
use crate::actors::Report;
use crate::actors::file::progress::Gauge;
use crate::actors::file::receive::upload::{Intake, News};
use crate::actors::support::write;
use crate::net::Stream;
use crate::runtime::Context;
use crate::wire::file::codec::{Frame, FrameWriter};

/// How long a sender may take nothing of what it is answered.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// So many bytes have to be there before anybody is told how far a file is: a crowd of senders of a byte now and then would be
/// told of as often as it says one.
const SHOWN: u64 = 4 << 10;

/// A connection that has begun.
pub(super) struct Transfer {
    pub(super) stream: Arc<Stream>,
    /// Where the answers are framed.
    pub(super) frames: Option<FrameWriter>,
    /// What is to be passed on.
    pub(super) news: Vec<News>,
    /// When the file began that comes in.
    begun: Instant,
    /// How far it is, once it takes long enough to be of interest.
    gauge: Option<Gauge>,
}

impl Transfer {
    pub(super) fn new(stream: Arc<Stream>, begun: Instant) -> Transfer {
        Transfer { stream, frames: None, news: Vec::new(), begun, gauge: None }
    }

    /// Answers the sender, and tells what is stored and what was refused.
    pub(super) async fn pass_on(
        &mut self,
        ctx: &Context<()>,
        service: &Service,
    ) -> Result<(), String> {
        let mut bytes = Vec::new();
        for news in mem::take(&mut self.news) {
            self.gauge = None;
            if let Some(frames) = &mut self.frames {
                frames.write(&news.frame(), &mut bytes);
            }
            match news {
                News::Held(..) => self.begun = ctx.now(),
                News::Made(_) => {}
                News::Failed(_, why) => drop(service.refuse(why).await),
                News::Stored(bytes, digest, name) => {
                    let took = ctx.now() - self.begun;
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
    pub(super) fn show(&mut self, ctx: &Context<()>, service: &Service, intake: &Intake) {
        if !service.reporter.is_enabled() {
            return;
        }
        let Some(extent) = intake.extent().filter(|extent| extent.length >= SHOWN) else { return };
        let gauge = self.gauge.get_or_insert_with(|| {
            let peer = Some(service.peer.clone());
            Gauge::new(&service.reporter, ctx.clock(), peer, extent.name, extent.size, None)
                .since(self.begun)
        });
        gauge.holds(extent.held);
        gauge.show(extent.length);
    }

    /// Tells a sender that speaks frames that it is worked on. One that is gone is noticed at its answer.
    pub(super) async fn ask_for_patience(&mut self, ctx: &Context<()>) {
        if let Some(frames) = &mut self.frames {
            let mut bytes = Vec::new();
            frames.write(&Frame::Wait, &mut bytes);
            let _ = self.write(ctx, &bytes).await;
        }
    }

    pub(super) async fn write(&self, ctx: &Context<()>, bytes: &[u8]) -> Result<(), String> {
        let written =
            write::write_all_with_timeout(ctx.clock(), &self.stream, ANSWER_WITHIN, bytes).await;
        written.map_err(|error| error.to_string())
    }
}
