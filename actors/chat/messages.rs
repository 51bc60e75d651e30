//! Types that several roles of the chat share: the messages of a session, and the dialects.

/// A message to a chat session. Room messages do not come this way: a session reads them from
/// its room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionMessage {
    /// A line for this peer alone, with its newline.
    Notice(String),
    /// Ends the session, for this reason.
    Close(String),
}

/// A dialect that a chat client or server can be set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Lines, with commands.
    Line,
    /// Chunks without a newline. The client waits for the reply to each chunk.
    Lecture,
}
