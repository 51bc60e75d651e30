//! One-shot channels for the reply to an ask.
//!
//! A channel of `async-channel` for each ask would be most of its cost. This one is an allocation
//! with room for the reply and for the waker of the asker.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::sync::{Arc, Mutex, lock};

/// The sender of the reply to an [`Address::ask`](crate::runtime::Address::ask).
///
/// Dropping it without a reply fails the ask at once.
#[derive(Debug)]
pub struct Reply<R>(Option<Arc<Mutex<ReplyShared<R>>>>);

#[derive(Debug)]
struct ReplyShared<R> {
    reply: Option<R>,
    waker: Option<Waker>,
    is_complete: bool,
}

/// The receiver of a [`Reply`].
#[derive(Debug)]
pub(crate) struct ReplyReceiver<R>(Arc<Mutex<ReplyShared<R>>>);

/// Makes both ends of a channel.
pub(crate) fn channel<R>() -> (Reply<R>, ReplyReceiver<R>) {
    let shared = Arc::new(Mutex::new(ReplyShared { reply: None, waker: None, is_complete: false }));
    (Reply(Some(shared.clone())), ReplyReceiver(shared))
}

impl<R> Reply<R> {
    /// Sends the reply. It is dropped if the asker no longer waits.
    pub fn send(mut self, reply: R) {
        self.complete(Some(reply));
    }

    /// Returns whether the asker still waits for the reply.
    pub fn has_receiver(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| Arc::strong_count(shared) > 1)
    }

    /// Stores the reply, or its absence, and wakes the asker. Later calls do nothing.
    fn complete(&mut self, reply: Option<R>) {
        let Some(shared) = self.0.take() else { return };
        let mut state = lock(&shared);
        (state.reply, state.is_complete) = (reply, true);
        let waker = state.waker.take();
        drop(state);
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
    /// Waits for the reply. Returns `None` if the [`Reply`] was dropped without one.
    pub(crate) async fn recv(self) -> Option<R> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for the reply, as [`ReplyReceiver::recv`].
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let mut state = lock(&self.0);
        if let Some(reply) = state.reply.take() {
            return Poll::Ready(Some(reply));
        }
        if state.is_complete {
            return Poll::Ready(None);
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}
