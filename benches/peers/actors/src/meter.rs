//! Measures wall-clock time and CPU time.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A running measurement.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    at: Instant,
    cpu: Duration,
}

/// A result in nanoseconds per operation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// The wall-clock time.
    pub wall: f64,
    /// The CPU time of all threads of the process.
    pub cpu: f64,
}

impl Meter {
    /// Starts a measurement.
    pub fn start() -> Meter {
        Meter { at: Instant::now(), cpu: cpu() }
    }

    /// Ends the measurement of `operations` operations.
    pub fn stop(self, operations: u64) -> Spent {
        let (wall, cpu) = (self.at.elapsed(), cpu().saturating_sub(self.cpu));
        let each = |time: Duration| time.as_nanos() as f64 / operations as f64;
        Spent { wall: each(wall), cpu: each(cpu) }
    }
}

fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Returns the median, or NaN without figures.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
