//! Mailboxes.
//!
//! A mailbox belongs to the tree, not to the actor that reads it: each incarnation borrows it, and what
//! waits in it at a crash is handled by the next one. It is bounded, and its [`Overflow`] says what happens
//! to a message that finds it full.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use super::address::SendError;
use super::node::Node;
use super::queue::{Place, Queue, Refused};
use super::scheduler::Scheduler;

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
    node: OnceLock<Arc<Node>>,
}

impl<M> Mailbox<M> {
    pub(crate) fn new(capacity: usize) -> Arc<Mailbox<M>> {
        Arc::new(Mailbox {
            overflow: AtomicU8::new(Overflow::Wait as u8),
            dropped: AtomicU32::new(0),
            queue: Queue::new(capacity.max(1)),
            node: OnceLock::new(),
        })
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

    /// Makes `node` the child that reads it. The first one stays.
    pub(crate) fn belongs_to(&self, node: &Arc<Node>) {
        drop(self.node.set(node.clone()));
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
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_lite::future::{block_on, poll_once};

    use super::*;

    fn full(overflow: Overflow) -> Arc<Mailbox<u8>> {
        let mailbox = Mailbox::new(2);
        mailbox.set_overflow(overflow);
        mailbox.try_send(1).unwrap();
        mailbox.try_send(2).unwrap();
        mailbox
    }

    fn waiting(mailbox: &Mailbox<u8>) -> Vec<u8> {
        std::iter::from_fn(|| mailbox.mail().try_pop()).collect()
    }

    #[test]
    fn wait_holds_the_sender_back() {
        let mailbox = full(Overflow::Wait);
        assert_eq!(mailbox.try_send(3), Err(SendError::Full(3)));
        let mut send = Box::pin(mailbox.send(3));
        assert!(block_on(poll_once(&mut send)).is_none());
        assert_eq!(mailbox.mail().try_pop(), Some(1));
        block_on(send).unwrap();
        assert_eq!((waiting(&mailbox), mailbox.dropped()), (vec![2, 3], 0));
    }

    #[test]
    fn drop_newest_keeps_what_waits() {
        let mailbox = full(Overflow::DropNewest);
        assert_eq!(block_on(mailbox.send(3)), Ok(()));
        assert_eq!((waiting(&mailbox), mailbox.dropped()), (vec![1, 2], 1));
    }

    #[test]
    fn drop_oldest_keeps_what_is_new() {
        let mailbox = full(Overflow::DropOldest);
        assert_eq!(block_on(mailbox.send(3)), Ok(()));
        assert_eq!(mailbox.try_send(4), Ok(()));
        assert_eq!((waiting(&mailbox), mailbox.dropped()), (vec![3, 4], 2));
    }

    #[test]
    fn fail_hands_the_message_back() {
        let mailbox = full(Overflow::Fail);
        assert_eq!(block_on(mailbox.send(3)), Err(SendError::Full(3)));
        assert_eq!((waiting(&mailbox), mailbox.dropped()), (vec![1, 2], 0));
    }

    #[test]
    fn what_another_thread_sends_arrives_in_order() {
        let mailbox = Mailbox::new(2);
        let sender = mailbox.clone();
        let sending = std::thread::spawn(move || {
            (0..20).for_each(|n| block_on(sender.send(n)).unwrap());
        });
        let next = || block_on(poll_fn(|cx| mailbox.mail().poll_pop(cx)));
        let seen: Vec<u8> = (0..20).map(|_| next()).collect();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
        sending.join().unwrap();
        mailbox.close();
    }

    #[test]
    fn whatever_the_overflow_a_closed_mailbox_refuses() {
        for overflow in [Overflow::Wait, Overflow::DropNewest, Overflow::DropOldest, Overflow::Fail]
        {
            let mailbox = full(overflow);
            mailbox.close();
            assert_eq!(block_on(mailbox.send(3)), Err(SendError::Closed(3)));
        }
    }
}
