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
//! [`RateLimiter`] delays the input of one peer. The UDP responder's limiter keeps one TAT per
//! network, and drops the replies over the limit.

use std::time::{Duration, Instant};

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

    /// Returns the TAT after one more event. `theoretical_arrival` must not lie before the event.
    pub(crate) fn advance(self, theoretical_arrival: u64) -> u64 {
        theoretical_arrival.saturating_add(self.interval)
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

    /// Returns the time at which the next line is allowed, or `None` if it is allowed now.
    pub(crate) fn ready_at(&mut self, now: Instant) -> Option<Instant> {
        let elapsed = nanos(now.saturating_duration_since(self.epoch));
        self.theoretical_arrival = self.theoretical_arrival.max(elapsed);
        match self.limit.delay(self.theoretical_arrival, elapsed) {
            0 => None,
            delay => Some(now + Duration::from_nanos(delay)),
        }
    }

    /// Counts a line, at the time of the last call of [`RateLimiter::ready_at`].
    pub(crate) fn record(&mut self) {
        self.theoretical_arrival = self.limit.advance(self.theoretical_arrival);
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
            while let Some(ready_at) = limiter.ready_at(now) {
                now = ready_at;
            }
            limiter.record();
            let delay = Duration::from_millis(500) * line.saturating_sub(9);
            assert_eq!(now - start, delay, "line {line}");
        }
    }
}
