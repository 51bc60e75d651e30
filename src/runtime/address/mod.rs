//! Addresses: how an actor is reached.
//!
//! An [`Address`] is valid from before the first start of its child until the child is over for good, and
//! it holds no handle to an incarnation. A message that cannot be delivered comes back in the error.

pub(crate) mod ask;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;
use thiserror::Error;

use super::mailbox::Mailbox;
use super::mailbox::reply;
use super::mailbox::reply::Reply;
use super::tree::liveness::Monitor;
use super::tree::node::Node;
use ask::AskFuture;

/// Why a message was not taken. It comes back.
#[derive(Error, Clone, Copy, PartialEq, Eq)]
pub enum SendError<M> {
    /// The mailbox is full.
    #[error("the mailbox is full")]
    Full(M),
    /// The child is over for good.
    #[error("the actor is over and takes no more messages")]
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

/// Why a question got no answer.
#[derive(Error, Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskError {
    /// The child is over for good.
    #[error("the actor is over and takes no more messages")]
    Closed,
    /// The mailbox is full and says so: its overflow is [`Overflow::Fail`](super::Overflow::Fail).
    #[error("the mailbox is full")]
    Full,
    /// The actor dropped the question: it crashed, or chose not to answer.
    #[error("the actor did not answer")]
    Dropped,
    /// The time limit passed.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full(_) => "Full(..)",
            SendError::Closed(_) => "Closed(..)",
        })
    }
}

/// A cheap, cloneable handle that sends to a mailbox. It stays valid over restarts.
///
/// # Examples
///
/// ```
/// use sockactors::runtime::{Child, Context, Outcome, SendError, Strategy, Supervisor};
///
/// let mut tree = Supervisor::new("example", Strategy::OneForOne);
/// let address = tree.child(Child::new("idle", || async |_: Context<u8>| -> Outcome { Ok(()) }).mailbox(1));
///
/// // Nothing runs yet, but the mailbox is there, and it is bounded.
/// assert_eq!(address.try_send(1), Ok(()));
/// assert_eq!(address.try_send(2), Err(SendError::Full(2)));
/// assert_eq!(address.len(), 1);
/// ```
pub struct Address<M>(Arc<Mailbox<M>>);

