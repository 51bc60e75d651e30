//! When a lost connection is made anew, and when that is given up.
//!
//! A link that is lost again and again is worth trying for as long as each time a little more of the file arrives. So
//! only the attempts that get no further are counted, and the pauses between them grow; one that gets further begins the
//! count anew.

use std::time::Duration;

/// The first pause and the longest.
const DELAY_RANGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How many attempts in a row may get no further.
const MAX_FAILURES: u32 = 10;

/// The attempts at one file.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    delay: Duration,
    /// The most chunks that the receiver held.
    received_chunks: u64,
}

impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff { failures: 0, delay: DELAY_RANGE.0, received_chunks: 0 }
    }

    /// Notes how many chunks the receiver holds.
    pub(crate) fn record_progress(&mut self, held: u64) {
        if held > self.received_chunks {
            *self = Backoff { received_chunks: held, ..Backoff::new() };
        }
    }

    /// Returns the pause before the next attempt, or nothing where there were enough.
    pub(crate) fn next_delay(&mut self) -> Option<Duration> {
        self.failures += 1;
        let pause = self.delay;
        self.delay = (2 * pause).min(DELAY_RANGE.1);
        (self.failures < MAX_FAILURES).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(tries: &mut Backoff) -> Vec<u64> {
        std::iter::from_fn(|| tries.next_delay()).map(|pause| pause.as_millis() as u64).collect()
    }

    #[test]
    fn backoff_doubles_to_limit_then_gives_up() {
        let mut tries = Backoff::new();
        tries.record_progress(0);
        let expected = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
        assert_eq!(delays(&mut tries), expected);
    }

    #[test]
    fn backoff_progress_resets_failures() {
        let mut tries = Backoff::new();
        assert_eq!(delays(&mut tries).len(), 9);
        tries.record_progress(5);
        assert_eq!(tries.next_delay(), Some(DELAY_RANGE.0));
        tries.record_progress(5);
        assert_eq!(tries.next_delay(), Some(2 * DELAY_RANGE.0));
        tries.record_progress(3);
        assert_eq!(delays(&mut tries).len(), 7);
    }
}
