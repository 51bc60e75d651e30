//! Mailboxes: the bounded queues between an address and the actor that reads it.
//!
//! A mailbox belongs to the tree, not to an incarnation. Messages that are queued at a crash are
//! received by the next incarnation. The mailbox's [`Overflow`] says what happens to a message that
//! finds it full.

pub(crate) mod erased;
pub(crate) mod queue;
#[cfg(test)]
#[path = "queue/tests.rs"]
mod queue_tests;
pub(crate) mod reply;
#[cfg(test)]
#[path = "reply/tests.rs"]
mod reply_tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use crate::runtime::address::error::SendError;
use crate::runtime::executor::Scheduler;
use crate::runtime::mailbox::erased::ErasedMailbox;
use crate::runtime::mailbox::queue::{PushError, Queue, WaiterId};
#[cfg(feature = "testing")]
use crate::runtime::sim::hooks;
use crate::runtime::tree::node::{Node, PresetOnce};

/// The rule for a message that finds its mailbox full.
///
/// A [`Snapshot`](crate::runtime::Snapshot) counts the dropped messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Overflow {
    /// The sender waits until there is room.
    #[default]
    Wait,
    /// The new message is dropped.
    DropNewest,
    /// The oldest queued message is dropped.
    DropOldest,
    /// The send fails with [`SendError::Full`], which returns the message.
    Fail,
}

/// A bounded queue of messages for one child. The tree owns it.
///
/// The queue allocates on the first message: most short-lived children, and most idle ones, never
/// receive any.
pub(crate) struct Mailbox<M> {
    overflow: AtomicU8,
    dropped: AtomicU32,
    queue: Queue<M>,
    /// The child that reads the mailbox.
    node: PresetOnce<Arc<Node>>,
}

impl<M> Mailbox<M> {
    /// Makes a mailbox for `capacity` messages (at least 1) that no child owns yet.
    pub(crate) fn new(capacity: usize) -> Arc<Mailbox<M>> {
        Arc::new(Mailbox::with_owner(PresetOnce::unset(), capacity))
    }

    /// Makes a mailbox together with the node that owns it. `make_node` gets the node's reference
    /// to the mailbox.
    pub(crate) fn with_node(
        capacity: usize,
        make_node: impl FnOnce(Weak<dyn ErasedMailbox>) -> Arc<Node>,
    ) -> (Arc<Mailbox<M>>, Arc<Node>)
    where
        M: Send + 'static,
    {
        let mut made = None;
        let mailbox = Arc::new_cyclic(|mailbox: &Weak<Mailbox<M>>| {
            let node = made.insert(make_node(mailbox.clone())).clone();
            Mailbox::with_owner(PresetOnce::Set(node), capacity)
        });
        match made {
            Some(node) => (mailbox, node),
            None => unreachable!("`new_cyclic` calls its closure"),
        }
    }

    fn with_owner(node: PresetOnce<Arc<Node>>, capacity: usize) -> Mailbox<M> {
        Mailbox {
            overflow: AtomicU8::new(Overflow::Wait as u8),
            dropped: AtomicU32::new(0),
            queue: Queue::new(capacity.max(1)),
            node,
        }
    }

    /// Makes `node` the owner. Later calls change nothing.
    pub(crate) fn set_owner(&self, node: &Arc<Node>) {
        self.node.init(|| node.clone());
    }

    /// Returns whether the mailbox is open and `node` owns it, or can become its owner.
    pub(crate) fn can_be_owned_by(&self, node: &Arc<Node>) -> bool {
        !self.is_closed() && self.node.get().is_none_or(|owner| Arc::ptr_eq(owner, node))
    }

    pub(crate) fn node(&self) -> Option<&Arc<Node>> {
        self.node.get()
    }

    /// Returns the scheduler of the tree; none before the tree starts.
    pub(crate) fn scheduler(&self) -> Option<&Scheduler> {
        self.node.get()?.scheduler()
    }

    pub(crate) fn set_overflow(&self, overflow: Overflow) {
        self.overflow.store(overflow as u8, Ordering::Relaxed);
    }

    fn overflow(&self) -> Overflow {
        match self.overflow.load(Ordering::Relaxed) {
            1 => Overflow::DropNewest,
            2 => Overflow::DropOldest,
            3 => Overflow::Fail,
            _ => Overflow::Wait,
        }
    }

