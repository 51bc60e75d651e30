//! The future of an ask: it sends the request and waits for the reply.
//!
//! Most replies are there when the asker is polled for the second time. Until then the future
//! registers no waker with the reply channel and sets no timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::runtime::address::error::{AskError, SendError};
use crate::runtime::executor::{Scheduler, Sleep};
use crate::runtime::mailbox::reply::ReplyReceiver;
use crate::runtime::mailbox::{Mailbox, SendFuture};

/// An ask in progress. The timeout covers the send and the wait.
///
/// It is written by hand: an `async` block would keep the send and the wait in separate places.
pub(crate) struct AskFuture<'a, M, R> {
    mailbox: &'a Mailbox<M>,
    send: SendFuture<'a, M>,
    is_sent: bool,
    reply: ReplyReceiver<R>,
    timeout: Duration,
    was_polled: bool,
    timer: Option<Sleep>,
}

impl<'a, M, R> AskFuture<'a, M, R> {
    pub(crate) fn new(
        mailbox: &'a Mailbox<M>,
        request: M,
        reply: ReplyReceiver<R>,
        timeout: Duration,
    ) -> AskFuture<'a, M, R> {
        AskFuture {
            mailbox,
            send: mailbox.send(request),
            is_sent: false,
            reply,
            timeout,
            was_polled: false,
            timer: None,
        }
    }
}

impl<M, R> Future for AskFuture<'_, M, R> {
    type Output = Result<R, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !this.is_sent {
            if let Poll::Ready(result) = Pin::new(&mut this.send).poll(cx) {
                result.map_err(|error| match error {
                    SendError::Full(_) => AskError::Full,
                    SendError::Closed(_) => AskError::Closed,
                })?;
                this.is_sent = true;
            }
        }
        if !this.was_polled {
            this.was_polled = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.is_sent {
            if let Poll::Ready(reply) = this.reply.poll_recv(cx) {
                return Poll::Ready(reply.ok_or(AskError::Dropped));
            }
        }
        let (scheduler, timeout) = (this.mailbox.scheduler(), this.timeout);
        let timer = this.timer.get_or_insert_with(|| Scheduler::sleep_on(scheduler, timeout));
        ready!(Pin::new(timer).poll(cx));
        Poll::Ready(Err(AskError::TimedOut(timeout)))
    }
}
