//! The delays between the attempts of a client to connect again.
//!
//! The delay doubles with each failure in a row, up to a limit. A retry is worthwhile as long as
//! each attempt makes some progress, so only failures without progress are counted. An attempt that
//! makes progress starts the count again. Callers sleep with jitter (`Clock::sleep_jittered`), so
//! that clients that lost the same server do not return all at once.

use std::time::Duration;

use crate::runtime::exponential_delay;

/// The delay after the first failure.
const MIN_DELAY: Duration = Duration::from_millis(100);

/// The longest delay.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// The number of failures in a row after which a file transfer is given up.
pub(crate) const MAX_FAILURES: u32 = 10;

/// A counter of failures in a row, which determines the next delay.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    /// The furthest position that an attempt has reached, in units of the caller.
    progress: u64,
}

impl Backoff {
    /// Creates a counter without failures or progress.
    pub(crate) fn new() -> Backoff {
        Backoff::default()
    }

    /// Forgets all failures.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Records the position that this attempt has reached. A new maximum forgets all failures.
    pub(crate) fn record_progress(&mut self, position: u64) {
        if position > self.progress {
            self.progress = position;
            self.reset();
        }
    }

    /// Counts a failure and returns the delay before the next attempt.
    pub(crate) fn next_delay(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        exponential_delay(self.failures, MIN_DELAY, MAX_DELAY)
    }

    /// Counts a failure and returns the delay before the next attempt, or `None` at the
    /// `max_failures`th failure in a row.
    pub(crate) fn next_delay_limited(&mut self, max_failures: u32) -> Option<Duration> {
        let delay = self.next_delay();
        (self.failures < max_failures).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(backoff: &mut Backoff) -> Vec<u64> {
        std::iter::from_fn(|| backoff.next_delay_limited(MAX_FAILURES))
            .map(|delay| delay.as_millis() as u64)
            .collect()
    }

    #[test]
    fn backoff_doubles_to_limit_then_gives_up() {
        let mut backoff = Backoff::new();
        backoff.record_progress(0);
        let expected = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
        assert_eq!(delays(&mut backoff), expected);
    }

    #[test]
    fn backoff_progress_resets_failures() {
        let mut backoff = Backoff::new();
        assert_eq!(delays(&mut backoff).len(), 9);
        backoff.record_progress(5);
        assert_eq!(backoff.next_delay_limited(MAX_FAILURES), Some(MIN_DELAY));
        backoff.record_progress(5);
        assert_eq!(backoff.next_delay_limited(MAX_FAILURES), Some(2 * MIN_DELAY));
        backoff.record_progress(3);
        assert_eq!(delays(&mut backoff).len(), 7);
    }
}
