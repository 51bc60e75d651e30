//! The way back: a slot for one answer.
//!
//! A channel for each question would dominate the price of asking, so the slot is what it needs to be and
//! no more: a place for the answer and the waker of the one who waits for it.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::sync::{Arc, Mutex, lock};

/// Where an actor puts the answer to a question that [`Address::ask`](crate::runtime::Address::ask) brought.
///
/// Dropping it unanswered tells the asker so at once.
#[derive(Debug)]
pub struct Reply<R>(Option<Arc<Mutex<ReplyShared<R>>>>);

#[derive(Debug)]
struct ReplyShared<R> {
    answer: Option<R>,
    waker: Option<Waker>,
    is_complete: bool,
}

/// The asker's end of a [`Reply`].
#[derive(Debug)]
pub(crate) struct ReplyReceiver<R>(Arc<Mutex<ReplyShared<R>>>);

/// Makes both ends of a slot.
pub(crate) fn channel<R>() -> (Reply<R>, ReplyReceiver<R>) {
    let slot = Arc::new(Mutex::new(ReplyShared { answer: None, waker: None, is_complete: false }));
    (Reply(Some(slot.clone())), ReplyReceiver(slot))
}

impl<R> Reply<R> {
    /// Answers. An asker that no longer waits loses the answer, which is nobody's fault.
    pub fn send(mut self, answer: R) {
        self.complete(Some(answer));
    }

    /// Tells whether the asker still waits for the answer.
    pub fn has_receiver(&self) -> bool {
        self.0.as_ref().is_some_and(|slot| Arc::strong_count(slot) > 1)
    }

    /// Leaves the answer, or that there is none, and wakes the asker; once.
    fn complete(&mut self, answer: Option<R>) {
        let Some(shared) = self.0.take() else { return };
        let mut slot = lock(&shared);
        (slot.answer, slot.is_complete) = (answer, true);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        self.complete(None);
    }
}

impl<R> ReplyReceiver<R> {
    /// Waits for the answer; `None` when the [`Reply`] was dropped unanswered.
    pub(crate) async fn recv(self) -> Option<R> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Is ready with the answer, or with `None` when the [`Reply`] was dropped unanswered.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let mut slot = lock(&self.0);
        if let Some(answer) = slot.answer.take() {
            return Poll::Ready(Some(answer));
        }
        if slot.is_complete {
            return Poll::Ready(None);
        }
        if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            slot.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}
