//! Progress reports of one file, at most one every 100 ms.

use std::time::{Duration, Instant};

use crate::actors::{Progress, Report, Reporter, TotalProgress};
use crate::net::Peer;
use crate::runtime::Clock;

/// The shortest time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// A reporter of the progress of one file.
#[derive(Debug)]
pub(crate) struct ProgressReporter {
    reporter: Reporter,
    clock: Clock,
    started_at: Instant,
    last_reported: Instant,
    /// The number of bytes that the receiver had before the first attempt.
    resumed_before: Option<u64>,
    /// The progress of all files when this file started.
    total_before: Option<TotalProgress>,
    progress: Progress,
}

impl ProgressReporter {
    /// Creates the reporter of a file that starts now. `total_before` is the progress of all files
    /// without this one.
    pub(crate) fn new(
        reporter: &Reporter,
        clock: &Clock,
        peer: Option<Peer>,
        name: String,
        size: Option<u64>,
        total_before: Option<TotalProgress>,
    ) -> ProgressReporter {
        let started_at = clock.now();
        ProgressReporter {
            reporter: reporter.clone(),
            clock: clock.clone(),
            started_at,
            last_reported: started_at,
            resumed_before: None,
            total_before,
            progress: Progress {
                peer,
                name,
                bytes: 0,
                resumed_bytes: 0,
                size,
                elapsed: Duration::ZERO,
                total: total_before,
            },
        }
    }

    /// Sets the start to an earlier time.
    pub(crate) fn with_start(self, started_at: Instant) -> ProgressReporter {
        ProgressReporter { started_at, last_reported: started_at, ..self }
    }

    /// Sets the number of bytes that the receiver had before this attempt.
    pub(crate) fn set_resumed(&mut self, bytes: u64) {
        self.progress.resumed_bytes = bytes;
        self.resumed_before.get_or_insert(bytes);
    }

    /// Returns the number of bytes that the receiver had before the first attempt.
    pub(crate) fn resumed_before(&self) -> u64 {
        self.resumed_before.unwrap_or(0)
    }

    /// Sets the number of transferred bytes. Sends a report if the last one is old enough.
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
        self.progress.total = self.total_before.map(|total| TotalProgress {
            bytes: total.bytes + bytes,
            elapsed: total.elapsed + self.progress.elapsed,
            ..total
        });
        // If the mailbox is full, the report is dropped: a later one replaces it.
        self.reporter.try_send(|| Report::Progress(self.progress.clone()));
    }
}
