//! How far a file is, told now and then: seldom enough to cost nothing, often enough for an eye.

use std::time::{Duration, Instant};

use crate::actors::{Progress, Report, Reporter, TotalProgress};
use crate::net::Peer;
use crate::runtime::Clock;

/// The time between two reports.
const EVERY: Duration = Duration::from_millis(100);

/// How far one file is.
#[derive(Debug)]
pub(crate) struct Gauge {
    reporter: Reporter,
    clock: Clock,
    begun: Instant,
    told: Instant,
    /// How far all files were when it began.
    all: Option<TotalProgress>,
    progress: Progress,
}

impl Gauge {
    /// Makes a gauge of a file that begins now; `all` is how far all files are without it.
    pub(crate) fn new(
        reporter: &Reporter,
        clock: &Clock,
        peer: Option<Peer>,
        name: String,
        size: Option<u64>,
        all: Option<TotalProgress>,
    ) -> Gauge {
        let begun = clock.now();
        let took = Duration::ZERO;
        let progress =
            Progress { peer, name, bytes: 0, resumed_bytes: 0, size, elapsed: took, total: all };
        Gauge {
            reporter: reporter.clone(),
            clock: clock.clone(),
            begun,
            told: begun,
            all,
            progress,
        }
    }

    /// Has the file begun some time ago.
    pub(crate) fn since(self, begun: Instant) -> Gauge {
        Gauge { begun, told: begun, ..self }
    }

    /// Notes what the receiver held already.
    pub(crate) fn holds(&mut self, bytes: u64) {
        self.progress.resumed_bytes = bytes;
    }

    /// Notes how many bytes are there, and tells it where the last time is long enough ago.
    pub(crate) fn show(&mut self, bytes: u64) {
        if !self.reporter.is_enabled() {
            return;
        }
        let now = self.clock.now();
        if now.saturating_duration_since(self.told) < EVERY {
            return;
        }
        self.told = now;
        self.progress.bytes = bytes;
        self.progress.elapsed = now - self.begun;
        self.progress.total = self.all.map(|all| TotalProgress {
            bytes: all.bytes + bytes,
            elapsed: all.elapsed + self.progress.elapsed,
            ..all
        });
        // Where nobody has had the time to read the last one, this one is of no use.
        self.reporter.try_send(|| Report::Progress(self.progress.clone()));
    }
}
