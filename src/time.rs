//! Arithmetic with times that cannot overflow.
//!
//! `Instant + Duration` panics if the clock cannot represent the sum, and a duration from a flag
//! can be that long. So every deadline in the crate is made here.

use std::time::{Duration, Instant};

/// The distance of a deadline that is too far away for the clock.
const FAR_FUTURE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Returns the time `duration` after `start`. If the clock cannot represent it, returns a time that
/// is 100 years after `start`.
pub(crate) fn deadline_after(start: Instant, duration: Duration) -> Instant {
    let far = || start.checked_add(FAR_FUTURE).unwrap_or(start);
    start.checked_add(duration).unwrap_or_else(far)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn deadline_of_any_duration_is_not_before_start(secs: u64, nanos in 0..1_000_000_000_u32) {
            let (start, duration) = (Instant::now(), Duration::new(secs, nanos));
            let deadline = deadline_after(start, duration);
            prop_assert!(deadline >= start);
            prop_assert!(deadline - start == duration || duration > FAR_FUTURE);
            prop_assert!(deadline - start >= duration.min(FAR_FUTURE));
        }
    }

    #[test]
    fn deadline_of_longest_duration_is_a_century_away() {
        let start = Instant::now();
        assert_eq!(deadline_after(start, Duration::MAX) - start, FAR_FUTURE);
        assert_eq!(deadline_after(start, Duration::ZERO), start);
    }
}
