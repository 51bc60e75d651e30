//! The sessions that wait for a room's next message, and direct writes to their streams.
//!
//! A session with nothing to write lends its stream to the log while it waits. The sender of a
//! short message then writes it to all lent streams itself. That is cheaper than waking a task
//! for each member: one executor turn per message instead of one per member.
//!
//! A session reclaims its stream under the log's lock before it does anything else in its next
//! turn. So a stream has one writer at a time, and a member receives all messages in log order.
//!
//! If a peer does not take the whole message, its session is woken and writes the
//! remainder. When many members send at the same moment, batches are cheaper than direct writes.
//! So after a direct write one of the receivers becomes the probe and is woken. Until the probe
//! has had a turn, further messages wake the sessions, which write them in batches.

use std::io;
use std::task::{Context, Waker};

use slab::Slab;

use crate::actors::chat::broadcast::message::{COPY_LIMIT, RoomMessage};
use crate::net::{Stream, StreamWriter};

/// Largest room in which messages are written directly. In a larger room the sessions are
/// woken: they write in batches when messages arrive faster than they can be written singly.
const MAX_DIRECT_WRITES: usize = 64;

/// The subscribers of one log.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    slots: Slab<SubscriberSlot>,
    /// The subscriber that must run before the next direct write.
    probe: Option<usize>,
}

#[derive(Debug)]
struct SubscriberSlot {
    member_id: u64,
    /// Position of the subscription while its stream is lent.
    position: u64,
    wait_mode: WaitMode,
    /// Kept between waits, because the next wait usually registers the same waker.
    waker: Option<Waker>,
    writer: Option<StreamWriter>,
    unfinished: Option<Box<UnfinishedWrite>>,
}

/// The state of a subscriber's wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitMode {
    /// The session is running, or has been woken.
    NotWaiting,
    /// The session waits to be woken.
    Wake,
    /// The session has lent its stream: write to it, or wake the session.
    DirectWrite,
}

/// The result of a direct write that the session must handle: unwritten bytes or an error.
#[derive(Debug)]
pub(crate) enum UnfinishedWrite {
    /// The unwritten end of the last message.
    Remainder(Box<[u8]>),
    /// The connection failed.
    Failed(io::Error),
}

impl Subscribers {
    /// Adds a subscriber whose session is running, and returns its key.
    pub(crate) fn add(&mut self, member_id: u64) -> usize {
        self.slots.insert(SubscriberSlot {
            member_id,
            position: 0,
            wait_mode: WaitMode::NotWaiting,
            waker: None,
            writer: None,
            unfinished: None,
        })
    }

    /// Removes a subscriber. Drop the returned value after releasing the lock.
    pub(crate) fn remove(&mut self, key: usize) -> Option<impl Sized + use<>> {
        self.clear_probe(key);
        self.slots.try_remove(key)
    }

    /// Returns the member that a subscriber belongs to.
    pub(crate) fn member_id(&self, key: usize) -> u64 {
        self.slots[key].member_id
    }

    /// Wakes the session on the next message. Drop the returned waker after releasing the lock.
    pub(crate) fn register_waker(&mut self, key: usize, cx: &Context<'_>) -> Option<Waker> {
        let slot = &mut self.slots[key];
        slot.wait_mode = WaitMode::Wake;
        match &slot.waker {
            Some(waker) if waker.will_wake(cx.waker()) => None,
            _ => slot.waker.replace(cx.waker().clone()),
        }
    }

    /// Lends a session's stream: the next message is written to it, or else wakes the session.
    /// Drop the returned waker after releasing the lock.
    pub(crate) fn lend_stream(
        &mut self,
        key: usize,
        position: u64,
        stream: &Stream,
        cx: &Context<'_>,
    ) -> Option<Waker> {
        let old_waker = self.register_waker(key, cx);
        let slot = &mut self.slots[key];
        slot.writer.get_or_insert_with(|| stream.writer());
        (slot.position, slot.wait_mode) = (position, WaitMode::DirectWrite);
        old_waker
    }

    /// Returns a lent stream to its session, with the subscription's new position and the
    /// unfinished write.
    pub(crate) fn reclaim_stream(&mut self, key: usize) -> (u64, Option<Box<UnfinishedWrite>>) {
        self.clear_probe(key);
        let slot = &mut self.slots[key];
        slot.wait_mode = WaitMode::NotWaiting;
        (slot.position, slot.unfinished.take())
    }

    fn clear_probe(&mut self, key: usize) {
        if self.probe == Some(key) {
            self.probe = None;
        }
    }

    /// Takes the wakers of all waiting sessions. Wake them after releasing the lock.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        self.slots.iter_mut().filter_map(|(_, slot)| slot.take_waker()).collect()
    }

    /// Writes the message between the positions `first` and `after` to the sessions that have
    /// lent their streams at `first`. Returns the wakers of the others. Wake them after releasing
    /// the lock.
    pub(crate) fn deliver(&mut self, first: u64, after: u64, message: &RoomMessage) -> Vec<Waker> {
        if self.probe.is_some()
            || message.text.len() >= COPY_LIMIT
            || self.slots.len() > MAX_DIRECT_WRITES
        {
            return self.take_wakers();
        }
        let mut wakers = Vec::new();
        for (key, slot) in &mut self.slots {
            let is_lent = slot.wait_mode == WaitMode::DirectWrite;
            if is_lent && slot.position >= after {
                // A concurrent delivery has already written it.
                continue;
            }
            if is_lent && slot.position == first {
                if message.sender == Some(slot.member_id) {
                    slot.position = after;
                    continue;
                }
                self.probe = Some(key);
                if slot.write_direct(after, message) {
                    continue;
                }
            }
            wakers.extend(slot.take_waker());
        }
        let probe = self.probe.and_then(|key| self.slots.get_mut(key));
        wakers.extend(probe.and_then(SubscriberSlot::take_waker));
        wakers
    }
}

impl SubscriberSlot {
    fn take_waker(&mut self) -> Option<Waker> {
        match self.wait_mode {
            WaitMode::NotWaiting => None,
            WaitMode::Wake | WaitMode::DirectWrite => {
                self.wait_mode = WaitMode::NotWaiting;
                self.waker.take()
            }
        }
    }

    /// Writes a message to the lent stream. Returns whether the peer took all of it.
    fn write_direct(&mut self, after: u64, message: &RoomMessage) -> bool {
        let Some(writer) = &self.writer else { return false };
        let bytes = message.text.as_bytes();
        match writer.try_write(bytes) {
            Ok(written) => {
                self.position = after;
                if written < bytes.len() {
                    self.unfinished =
                        Some(Box::new(UnfinishedWrite::Remainder(bytes[written..].into())));
                }
                written == bytes.len()
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => {
                self.unfinished = Some(Box::new(UnfinishedWrite::Failed(error)));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
