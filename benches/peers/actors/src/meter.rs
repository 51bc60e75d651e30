//! What is measured: the time on the clock, and the time that the process had a CPU.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A moment.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    at: Instant,
    cpu: Duration,
}

/// What was spent since a moment, in nanoseconds for each operation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// On the clock.
    pub wall: f64,
    /// On the CPUs, all threads of the process together.
    pub cpu: f64,
}

impl Meter {
    /// Begins.
    pub fn start() -> Meter {
        Meter { at: Instant::now(), cpu: cpu() }
    }

    /// Ends: so many operations were done.
    pub fn stop(self, operations: u64) -> Spent {
        let (wall, cpu) = (self.at.elapsed(), cpu().saturating_sub(self.cpu));
        let each = |time: Duration| time.as_nanos() as f64 / operations as f64;
        Spent { wall: each(wall), cpu: each(cpu) }
    }
}

fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Returns the median of some figures; of none, what is no number.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
