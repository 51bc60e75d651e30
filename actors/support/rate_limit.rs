//! Rate limits by the generic cell rate algorithm (GCRA).
//!
//! A limit allows `count` events per period, and a burst of `count` events after an idle period.
//! The state of a bucket is one number, its *theoretical arrival time* (TAT): the time at which the
//! bucket is full again. Each event moves the TAT ahead by one interval. An event is allowed while
//! the TAT is ahead of the clock by at most the burst tolerance.
//!
//! ```text
//!            now                TAT
//!  ───────────┼──────────────────┼─────────▶ time
//!             ├──── tolerance ───┤           the last event of the burst
//! ```
//!
//! [`RateLimiter`] has the bucket of one peer. A table of fixed size
//! ([`source_rate_limit`](super::source_rate_limit)) has one bucket for each source.

use std::time::{Duration, Instant};

use crate::time::deadline_after;

/// The parameters of a rate limit, in nanoseconds. Times count from an epoch of the caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gcra {
    interval: u64,
    burst_tolerance: u64,
}

impl Gcra {
    /// Creates the parameters for `count` events (at least 1) per period.
    pub(crate) fn new((count, period): (u32, Duration)) -> Gcra {
        let count = u64::from(count.max(1));
        let interval = (nanos(period) / count).max(1);
        Gcra { interval, burst_tolerance: interval.saturating_mul(count - 1) }
    }

    /// Returns the time after which one more event is allowed.
    pub(crate) fn interval(self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// Returns how long an event at `now` has to wait. It is allowed if the delay is 0.
    pub(crate) fn delay(self, theoretical_arrival: u64, now: u64) -> u64 {
        theoretical_arrival.saturating_sub(now).saturating_sub(self.burst_tolerance)
    }

    /// Returns the TAT after `count` more events. `theoretical_arrival` must not lie before them.
    pub(crate) fn advance(self, theoretical_arrival: u64, count: u64) -> u64 {
        theoretical_arrival.saturating_add(self.interval.saturating_mul(count))
    }
}

/// Converts a time to nanoseconds. A time of more than 584 years becomes the largest number.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A rate limit for the lines of one peer.
///
/// A peer over its limit is delayed, not disconnected: its next line is read later, and
/// backpressure slows the sender. So a pasted text arrives completely.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limit: Gcra,
    epoch: Instant,
    theoretical_arrival: u64,
}

impl RateLimiter {
    /// Creates a limiter for `count` lines per period, with a full bucket.
    pub(crate) fn new(rate: (u32, Duration), now: Instant) -> RateLimiter {
        RateLimiter { limit: Gcra::new(rate), epoch: now, theoretical_arrival: 0 }
    }

    /// Counts `count` lines, even if they are over the limit. Returns when the next line is
    /// allowed, or `None` if it is allowed now.
    pub(crate) fn record(&mut self, count: u64, now: Instant) -> Option<Instant> {
        let elapsed = nanos(now.saturating_duration_since(self.epoch));
        let start = self.theoretical_arrival.max(elapsed);
        self.theoretical_arrival = self.limit.advance(start, count);
        let delay = self.limit.delay(self.theoretical_arrival, elapsed);
        (delay > 0).then(|| deadline_after(now, Duration::from_nanos(delay)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limiter_allows_burst_then_rate() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new((10, Duration::from_secs(5)), start);
        let mut now = start;
        for line in 0..30_u32 {
            let delay = Duration::from_millis(500) * line.saturating_sub(9);
            assert_eq!(now - start, delay, "line {line}");
            now = limiter.record(1, now).unwrap_or(now);
        }
    }
}