impl<M: Send + 'static> Address<M> {
    /// Makes an address, with a mailbox for `capacity` messages (at least 1), that no child reads yet.
    ///
    /// A child gets an address of its own when it is added; this is for wiring in a circle, where an
    /// address is needed before its child can be specified. See [`Child::address`](super::Child::address).
    pub fn new(capacity: usize) -> Address<M> {
        Address(Mailbox::new(capacity))
    }

    pub(crate) fn from_mailbox(mailbox: Arc<Mailbox<M>>) -> Address<M> {
        Address(mailbox)
    }

    pub(crate) fn mailbox(&self) -> Arc<Mailbox<M>> {
        self.0.clone()
    }

    pub(crate) fn node(&self) -> Option<&Arc<Node>> {
        self.0.node()
    }

    /// Sends a message. A full mailbox does with it what its [`Overflow`](super::Overflow) says: unless set
    /// otherwise, the sender waits for room.
    ///
    /// Not cancel-safe: a dropped wait loses the message.
    ///
    /// # Errors
    ///
    /// The message comes back when the child is over for good, or the mailbox full and set to say so.
    pub fn send(&self, message: M) -> impl Future<Output = Result<(), SendError<M>>> + Send {
        self.0.send(message)
    }

    /// Sends a message from a thread that runs no actor, blocking it where [`Address::send`] would wait.
    ///
    /// # Errors
    ///
    /// See [`Address::send`].
    pub fn send_blocking(&self, message: M) -> Result<(), SendError<M>> {
        future::block_on(self.send(message))
    }

    /// Sends a message without ever waiting.
    ///
    /// # Errors
    ///
    /// The message comes back when the mailbox is full (unless its overflow drops a message then), or the
    /// child over for good.
    pub fn try_send(&self, message: M) -> Result<(), SendError<M>> {
        self.0.try_send(message)
    }

    /// Asks a question and waits for the answer, `within` a limit that covers both ways.
    ///
    /// `question` makes the message around the place for the answer:
    /// `room.ask(within, |reply| Say::Count(reply))`.
    ///
    /// # Errors
    ///
    /// [`AskError`] tells a child that is over, a dropped question and a passed limit apart.
    pub async fn ask<R: Send>(
        &self,
        within: Duration,
        question: impl FnOnce(Reply<R>) -> M,
    ) -> Result<R, AskError> {
        let (reply, answer) = reply::channel();
        AskFuture::new(&self.0, question(reply), answer, within).await
    }

    /// Watches the actor: the future is ready with the exit of the incarnation that lives now, or of the
    /// first one if none has lived yet. Whoever watches too late is told at once of the last exit, with
    /// `None` where there was never one and never will be. As Erlang's `monitor`.
    ///
    /// # Examples
    ///
    /// This example shows an actor that learns why another one ended.
    ///
    /// ```
    /// use sockactors::runtime::{Child, Context, Event, Outcome, Strategy, Supervisor, System};
    ///
    /// let mut tree = Supervisor::new("example", Strategy::OneForOne);
    /// let brief = tree.child(Child::new("brief", || async |_: Context<()>| -> Outcome {
    ///     Err("no time".into())
    /// }).temporary());
    /// tree.child(Child::new("watcher", move || {
    ///     let brief = brief.clone();
    ///     async move |mut ctx: Context<()>| -> Outcome {
    ///         let mut watch = brief.monitor();
    ///         if let Event::Io(exit) = ctx.next(&mut watch).await {
    ///             assert_eq!(exit.expect("it lived").to_string(), "failed: no time");
    ///         }
    ///         Ok(())
    ///     }
    /// }).transient().significant());
    /// System::new().run(tree).unwrap();
    /// ```
    pub fn monitor(&self) -> Monitor {
        Monitor::new(self.0.node())
    }

    /// Returns how many messages wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells whether the child is over for good.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Address<M> {
        Address(self.0.clone())
    }
}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({} waiting)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn len_empty_full() {
        let address = Address::new(2);
        assert!(address.is_empty());
        address.try_send(1).unwrap();
        address.try_send(2).unwrap();
        assert_eq!(address.len(), 2);
        assert_eq!(address.try_send(3), Err(SendError::Full(3)));
    }

    #[test]
    fn closed_before_it_was_used() {
        let mailbox = Mailbox::new(1);
        let address = Address::from_mailbox(mailbox.clone());
        assert!(!address.is_closed() && address.is_empty());
        mailbox.close();
        assert!(address.is_closed() && mailbox.queue().try_pop().is_none());
        assert_eq!(address.try_send(5), Err(SendError::Closed(5)));
    }

    #[test]
    fn closed_hands_the_message_back() {
        let mailbox = Mailbox::new(1);
        let address = Address::from_mailbox(mailbox.clone());
        mailbox.close();
        assert_eq!(future::block_on(address.send(5)), Err(SendError::Closed(5)));
        assert_eq!(address.try_send(6), Err(SendError::Closed(6)));
        assert!(address.is_closed());
    }

    #[test]
    fn a_question_to_a_closed_mailbox_fails_at_once() {
        let mailbox: Arc<Mailbox<Reply<u8>>> = Mailbox::new(1);
        let address = Address::from_mailbox(mailbox.clone());
        mailbox.close();
        let answer = future::block_on(address.ask(Duration::from_secs(60), |reply| reply));
        assert_eq!(answer, Err(AskError::Closed));
    }

    #[test]
    #[cfg_attr(miri, ignore = "outside of a tree the limit is a timer of the reactor: timerfd")]
    fn closing_drops_waiting_questions() {
        let mailbox: Arc<Mailbox<Reply<u8>>> = Mailbox::new(1);
        let address = Address::from_mailbox(mailbox.clone());
        let answer = future::block_on(future::zip(
            address.ask(Duration::from_secs(60), |reply| reply),
            async { mailbox.close() },
        ));
        assert_eq!(answer.0, Err(AskError::Dropped));
    }

    #[test]
    #[cfg_attr(miri, ignore = "outside of a tree the limit is a timer of the reactor: timerfd")]
    fn a_question_has_a_time_limit() {
        let address: Address<Reply<u8>> = Address::new(1);
        let limit = Duration::from_millis(1);
        let answer = future::block_on(address.ask(limit, |reply| reply));
        assert_eq!(answer, Err(AskError::TimedOut(limit)));
    }
}
