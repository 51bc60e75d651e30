//! A member's ear: where it is in its room's ring.
//!
//! What there is to hear is handed over as it is shared, or copied: a member who takes what it is sent, which is nearly
//! always so, is sent many lines in one piece, and only one that does not has to hold them.

use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::actors::chat::broadcast::log::{Remembered, Ring, Said};
use crate::actors::chat::broadcast::subscribers::Left;
use crate::net::Stream;

/// A member's ear: the ring, from the moment of joining on.
pub struct Ear {
    ring: Ring,
    /// The number of the next line; while the stream is lent, the seat has it.
    at: u64,
    key: u32,
    is_lent: bool,
}

/// What is as long as this is written from where it is, and not copied.
pub(crate) const SHARED: usize = 1 << 10;

/// Lines on their way to one call.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Short lines, one behind the other.
    copied: Vec<u8>,
    /// Long ones, each with how many of the copied bytes stand before it.
    shared: Vec<(usize, Arc<Said>)>,
    /// How many bytes all of them have.
    pub(crate) length: usize,
    /// Where each line, or what was said together, ends in them, and the place in the ring after it.
    pub(crate) ends: Vec<(usize, u64)>,
    /// The place after all of them, and after those that are not for this member.
    pub(crate) after: u64,
}

impl Lines {
    pub(crate) const fn new() -> Lines {
        Lines { copied: Vec::new(), shared: Vec::new(), length: 0, ends: Vec::new(), after: 0 }
    }

    /// Forgets them, and with them what others may be done with.
    pub(crate) fn clear(&mut self) {
        self.copied.clear();
        self.shared.clear();
        self.ends.clear();
        self.length = 0;
    }

    fn add(&mut self, said: &Arc<Said>) {
        let bytes = said.line.as_bytes();
        match bytes.len() < SHARED {
            true => self.copied.extend_from_slice(bytes),
            false => self.shared.push((self.copied.len(), said.clone())),
        }
        self.length += bytes.len();
    }

    /// Returns the pieces that they are in.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.shared.iter().map(|(end, _)| *end).chain([self.copied.len()]);
        let begins = [0].into_iter().chain(self.shared.iter().map(|(end, _)| *end));
        let copied = begins.zip(ends).map(|(begin, end)| &self.copied[begin..end]);
        let shared = self.shared.iter().map(|(_, said)| said.line.as_bytes());
        let pairs = copied.zip(shared.chain([&[][..]]));
        pairs.flat_map(|(copied, shared)| [copied, shared]).filter(|piece| !piece.is_empty())
    }

    /// Has `write` write them, as many pieces as one call takes, and returns what it does.
    pub(crate) fn write<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        if self.shared.is_empty() {
            return write(&[IoSlice::new(&self.copied)]);
        }
        let (mut slices, mut count) = ([IoSlice::new(&[]); PIECES], 0);
        for (slice, piece) in slices.iter_mut().zip(self.pieces()) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        write(&slices[..count])
    }

    /// Returns the bytes from one place to another.
    pub(crate) fn part(&self, from: usize, to: usize) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.length);
        self.pieces().for_each(|piece| all.extend_from_slice(piece));
        all.drain(to..);
        all.split_off(from)
    }
}

/// So many pieces are handed to the kernel at once.
const PIECES: usize = 32;

/// What an ear brings.
#[derive(Debug)]
pub enum Heard {
    /// Somebody else, or the room, said this: a line, or several.
    Said(Arc<Said>),
    /// So many lines were gone before they were read.
    Missed(u64),
}

impl Ear {
    pub(crate) fn new(ring: Ring, at: u64, key: usize) -> Ear {
        // Nobody has as many descriptors as this has numbers.
        Ear { ring, at, key: u32::try_from(key).unwrap_or(u32::MAX), is_lent: false }
    }

    fn key(&self) -> usize {
        self.key as usize
    }

    /// Is ready once there is something to hear.
    pub fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.ring.state();
        if self.at < state.end() {
            return Poll::Ready(());
        }
        let last = state.seats.wait(self.key(), cx);
        drop(state);
        // Outside of the lock: a waker may hold the last handle of a task.
        drop(last);
        Poll::Pending
    }

    /// Lends the stream of a session that waits, so that the next line is written to it at once; the session is woken
    /// where that is not so. Tells whether it did: not if there is something to hear.
    pub(crate) fn lend(&mut self, stream: &Stream, cx: &Context<'_>) -> bool {
        let mut state = self.ring.state();
        if self.at < state.end() {
            return false;
        }
        let last = state.seats.lend(self.key(), self.at, stream, cx);
        drop(state);
        drop(last);
        self.is_lent = true;
        true
    }

    /// Takes the stream back if it is lent, before anything else is written to it; returns what is left to do.
    pub(crate) fn take_back(&mut self) -> Option<Left> {
        if !std::mem::take(&mut self.is_lent) {
            return None;
        }
        let (at, left) = self.ring.state().seats.take_back(self.key());
        self.at = at;
        left.map(|left| *left)
    }

    /// Gathers the lines that there are to hear, as long as `lines` holds fewer bytes than `enough`; the ear stays
    /// where it is. Tells whether there may be more; an ear that was overtaken has more and copies nothing.
    pub(crate) fn gather(&self, lines: &mut Lines, enough: usize) -> bool {
        lines.clear();
        lines.after = self.at;
        let state = self.ring.state();
        if self.at < state.first() {
            return true;
        }
        let member = state.seats.member(self.key());
        for (after, said) in state.from(self.at) {
            if lines.length >= enough || lines.shared.len() >= PIECES / 2 {
                return true;
            }
            lines.after = after;
            if said.from != Some(member) {
                lines.add(said);
                lines.ends.push((lines.length, lines.after));
            }
        }
        false
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Goes on to a place in the ring, up to which all was heard.
    pub(crate) fn go_to(&mut self, at: u64) {
        self.at = at;
    }

    /// Hands over what there is to hear, as long as `take` wants more.
    pub fn hear(&mut self, mut take: impl FnMut(Heard) -> bool) {
        let state = self.ring.state();
        let (first, member) = (state.first(), state.seats.member(self.key()));
        if self.at < first {
            let missed = first - self.at;
            self.at = first;
            if !take(Heard::Missed(missed)) {
                return;
            }
        }
        for (after, said) in state.from(self.at) {
            self.at = after;
            if said.from != Some(member) && !take(Heard::Said(said.clone())) {
                return;
            }
        }
    }

    /// Returns the last `count` lines of the room, heard or not.
    pub fn last(&self, count: usize) -> Vec<Remembered> {
        self.ring.last(count)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let seat = self.ring.state().seats.remove(self.key());
        drop(seat);
    }
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ear({}, at {})", self.key, self.at)
    }
}
