//! A room's ring: what was said there lately, for all its members to read.
//!
//! A line is encoded once and shared. Each member reads with a cursor of its own, an [`Ear`](super::ear::Ear), so all hear the
//! same order and nobody waits for a slow reader: the ring goes on, and an ear that it has overtaken learns how
//! many lines it missed. The ring is bounded in bytes and in lines.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::SystemTime;

use slab::Slab;

use super::ear::Ear;

/// How many bytes of lines a ring holds at most, unless it is told to hold less; a slow reader may lag as much
/// behind.
const BYTES: usize = 1 << 20;

/// How many lines a ring holds at most.
const LINES: usize = 4096;

/// What a line costs beside its text, about.
const OVERHEAD: usize = 96;

/// One line that was said in a room.
#[derive(Debug)]
pub struct Said {
    /// The member who said it, and is not sent it; none for the room itself.
    pub(super) from: Option<u64>,
    /// The line as it goes to the members, safe for a terminal, with its newline.
    pub line: Box<str>,
    /// When.
    pub at: SystemTime,
}

/// What was said lately.
#[derive(Clone, Default)]
pub(super) struct Ring(Arc<Mutex<State>>);

pub(super) struct State {
    pub(super) lines: VecDeque<Arc<Said>>,
    bytes: usize,
    /// How many bytes there may be.
    most: usize,
    /// The number of the first line in the ring.
    pub(super) first: u64,
    /// Those who wait for the next line, by their ears.
    pub(super) waiting: Slab<Option<Waker>>,
}

impl Default for State {
    fn default() -> State {
        let (lines, waiting) = (VecDeque::new(), Slab::new());
        State { lines, bytes: 0, most: BYTES, first: 0, waiting }
    }
}

impl State {
    pub(super) fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    fn trim(&mut self) {
        while self.bytes > self.most || self.lines.len() > LINES {
            let Some(said) = self.lines.pop_front() else { return };
            self.first += 1;
            self.bytes -= said.line.len() + OVERHEAD;
        }
    }
}

impl Ring {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has everybody hear a line but its own member.
    pub(super) fn say(&self, from: Option<u64>, line: String, at: SystemTime) -> Arc<Said> {
        let said = Arc::new(Said { from, line: line.into(), at });
        let mut state = self.state();
        state.bytes += said.line.len() + OVERHEAD;
        state.lines.push_back(said.clone());
        state.trim();
        let wakers: Vec<_> = state.waiting.iter_mut().filter_map(|(_, w)| w.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        said
    }

    /// Tells whether it holds a line of which `is` is true.
    pub(super) fn any(&self, is: impl FnMut(&Arc<Said>) -> bool) -> bool {
        self.state().lines.iter().any(is)
    }

    /// Has the ring hold at most so many bytes from now on.
    pub(super) fn hold(&self, bytes: usize) {
        let mut state = self.state();
        state.most = bytes.min(BYTES);
        state.trim();
    }

    /// Returns how many bytes it holds.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Makes the ear of a member, which hears from now on.
    pub(super) fn ear(&self, member: u64) -> Ear {
        let mut state = self.state();
        let (at, key) = (state.end(), state.waiting.insert(None));
        drop(state);
        Ear::new(self.clone(), member, at, key)
    }

    /// Returns the last `count` lines.
    pub(super) fn last(&self, count: usize) -> Vec<Arc<Said>> {
        let state = self.state();
        let skip = state.lines.len().saturating_sub(count);
        state.lines.iter().skip(skip).cloned().collect()
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "Ring({} lines, {} bytes)", state.lines.len(), state.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ear::Heard;
    use super::*;
    use std::task::Context;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn all(ear: &mut Ear) -> Vec<String> {
        let mut heard = Vec::new();
        ear.hear(|one| {
            heard.push(match one {
                Heard::Said(said) => said.line.to_string(),
                Heard::Missed(missed) => format!("missed {missed}"),
            });
            true
        });
        heard
    }

    fn is_ready(ear: &mut Ear) -> bool {
        ear.poll_ready(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn everybody_hears_the_others_from_its_coming_on() {
        let ring = Ring::default();
        let mut ada = ring.ear(1);
        ring.say(Some(1), "one".into(), NOW);
        let mut bob = ring.ear(2);
        assert!(is_ready(&mut ada) && !is_ready(&mut bob));
        ring.say(Some(2), "two".into(), NOW);
        ring.say(None, "three".into(), NOW);
        assert_eq!(
            (all(&mut ada), all(&mut bob)),
            (vec!["two".into(), "three".into()], vec!["three".into()])
        );
        assert!(!is_ready(&mut ada) && all(&mut ada).is_empty());
        assert_eq!(ring.last(2).len(), 2);
    }

    #[test]
    fn who_is_overtaken_learns_how_many_lines_it_missed_and_in_order() {
        let ring = Ring::default();
        let mut slow = ring.ear(1);
        for k in 0..LINES + 5 {
            ring.say(None, k.to_string(), NOW);
        }
        let heard = all(&mut slow);
        assert_eq!(heard[..2], ["missed 5", "5"]);
        assert_eq!(heard.len(), LINES + 1);
    }

    #[test]
    fn a_ring_is_bounded_in_bytes() {
        let ring = Ring::default();
        let line = "x".repeat(100_000);
        for _ in 0..100 {
            ring.say(None, line.clone(), NOW);
        }
        let state = ring.state();
        assert!(state.bytes <= BYTES && state.lines.len() == BYTES / (line.len() + OVERHEAD));
    }

    #[test]
    fn a_taker_that_has_enough_goes_on_where_it_was() {
        let ring = Ring::default();
        let mut ear = ring.ear(1);
        (0..3).for_each(|k| drop(ring.say(None, k.to_string(), NOW)));
        let mut count = 0;
        ear.hear(|_| {
            count += 1;
            count < 2
        });
        assert_eq!(all(&mut ear), ["2"]);
    }
}
