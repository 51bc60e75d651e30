//! The messages in a room's log.

use std::time::SystemTime;

/// Length in bytes from which a message's text is written from the shared message. Shorter
/// texts are copied into one buffer with their neighbours.
pub(crate) const COPY_LIMIT: usize = 1 << 10;

/// One or several lines that were published to a room together. Immutable and shared by all
/// subscribers.
#[derive(Debug)]
pub struct RoomMessage {
    /// The member who sent it and does not receive it. `None` for the room's own notices.
    pub(crate) sender: Option<u64>,
    /// The lines as the members receive them, each with its newline. Safe for a terminal.
    pub text: Box<str>,
    /// The number of lines in `text`.
    pub(crate) line_count: u32,
    /// When the message was sent.
    pub sent_at: SystemTime,
}

impl RoomMessage {
    /// Returns the lines, each with its newline.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.text.split_inclusive('\n')
    }
}

/// One line of a room's past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    /// The line as the members received it, with its newline.
    pub text: Box<str>,
    /// When it was sent.
    pub sent_at: SystemTime,
}
