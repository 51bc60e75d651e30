//! A member's ear: where it is in its room's ring.
//!
//! What there is to hear is handed over as it is shared, or copied: a member who takes what it is sent, which is nearly
//! always so, is sent many lines in one piece, and only one that does not has to hold them.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::ring::{Ring, Said};

/// A member's ear: the ring, from the moment of joining on.
pub struct Ear {
    ring: Ring,
    member: u64,
    /// The number of the next line.
    at: u64,
    key: usize,
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
        let waiting = &mut state.waiting[self.key];
        let last = match waiting {
            Some(waker) if waker.will_wake(cx.waker()) => None,
            _ => waiting.replace(cx.waker().clone()),
        };
        drop(state);
        // Outside of the lock: a waker may hold the last handle of a task.
        drop(last);
        Poll::Pending
    }

    /// Copies whole lines that there are to hear to the end of `bytes`, as long as it holds fewer than `enough`,
    /// and where each ends to `ends`. Returns the place in the ring after the last one; the ear stays where it is, and
    /// one that was overtaken copies nothing.
    pub(super) fn copy(
        &self,
        bytes: &mut Vec<u8>,
        ends: &mut Vec<(usize, u64)>,
        enough: usize,
    ) -> u64 {
        let state = self.ring.state();
        let mut at = self.at;
        let Some(skip) = at.checked_sub(state.first) else { return at };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        for said in state.lines.range(skip.min(state.lines.len())..) {
            if bytes.len() >= enough {
                break;
            }
            at += 1;
            if said.from != Some(self.member) {
                bytes.extend_from_slice(said.line.as_bytes());
                ends.push((bytes.len(), at));
            }
        }
        at
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
