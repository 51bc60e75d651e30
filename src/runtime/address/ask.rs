//! A question on its way, and the wait for its answer.
//!
//! It is one future, written out. Most questions are answered by the asker's next turn, so that is when it looks for
//! the answer first: until then it leaves no waker with the slot and sets no timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::runtime::address::{AskError, SendError};
use crate::runtime::executor::{Scheduler, Sleep};
use crate::runtime::mailbox::reply::ReplyReceiver;
use crate::runtime::mailbox::{Mailbox, SendFuture};

/// A question and the wait for its answer, within a limit that covers both.
pub(crate) struct AskFuture<'a, M, R> {
    mailbox: &'a Mailbox<M>,
    send: SendFuture<'a, M>,
    is_sent: bool,
    reply: ReplyReceiver<R>,
    timeout: Duration,
    /// Whether it had a turn before.
    was_polled: bool,
    timer: Option<Sleep>,
}

impl<'a, M, R> AskFuture<'a, M, R> {
    pub(crate) fn new(
        mailbox: &'a Mailbox<M>,
        question: M,
        answer: ReplyReceiver<R>,
        within: Duration,
    ) -> AskFuture<'a, M, R> {
        AskFuture {
            mailbox,
            send: mailbox.send(question),
            is_sent: false,
            reply: answer,
            timeout: within,
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
            if let Poll::Ready(sent) = Pin::new(&mut this.send).poll(cx) {
                sent.map_err(|refused| match refused {
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
            if let Poll::Ready(answer) = this.reply.poll_recv(cx) {
                return Poll::Ready(answer.ok_or(AskError::Dropped));
            }
        }
        let (scheduler, within) = (this.mailbox.scheduler(), this.timeout);
        let limit = this.timer.get_or_insert_with(|| Scheduler::sleep_on(scheduler, within));
        ready!(Pin::new(limit).poll(cx));
        Poll::Ready(Err(AskError::TimedOut(within)))
    }
}
