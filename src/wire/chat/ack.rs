//! The receipts of the chat protocol, which tell a sender that its message has arrived.

/// The text before the message in a receipt.
pub const ACK_PREFIX: &str = "Server received your message: ";

/// The reply to `/ack off`, without its newline.
pub const ACK_OFF: &str = "* receipts are off";

/// The reply to `/ack on`, without its newline.
pub const ACK_ON: &str = "* receipts are on";
