//! A guess that what was so the last few times is so again.
//!
//! To ask the kernel for more than there is costs a call, and to offer it more room than is needed costs time, too. Nobody
//! knows beforehand, but the next ones mostly come as the last ones did. So it is guessed, and since a guess that is acted upon
//! is not put to the test any more, it is doubted now and then.

/// After so many in a row it is taken to be so, ...
const CONVINCED: u8 = 4;

/// ... but for one of so many.
const DOUBTS: u8 = 16;

/// A guess that what was so the last few times is so again.
#[derive(Debug, Default)]
pub(crate) struct Guess {
    in_a_row: u8,
}

impl Guess {
    /// Tells whether it is to be acted upon.
    pub(crate) fn holds(&self) -> bool {
        (CONVINCED..CONVINCED + DOUBTS).contains(&self.in_a_row)
    }

    /// Learns whether it was so, or that it was acted upon as if it were.
    pub(crate) fn was(&mut self, so: bool) {
        self.in_a_row = match self.in_a_row {
            _ if !so => 0,
            // Doubted once; taken to be so again.
            count if count == CONVINCED + DOUBTS => CONVINCED,
            count => count + 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has the same be seen so often; returns how often the guess held.
    fn seen(guess: &mut Guess, so: bool, times: usize) -> usize {
        let held = (0..times).filter(|_| {
            let held = guess.holds();
            guess.was(so);
            held
        });
        held.count()
    }

    #[test]
    fn it_holds_after_a_few_and_is_doubted_now_and_then() {
        let mut guess = Guess::default();
        assert_eq!(seen(&mut guess, true, 4), 0);
        assert_eq!(seen(&mut guess, true, 16), 16);
        assert_eq!(seen(&mut guess, true, 1), 0);
        let held = seen(&mut guess, true, 1700);
        assert_eq!(held, 1600);
    }

    #[test]
    fn it_is_given_up_at_once() {
        let mut guess = Guess::default();
        seen(&mut guess, true, 10);
        guess.was(false);
        assert_eq!(seen(&mut guess, true, 4), 0);
        assert!(guess.holds());
    }
}
