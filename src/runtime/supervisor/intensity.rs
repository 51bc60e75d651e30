//! Restart intensity: the number of restarts after which a supervisor gives up.
//!
//! As in Erlang/OTP, a supervisor gives up when there are more than `max_restarts` restarts within
//! a sliding window of length `window`. A restart of a group counts once, and each failed start
//! attempt counts again. [`Supervisor::intensity`](crate::runtime::Supervisor::intensity) replaces
//! the defaults below. The program sets an intensity of its own, in `src/cli/`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The number of restarts that a supervisor allows within the window, by default.
pub(crate) const DEFAULT_MAX_RESTARTS: u32 = 3;

/// The length of the sliding window, by default.
pub(crate) const DEFAULT_RESTART_WINDOW: Duration = Duration::from_secs(5);

/// The restarts of one supervisor within its sliding window.
#[derive(Debug, Clone)]
pub(crate) struct Intensity {
    pub(crate) max_restarts: u32,
    pub(crate) window: Duration,
    /// The times of the counted restarts, at most `max_restarts` of them.
    recent: VecDeque<Instant>,
}

impl Intensity {
    pub(crate) fn new(max_restarts: u32, window: Duration) -> Intensity {
        Intensity { max_restarts, window, recent: VecDeque::new() }
    }

    /// Counts a restart and returns whether it is allowed.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        while self.recent.front().is_some_and(|then| now.duration_since(*then) > self.window) {
            self.recent.pop_front();
        }
        if self.recent.len() >= self.max_restarts as usize {
            return false;
        }
        self.recent.push_back(now);
        true
    }

    /// Returns the number of restarts in the window.
    pub(crate) fn recent_count(&self) -> u32 {
        u32::try_from(self.recent.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn zero_max_restarts_allows_none() {
        assert!(!Intensity::new(0, SECOND).allow(Instant::now()));
    }

    #[test]
    fn restarts_before_the_window_are_forgotten() {
        let mut intensity = Intensity::new(2, SECOND);
        let start = Instant::now();
        assert!(intensity.allow(start));
        assert!(intensity.allow(start + SECOND / 2));
        assert!(!intensity.allow(start + SECOND));
        assert!(intensity.allow(start + SECOND + SECOND / 4));
        assert!(!intensity.allow(start + SECOND + SECOND / 3));
    }
}
