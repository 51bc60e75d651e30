//! Wake-ups of the line editor after a paste.
//!
//! The editor waits with one `select` for keys and for lines to show. It does not see keys that it
//! has read into its buffer but not handled yet. It would show a pasted word's first letter,
//! and the others only at the next key (rustyline 18, its issue 976). So keys that arrive together
//! are followed by a key without effect.

use std::slice::Iter;
use std::time::Duration;

/// The key without effect in the editor, Ctrl-@.
pub(super) const NUL_KEY: u8 = 0;

/// The pauses before each key without effect. There are several, in case the editor reads the first
/// one together with the pasted keys.
const WAKE_DELAYS: [Duration; 4] = [
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
];

/// The schedule of the keys without effect.
#[derive(Debug, Default)]
pub(super) struct PasteWaker {
    delays: Iter<'static, Duration>,
}

impl PasteWaker {
    /// Returns the time until the next key without effect, if one is due.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.delays.as_slice().first().copied()
    }

    /// Continues with the next pause, after the timeout has passed.
    pub(super) fn on_timeout(&mut self) {
        self.delays.next();
    }

    /// Starts the schedule if the editor received several keys at once.
    pub(super) fn on_forwarded(&mut self, keys: impl ExactSizeIterator<Item = u8>) {
        let is_burst = keys.len() > 1;
        // Two forwarded NUL keys must not restart the schedule.
        if is_burst && keys.into_iter().any(|key| key != NUL_KEY) {
            self.delays = WAKE_DELAYS.iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays_after(keys: &[u8]) -> usize {
        let mut waker = PasteWaker::default();
        waker.on_forwarded(keys.iter().copied());
        let mut count = 0;
        while waker.timeout().is_some() {
            waker.on_timeout();
            count += 1;
        }
        count
    }

    #[test]
    fn only_several_real_keys_start_the_schedule() {
        assert_eq!(delays_after(b"ab"), WAKE_DELAYS.len());
        assert_eq!(delays_after(b"a"), 0);
        assert_eq!(delays_after(&[NUL_KEY, NUL_KEY]), 0);
        assert_eq!(delays_after(&[]), 0);
    }
}
