//! How fast a peer may talk.
//!
//! Who says more than it may is not cut and loses nothing: its next line waits, and so does, in time, whoever
//! sends it. So a paste comes through whole, only slower.

use std::time::{Duration, Instant};

/// How much a peer may still say: so many lines at once, and as many again in each period.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    burst: u32,
    /// How long one line takes to be allowed again.
    interval: Duration,
    /// When everything is allowed again.
    theoretical_arrival: Instant,
}

impl RateLimiter {
    pub(crate) fn new((count, within): (u32, Duration), now: Instant) -> RateLimiter {
        let count = count.max(1);
        RateLimiter { burst: count, interval: within / count, theoretical_arrival: now }
    }

    /// Returns until when the next line has to wait, if it has to.
    pub(crate) fn ready_at(&mut self, now: Instant) -> Option<Instant> {
        self.theoretical_arrival = self.theoretical_arrival.max(now);
        let most = now + self.interval * (self.burst - 1);
        (self.theoretical_arrival > most).then(|| now + (self.theoretical_arrival - most))
    }

    pub(crate) fn record(&mut self) {
        self.theoretical_arrival += self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limiter_allows_burst_then_rate() {
        let start = Instant::now();
        let mut allowance = RateLimiter::new((10, Duration::from_secs(5)), start);
        let mut now = start;
        for line in 0..30_u32 {
            while let Some(until) = allowance.ready_at(now) {
                now = until;
            }
            allowance.record();
            let late = Duration::from_millis(500) * line.saturating_sub(9);
            assert_eq!(now - start, late, "line {line}");
        }
    }
}
