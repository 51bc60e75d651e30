//! A member's cursor into its room's log.
//!
//! A session takes new messages in one of two ways. [`Subscription::collect_into`] gathers many
//! of them for one vectored write, which suits a peer that keeps up.
//! [`Subscription::drain`] hands them over one by one, for a session that must queue or change
//! them.

use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::actors::chat::broadcast::log::MessageLog;
use crate::actors::chat::broadcast::message::{COPY_LIMIT, HistoryLine, RoomMessage};
use crate::actors::chat::broadcast::subscribers::UnfinishedWrite;
use crate::net::Stream;

/// Maximum number of slices in one vectored write.
const MAX_IOVECS: usize = 32;

/// A member's cursor into a room's log, from the moment of joining on.
pub struct Subscription {
    log: MessageLog,
    /// The number of the next line. While the stream is lent, the subscriber's slot has it.
    position: u64,
    key: u32,
    is_lent: bool,
}

/// Messages gathered for one vectored write.
#[derive(Debug)]
pub(crate) struct WriteBatch {
    /// Short messages, one after the other.
    copied: Vec<u8>,
    /// Long messages, each with the number of copied bytes before it.
    shared: Vec<(usize, Arc<RoomMessage>)>,
    /// The total length in bytes.
    pub(crate) byte_len: usize,
    /// For each message, the offset of its end in the batch and the log position after it.
    pub(crate) message_ends: Vec<(usize, u64)>,
    /// The log position after the batch and after the member's own messages that follow it.
    pub(crate) next_position: u64,
}

impl WriteBatch {
    /// Creates an empty batch.
    pub(crate) const fn new() -> WriteBatch {
        WriteBatch {
            copied: Vec::new(),
            shared: Vec::new(),
            byte_len: 0,
            message_ends: Vec::new(),
            next_position: 0,
        }
    }

    /// Empties the batch and releases the shared messages.
    pub(crate) fn clear(&mut self) {
        self.copied.clear();
        self.shared.clear();
        self.message_ends.clear();
        self.byte_len = 0;
    }

    fn push(&mut self, message: &Arc<RoomMessage>) {
        let bytes = message.text.as_bytes();
        match bytes.len() < COPY_LIMIT {
            true => self.copied.extend_from_slice(bytes),
            false => self.shared.push((self.copied.len(), message.clone())),
        }
        self.byte_len += bytes.len();
    }

    /// Returns the batch as slices, in order. None is empty.
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.shared.iter().map(|(end, _)| *end).chain([self.copied.len()]);
        let begins = [0].into_iter().chain(self.shared.iter().map(|(end, _)| *end));
        let copied = begins.zip(ends).map(|(begin, end)| &self.copied[begin..end]);
        let shared = self.shared.iter().map(|(_, message)| message.text.as_bytes());
        let pairs = copied.zip(shared.chain([&[][..]]));
        pairs.flat_map(|(copied, shared)| [copied, shared]).filter(|slice| !slice.is_empty())
    }

    /// Calls `write` with the batch, up to [`MAX_IOVECS`] slices of it, and returns its result.
    pub(crate) fn write<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        if self.shared.is_empty() {
            return write(&[IoSlice::new(&self.copied)]);
        }
        let (mut slices, mut count) = ([IoSlice::new(&[]); MAX_IOVECS], 0);
        for (slice, bytes) in slices.iter_mut().zip(self.slices()) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        write(&slices[..count])
    }

    /// Copies the bytes between two offsets.
    pub(crate) fn copy_range(&self, start: usize, end: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.byte_len);
        self.slices().for_each(|slice| bytes.extend_from_slice(slice));
        bytes.drain(end..);
        bytes.split_off(start)
    }
}

/// An item that a subscription yields.
#[derive(Debug)]
pub enum Delivery {
    /// A message of another member or of the room.
    Message(Arc<RoomMessage>),
    /// The number of lines that left the log before they were read.
    Lagged(u64),
}

