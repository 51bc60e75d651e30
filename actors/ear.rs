//! A member's ear: where it is in its room's ring.
//!
//! What there is to hear is handed over as it is shared, or copied: a member who takes what it is sent, which is nearly
//! always so, is sent many lines in one piece, and only one that does not has to hold them.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::ring::{Ring, Said, State};

/// A member's ear: the ring, from the moment of joining on.
pub struct Ear {
    ring: Ring,
    member: u64,
    /// The number of the next line.
    at: u64,
    key: usize,
}

/// Lines in one piece.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    /// Where each line ends in it, and the place in the ring after that line.
    pub(super) ends: Vec<(usize, u64)>,
    /// The place after all of them, and after those that are not for this member.
    pub(super) after: u64,
}

impl Lines {
    pub(super) const fn new() -> Lines {
        Lines { bytes: Vec::new(), ends: Vec::new(), after: 0 }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// What an ear brings.
#[derive(Debug)]
pub enum Heard {
    /// Somebody else, or the room, said this.
    Said(Arc<Said>),
    /// So many lines were gone before they were read.
    Missed(u64),
}

impl Ear {
    pub(super) fn new(ring: Ring, member: u64, at: u64, key: usize) -> Ear {
        Ear { ring, member, at, key }
    }

    /// Is ready once there is something to hear.
    pub fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.ring.state();
        if self.at < state.end() {
            return Poll::Ready(());
        }
        let last = self.wait(&mut state, cx);
        drop(state);
        // Outside of the lock: a waker may hold the last handle of a task.
        drop(last);
        Poll::Pending
    }

    fn wait(&self, state: &mut State, cx: &Context<'_>) -> Option<Waker> {
        let waiting = &mut state.waiting[self.key];
        match waiting {
            Some(waker) if waker.will_wake(cx.waker()) => None,
            _ => waiting.replace(cx.waker().clone()),
        }
    }

    /// Copies the lines that there are to hear, as long as `lines` holds fewer bytes than `enough`; the ear stays
    /// where it is. Is pending when these are all, and the task is woken by the next one; an ear that was
    /// overtaken is ready and copies nothing.
    pub(super) fn poll_copy(&self, lines: &mut Lines, enough: usize, cx: &Context<'_>) -> Poll<()> {
        lines.clear();
        lines.after = self.at;
        let mut state = self.ring.state();
        let Some(skip) = self.at.checked_sub(state.first) else { return Poll::Ready(()) };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        for said in state.lines.range(skip.min(state.lines.len())..) {
            if lines.bytes.len() >= enough {
                return Poll::Ready(());
            }
            lines.after += 1;
            if said.from != Some(self.member) {
                lines.bytes.extend_from_slice(said.line.as_bytes());
                lines.ends.push((lines.bytes.len(), lines.after));
            }
        }
        let last = self.wait(&mut state, cx);
        drop(state);
        drop(last);
        Poll::Pending
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Goes on to a place in the ring, up to which all was heard.
    pub(super) fn go_to(&mut self, at: u64) {
        self.at = at;
    }

    /// Hands over what there is to hear, as long as `take` wants more.
    pub fn hear(&mut self, mut take: impl FnMut(Heard) -> bool) {
        let state = self.ring.state();
        if self.at < state.first {
            let missed = state.first - self.at;
            self.at = state.first;
            if !take(Heard::Missed(missed)) {
                return;
            }
        }
        let skip = usize::try_from(self.at - state.first).unwrap_or(usize::MAX);
        for said in state.lines.range(skip.min(state.lines.len())..) {
            self.at += 1;
            if said.from != Some(self.member) && !take(Heard::Said(said.clone())) {
                return;
            }
        }
    }

    /// Returns the last `count` lines of the room, heard or not.
    pub fn last(&self, count: usize) -> Vec<Arc<Said>> {
        self.ring.last(count)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let waker = self.ring.state().waiting.try_remove(self.key);
        drop(waker);
    }
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ear({}, at {})", self.member, self.at)
    }
}
