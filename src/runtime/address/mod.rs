//! Addresses: handles that send messages to an actor.
//!
//! An [`Address`] is valid from before the first start of its child until the child has ended for
//! good. It holds no handle to an incarnation. A message that cannot be delivered is returned in
//! the error.

pub(crate) mod ask;
pub(crate) mod error;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::runtime::address::ask::AskFuture;
use crate::runtime::address::error::{AskError, SendError};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::mailbox::reply::{self, Reply};
use crate::runtime::monitor::Monitor;
use crate::runtime::tree::node::Node;

/// A cheap, cloneable handle that sends to a mailbox. It stays valid across restarts.
///
/// # Examples
///
/// ```
/// use sockactors::runtime::{Child, Context, Outcome, SendError, Strategy, Supervisor};
///
/// let mut tree = Supervisor::new("example", Strategy::OneForOne);
/// let idle = Child::new("idle", || async |_: Context<u8>| -> Outcome { Ok(()) });
/// let address = tree.child(idle.mailbox(1));
///
/// // The mailbox takes messages before the tree runs, and it is bounded.
/// assert_eq!(address.try_send(1), Ok(()));
/// assert_eq!(address.try_send(2), Err(SendError::Full(2)));
/// assert_eq!(address.len(), 1);
/// ```
pub struct Address<M>(Arc<Mailbox<M>>);

impl<M: Send + 'static> Address<M> {
    /// Makes an address, with a mailbox for `capacity` messages (at least 1), that no child reads
    /// yet.
    ///
    /// Adding a child returns its address. This function is for cyclic wiring, where an address is
    /// needed before its child can be specified. See [`Child::address`].
    ///
    /// [`Child::address`]: crate::runtime::Child::address
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

    /// Sends a message.
    ///
    /// A full mailbox applies its [`Overflow`](crate::runtime::Overflow) rule. By default the
    /// sender waits for room.
    ///
    /// # Errors
    ///
    /// Fails if the child has ended for good, or if the mailbox is full and its rule is to fail.
    /// The error returns the message.
    ///
    /// # Cancel safety
    ///
    /// Not cancel-safe: dropping the future loses the message.
    pub fn send(&self, message: M) -> impl Future<Output = Result<(), SendError<M>>> + Send {
        self.0.send(message)
    }

    /// Sends a message from a thread that runs no actor. Blocks where [`Address::send`] waits.
    ///
    /// # Errors
    ///
    /// See [`Address::send`].
    pub fn send_blocking(&self, message: M) -> Result<(), SendError<M>> {
        future::block_on(self.send(message))
    }

    /// Sends a message without waiting.
    ///
    /// # Errors
    ///
    /// Fails if the child has ended for good, or if the mailbox is full and its overflow rule drops
    /// no message. The error returns the message.
    pub fn try_send(&self, message: M) -> Result<(), SendError<M>> {
        self.0.try_send(message)
    }

    /// Sends a request and waits for the reply. `timeout` covers both.
    ///
    /// `make_request` puts the [`Reply`] into the message:
    /// `room.ask(timeout, |reply| RoomRequest::Count(reply))`.
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    pub async fn ask<R: Send>(
        &self,
        timeout: Duration,
        make_request: impl FnOnce(Reply<R>) -> M,
    ) -> Result<R, AskError> {
        let (reply, receiver) = reply::channel();
        AskFuture::new(&self.0, make_request(reply), receiver, timeout).await
    }

    /// Monitors the actor, as Erlang's `monitor`.
    ///
    /// The future is ready with the exit of the incarnation that lives now, or of the first one if
    /// the actor has not started. If the actor has ended, the future is ready with its last exit at
    /// once. The output is `None` if the actor never ran and never will.
    ///
    /// # Examples
    ///
    /// An actor learns why another one ended:
    ///
    /// ```
    /// use sockactors::runtime::{Child, Context, Event, Outcome, Strategy, Supervisor, System};
    ///
    /// let mut tree = Supervisor::new("example", Strategy::OneForOne);
    /// let job = tree.child(Child::new("job", || async |_: Context<()>| -> Outcome {
    ///     Err("no time".into())
    /// }).temporary());
    /// tree.child(Child::new("observer", move || {
    ///     let job = job.clone();
    ///     async move |mut ctx: Context<()>| -> Outcome {
    ///         let mut monitor = job.monitor();
    ///         if let Event::Io(exit) = ctx.next(&mut monitor).await {
    ///             assert_eq!(exit.expect("the job ran").to_string(), "failed: no time");
    ///         }
    ///         Ok(())
    ///     }
    /// }).transient().significant());
    /// System::new().run(tree).unwrap();
    /// ```
    pub fn monitor(&self) -> Monitor {
        Monitor::new(self.0.node())
    }

    /// Returns the number of queued messages.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether no message is queued.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the child has ended for good.
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
        write!(f, "Address({} queued)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_reports_queue_length() {
        let address = Address::new(2);
        assert!(address.is_empty());
        address.try_send(1).unwrap();
        address.try_send(2).unwrap();
        assert_eq!(address.len(), 2);
        assert_eq!(address.try_send(3), Err(SendError::Full(3)));
    }

    #[test]
    fn unused_mailbox_closes() {
        let mailbox = Mailbox::new(1);
        let address = Address::from_mailbox(mailbox.clone());
        assert!(!address.is_closed() && address.is_empty());
        mailbox.close();
        assert!(address.is_closed() && mailbox.queue().try_pop().is_none());
        assert_eq!(address.try_send(5), Err(SendError::Closed(5)));
    }

    #[test]
    fn closed_mailbox_returns_message() {
        let mailbox = Mailbox::new(1);
        let address = Address::from_mailbox(mailbox.clone());
        mailbox.close();
        assert_eq!(future::block_on(address.send(5)), Err(SendError::Closed(5)));
        assert_eq!(address.try_send(6), Err(SendError::Closed(6)));
        assert!(address.is_closed());
    }

    #[test]
    fn ask_of_closed_mailbox_fails_at_once() {
        let mailbox: Arc<Mailbox<Reply<u8>>> = Mailbox::new(1);
        let address = Address::from_mailbox(mailbox.clone());
        mailbox.close();
        let result = future::block_on(address.ask(Duration::from_secs(60), |reply| reply));
        assert_eq!(result, Err(AskError::Closed));
    }

    #[test]
    #[cfg_attr(miri, ignore = "outside a tree the timeout is a timer of smol's reactor: timerfd")]
    fn close_drops_queued_requests() {
        let mailbox: Arc<Mailbox<Reply<u8>>> = Mailbox::new(1);
        let address = Address::from_mailbox(mailbox.clone());
        let results = future::block_on(future::zip(
            address.ask(Duration::from_secs(60), |reply| reply),
            async { mailbox.close() },
        ));
        assert_eq!(results.0, Err(AskError::Dropped));
    }

    #[test]
    #[cfg_attr(miri, ignore = "outside a tree the timeout is a timer of smol's reactor: timerfd")]
    fn ask_without_reply_times_out() {
        let address: Address<Reply<u8>> = Address::new(1);
        let timeout = Duration::from_millis(1);
        let result = future::block_on(address.ask(timeout, |reply| reply));
        assert_eq!(result, Err(AskError::TimedOut(timeout)));
    }
}