    /// Returns the queue that the actor reads from.
    pub(crate) fn queue(&self) -> &Queue<M> {
        &self.queue
    }

    /// Queues a message without waiting. A full mailbox applies its overflow rule.
    ///
    /// # Errors
    ///
    /// Fails if the mailbox is closed, or if it is full and its rule is to wait or to fail.
    pub(crate) fn try_send(&self, message: M) -> Result<(), SendError<M>> {
        #[cfg(feature = "testing")]
        if !self.queue.is_closed() && self.node.get().is_some_and(|node| hooks::drops_message(node))
        {
            return Ok(());
        }
        match self.queue.try_push(message) {
            Ok(()) => Ok(()),
            Err(PushError::Closed(message)) => Err(SendError::Closed(message)),
            Err(PushError::Full(message)) => self.apply_overflow(message),
        }
    }

    #[cold]
    fn apply_overflow(&self, message: M) -> Result<(), SendError<M>> {
        match self.overflow() {
            Overflow::Wait | Overflow::Fail => Err(SendError::Full(message)),
            Overflow::DropNewest => {
                self.count_dropped();
                Ok(())
            }
            Overflow::DropOldest => match self.queue.force_push(message) {
                Ok(oldest) => {
                    oldest.into_iter().for_each(|_| self.count_dropped());
                    Ok(())
                }
                Err(PushError::Closed(message) | PushError::Full(message)) => {
                    Err(SendError::Closed(message))
                }
            },
        }
    }

    /// Counts a dropped message. The counter saturates.
    fn count_dropped(&self) {
        let increment = |dropped: u32| dropped.checked_add(1);
        let _ = self.dropped.fetch_update(Ordering::Relaxed, Ordering::Relaxed, increment);
    }

    /// Queues a message. A full mailbox applies its overflow rule, which may be to wait for room.
    pub(crate) fn send(&self, message: M) -> SendFuture<'_, M> {
        SendFuture { mailbox: self, message: Some(message), waiter_id: None }
    }

    /// Closes the mailbox for good and drops the queued messages. Dropping a request fails its ask.
    pub(crate) fn close(&self) {
        drop(self.queue.close());
        if let Some(node) = self.node.get() {
            node.close();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

/// A send in progress.
///
/// Each actor that sends holds this future. It is written by hand because it is smaller than that
/// of an `async fn`, which keeps the message twice.
pub(crate) struct SendFuture<'a, M> {
    mailbox: &'a Mailbox<M>,
    /// None once the message is queued.
    message: Option<M>,
    /// Set while the sender waits for room.
    waiter_id: Option<WaiterId>,
}

// The message is moved and never pinned.
impl<M> Unpin for SendFuture<'_, M> {}

impl<M> Future for SendFuture<'_, M> {
    type Output = Result<(), SendError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let SendFuture { mailbox, message: slot, waiter_id } = &mut *self;
        let Some(mut message) = slot.take() else { return Poll::Pending };
        if waiter_id.is_none() {
            match mailbox.try_send(message) {
                Err(SendError::Full(returned)) if mailbox.overflow() == Overflow::Wait => {
                    message = returned;
                }
                result => return Poll::Ready(result),
            }
        }
        match mailbox.queue.push_or_register(message, waiter_id, cx) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(PushError::Closed(message)) => Poll::Ready(Err(SendError::Closed(message))),
            Err(PushError::Full(message)) => {
                *slot = Some(message);
                Poll::Pending
            }
        }
    }
}

impl<M> Drop for SendFuture<'_, M> {
    fn drop(&mut self) {
        if let Some(waiter_id) = self.waiter_id.take() {
            self.mailbox.queue.cancel_push(waiter_id);
        }
    }
}

impl<M: Send> ErasedMailbox for Mailbox<M> {
    fn len_and_capacity(&self) -> (usize, usize) {
        (self.len(), self.queue.capacity())
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed).into()
    }

    fn message_type(&self) -> &'static str {
        std::any::type_name::<M>()
    }

    fn close(&self) {
        drop(self.queue.close());
    }
}

#[cfg(test)]
mod tests;
