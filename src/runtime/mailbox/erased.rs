//! A mailbox whose message type is not known, as its node in the tree uses it.

/// The part of a mailbox that does not depend on the type of its messages.
pub(crate) trait ErasedMailbox: Send + Sync {
    /// Returns the number of queued messages and the capacity.
    fn len_and_capacity(&self) -> (usize, usize);

    /// Returns the number of messages that were dropped because the mailbox was full.
    fn dropped(&self) -> u64;

    /// Returns the name of the messages' type.
    fn message_type(&self) -> &'static str;

    /// Closes the queue: rejects further messages and drops the queued ones.
    fn close(&self);
}
