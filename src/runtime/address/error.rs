//! Errors of sending to an actor and of asking it.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// The error of a send. It returns the message.
#[derive(Error, Clone, Copy, PartialEq, Eq)]
pub enum SendError<M> {
    /// The mailbox is full.
    #[error("the mailbox is full")]
    Full(M),
    /// The child has ended and is never started again.
    #[error("the actor has ended and takes no more messages")]
    Closed(M),
}

impl<M> SendError<M> {
    /// Returns the message.
    pub fn into_inner(self) -> M {
        match self {
            SendError::Full(message) | SendError::Closed(message) => message,
        }
    }
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full(_) => "Full(..)",
            SendError::Closed(_) => "Closed(..)",
        })
    }
}

/// The error of an ask.
#[derive(Error, Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskError {
    /// The child has ended and is never started again.
    #[error("the actor has ended and takes no more messages")]
    Closed,
    /// The mailbox is full, and its overflow is [`Overflow::Fail`](crate::runtime::Overflow::Fail).
    #[error("the mailbox is full")]
    Full,
    /// The actor dropped the request without a reply: it crashed, or chose not to reply.
    #[error("the actor did not reply")]
    Dropped,
    /// The timeout passed.
    #[error("no reply within {0:?}")]
    TimedOut(Duration),
}
