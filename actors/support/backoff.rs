//! When a lost connection is made anew, and when that is given up.
//!
//! A link that is lost again and again is worth trying for as long as each time a little more of the file arrives. So
//! only the attempts that get no further are counted, and the pauses between them grow; one that gets further begins the
//! count anew.

use std::time::Duration;

/// The first pause and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How many attempts in a row may get no further.
const MOST: u32 = 10;

/// The attempts at one file.
#[derive(Debug)]
pub(crate) struct Tries {
    in_vain: u32,
    pause: Duration,
    /// The most chunks that the receiver held.
    held: u64,
}

impl Tries {
    pub(crate) fn new() -> Tries {
        Tries { in_vain: 0, pause: PAUSES.0, held: 0 }
    }

    /// Notes how many chunks the receiver holds.
    pub(crate) fn reached(&mut self, held: u64) {
        if held > self.held {
            *self = Tries { held, ..Tries::new() };
        }
    }

    /// Returns the pause before the next attempt, or nothing where there were enough.
    pub(crate) fn again(&mut self) -> Option<Duration> {
        self.in_vain += 1;
        let pause = self.pause;
        self.pause = (2 * pause).min(PAUSES.1);
        (self.in_vain < MOST).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(tries: &mut Tries) -> Vec<u64> {
        std::iter::from_fn(|| tries.again()).map(|pause| pause.as_millis() as u64).collect()
    }

    #[test]
    fn pauses_grow_to_ten_seconds_and_then_it_is_enough() {
        let mut tries = Tries::new();
        tries.reached(0);
        let expected = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
        assert_eq!(pauses(&mut tries), expected);
    }

    #[test]
    fn an_attempt_that_gets_further_begins_the_count_anew() {
        let mut tries = Tries::new();
        assert_eq!(pauses(&mut tries).len(), 9);
        tries.reached(5);
        assert_eq!(tries.again(), Some(PAUSES.0));
        tries.reached(5);
        assert_eq!(tries.again(), Some(2 * PAUSES.0));
        tries.reached(3);
        assert_eq!(pauses(&mut tries).len(), 7);
    }
}