impl Subscription {
    /// Subscribes a member to the messages from now on.
    pub(crate) fn new(log: &MessageLog, member_id: u64) -> Subscription {
        let mut state = log.lock();
        let (position, key) = (state.end_position(), state.subscribers.add(member_id));
        drop(state);
        // Keys are reused, and each subscriber has a descriptor, so a key always fits.
        let key = u32::try_from(key).unwrap_or(u32::MAX);
        Subscription { log: log.clone(), position, key, is_lent: false }
    }

    fn key(&self) -> usize {
        self.key as usize
    }

    /// Returns `Ready` if the log has entries after this position. Otherwise registers the
    /// waker for the next message.
    pub fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.log.lock();
        if self.position < state.end_position() {
            return Poll::Ready(());
        }
        let old_waker = state.subscribers.register_waker(self.key(), cx);
        drop(state);
        // After the lock is released: a waker may own the last handle of a task.
        drop(old_waker);
        Poll::Pending
    }

    /// Lends the stream of a waiting session, so that the next sender writes to it directly. If
    /// that is not possible, the session is woken. Returns `false`, and lends nothing, if the
    /// log already has new entries.
    pub(crate) fn lend_stream(&mut self, stream: &Stream, cx: &Context<'_>) -> bool {
        let mut state = self.log.lock();
        if self.position < state.end_position() {
            return false;
        }
        let old_waker = state.subscribers.lend_stream(self.key(), self.position, stream, cx);
        drop(state);
        drop(old_waker);
        self.is_lent = true;
        true
    }

    /// Takes the stream back if it is lent, and returns the unfinished write. The session must
    /// call this before it writes to the stream again.
    pub(crate) fn reclaim_stream(&mut self) -> Option<UnfinishedWrite> {
        if !std::mem::take(&mut self.is_lent) {
            return None;
        }
        let (position, unfinished) = self.log.lock().subscribers.reclaim_stream(self.key());
        self.position = position;
        unfinished.map(|unfinished| *unfinished)
    }

    /// Collects new messages into `batch` until it holds `max_bytes` bytes. The cursor does not
    /// move. Returns whether there may be more. A cursor that has fallen behind the log collects
    /// nothing and returns `true`.
    pub(crate) fn collect_into(&self, batch: &mut WriteBatch, max_bytes: usize) -> bool {
        batch.clear();
        batch.next_position = self.position;
        let state = self.log.lock();
        if self.position < state.start_position() {
            return true;
        }
        let member_id = state.subscribers.member_id(self.key());
        for (after, message) in state.iter_from(self.position) {
            if batch.byte_len >= max_bytes || batch.shared.len() >= MAX_IOVECS / 2 {
                return true;
            }
            batch.next_position = after;
            if message.sender != Some(member_id) {
                batch.push(message);
                batch.message_ends.push((batch.byte_len, batch.next_position));
            }
        }
        false
    }

    /// Returns the number of the next line to read.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Moves the cursor to a position up to which everything was written.
    pub(crate) fn advance_to(&mut self, position: u64) {
        self.position = position;
    }

    /// Hands new messages to `deliver` until it returns `false`.
    pub fn drain(&mut self, mut deliver: impl FnMut(Delivery) -> bool) {
        let state = self.log.lock();
        let (start, member_id) = (state.start_position(), state.subscribers.member_id(self.key()));
        if self.position < start {
            let missed = start - self.position;
            self.position = start;
            if !deliver(Delivery::Lagged(missed)) {
                return;
            }
        }
        for (after, message) in state.iter_from(self.position) {
            self.position = after;
            if message.sender != Some(member_id) && !deliver(Delivery::Message(message.clone())) {
                return;
            }
        }
    }

    /// Returns the last `count` lines of the room, read or not, without the announcements of joins,
    /// leaves and new nicks.
    pub fn recent(&self, count: usize) -> Vec<HistoryLine> {
        self.log.recent(count)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let slot = self.log.lock().subscribers.remove(self.key());
        // After the lock is released: the slot holds a waker.
        drop(slot);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({}, at {})", self.key, self.position)
    }
}
