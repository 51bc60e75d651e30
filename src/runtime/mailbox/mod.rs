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
use super::tree::late::Late;
use super::tree::node::Node;
use queue::{Place, Queue, Refused};

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
    node: Late<Arc<Node>>,
}

impl<M> Mailbox<M> {
    pub(crate) fn new(capacity: usize) -> Arc<Mailbox<M>> {
        Arc::new(Mailbox::read_by(Late::comes(), capacity))
    }

    fn read_by(node: Late<Arc<Node>>, capacity: usize) -> Mailbox<M> {
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
    pub(super) fn mail(&self) -> &Queue<M> {
        &self.queue
    }

    /// Puts a message in, or does with it what the overflow says.
    pub(super) fn try_send(&self, message: M) -> Result<(), SendError<M>> {
        #[cfg(feature = "testing")]
        if !self.queue.is_closed() && self.node.get().is_some_and(|node| node.loses_mail()) {
            return Ok(());
        }
        match self.queue.try_push(message) {
            Ok(()) => Ok(()),
            Err(Refused::Closed(message)) => Err(SendError::Closed(message)),
            Err(Refused::Full(message)) => self.overflows(message),
        }
    }

    /// Does with a message that finds it full what the overflow says.
    #[cold]
    fn overflows(&self, message: M) -> Result<(), SendError<M>> {
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
                Err(Refused::Closed(refused) | Refused::Full(refused)) => {
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
    pub(super) fn send(&self, message: M) -> Sending<'_, M> {
        Sending { mailbox: self, message: Some(message), place: None }
    }

    /// Makes a mailbox, and with what its child's node knows of it the node.
    pub(crate) fn of_child(
        capacity: usize,
        node: impl FnOnce(Weak<dyn Gauge>) -> Arc<Node>,
    ) -> (Arc<Mailbox<M>>, Arc<Node>)
    where
        M: Send + 'static,
    {
        let mut made = None;
        let mailbox = Arc::new_cyclic(|own: &Weak<Mailbox<M>>| {
            let node = made.insert(node(own.clone())).clone();
            Mailbox::read_by(Late::There(node), capacity)
        });
        match made {
            Some(node) => (mailbox, node),
            None => unreachable!("the mailbox was made with its node"),
        }
    }

    /// Makes `node` the child that reads it. The first one stays.
    pub(crate) fn belongs_to(&self, node: &Arc<Node>) {
        self.node.set(|| node.clone());
    }

    /// Tells whether `node` reads it, or may.
    pub(crate) fn may_belong_to(&self, node: &Arc<Node>) -> bool {
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
            node.over();
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
pub(super) struct Sending<'a, M> {
    mailbox: &'a Mailbox<M>,
    /// None once it has arrived.
    message: Option<M>,
    /// Where it waits, if it had to.
    place: Option<Place>,
}

// The message is moved and never pinned.
impl<M> Unpin for Sending<'_, M> {}

impl<M> Future for Sending<'_, M> {
    type Output = Result<(), SendError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Sending { mailbox, message, place } = &mut *self;
        let Some(mut taken) = message.take() else { return Poll::Pending };
        if place.is_none() {
            match mailbox.try_send(taken) {
                Err(SendError::Full(full)) if mailbox.overflow() == Overflow::Wait => taken = full,
                sent => return Poll::Ready(sent),
            }
        }
        match mailbox.queue.push_or_wait(taken, place, cx) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Refused::Closed(refused)) => Poll::Ready(Err(SendError::Closed(refused))),
            Err(Refused::Full(waiting)) => {
                *message = Some(waiting);
                Poll::Pending
            }
        }
    }
}

impl<M> Drop for Sending<'_, M> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.mailbox.queue.leave_place(place);
        }
    }
}

/// What the tree reads of a mailbox whose message type it does not know.
pub(crate) trait Gauge: Send + Sync {
    /// Messages that wait, and how many fit.
    fn depth(&self) -> (usize, usize);
    /// Messages that were dropped because it was full.
    fn dropped(&self) -> u64;
    /// The name of the messages' type.
    fn message(&self) -> &'static str;
    /// Refuses mail from now on, and drops what waits.
    fn close(&self);
}

impl<M: Send> Gauge for Mailbox<M> {
    fn depth(&self) -> (usize, usize) {
        (self.len(), self.queue.capacity())
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed).into()
    }

    fn message(&self) -> &'static str {
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
