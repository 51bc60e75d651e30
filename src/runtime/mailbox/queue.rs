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

use crate::sync::{Mutex, MutexGuard, lock};

/// A bounded queue.
#[derive(Debug)]
pub(crate) struct Queue<M>(Mutex<QueueState<M>>);

#[derive(Debug)]
struct QueueState<M> {
    /// Who waits for a message.
    reader: Option<Waker>,
    /// Made for the first message: there may be a hundred thousand mailboxes that get none.
    contents: Option<Box<QueueContents<M>>>,
    capacity: u32,
    is_closed: bool,
}

/// What waits in a queue, and for it.
#[derive(Debug)]
struct QueueContents<M> {
    /// It grows as it is filled, up to the capacity.
    messages: VecDeque<M>,
    senders: SenderQueue,
}

/// Senders that wait for room.
#[derive(Debug, Default)]
struct SenderQueue {
    /// In the order in which they came.
    entries: VecDeque<(WaiterId, Waker)>,
    last_id: u64,
}

/// The place of a sender that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WaiterId(u64);

/// Why a message was not taken; it comes back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PushError<M> {
    Full(M),
    Closed(M),
}

impl<M> QueueState<M> {
    fn contents_mut(&mut self) -> &mut QueueContents<M> {
        self.contents.get_or_insert_with(|| {
            Box::new(QueueContents { messages: VecDeque::new(), senders: SenderQueue::default() })
        })
    }

    /// Adds a message, for which there is room, and returns whom to wake.
    fn push(&mut self, message: M) -> Option<Waker> {
        self.contents_mut().messages.push_back(message);
        self.reader.take()
    }

    /// Takes the message that has waited longest.
    fn pop(&mut self) -> Option<M> {
        self.contents.as_mut()?.messages.pop_front()
    }

    fn len(&self) -> usize {
        self.contents.as_ref().map_or(0, |waiting| waiting.messages.len())
    }

    fn is_full(&self) -> bool {
        self.len() >= self.capacity as usize
    }

    /// Takes the sender that has waited longest, if there is room for it.
    fn pop_sender(&mut self) -> Option<Waker> {
        if self.is_full() {
            return None;
        }
        self.contents.as_mut()?.senders.entries.pop_front().map(|(_, waker)| waker)
    }
}

impl<M> Queue<M> {
    pub(crate) fn new(capacity: usize) -> Queue<M> {
        // Nobody has as many messages as this has numbers.
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        Queue(Mutex::new(QueueState { reader: None, contents: None, capacity, is_closed: false }))
    }

    fn state(&self) -> MutexGuard<'_, QueueState<M>> {
        lock(&self.0)
    }

    /// Adds a message if there is room.
    pub(crate) fn try_push(&self, message: M) -> Result<(), PushError<M>> {
        let mut state = self.state();
        if state.is_closed {
            return Err(PushError::Closed(message));
        }
        if state.is_full() {
            return Err(PushError::Full(message));
        }
        let reader = state.push(message);
        drop(state);
        wake(reader);
        Ok(())
    }

    /// Adds a message; where there is no room the oldest one goes for it, and comes back.
    pub(crate) fn force_push(&self, message: M) -> Result<Option<M>, PushError<M>> {
        let mut state = self.state();
        if state.is_closed {
            return Err(PushError::Closed(message));
        }
        let oldest = if state.is_full() { state.pop() } else { None };
        let reader = state.push(message);
        drop(state);
        wake(reader);
        Ok(oldest)
    }

    /// Adds a message as [`Queue::try_push`] does; where there is no room, whoever has the place is woken once there is.
    /// The place is to be [left](Queue::cancel_push) by who does not come back.
    pub(crate) fn push_or_register(
        &self,
        message: M,
        place: &mut Option<WaiterId>,
        cx: &Context<'_>,
    ) -> Result<(), PushError<M>> {
        let mut state = self.state();
        if state.is_closed {
            *place = None;
            return Err(PushError::Closed(message));
        }
        if !state.is_full() {
            let gone = place.take().and_then(|place| state.contents_mut().senders.remove(place));
            let reader = state.push(message);
            drop(state);
            drop(gone);
            wake(reader);
            return Ok(());
        }
        let last = state.contents_mut().senders.register(place, cx.waker());
        drop(state);
        drop(last);
        Err(PushError::Full(message))
    }

    /// Gives up a sender's place.
    pub(crate) fn cancel_push(&self, place: WaiterId) {
        let mut state = self.state();
        let own = state.contents.as_mut().and_then(|waiting| waiting.senders.remove(place));
        // Who was woken and does not come hands the room on to the next one.
        let next = if own.is_none() { state.pop_sender() } else { None };
        drop(state);
        drop(own);
        wake(next);
    }

    /// Takes a message if one waits.
    pub(crate) fn try_pop(&self) -> Option<M> {
        let mut state = self.state();
        let message = state.pop()?;
        let sender = state.pop_sender();
        drop(state);
        wake(sender);
        Some(message)
    }

    /// Is ready with the next message. One task at a time is woken.
    pub(crate) fn poll_pop(&self, cx: &Context<'_>) -> Poll<M> {
        let mut state = self.state();
        if let Some(message) = state.pop() {
            let sender = state.pop_sender();
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
    pub(crate) fn clear_reader(&self) {
        let reader = self.state().reader.take();
        drop(reader);
    }

    /// Closes it for good and returns what waits in it. Whoever waits for room is refused.
    pub(crate) fn close(&self) -> VecDeque<M> {
        let mut state = self.state();
        state.is_closed = true;
        let (reader, waiting) = (state.reader.take(), state.contents.take());
        drop(state);
        wake(reader);
        let Some(waiting) = waiting else { return VecDeque::new() };
        waiting.senders.entries.into_iter().for_each(|(_, waker)| waker.wake());
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

impl SenderQueue {
    /// Has a sender wait: behind the others at first, and where it was when it was woken in vain.
    fn register(&mut self, place: &mut Option<WaiterId>, waker: &Waker) -> Option<Waker> {
        let own = *place.get_or_insert_with(|| {
            self.last_id += 1;
            WaiterId(self.last_id)
        });
        let at = self.entries.partition_point(|(other, _)| *other < own);
        match self.entries.get_mut(at) {
            Some((other, last)) if *other == own => Some(std::mem::replace(last, waker.clone())),
            _ => {
                self.entries.insert(at, (own, waker.clone()));
                None
            }
        }
    }

    /// Takes a sender off the list, if it is on it.
    fn remove(&mut self, place: WaiterId) -> Option<Waker> {
        let at = self.entries.binary_search_by_key(&place, |(other, _)| *other).ok()?;
        self.entries.remove(at).map(|(_, waker)| waker)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
