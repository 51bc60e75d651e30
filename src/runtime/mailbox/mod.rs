//! Mailboxes.
//!
//! A mailbox belongs to the tree, not to the actor that reads it: each incarnation borrows it, and what
//! waits in it at a crash is handled by the next one. It is bounded, and its [`Overflow`] says what happens
//! to a message that finds it full.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use super::address::SendError;
use super::executor::Scheduler;
use super::tree::late::PresetOnce;
use super::tree::node::Node;
use queue::{PushError, Queue, WaiterId};

/// What happens to a message that finds its mailbox full. Dropped messages are counted in the
/// [`Snapshot`](super::Snapshot).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Overflow {
    /// Its sender waits until there is room.
    #[default]
    Wait,
    /// It is dropped itself.
    DropNewest,
    /// The message that has waited longest is dropped for it.
    DropOldest,
    /// It is refused: [`SendError::Full`] hands it back.
    Fail,
}

/// The bounded queue behind an address. The tree keeps it; see the module's essay.
///
/// Memory for messages is taken when somebody first sends: most short-lived children, a greeter for one, and most
/// idle ones get no mail.
pub(crate) struct Mailbox<M> {
    overflow: AtomicU8,
    dropped: AtomicU32,
    queue: Queue<M>,
    /// The child that reads it.
    node: PresetOnce<Arc<Node>>,
}

impl<M> Mailbox<M> {
    pub(crate) fn new(capacity: usize) -> Arc<Mailbox<M>> {
        Arc::new(Mailbox::with_owner(PresetOnce::unset(), capacity))
    }

    fn with_owner(node: PresetOnce<Arc<Node>>, capacity: usize) -> Mailbox<M> {
        Mailbox {
            overflow: AtomicU8::new(Overflow::Wait as u8),
            dropped: AtomicU32::new(0),
            queue: Queue::new(capacity.max(1)),
            node,
        }
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

    /// Returns the end that the mail comes out of.
    pub(super) fn queue(&self) -> &Queue<M> {
        &self.queue
    }

    /// Puts a message in, or does with it what the overflow says.
    pub(super) fn try_send(&self, message: M) -> Result<(), SendError<M>> {
        #[cfg(feature = "testing")]
        if !self.queue.is_closed() && self.node.get().is_some_and(|node| node.drops_message()) {
            return Ok(());
        }
        match self.queue.try_push(message) {
            Ok(()) => Ok(()),
            Err(PushError::Closed(message)) => Err(SendError::Closed(message)),
            Err(PushError::Full(message)) => self.apply_overflow(message),
        }
    }

    /// Does with a message that finds it full what the overflow says.
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
                Err(PushError::Closed(refused) | PushError::Full(refused)) => {
                    Err(SendError::Closed(refused))
                }
            },
        }
    }

    /// Counts a message that is dropped, up to as many as there are numbers.
    fn count_dropped(&self) {
        let more = |dropped: u32| dropped.checked_add(1);
        let _ = self.dropped.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Puts a message in, and waits for room where the overflow says so.
    pub(super) fn send(&self, message: M) -> SendFuture<'_, M> {
        SendFuture { mailbox: self, message: Some(message), waiter_id: None }
    }

    /// Makes a mailbox, and with what its child's node knows of it the node.
    pub(crate) fn with_node(
        capacity: usize,
        node: impl FnOnce(Weak<dyn ErasedMailbox>) -> Arc<Node>,
    ) -> (Arc<Mailbox<M>>, Arc<Node>)
    where
        M: Send + 'static,
    {
        let mut made = None;
        let mailbox = Arc::new_cyclic(|own: &Weak<Mailbox<M>>| {
            let node = made.insert(node(own.clone())).clone();
            Mailbox::with_owner(PresetOnce::Set(node), capacity)
        });
        match made {
            Some(node) => (mailbox, node),
            None => unreachable!("the mailbox was made with its node"),
        }
    }

    /// Makes `node` the child that reads it. The first one stays.
    pub(crate) fn set_owner(&self, node: &Arc<Node>) {
        self.node.init(|| node.clone());
    }

    /// Tells whether `node` reads it, or may.
    pub(crate) fn can_be_owned_by(&self, node: &Arc<Node>) -> bool {
        !self.is_closed() && self.node.get().is_none_or(|owner| Arc::ptr_eq(owner, node))
    }

    pub(super) fn node(&self) -> Option<&Arc<Node>> {
        self.node.get()
    }

    /// Returns where time limits are taken from: the tree's clock, once it has one.
    pub(super) fn scheduler(&self) -> Option<&Scheduler> {
        self.node.get()?.scheduler()
    }

    /// Closes it for good and drops what waits in it, which answers open questions with an error.
    pub(crate) fn close(&self) {
        drop(self.queue.close());
        if let Some(node) = self.node.get() {
            node.close();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

/// A message on its way in. It is written out, since each actor that sends holds it.
pub(super) struct SendFuture<'a, M> {
    mailbox: &'a Mailbox<M>,
    /// None once it has arrived.
    message: Option<M>,
    /// Where it waits, if it had to.
    waiter_id: Option<WaiterId>,
}

// The message is moved and never pinned.
impl<M> Unpin for SendFuture<'_, M> {}

impl<M> Future for SendFuture<'_, M> {
    type Output = Result<(), SendError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let SendFuture { mailbox, message, waiter_id: place } = &mut *self;
        let Some(mut taken) = message.take() else { return Poll::Pending };
        if place.is_none() {
            match mailbox.try_send(taken) {
                Err(SendError::Full(full)) if mailbox.overflow() == Overflow::Wait => taken = full,
                sent => return Poll::Ready(sent),
            }
        }
        match mailbox.queue.push_or_register(taken, place, cx) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(PushError::Closed(refused)) => Poll::Ready(Err(SendError::Closed(refused))),
            Err(PushError::Full(waiting)) => {
                *message = Some(waiting);
                Poll::Pending
            }
        }
    }
}

impl<M> Drop for SendFuture<'_, M> {
    fn drop(&mut self) {
        if let Some(place) = self.waiter_id.take() {
            self.mailbox.queue.cancel_push(place);
        }
    }
}

/// What the tree reads of a mailbox whose message type it does not know.
pub(crate) trait ErasedMailbox: Send + Sync {
    /// Messages that wait, and how many fit.
    fn len_and_capacity(&self) -> (usize, usize);
    /// Messages that were dropped because it was full.
    fn dropped(&self) -> u64;
    /// The name of the messages' type.
    fn message_type(&self) -> &'static str;
    /// Refuses mail from now on, and drops what waits.
    fn close(&self);
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

pub(crate) mod queue;
#[cfg(test)]
#[path = "queue/tests.rs"]
mod queue_tests;
pub(crate) mod reply;
#[cfg(test)]
#[path = "reply/tests.rs"]
mod reply_tests;

#[cfg(test)]
mod tests;
