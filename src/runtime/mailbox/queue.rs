//! The queue of a mailbox: bounded, with many senders and one reader.
//!
//! It is a ring buffer behind a lock that is held for a few instructions, together with the waker
//! of the reader and those of the senders that wait for room. `async-channel` is lock-free, but a
//! message costs twice as much there (117 ns instead of 58). It also allocates its whole capacity
//! at once, and each wait is a listener in a list. See `docs/performance.md`.
//!
//! Wakers are called and dropped after the lock is released, and so are messages: both may run any
//! code.

use std::collections::VecDeque;
use std::mem;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, MutexGuard, lock};

/// A bounded queue.
#[derive(Debug)]
pub(crate) struct Queue<M>(Mutex<QueueState<M>>);

#[derive(Debug)]
struct QueueState<M> {
    /// The waker of the reader while it waits for a message.
    reader: Option<Waker>,
    /// Allocated for the first message: a tree may have 100,000 mailboxes that never get one.
    contents: Option<Box<QueueContents<M>>>,
    capacity: u32,
    is_closed: bool,
}

/// The queued messages, and the senders that wait for room.
#[derive(Debug)]
struct QueueContents<M> {
    /// Grows on demand, up to the capacity.
    messages: VecDeque<M>,
    senders: SenderQueue,
}

/// The senders that wait for room, in the order of their first wait.
#[derive(Debug, Default)]
struct SenderQueue {
    entries: VecDeque<(WaiterId, Waker)>,
    last_id: u64,
}

/// The position of a waiting sender among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WaiterId(u64);

/// The error of a push. It returns the message.
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

    /// Appends a message and returns the waker of the reader. The caller checks for room.
    fn push(&mut self, message: M) -> Option<Waker> {
        self.contents_mut().messages.push_back(message);
        self.reader.take()
    }

    /// Takes the oldest message.
    fn pop(&mut self) -> Option<M> {
        self.contents.as_mut()?.messages.pop_front()
    }

    fn len(&self) -> usize {
        self.contents.as_ref().map_or(0, |contents| contents.messages.len())
    }

    fn is_full(&self) -> bool {
        self.len() >= self.capacity as usize
    }

    /// Takes the waker of the sender that has waited longest, if there is room for its message.
    fn pop_sender(&mut self) -> Option<Waker> {
        if self.is_full() {
            return None;
        }
        self.contents.as_mut()?.senders.entries.pop_front().map(|(_, waker)| waker)
    }
}

impl<M> Queue<M> {
    /// Makes a queue for `capacity` messages, at most `u32::MAX`.
    pub(crate) fn new(capacity: usize) -> Queue<M> {
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        Queue(Mutex::new(QueueState { reader: None, contents: None, capacity, is_closed: false }))
    }

    fn state(&self) -> MutexGuard<'_, QueueState<M>> {
        lock(&self.0)
    }

    /// Appends a message if there is room.
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

    /// Appends a message. If there is no room, removes the oldest message and returns it.
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

    /// Appends a message, or registers the sender to be woken when there is room.
    ///
    /// `waiter_id` keeps the sender's position from one call to the next. A sender that gives up
    /// must release the position with [`Queue::cancel_push`].
    pub(crate) fn push_or_register(
        &self,
        message: M,
        waiter_id: &mut Option<WaiterId>,
        cx: &Context<'_>,
    ) -> Result<(), PushError<M>> {
        let mut state = self.state();
        if state.is_closed {
            *waiter_id = None;
            return Err(PushError::Closed(message));
        }
        if !state.is_full() {
            let stale = waiter_id.take().and_then(|id| state.contents_mut().senders.remove(id));
            let reader = state.push(message);
            drop(state);
            drop(stale);
            wake(reader);
            return Ok(());
        }
        let stale = state.contents_mut().senders.register(waiter_id, cx.waker());
        drop(state);
        drop(stale);
        Err(PushError::Full(message))
    }

    /// Releases the position of a sender that gives up.
    pub(crate) fn cancel_push(&self, waiter_id: WaiterId) {
        let mut state = self.state();
        let stale = state.contents.as_mut().and_then(|contents| contents.senders.remove(waiter_id));
        // A sender that was woken for room and gives up passes the room on to the next sender.
        let next = if stale.is_none() { state.pop_sender() } else { None };
        drop(state);
        drop(stale);
        wake(next);
    }

    /// Takes the oldest message, if there is one.
    pub(crate) fn try_pop(&self) -> Option<M> {
        let mut state = self.state();
        let message = state.pop()?;
        let sender = state.pop_sender();
        drop(state);
        wake(sender);
        Some(message)
    }

    /// Polls for the oldest message. Only the task that polled last is woken.
    pub(crate) fn poll_pop(&self, cx: &Context<'_>) -> Poll<M> {
        let mut state = self.state();
        if let Some(message) = state.pop() {
            let sender = state.pop_sender();
            drop(state);
            wake(sender);
            return Poll::Ready(message);
        }
        let stale = match &state.reader {
            Some(reader) if reader.will_wake(cx.waker()) => None,
            _ => state.reader.replace(cx.waker().clone()),
        };
        drop(state);
        drop(stale);
        Poll::Pending
    }

    /// Deregisters the reader.
    pub(crate) fn clear_reader(&self) {
        let reader = self.state().reader.take();
        drop(reader);
    }

    /// Closes the queue for good, wakes the waiting senders, and returns the queued messages.
    pub(crate) fn close(&self) -> VecDeque<M> {
        let mut state = self.state();
        state.is_closed = true;
        let (reader, contents) = (state.reader.take(), state.contents.take());
        drop(state);
        wake(reader);
        let Some(contents) = contents else { return VecDeque::new() };
        contents.senders.entries.into_iter().for_each(|(_, waker)| waker.wake());
        contents.messages
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
    /// Registers a sender and returns its last waker, if it has one.
    ///
    /// A new sender goes behind the others. A sender that was woken, and found the room taken by
    /// another message, keeps its position.
    fn register(&mut self, waiter_id: &mut Option<WaiterId>, waker: &Waker) -> Option<Waker> {
        let id = *waiter_id.get_or_insert_with(|| {
            self.last_id += 1;
            WaiterId(self.last_id)
        });
        let index = self.entries.partition_point(|(other, _)| *other < id);
        match self.entries.get_mut(index) {
            Some((other, last)) if *other == id => Some(mem::replace(last, waker.clone())),
            _ => {
                self.entries.insert(index, (id, waker.clone()));
                None
            }
        }
    }

    /// Removes a sender and returns its waker, unless it has been woken.
    fn remove(&mut self, waiter_id: WaiterId) -> Option<Waker> {
        let index = self.entries.binary_search_by_key(&waiter_id, |(other, _)| *other).ok()?;
        self.entries.remove(index).map(|(_, waker)| waker)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
