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
use crate::runtime::mailbox::reply::Answer;
use crate::runtime::mailbox::{Mailbox, Sending};

/// A question and the wait for its answer, within a limit that covers both.
pub(crate) struct Asking<'a, M, R> {
    mailbox: &'a Mailbox<M>,
    sending: Sending<'a, M>,
    is_sent: bool,
    answer: Answer<R>,
    within: Duration,
    /// Whether it had a turn before.
    has_waited: bool,
    limit: Option<Sleep>,
}

impl<'a, M, R> Asking<'a, M, R> {
    pub(crate) fn new(
        mailbox: &'a Mailbox<M>,
        question: M,
        answer: Answer<R>,
        within: Duration,
    ) -> Asking<'a, M, R> {
        Asking {
            mailbox,
            sending: mailbox.send(question),
            is_sent: false,
            answer,
            within,
            has_waited: false,
            limit: None,
        }
    }
}

impl<M, R> Future for Asking<'_, M, R> {
    type Output = Result<R, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !this.is_sent {
            if let Poll::Ready(sent) = Pin::new(&mut this.sending).poll(cx) {
                sent.map_err(|refused| match refused {
                    SendError::Full(_) => AskError::Full,
                    SendError::Closed(_) => AskError::Closed,
                })?;
                this.is_sent = true;
            }
        }
        if !this.has_waited {
            this.has_waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.is_sent {
            if let Poll::Ready(answer) = this.answer.poll(cx) {
                return Poll::Ready(answer.ok_or(AskError::Dropped));
            }
        }
        let (scheduler, within) = (this.mailbox.scheduler(), this.within);
        let limit = this.limit.get_or_insert_with(|| Scheduler::sleep_of(scheduler, within));
        ready!(Pin::new(limit).poll(cx));
        Poll::Ready(Err(AskError::TimedOut(within)))
    }
}
