//! Restart intensity: how many restarts a supervisor takes before it gives up.
//!
//! As in Erlang/OTP: more than `max_restarts` within a sliding window of `window` are too many. A restart of
//! a group counts once, and each failed attempt counts again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The restarts of one supervisor within its sliding window.
#[derive(Debug, Clone)]
pub(crate) struct Intensity {
    pub(crate) max_restarts: u32,
    pub(crate) window: Duration,
    /// When the counted restarts were; never more than `max_restarts` of them.
    recent: VecDeque<Instant>,
}

impl Intensity {
    pub(crate) fn new(restarts: u32, within: Duration) -> Intensity {
        Intensity { max_restarts: restarts, window: within, recent: VecDeque::new() }
    }

    /// Counts a restart and tells whether it is still allowed.
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

    /// Returns how many restarts the window holds.
    pub(crate) fn recent_count(&self) -> u32 {
        u32::try_from(self.recent.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn zero_allows_none() {
        assert!(!Intensity::new(0, SECOND).allow(Instant::now()));
    }

    #[test]
    fn the_window_slides() {
        let mut intensity = Intensity::new(2, SECOND);
        let start = Instant::now();
        assert!(intensity.allow(start));
        assert!(intensity.allow(start + SECOND / 2));
        assert!(!intensity.allow(start + SECOND));
        assert!(intensity.allow(start + SECOND + SECOND / 4));
        assert!(!intensity.allow(start + SECOND + SECOND / 3));
    }
}
