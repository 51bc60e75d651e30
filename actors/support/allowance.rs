//! How fast a peer may talk.
//!
//! Who says more than it may is not cut and loses nothing: its next line waits, and so does, in time, whoever
//! sends it. So a paste comes through whole, only slower.

use std::time::{Duration, Instant};

/// How much a peer may still say: so many lines at once, and as many again in each period.
#[derive(Debug)]
pub(crate) struct Allowance {
    count: u32,
    /// How long one line takes to be allowed again.
    each: Duration,
    /// When everything is allowed again.
    full_at: Instant,
}

impl Allowance {
    pub(crate) fn new((count, within): (u32, Duration), now: Instant) -> Allowance {
        let count = count.max(1);
        Allowance { count, each: within / count, full_at: now }
    }

    /// Returns until when the next line has to wait, if it has to.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Instant> {
        self.full_at = self.full_at.max(now);
        let most = now + self.each * (self.count - 1);
        (self.full_at > most).then(|| now + (self.full_at - most))
    }

    pub(crate) fn spend(&mut self) {
        self.full_at += self.each;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_takes_a_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut allowance = Allowance::new((10, Duration::from_secs(5)), start);
        let mut now = start;
        for line in 0..30_u32 {
            while let Some(until) = allowance.wait(now) {
                now = until;
            }
            allowance.spend();
            let late = Duration::from_millis(500) * line.saturating_sub(9);
            assert_eq!(now - start, late, "line {line}");
        }
    }
}
