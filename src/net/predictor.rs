//! A predictor that expects the last outcome to repeat.
//!
//! A system call that finds nothing costs time, and so does an offer of more buffers than
//! needed. The right choice is unknown in advance, but the next outcome is usually the same as the
//! last few. A caller that acts on a prediction cannot observe whether it was right, so the
//! prediction is rechecked regularly.

/// The number of equal outcomes in a row after which the predictor expects one more.
const MIN_STREAK: u8 = 4;

/// The number of predictions in a row before one is skipped, so that the caller rechecks.
const RECHECK_EVERY: u8 = 16;

/// A predictor of one outcome, from the length of its current streak.
#[derive(Debug, Default)]
pub(crate) struct StreakPredictor {
    streak: u8,
}

impl StreakPredictor {
    /// Returns whether the outcome is expected next.
    pub(crate) fn predicts(&self) -> bool {
        (MIN_STREAK..MIN_STREAK + RECHECK_EVERY).contains(&self.streak)
    }

    /// Records whether the outcome occurred. A caller that acted on a prediction records `true`.
    pub(crate) fn record(&mut self, occurred: bool) {
        self.streak = match self.streak {
            _ if !occurred => 0,
            // The recheck confirmed the streak.
            count if count == MIN_STREAK + RECHECK_EVERY => MIN_STREAK,
            count => count + 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records the same outcome several times, and returns how often it was predicted.
    fn count_predictions(predictor: &mut StreakPredictor, occurred: bool, times: usize) -> usize {
        let predictions = (0..times).filter(|_| {
            let predicted = predictor.predicts();
            predictor.record(occurred);
            predicted
        });
        predictions.count()
    }

    #[test]
    fn streak_is_predicted_and_rechecked_regularly() {
        let mut predictor = StreakPredictor::default();
        assert_eq!(count_predictions(&mut predictor, true, 4), 0);
        assert_eq!(count_predictions(&mut predictor, true, 16), 16);
        assert_eq!(count_predictions(&mut predictor, true, 1), 0);
        assert_eq!(count_predictions(&mut predictor, true, 1700), 1600);
    }

    #[test]
    fn streak_ends_with_first_miss() {
        let mut predictor = StreakPredictor::default();
        count_predictions(&mut predictor, true, 10);
        predictor.record(false);
        assert_eq!(count_predictions(&mut predictor, true, 4), 0);
        assert!(predictor.predicts());
    }
}
