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

use crate::actors::chat::broadcast::log::Said;
use crate::actors::chat::broadcast::subscription::SHARED;
use crate::net::{Stream, StreamWriter};

/// In a room of so many peers they are written to in one turn. In a larger one their sessions are woken, which send many lines
/// together where lines come faster than they can be sent one by one.
const MOST: usize = 64;

/// The places of those who wait.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    seats: Slab<Seat>,
    /// The hearer who is to have a turn before a line is written at once again.
    witness: Option<usize>,
}

#[derive(Debug)]
struct Seat {
    member: u64,
    /// Where its ear was when it lent its stream.
    at: u64,
    waits: Waits,
    /// Kept while it does not wait, too: most often it is the same one again.
    waker: Option<Waker>,
    writer: Option<StreamWriter>,
    left: Option<Box<Left>>,
}

/// What the session of a seat waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Nothing: it has its turn, or was woken.
    Not,
    /// To be woken.
    Plainly,
    /// To be written to, or else to be woken.
    Lending,
}

/// What a session finds when it takes its stream back, besides the lines that were written whole.
#[derive(Debug)]
pub(crate) enum Left {
    /// The rest of the last line.
    Rest(Box<[u8]>),
    /// The connection failed.
    Failed(io::Error),
}

impl Seats {
    /// Adds the seat of a member who has its turn.
    pub(crate) fn add(&mut self, member: u64) -> usize {
        let (waits, waker, writer) = (Waits::Not, None, None);
        self.seats.insert(Seat { member, at: 0, waits, waker, writer, left: None })
    }

    /// Takes a seat away; what it held is to be dropped where nothing is locked.
    pub(crate) fn remove(&mut self, key: usize) -> Option<impl Sized + use<>> {
        self.look_at(key);
        self.seats.try_remove(key)
    }

    pub(crate) fn member(&self, key: usize) -> u64 {
        self.seats[key].member
    }

    /// Has a session be woken by the next line. What comes back is to be dropped where nothing is locked.
    pub(crate) fn wait(&mut self, key: usize, cx: &Context<'_>) -> Option<Waker> {
        let seat = &mut self.seats[key];
        seat.waits = Waits::Plainly;
        match &seat.waker {
            Some(waker) if waker.will_wake(cx.waker()) => None,
            _ => seat.waker.replace(cx.waker().clone()),
        }
    }

    /// Has the next line be written to a session's stream; otherwise as [`Seats::wait`].
    pub(crate) fn lend(
        &mut self,
        key: usize,
        at: u64,
        stream: &Stream,
        cx: &Context<'_>,
    ) -> Option<Waker> {
        let last = self.wait(key, cx);
        let seat = &mut self.seats[key];
        seat.writer.get_or_insert_with(|| stream.writer());
        (seat.at, seat.waits) = (at, Waits::Lending);
        last
    }

    /// Gives a session its stream back: where its ear is now, and what is left to do.
    pub(crate) fn take_back(&mut self, key: usize) -> (u64, Option<Box<Left>>) {
        self.look_at(key);
        let seat = &mut self.seats[key];
        seat.waits = Waits::Not;
        (seat.at, seat.left.take())
    }

    fn look_at(&mut self, key: usize) {
        if self.witness == Some(key) {
            self.witness = None;
        }
    }

    /// Returns who waits, to be woken where nothing is locked.
    pub(crate) fn wake_all(&mut self) -> Vec<Waker> {
        self.seats.iter_mut().filter_map(|(_, seat)| seat.wake()).collect()
    }

    /// Writes what was said, from its first line on until `after`, to those who wait for just that, and returns the
    /// others to be woken.
    pub(crate) fn tell(&mut self, first: u64, after: u64, said: &Said) -> Vec<Waker> {
        if self.witness.is_some() || said.line.len() >= SHARED || self.seats.len() > MOST {
            return self.wake_all();
        }
        let mut wakers = Vec::new();
        for (key, seat) in &mut self.seats {
            let is_lent = seat.waits == Waits::Lending;
            if is_lent && seat.at >= after {
                // Somebody else has written it meanwhile.
                continue;
            }
            if is_lent && seat.at == first {
                if said.from == Some(seat.member) {
                    seat.at = after;
                    continue;
                }
                self.witness = Some(key);
                if seat.write(after, said) {
                    continue;
                }
            }
            wakers.extend(seat.wake());
        }
        let witness = self.witness.and_then(|key| self.seats.get_mut(key));
        wakers.extend(witness.and_then(Seat::wake));
        wakers
    }
}

impl Seat {
    fn wake(&mut self) -> Option<Waker> {
        match self.waits {
            Waits::Not => None,
            Waits::Plainly | Waits::Lending => {
                self.waits = Waits::Not;
                self.waker.take()
            }
        }
    }

    /// Writes what was said; tells whether the peer took all of it.
    fn write(&mut self, after: u64, said: &Said) -> bool {
        let Some(writer) = &self.writer else { return false };
        let bytes = said.line.as_bytes();
        match writer.try_write(bytes) {
            Ok(written) => {
                self.at = after;
                if written < bytes.len() {
                    self.left = Some(Box::new(Left::Rest(bytes[written..].into())));
                }
                written == bytes.len()
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => {
                self.left = Some(Box::new(Left::Failed(error)));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
