//! Whether those who come to a door come alone or in a crowd.
//!
//! To ask for one more connection where none waits is not free: the kernel makes a file and an inode before it looks. Who
//! waits for the next one learns as well that there is one, so after a client that came alone that is what to do. In a
//! crowd it is the other way round: to ask is cheaper than to wait, and the last one asks in vain for all of them.
//! Nobody knows beforehand which it is, but the next ones mostly come as the last ones did.

use crate::net::StreakPredictor;

/// How many are let in before others on the thread have a turn: their actors among them, whose memory the next ones get
/// while it is at hand.
const BATCH: u8 = 4;

/// What to do after those who were let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Ask for one more.
    Ask,
    /// Wait for one more.
    Wait,
    /// Let others have a turn, and ask then.
    Yield,
}

/// Remembers how those came who came last.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// How many were let in since it was last waited.
    came: u8,
    /// That one comes alone.
    alone: StreakPredictor,
}

impl Crowd {
    /// Counts one that was let in, and says what to do next.
    pub(crate) fn came(&mut self) -> Next {
        self.came += 1;
        if self.came == 1 && self.alone.predicts() {
            self.ended();
            return Next::Wait;
        }
        if self.came % BATCH > 0 {
            return Next::Ask;
        }
        // It is a crowd, however many there are.
        self.came = BATCH;
        Next::Yield
    }

    /// Counts that nobody else waits.
    pub(crate) fn ended(&mut self) {
        let came = std::mem::take(&mut self.came);
        if came > 0 {
            self.alone.record(came == 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets so many in, who wait together; returns how often it was asked in vain.
    fn let_in(crowd: &mut Crowd, mut waiting: usize) -> usize {
        loop {
            if waiting == 0 {
                crowd.ended();
                return 1;
            }
            waiting -= 1;
            if crowd.came() == Next::Wait {
                // The wait is over at once where there are more.
                if waiting == 0 {
                    return 0;
                }
            }
        }
    }

    #[test]
    fn it_is_hardly_asked_in_vain_for_those_who_come_alone() {
        let mut crowd = Crowd::default();
        let asked: usize = (0..400).map(|_| let_in(&mut crowd, 1)).sum();
        assert!(asked < 400 / 10, "{asked}");
    }

    #[test]
    fn it_is_asked_for_a_crowd_until_there_is_nobody() {
        let mut crowd = Crowd::default();
        for waiting in [1; 40] {
            let_in(&mut crowd, waiting);
        }
        // The first crowd is noticed late.
        let_in(&mut crowd, 40);
        for _ in 0..10 {
            let next: Vec<_> = (0..40).map(|_| crowd.came()).collect();
            crowd.ended();
            assert!(next.iter().all(|next| *next != Next::Wait), "{next:?}");
            assert_eq!(next.iter().filter(|next| **next == Next::Yield).count(), 40 / 4);
        }
    }

    #[test]
    fn a_crowd_without_an_end_is_let_in_in_batches() {
        let mut crowd = Crowd::default();
        assert_eq!(
            [0; 8].map(|_| crowd.came() == Next::Yield).map(u8::from),
            [0, 0, 0, 1, 0, 0, 0, 1]
        );
        assert!((0..1000).all(|_| crowd.came() != Next::Wait));
    }
}
