//! A room's ring: what was said there lately, for all its members to read.
//!
//! A line is encoded once and shared. Each member reads with a cursor of its own, an [`Ear`](crate::actors::chat::broadcast::subscription::Ear), so all hear the
//! same order and nobody waits for a slow reader: the ring goes on, and an ear that it has overtaken learns how
//! many lines it missed. The ring is bounded in bytes and in lines.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::SystemTime;

use crate::actors::chat::broadcast::subscribers::Seats;
use crate::actors::chat::broadcast::subscription::Ear;

/// How many bytes of lines a ring holds at most, unless it is told to hold less; a slow reader may lag as much
/// behind.
const BYTES: usize = 1 << 20;

/// How many lines a ring holds at most.
const LINES: u64 = 4096;

/// What a line costs beside its text, about.
const OVERHEAD: usize = 96;

/// A line that was said in a room, or several that were said together.
#[derive(Debug)]
pub struct Said {
    /// The member who said it, and is not sent it; none for the room itself.
    pub(crate) from: Option<u64>,
    /// The lines as they go to the members, safe for a terminal, each with its newline.
    pub line: Box<str>,
    /// How many lines that are.
    pub(crate) count: u32,
    /// When.
    pub at: SystemTime,
}

impl Said {
    /// Returns the lines, each with its newline.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.line.split_inclusive('\n')
    }
}

/// A line that was said a while ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The line as it went to the members, with its newline.
    pub line: Box<str>,
    /// When it was said.
    pub at: SystemTime,
}

/// What was said lately.
#[derive(Clone, Default)]
pub(crate) struct Ring(Arc<Mutex<State>>);

pub(crate) struct State {
    /// Each with the number of its first line.
    said: VecDeque<(u64, Arc<Said>)>,
    bytes: usize,
    /// How many bytes there may be.
    most: usize,
    /// The number of the next line.
    end: u64,
    /// Where the members wait for the next line.
    pub(crate) seats: Seats,
}

impl Default for State {
    fn default() -> State {
        let (said, seats) = (VecDeque::new(), Seats::default());
        State { said, bytes: 0, most: BYTES, end: 0, seats }
    }
}

impl State {
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Returns the number of the first line in the ring.
    pub(crate) fn first(&self) -> u64 {
        self.said.front().map_or(self.end, |(number, _)| *number)
    }

    /// Returns what was said from a line on, each with the number of the line after it.
    pub(crate) fn from(&self, number: u64) -> impl Iterator<Item = (u64, &Arc<Said>)> {
        let skip = self.said.partition_point(|(first, _)| *first < number);
        self.said.range(skip..).map(|(first, said)| (first + u64::from(said.count), said))
    }

    fn trim(&mut self) {
        while self.bytes > self.most || self.end - self.first() > LINES {
            let Some((_, said)) = self.said.pop_front() else { return };
            self.bytes -= said.line.len() + OVERHEAD;
        }
    }
}

impl Ring {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has everybody hear a line but its own member.
    pub(crate) fn say(&self, from: Option<u64>, line: String, at: SystemTime) -> Arc<Said> {
        let said = self.add(from, line, 1, at);
        let wakers = self.state().seats.wake_all();
        wakers.into_iter().for_each(Waker::wake);
        said
    }

    /// Adds `count` lines for everybody but their own member to hear, who are to be [told](Ring::tell) of them.
    pub(crate) fn add(
        &self,
        from: Option<u64>,
        lines: String,
        count: u32,
        at: SystemTime,
    ) -> Arc<Said> {
        let said = Arc::new(Said { from, line: lines.into(), count, at });
        let mut state = self.state();
        state.bytes += said.line.len() + OVERHEAD;
        let number = state.end;
        state.end += u64::from(count);
        state.said.push_back((number, said.clone()));
        state.trim();
        said
    }

    /// Writes the last lines to those who wait for them, or wakes them.
    pub(crate) fn tell(&self) {
        let mut state = self.state();
        let State { said, end, seats, .. } = &mut *state;
        let wakers = match said.back() {
            Some((number, said)) => seats.tell(*number, *end, said),
            None => Vec::new(),
        };
        drop(state);
        // Outside of the lock: a waker may hold the last handle of a task.
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Tells whether it holds a line of which `is` is true.
    pub(crate) fn any(&self, mut is: impl FnMut(&Arc<Said>) -> bool) -> bool {
        self.state().said.iter().any(|(_, said)| is(said))
    }

    /// Has the ring hold at most so many bytes from now on.
    pub(crate) fn hold(&self, bytes: usize) {
        let mut state = self.state();
        state.most = bytes.min(BYTES);
        state.trim();
    }

    /// Returns how many bytes it holds.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Makes the ear of a member, which hears from now on.
    pub(crate) fn ear(&self, member: u64) -> Ear {
        let mut state = self.state();
        let (at, key) = (state.end(), state.seats.add(member));
        drop(state);
        Ear::new(self.clone(), at, key)
    }

    /// Returns the last `count` lines.
    pub(crate) fn last(&self, count: usize) -> Vec<Remembered> {
        let state = self.state();
        let first = state.end.saturating_sub(count as u64);
        let said =
            state.said.iter().filter(|(number, said)| number + u64::from(said.count) > first);
        let mut last = Vec::new();
        for (number, said) in said {
            let skip = usize::try_from(first.saturating_sub(*number)).unwrap_or(usize::MAX);
            let lines = said.lines().skip(skip);
            last.extend(lines.map(|line| Remembered { line: line.into(), at: said.at }));
        }
        last
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "Ring({} lines, {} bytes)", state.end - state.first(), state.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::chat::broadcast::subscription::Heard;
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
    fn lines_that_were_said_together_are_counted_and_remembered_one_by_one() {
        let ring = Ring::default();
        let mut ear = ring.ear(1);
        ring.say(None, "one\n".into(), NOW);
        ring.add(None, "two\nthree\nfour\n".into(), 3, NOW);
        ring.say(None, "five\n".into(), NOW);
        let last = |count| {
            ring.last(count).into_iter().map(|one| one.line.into()).collect::<Vec<String>>()
        };
        assert_eq!(last(3), ["three\n", "four\n", "five\n"]);
        assert_eq!(last(9), ["one\n", "two\n", "three\n", "four\n", "five\n"]);
        ring.hold(2 * OVERHEAD);
        assert_eq!(last(9), ["five\n"]);
        assert_eq!(all(&mut ear), ["missed 4", "five\n"]);
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
        assert_eq!(heard.len() as u64, LINES + 1);
    }

    #[test]
    fn a_ring_is_bounded_in_bytes() {
        let ring = Ring::default();
        let line = "x".repeat(100_000);
        for _ in 0..100 {
            ring.say(None, line.clone(), NOW);
        }
        let state = ring.state();
        assert!(state.bytes <= BYTES && state.said.len() == BYTES / (line.len() + OVERHEAD));
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
