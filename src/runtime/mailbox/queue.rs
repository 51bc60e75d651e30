//! The queue in a mailbox: bounded, many senders, one reader.
//!
//! It is a ring buffer behind a lock that is held for a few instructions, with the waker of the reader and those of the
//! senders that found it full. A channel of `async-channel` does the same without a lock, and was here before: it costs
//! twice as much for a message (117 ns and not 58), allocates all its places at once, and each wait at it is a listener
//! in a list. See `docs/performance.md`.
//!
//! Wakers are called, and messages dropped, where the lock is not held: either may do anything.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use crate::runtime::executor::sync::{Mutex, MutexGuard, PoisonError};

/// A bounded queue.
#[derive(Debug)]
pub(crate) struct Queue<M>(Mutex<State<M>>);

#[derive(Debug)]
struct State<M> {
    /// Who waits for a message.
    reader: Option<Waker>,
    /// Made for the first message: there may be a hundred thousand mailboxes that get none.
    waiting: Option<Box<Waiting<M>>>,
    capacity: u32,
    is_closed: bool,
}

/// What waits in a queue, and for it.
#[derive(Debug)]
struct Waiting<M> {
    /// It grows as it is filled, up to the capacity.
    messages: VecDeque<M>,
    senders: Senders,
}

/// Senders that wait for room.
#[derive(Debug, Default)]
struct Senders {
    /// In the order in which they came.
    waiting: VecDeque<(Place, Waker)>,
    next: u64,
}

/// The place of a sender that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

/// Why a message was not taken; it comes back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused<M> {
    Full(M),
    Closed(M),
}

impl<M> State<M> {
    fn waiting(&mut self) -> &mut Waiting<M> {
        self.waiting.get_or_insert_with(|| {
            Box::new(Waiting { messages: VecDeque::new(), senders: Senders::default() })
        })
    }

    /// Adds a message, for which there is room, and returns whom to wake.
    fn add(&mut self, message: M) -> Option<Waker> {
        self.waiting().messages.push_back(message);
        self.reader.take()
    }

    /// Takes the message that has waited longest.
    fn take(&mut self) -> Option<M> {
        self.waiting.as_mut()?.messages.pop_front()
    }

    fn len(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.messages.len())
    }

    fn is_full(&self) -> bool {
        self.len() >= self.capacity as usize
    }

    /// Takes the sender that has waited longest, if there is room for it.
    fn next_sender(&mut self) -> Option<Waker> {
        if self.is_full() {
            return None;
        }
        self.waiting.as_mut()?.senders.waiting.pop_front().map(|(_, waker)| waker)
    }
}

impl<M> Queue<M> {
    pub(crate) fn new(capacity: usize) -> Queue<M> {
        // Nobody has as many messages as this has numbers.
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        Queue(Mutex::new(State { reader: None, waiting: None, capacity, is_closed: false }))
    }

    fn state(&self) -> MutexGuard<'_, State<M>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message if there is room.
    pub(crate) fn try_push(&self, message: M) -> Result<(), Refused<M>> {
        let mut state = self.state();
        if state.is_closed {
            return Err(Refused::Closed(message));
        }
        if state.is_full() {
            return Err(Refused::Full(message));
        }
        let reader = state.add(message);
        drop(state);
        wake(reader);
        Ok(())
    }

    /// Adds a message; where there is no room the oldest one goes for it, and comes back.
    pub(crate) fn force_push(&self, message: M) -> Result<Option<M>, Refused<M>> {
        let mut state = self.state();
        if state.is_closed {
            return Err(Refused::Closed(message));
        }
        let oldest = if state.is_full() { state.take() } else { None };
        let reader = state.add(message);
        drop(state);
        wake(reader);
        Ok(oldest)
    }

    /// Adds a message as [`Queue::try_push`] does; where there is no room, whoever has the place is woken once there is.
    /// The place is to be [left](Queue::leave_place) by who does not come back.
    pub(crate) fn push_or_wait(
        &self,
        message: M,
        place: &mut Option<Place>,
        cx: &Context<'_>,
    ) -> Result<(), Refused<M>> {
        let mut state = self.state();
        if state.is_closed {
            *place = None;
            return Err(Refused::Closed(message));
        }
        if !state.is_full() {
            let gone = place.take().and_then(|place| state.waiting().senders.leave(place));
            let reader = state.add(message);
            drop(state);
            drop(gone);
            wake(reader);
            return Ok(());
        }
        let last = state.waiting().senders.wait(place, cx.waker());
        drop(state);
        drop(last);
        Err(Refused::Full(message))
    }

    /// Gives up a sender's place.
    pub(crate) fn leave_place(&self, place: Place) {
        let mut state = self.state();
        let own = state.waiting.as_mut().and_then(|waiting| waiting.senders.leave(place));
        // Who was woken and does not come hands the room on to the next one.
        let next = if own.is_none() { state.next_sender() } else { None };
        drop(state);
        drop(own);
        wake(next);
    }

    /// Takes a message if one waits.
    pub(crate) fn try_pop(&self) -> Option<M> {
        let mut state = self.state();
        let message = state.take()?;
        let sender = state.next_sender();
        drop(state);
        wake(sender);
        Some(message)
    }

    /// Is ready with the next message. One task at a time is woken.
    pub(crate) fn poll_pop(&self, cx: &Context<'_>) -> Poll<M> {
        let mut state = self.state();
        if let Some(message) = state.take() {
            let sender = state.next_sender();
            drop(state);
            wake(sender);
            return Poll::Ready(message);
        }
        let last = match &state.reader {
            Some(reader) if reader.will_wake(cx.waker()) => None,
            _ => state.reader.replace(cx.waker().clone()),
        };
        drop(state);
        drop(last);
        Poll::Pending
    }

    /// Forgets who waits for a message.
    pub(crate) fn leave(&self) {
        let reader = self.state().reader.take();
        drop(reader);
    }

    /// Closes it for good and returns what waits in it. Whoever waits for room is refused.
    pub(crate) fn close(&self) -> VecDeque<M> {
        let mut state = self.state();
        state.is_closed = true;
        let (reader, waiting) = (state.reader.take(), state.waiting.take());
        drop(state);
        wake(reader);
        let Some(waiting) = waiting else { return VecDeque::new() };
        waiting.senders.waiting.into_iter().for_each(|(_, waker)| waker.wake());
        waiting.messages
    }

    pub(crate) fn len(&self) -> usize {
        self.state().len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.state().capacity as usize
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().is_closed
    }
}

impl Senders {
    /// Has a sender wait: behind the others at first, and where it was when it was woken in vain.
    fn wait(&mut self, place: &mut Option<Place>, waker: &Waker) -> Option<Waker> {
        let own = *place.get_or_insert_with(|| {
            self.next += 1;
            Place(self.next)
        });
        let at = self.waiting.partition_point(|(other, _)| *other < own);
        match self.waiting.get_mut(at) {
            Some((other, last)) if *other == own => Some(std::mem::replace(last, waker.clone())),
            _ => {
                self.waiting.insert(at, (own, waker.clone()));
                None
            }
        }
    }

    /// Takes a sender off the list, if it is on it.
    fn leave(&mut self, place: Place) -> Option<Waker> {
        let at = self.waiting.binary_search_by_key(&place, |(other, _)| *other).ok()?;
        self.waiting.remove(at).map(|(_, waker)| waker)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
