//! Mailboxes.
//!
//! A mailbox belongs to the tree, not to the actor that reads it: each incarnation borrows it, and what
//! waits in it at a crash is handled by the next one. It is bounded: a sender waits while it is full.

use std::sync::{Arc, OnceLock};

use async_channel::{Receiver, Sender};

use super::scheduler::Scheduler;

/// The bounded queue behind an address. The tree keeps it; see the module's essay.
///
/// The queue itself is made when somebody first sends or looks for mail: most short-lived children, a
/// greeter for one, live and end without either.
pub(crate) struct Mailbox<M> {
    capacity: usize,
    /// `None` in it: closed before there was a queue.
    queue: OnceLock<Option<(Sender<M>, Receiver<M>)>>,
    /// Set when the tree starts, so that time limits follow the tree's clock.
    scheduler: OnceLock<Scheduler>,
}

impl<M> Mailbox<M> {
    pub(crate) fn new(capacity: usize) -> Arc<Mailbox<M>> {
        let (queue, scheduler) = (OnceLock::new(), OnceLock::new());
        Arc::new(Mailbox { capacity: capacity.max(1), queue, scheduler })
    }

    /// Returns the queue, or `None` if it was closed before there was one.
    pub(super) fn queue(&self) -> Option<&(Sender<M>, Receiver<M>)> {
        self.queue.get_or_init(|| Some(async_channel::bounded(self.capacity))).as_ref()
    }

    /// Returns the end that the mail comes out of; `None` if it was closed before there was any.
    pub(crate) fn receiver(&self) -> Option<Receiver<M>> {
        self.queue().map(|(_, receiver)| receiver.clone())
    }

    pub(crate) fn attach(&self, scheduler: &Scheduler) {
        // A second tree never gets the same mailbox, so the first clock is the only one.
        drop(self.scheduler.set(scheduler.clone()));
    }

    pub(super) fn scheduler(&self) -> Option<&Scheduler> {
        self.scheduler.get()
    }

    /// Closes it for good and drops what waits in it, which answers open questions with an error.
    pub(crate) fn close(&self) {
        if let Some((_, receiver)) = self.queue.get_or_init(|| None) {
            receiver.close();
            while receiver.try_recv().is_ok() {}
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.get().and_then(Option::as_ref).map_or(0, |(_, receiver)| receiver.len())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.queue.get().is_some_and(|queue| queue.as_ref().is_none_or(|(_, r)| r.is_closed()))
    }
}

/// What the tree's snapshot reads of a mailbox whose message type it does not know.
pub(crate) trait Gauge: Send + Sync {
    /// Messages that wait, and how many fit.
    fn depth(&self) -> (usize, usize);
}

impl<M: Send> Gauge for Mailbox<M> {
    fn depth(&self) -> (usize, usize) {
        (self.len(), self.capacity)
    }
}
