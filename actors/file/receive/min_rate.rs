//! The minimum rate of a framed sender.
//!
//! A sender that sends single bytes for hours keeps its connection, its file's name and the
//! reserved space. Only the time for which the server waits for the sender counts, so a slow disk
//! of the server is not held against the sender.

use std::time::Duration;

use crate::actors::file::receive::limits::MIN_RATE_WINDOW;

/// A check that a sender delivers enough bytes in each window of waiting time.
#[derive(Debug)]
pub(super) struct MinRate {
    /// The number of bytes that must arrive in a window.
    bytes: u64,
    /// The time for which the server has waited in this window.
    waited: Duration,
    /// The number of bytes received at the start of this window. `None` between files.
    start: Option<u64>,
}

impl MinRate {
    /// Creates a check for a rate in bytes per second. A rate of 0 accepts every sender.
    pub(super) fn new(bytes_per_second: u64) -> MinRate {
        let bytes = bytes_per_second.saturating_mul(MIN_RATE_WINDOW.as_secs());
        MinRate { bytes, waited: Duration::ZERO, start: None }
    }

    /// Returns how long the server may wait before the next call of [`MinRate::record_wait`].
    ///
    /// `received` is the number of bytes received so far, or `None` while nothing must arrive.
    pub(super) fn next_check(&mut self, received: Option<u64>) -> Option<Duration> {
        match (received, self.start) {
            (Some(_), _) if self.bytes == 0 => return None,
            (Some(_), Some(_)) => {}
            (received, _) => (self.start, self.waited) = (received, Duration::ZERO),
        }
        self.start.map(|_| MIN_RATE_WINDOW.saturating_sub(self.waited))
    }

    /// Adds time for which the server has waited. Returns whether the sender is fast enough.
    pub(super) fn record_wait(&mut self, waited: Duration, received: Option<u64>) -> bool {
        let (Some(received), Some(start)) = (received, self.start) else { return true };
        self.waited += waited;
        if self.waited < MIN_RATE_WINDOW {
            return true;
        }
        (self.start, self.waited) = (Some(received), Duration::ZERO);
        received.saturating_sub(start) >= self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Lets a sender deliver `bytes` after each wait of `wait`. Returns the time until it is too
    /// slow, within an hour.
    fn run(rate: &mut MinRate, bytes: u64, wait: Duration) -> Option<Duration> {
        let (mut received, mut elapsed) = (0, Duration::ZERO);
        while elapsed < 3600 * SECOND {
            let step = rate.next_check(Some(received)).map_or(wait, |limit| limit.min(wait));
            elapsed += step;
            if !rate.record_wait(step, Some(received)) {
                return Some(elapsed);
            }
            if step == wait {
                received += bytes;
            }
        }
        None
    }

    #[test]
    fn slow_sender_fails_after_window() {
        assert_eq!(run(&mut MinRate::new(64), 1, SECOND), Some(60 * SECOND));
        assert_eq!(run(&mut MinRate::new(64), 64, SECOND), Some(60 * SECOND));
        assert_eq!(run(&mut MinRate::new(64), 0, 7 * SECOND), Some(60 * SECOND));
    }

    #[test]
    fn sufficient_or_unlimited_sender_continues() {
        assert_eq!(run(&mut MinRate::new(64), 66, SECOND), None);
        assert_eq!(run(&mut MinRate::new(64), 64 << 10, 59 * SECOND), None);
        assert_eq!(run(&mut MinRate::new(0), 1, 59 * SECOND), None);
    }

    #[test]
    fn time_between_files_does_not_count() {
        let mut rate = MinRate::new(64);
        assert_eq!(rate.next_check(Some(10)), Some(MIN_RATE_WINDOW));
        assert!(rate.record_wait(59 * SECOND, Some(10)));
        assert_eq!(rate.next_check(None), None);
        assert!(rate.record_wait(900 * SECOND, None));
        assert_eq!(rate.next_check(Some(20)), Some(MIN_RATE_WINDOW));
    }
}
