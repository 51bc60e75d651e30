//! How far a file is, told now and then: seldom enough to cost nothing, often enough for an eye.

use std::time::{Duration, Instant};

use crate::actors::{Progress, Report, Reporter, TotalProgress};
use crate::net::Peer;
use crate::runtime::Clock;

/// The time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// How far one file is.
#[derive(Debug)]
pub(crate) struct ProgressReporter {
    reporter: Reporter,
    clock: Clock,
    started_at: Instant,
    last_reported: Instant,
    /// How far all files were when it began.
    total_before: Option<TotalProgress>,
    progress: Progress,
}

impl ProgressReporter {
    /// Makes a gauge of a file that begins now; `total_before` is how far all files are without it.
    pub(crate) fn new(
        reporter: &Reporter,
        clock: &Clock,
        peer: Option<Peer>,
        name: String,
        size: Option<u64>,
        all: Option<TotalProgress>,
    ) -> ProgressReporter {
        let begun = clock.now();
        let took = Duration::ZERO;
        let progress =
            Progress { peer, name, bytes: 0, resumed_bytes: 0, size, elapsed: took, total: all };
        ProgressReporter {
            reporter: reporter.clone(),
            clock: clock.clone(),
            started_at: begun,
            last_reported: begun,
            total_before: all,
            progress,
        }
    }

    /// Has the file begun some time ago.
    pub(crate) fn with_start(self, begun: Instant) -> ProgressReporter {
        ProgressReporter { started_at: begun, last_reported: begun, ..self }
    }

    /// Notes what the receiver held already.
    pub(crate) fn set_resumed(&mut self, bytes: u64) {
        self.progress.resumed_bytes = bytes;
    }

    /// Notes how many bytes are there, and tells it where the last time is long enough ago.
    pub(crate) fn update(&mut self, bytes: u64) {
        if !self.reporter.is_enabled() {
            return;
        }
        let now = self.clock.now();
        if now.saturating_duration_since(self.last_reported) < REPORT_INTERVAL {
            return;
        }
        self.last_reported = now;
        self.progress.bytes = bytes;
        self.progress.elapsed = now - self.started_at;
        self.progress.total = self.total_before.map(|all| TotalProgress {
            bytes: all.bytes + bytes,
            elapsed: all.elapsed + self.progress.elapsed,
            ..all
        });
        // Where nobody has had the time to read the last one, this one is of no use.
        self.reporter.try_send(|| Report::Progress(self.progress.clone()));
    }
}
