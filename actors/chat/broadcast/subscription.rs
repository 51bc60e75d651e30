//! A member's ear: where it is in its room's ring.
//!
//! What there is to hear is handed over as it is shared, or copied: a member who takes what it is sent, which is nearly
//! always so, is sent many lines in one piece, and only one that does not has to hold them.

use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::actors::chat::broadcast::log::{HistoryLine, MessageLog, RoomMessage};
use crate::actors::chat::broadcast::subscribers::UnfinishedWrite;
use crate::net::Stream;

/// A member's ear: the ring, from the moment of joining on.
pub struct Subscription {
    log: MessageLog,
    /// The number of the next line; while the stream is lent, the seat has it.
    position: u64,
    key: u32,
    is_lent: bool,
}

/// What is as long as this is written from where it is, and not copied.
pub(crate) const COPY_LIMIT: usize = 1 << 10;

/// Lines on their way to one call.
#[derive(Debug)]
pub(crate) struct WriteBatch {
    /// Short lines, one behind the other.
    copied: Vec<u8>,
    /// Long ones, each with how many of the copied bytes stand before it.
    shared: Vec<(usize, Arc<RoomMessage>)>,
    /// How many bytes all of them have.
    pub(crate) byte_len: usize,
    /// Where each line, or what was said together, ends in them, and the place in the ring after it.
    pub(crate) message_ends: Vec<(usize, u64)>,
    /// The place after all of them, and after those that are not for this member.
    pub(crate) next_position: u64,
}

impl WriteBatch {
    pub(crate) const fn new() -> WriteBatch {
        WriteBatch {
            copied: Vec::new(),
            shared: Vec::new(),
            byte_len: 0,
            message_ends: Vec::new(),
            next_position: 0,
        }
    }

    /// Forgets them, and with them what others may be done with.
    pub(crate) fn clear(&mut self) {
        self.copied.clear();
        self.shared.clear();
        self.message_ends.clear();
        self.byte_len = 0;
    }

    fn push(&mut self, said: &Arc<RoomMessage>) {
        let bytes = said.text.as_bytes();
        match bytes.len() < COPY_LIMIT {
            true => self.copied.extend_from_slice(bytes),
            false => self.shared.push((self.copied.len(), said.clone())),
        }
        self.byte_len += bytes.len();
    }

    /// Returns the pieces that they are in.
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.shared.iter().map(|(end, _)| *end).chain([self.copied.len()]);
        let begins = [0].into_iter().chain(self.shared.iter().map(|(end, _)| *end));
        let copied = begins.zip(ends).map(|(begin, end)| &self.copied[begin..end]);
        let shared = self.shared.iter().map(|(_, said)| said.text.as_bytes());
        let pairs = copied.zip(shared.chain([&[][..]]));
        pairs.flat_map(|(copied, shared)| [copied, shared]).filter(|piece| !piece.is_empty())
    }

    /// Has `write` write them, as many pieces as one call takes, and returns what it does.
    pub(crate) fn write<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        if self.shared.is_empty() {
            return write(&[IoSlice::new(&self.copied)]);
        }
        let (mut slices, mut count) = ([IoSlice::new(&[]); MAX_IOVECS], 0);
        for (slice, piece) in slices.iter_mut().zip(self.slices()) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        write(&slices[..count])
    }

    /// Returns the bytes from one place to another.
    pub(crate) fn copy_range(&self, from: usize, to: usize) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.byte_len);
        self.slices().for_each(|piece| all.extend_from_slice(piece));
        all.drain(to..);
        all.split_off(from)
    }
}

/// So many pieces are handed to the kernel at once.
const MAX_IOVECS: usize = 32;

/// What an ear brings.
#[derive(Debug)]
pub enum Delivery {
    /// Somebody else, or the room, said this: a line, or several.
    Message(Arc<RoomMessage>),
    /// So many lines were gone before they were read.
    Lagged(u64),
}

impl Subscription {
    pub(crate) fn new(ring: MessageLog, at: u64, key: usize) -> Subscription {
        // Nobody has as many descriptors as this has numbers.
        Subscription {
            log: ring,
            position: at,
            key: u32::try_from(key).unwrap_or(u32::MAX),
            is_lent: false,
        }
    }

    fn key(&self) -> usize {
        self.key as usize
    }

    /// Is ready once there is something to hear.
    pub fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.log.lock();
        if self.position < state.end_position() {
            return Poll::Ready(());
        }
        let last = state.subscribers.register_waker(self.key(), cx);
        drop(state);
        // Outside of the lock: a waker may hold the last handle of a task.
        drop(last);
        Poll::Pending
    }

    /// Lends the stream of a session that waits, so that the next line is written to it at once; the session is woken
    /// where that is not so. Tells whether it did: not if there is something to hear.
    pub(crate) fn lend_stream(&mut self, stream: &Stream, cx: &Context<'_>) -> bool {
        let mut state = self.log.lock();
        if self.position < state.end_position() {
            return false;
        }
        let last = state.subscribers.lend_stream(self.key(), self.position, stream, cx);
        drop(state);
        drop(last);
        self.is_lent = true;
        true
    }

    /// Takes the stream back if it is lent, before anything else is written to it; returns what is left to do.
    pub(crate) fn reclaim_stream(&mut self) -> Option<UnfinishedWrite> {
        if !std::mem::take(&mut self.is_lent) {
            return None;
        }
        let (at, left) = self.log.lock().subscribers.reclaim_stream(self.key());
        self.position = at;
        left.map(|left| *left)
    }

    /// Gathers the lines that there are to hear, as long as `lines` holds fewer bytes than `enough`; the ear stays
    /// where it is. Tells whether there may be more; an ear that was overtaken has more and copies nothing.
    pub(crate) fn collect_into(&self, lines: &mut WriteBatch, enough: usize) -> bool {
        lines.clear();
        lines.next_position = self.position;
        let state = self.log.lock();
        if self.position < state.start_position() {
            return true;
        }
        let member = state.subscribers.member_id(self.key());
        for (after, said) in state.iter_from(self.position) {
            if lines.byte_len >= enough || lines.shared.len() >= MAX_IOVECS / 2 {
                return true;
            }
            lines.next_position = after;
            if said.sender != Some(member) {
                lines.push(said);
                lines.message_ends.push((lines.byte_len, lines.next_position));
            }
        }
        false
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Goes on to a place in the ring, up to which all was heard.
    pub(crate) fn advance_to(&mut self, at: u64) {
        self.position = at;
    }

    /// Hands over what there is to hear, as long as `take` wants more.
    pub fn drain(&mut self, mut take: impl FnMut(Delivery) -> bool) {
        let state = self.log.lock();
        let (first, member) = (state.start_position(), state.subscribers.member_id(self.key()));
        if self.position < first {
            let missed = first - self.position;
            self.position = first;
            if !take(Delivery::Lagged(missed)) {
                return;
            }
        }
        for (after, said) in state.iter_from(self.position) {
            self.position = after;
            if said.sender != Some(member) && !take(Delivery::Message(said.clone())) {
                return;
            }
        }
    }

    /// Returns the last `count` lines of the room, heard or not.
    pub fn recent(&self, count: usize) -> Vec<HistoryLine> {
        self.log.recent(count)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let seat = self.log.lock().subscribers.remove(self.key());
        drop(seat);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ear({}, at {})", self.key, self.position)
    }
}
