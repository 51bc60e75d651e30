//! Whether those who come to a door come alone or in a crowd.
//!
//! To ask for one more connection where none waits is not free: the kernel makes a file and an inode before it looks. Who
//! waits for the next one learns as well that there is one, so after a client that came alone that is what to do. In a
//! crowd it is the other way round: to ask is cheaper than to wait, and the last one asks in vain for all of them.
//! Nobody knows beforehand which it is, but the next ones mostly come as the last ones did.

use crate::net::StreakPredictor;

/// How many are let in before others on the thread have a turn: their actors among them, whose memory the next ones get
/// while it is at hand.
const ACCEPT_BATCH: u8 = 4;

/// What to do after those who were let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextAccept {
    /// Ask for one more.
    Now,
    /// Wait for one more.
    Wait,
    /// Let others have a turn, and ask then.
    Yield,
}

/// Remembers how those came who came last.
#[derive(Debug, Default)]
pub(crate) struct AcceptPolicy {
    /// How many were let in since it was last waited.
    burst_len: u8,
    /// That one comes alone.
    single: StreakPredictor,
}

impl AcceptPolicy {
    /// Counts one that was let in, and says what to do next.
    pub(crate) fn on_accept(&mut self) -> NextAccept {
        self.burst_len += 1;
        if self.burst_len == 1 && self.single.predicts() {
            self.end_burst();
            return NextAccept::Wait;
        }
        if self.burst_len % ACCEPT_BATCH > 0 {
            return NextAccept::Now;
        }
        // It is a crowd, however many there are.
        self.burst_len = ACCEPT_BATCH;
        NextAccept::Yield
    }

    /// Counts that nobody else waits.
    pub(crate) fn end_burst(&mut self) {
        let came = std::mem::take(&mut self.burst_len);
        if came > 0 {
            self.single.record(came == 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets so many in, who wait together; returns how often it was asked in vain.
    fn accept_burst(crowd: &mut AcceptPolicy, mut waiting: usize) -> usize {
        loop {
            if waiting == 0 {
                crowd.end_burst();
                return 1;
            }
            waiting -= 1;
            if crowd.on_accept() == NextAccept::Wait {
                // The wait is over at once where there are more.
                if waiting == 0 {
                    return 0;
                }
            }
        }
    }

    #[test]
    fn single_connections_rarely_retry_accept() {
        let mut crowd = AcceptPolicy::default();
        let asked: usize = (0..400).map(|_| accept_burst(&mut crowd, 1)).sum();
        assert!(asked < 400 / 10, "{asked}");
    }

    #[test]
    fn burst_is_accepted_until_would_block() {
        let mut crowd = AcceptPolicy::default();
        for waiting in [1; 40] {
            accept_burst(&mut crowd, waiting);
        }
        // The first crowd is noticed late.
        accept_burst(&mut crowd, 40);
        for _ in 0..10 {
            let next: Vec<_> = (0..40).map(|_| crowd.on_accept()).collect();
            crowd.end_burst();
            assert!(next.iter().all(|next| *next != NextAccept::Wait), "{next:?}");
            assert_eq!(next.iter().filter(|next| **next == NextAccept::Yield).count(), 40 / 4);
        }
    }

    #[test]
    fn endless_burst_yields_after_each_batch() {
        let mut crowd = AcceptPolicy::default();
        assert_eq!(
            [0; 8].map(|_| crowd.on_accept() == NextAccept::Yield).map(u8::from),
            [0, 0, 0, 1, 0, 0, 0, 1]
        );
        assert!((0..1000).all(|_| crowd.on_accept() != NextAccept::Wait));
    }
}
