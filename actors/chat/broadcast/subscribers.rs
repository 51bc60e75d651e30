//! Where a room's members wait for the next line, and how it is written to them at once.
//!
//! A session that has nothing to write lends its stream to the ring while it waits. Whoever says a short line then
//! writes it to all those itself, which is cheaper than to wake a task for each of them: one turn of the executor for a
//! line, and not one for each member. A session takes its stream back, under the ring's lock, before it does
//! anything else at its next turn. So one writes to a stream at a time, and a member hears all lines in the ring's order.
//!
//! A peer that does not take the whole line is its session's matter again, which finds the rest of the line. And when
//! many members speak at the same moment, their lines are better sent together: once a line was written to
//! its hearers the next ones wake them, until one of those hearers had a turn.

use std::io;
use std::task::{Context, Waker};

use slab::Slab;

use crate::actors::chat::broadcast::log::RoomMessage;
use crate::actors::chat::broadcast::subscription::COPY_LIMIT;
use crate::net::{Stream, StreamWriter};

/// In a room of so many peers they are written to in one turn. In a larger one their sessions are woken, which send many lines
/// together where lines come faster than they can be sent one by one.
const MAX_DIRECT_WRITES: usize = 64;

/// The places of those who wait.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    slots: Slab<SubscriberSlot>,
    /// The hearer who is to have a turn before a line is written at once again.
    probe: Option<usize>,
}

#[derive(Debug)]
struct SubscriberSlot {
    member_id: u64,
    /// Where its ear was when it lent its stream.
    position: u64,
    wait_mode: WaitMode,
    /// Kept while it does not wait, too: most often it is the same one again.
    waker: Option<Waker>,
    writer: Option<StreamWriter>,
    unfinished: Option<Box<UnfinishedWrite>>,
}

/// What the session of a seat waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitMode {
    /// Nothing: it has its turn, or was woken.
    NotWaiting,
    /// To be woken.
    Wake,
    /// To be written to, or else to be woken.
    DirectWrite,
}

/// What a session finds when it takes its stream back, besides the lines that were written whole.
#[derive(Debug)]
pub(crate) enum UnfinishedWrite {
    /// The rest of the last line.
    Remainder(Box<[u8]>),
    /// The connection failed.
    Failed(io::Error),
}

impl Subscribers {
    /// Adds the seat of a member who has its turn.
    pub(crate) fn add(&mut self, member: u64) -> usize {
        let (waits, waker, writer) = (WaitMode::NotWaiting, None, None);
        self.slots.insert(SubscriberSlot {
            member_id: member,
            position: 0,
            wait_mode: waits,
            waker,
            writer,
            unfinished: None,
        })
    }

    /// Takes a seat away; what it held is to be dropped where nothing is locked.
    pub(crate) fn remove(&mut self, key: usize) -> Option<impl Sized + use<>> {
        self.clear_probe(key);
        self.slots.try_remove(key)
    }

    pub(crate) fn member_id(&self, key: usize) -> u64 {
        self.slots[key].member_id
    }

    /// Has a session be woken by the next line. What comes back is to be dropped where nothing is locked.
    pub(crate) fn register_waker(&mut self, key: usize, cx: &Context<'_>) -> Option<Waker> {
        let seat = &mut self.slots[key];
        seat.wait_mode = WaitMode::Wake;
        match &seat.waker {
            Some(waker) if waker.will_wake(cx.waker()) => None,
            _ => seat.waker.replace(cx.waker().clone()),
        }
    }

    /// Has the next line be written to a session's stream; otherwise as [`Subscribers::register_waker`].
    pub(crate) fn lend_stream(
        &mut self,
        key: usize,
        at: u64,
        stream: &Stream,
        cx: &Context<'_>,
    ) -> Option<Waker> {
        let last = self.register_waker(key, cx);
        let seat = &mut self.slots[key];
        seat.writer.get_or_insert_with(|| stream.writer());
        (seat.position, seat.wait_mode) = (at, WaitMode::DirectWrite);
        last
    }

    /// Gives a session its stream back: where its ear is now, and what is left to do.
    pub(crate) fn reclaim_stream(&mut self, key: usize) -> (u64, Option<Box<UnfinishedWrite>>) {
        self.clear_probe(key);
        let seat = &mut self.slots[key];
        seat.wait_mode = WaitMode::NotWaiting;
        (seat.position, seat.unfinished.take())
    }

    fn clear_probe(&mut self, key: usize) {
        if self.probe == Some(key) {
            self.probe = None;
        }
    }

    /// Returns who waits, to be woken where nothing is locked.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        self.slots.iter_mut().filter_map(|(_, seat)| seat.take_waker()).collect()
    }

    /// Writes what was said, from its first line on until `after`, to those who wait for just that, and returns the
    /// others to be woken.
    pub(crate) fn deliver(&mut self, first: u64, after: u64, said: &RoomMessage) -> Vec<Waker> {
        if self.probe.is_some()
            || said.text.len() >= COPY_LIMIT
            || self.slots.len() > MAX_DIRECT_WRITES
        {
            return self.take_wakers();
        }
        let mut wakers = Vec::new();
        for (key, seat) in &mut self.slots {
            let is_lent = seat.wait_mode == WaitMode::DirectWrite;
            if is_lent && seat.position >= after {
                // Somebody else has written it meanwhile.
                continue;
            }
            if is_lent && seat.position == first {
                if said.sender == Some(seat.member_id) {
                    seat.position = after;
                    continue;
                }
                self.probe = Some(key);
                if seat.write_direct(after, said) {
                    continue;
                }
            }
            wakers.extend(seat.take_waker());
        }
        let witness = self.probe.and_then(|key| self.slots.get_mut(key));
        wakers.extend(witness.and_then(SubscriberSlot::take_waker));
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

    /// Writes what was said; tells whether the peer took all of it.
    fn write_direct(&mut self, after: u64, said: &RoomMessage) -> bool {
        let Some(writer) = &self.writer else { return false };
        let bytes = said.text.as_bytes();
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
