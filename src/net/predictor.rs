//! A guess that what was so the last few times is so again.
//!
//! To ask the kernel for more than there is costs a call, and to offer it more room than is needed costs time, too. Nobody
//! knows beforehand, but the next ones mostly come as the last ones did. So it is guessed, and since a guess that is acted upon
//! is not put to the test any more, it is doubted now and then.

/// After so many in a row it is taken to be so, ...
const MIN_STREAK: u8 = 4;

/// ... but for one of so many.
const RECHECK_EVERY: u8 = 16;

/// A guess that what was so the last few times is so again.
#[derive(Debug, Default)]
pub(crate) struct StreakPredictor {
    streak: u8,
}

impl StreakPredictor {
    /// Tells whether it is to be acted upon.
    pub(crate) fn predicts(&self) -> bool {
        (MIN_STREAK..MIN_STREAK + RECHECK_EVERY).contains(&self.streak)
    }

    /// Learns whether it was so, or that it was acted upon as if it were.
    pub(crate) fn record(&mut self, so: bool) {
        self.streak = match self.streak {
            _ if !so => 0,
            // Doubted once; taken to be so again.
            count if count == MIN_STREAK + RECHECK_EVERY => MIN_STREAK,
            count => count + 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has the same be seen so often; returns how often the guess held.
    fn count_predictions(guess: &mut StreakPredictor, so: bool, times: usize) -> usize {
        let held = (0..times).filter(|_| {
            let held = guess.predicts();
            guess.record(so);
            held
        });
        held.count()
    }

    #[test]
    fn it_holds_after_a_few_and_is_doubted_now_and_then() {
        let mut guess = StreakPredictor::default();
        assert_eq!(count_predictions(&mut guess, true, 4), 0);
        assert_eq!(count_predictions(&mut guess, true, 16), 16);
        assert_eq!(count_predictions(&mut guess, true, 1), 0);
        let held = count_predictions(&mut guess, true, 1700);
        assert_eq!(held, 1600);
    }

    #[test]
    fn it_is_given_up_at_once() {
        let mut guess = StreakPredictor::default();
        count_predictions(&mut guess, true, 10);
        guess.record(false);
        assert_eq!(count_predictions(&mut guess, true, 4), 0);
        assert!(guess.predicts());
    }
}
