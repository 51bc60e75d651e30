//! Mailboxes.
//!
//! A mailbox belongs to the tree, not to the actor that reads it: each incarnation borrows it, and what
//! waits in it at a crash is handled by the next one. It is bounded, and its [`Overflow`] says what happens
//! to a message that finds it full.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_channel::{Receiver, Sender, TrySendError as ChannelError};

use super::address::SendError;
use super::node::Node;
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
/// The queue itself is made when somebody first sends: most short-lived children, a greeter for one, and most
/// idle ones get no mail.
pub(crate) struct Mailbox<M> {
    capacity: usize,
    overflow: AtomicU8,
    dropped: AtomicU64,
    /// `None` in it: closed before there was a queue.
    queue: OnceLock<Option<Queue<M>>>,
    /// The child that reads it.
    node: OnceLock<Arc<Node>>,
}

/// In a box, since most are never made.
type Queue<M> = Box<(Sender<M>, Receiver<M>)>;

impl<M> Mailbox<M> {
    pub(crate) fn new(capacity: usize) -> Arc<Mailbox<M>> {
        Arc::new(Mailbox {
            capacity: capacity.max(1),
            overflow: AtomicU8::new(Overflow::Wait as u8),
            dropped: AtomicU64::new(0),
            queue: OnceLock::new(),
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

    /// Returns the queue, made now if there was none, or `None` if it was closed before there was one.
    fn queue(&self) -> Option<&(Sender<M>, Receiver<M>)> {
        let mut is_new = false;
        let queue = self.queue.get_or_init(|| {
            is_new = true;
            Some(Box::new(async_channel::bounded(self.capacity)))
        });
        if let (true, Some(node)) = (is_new, self.node.get()) {
            // Its actor waits for the stop alone as long as there is no queue to wait at.
            node.control.nudge();
        }
        queue.as_deref()
    }

    /// Returns the end that the mail comes out of; `None` while nobody has sent any, or if it was closed
    /// before anybody did.
    pub(crate) fn receiver(&self) -> Option<Receiver<M>> {
        self.queue.get()?.as_deref().map(|(_, receiver)| receiver.clone())
    }

    /// Puts a message in, or does with it what the overflow says.
    pub(super) fn try_send(&self, message: M) -> Result<(), SendError<M>> {
        let Some((sender, _)) = self.queue() else { return Err(SendError::Closed(message)) };
        #[cfg(feature = "testing")]
        if self.node.get().is_some_and(|node| node.loses_mail()) {
            return Ok(());
        }
        match sender.try_send(message) {
            Ok(()) => Ok(()),
            Err(ChannelError::Closed(message)) => Err(SendError::Closed(message)),
            Err(ChannelError::Full(message)) => match self.overflow() {
                Overflow::Wait | Overflow::Fail => Err(SendError::Full(message)),
                Overflow::DropNewest => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
                Overflow::DropOldest => match sender.force_send(message) {
                    Ok(oldest) => {
                        self.dropped.fetch_add(u64::from(oldest.is_some()), Ordering::Relaxed);
                        Ok(())
                    }
                    Err(refused) => Err(SendError::Closed(refused.0)),
                },
            },
        }
    }

    /// Puts a message in, and waits for room where the overflow says so.
    pub(super) async fn send(&self, message: M) -> Result<(), SendError<M>> {
        match (self.try_send(message), self.queue()) {
            (Err(SendError::Full(message)), Some((sender, _)))
                if self.overflow() == Overflow::Wait =>
            {
                sender.send(message).await.map_err(|refused| SendError::Closed(refused.0))
            }
            (result, _) => result,
        }
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
        if let Some((_, receiver)) = self.queue.get_or_init(|| None).as_deref() {
            receiver.close();
            while receiver.try_recv().is_ok() {}
        }
        if let Some(node) = self.node.get() {
            node.over();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.get().and_then(Option::as_deref).map_or(0, |(_, receiver)| receiver.len())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.queue.get().is_some_and(|queue| queue.as_deref().is_none_or(|(_, r)| r.is_closed()))
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
        (self.len(), self.capacity)
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn message(&self) -> &'static str {
        std::any::type_name::<M>()
    }
}

#[cfg(test)]
mod tests {
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
        let receiver = mailbox.receiver().unwrap();
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }

    #[test]
    fn wait_holds_the_sender_back() {
        let mailbox = full(Overflow::Wait);
        assert_eq!(mailbox.try_send(3), Err(SendError::Full(3)));
        let mut send = Box::pin(mailbox.send(3));
        assert!(block_on(poll_once(&mut send)).is_none());
        assert_eq!(mailbox.receiver().unwrap().try_recv(), Ok(1));
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
        let receiver = mailbox.queue().unwrap().1.clone();
        let seen: Vec<u8> = (0..20).map(|_| block_on(receiver.recv()).unwrap()).collect();
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
