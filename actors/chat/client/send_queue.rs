//! The send queue of a chat client.
//!
//! A line stays in the queue until all of it is written, so a lost connection loses no line of
//! the user: lines not written as a whole are sent again on the next connection. The client's
//! own commands for the lost connection are dropped.

use std::io;

use crate::net::{Stream, WriteQueue};

/// Number of queued bytes from which no more input is taken.
const HIGH_WATER: usize = 1 << 20;

/// The lines that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct SendQueue(WriteQueue<QueuedLine>);

#[derive(Debug)]
struct QueuedLine {
    /// The line with its newline.
    text: String,
    /// Whether the user typed it. Otherwise it is the client's own command.
    is_user_input: bool,
}

impl QueuedLine {
    fn new(text: &str, is_user_input: bool) -> QueuedLine {
        QueuedLine { text: format!("{text}\n"), is_user_input }
    }
}

impl AsRef<[u8]> for QueuedLine {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl SendQueue {
    /// Queues a line of the user, given without its newline.
    pub(crate) fn push_line(&mut self, text: &str) {
        self.0.push_back(QueuedLine::new(text, true));
    }

    /// Queues a command of the client for the current connection, given without its newline.
    pub(crate) fn push_control(&mut self, text: &str) {
        self.0.push_back(QueuedLine::new(text, false));
    }

    /// Removes and returns the first line, without its newline.
    pub(crate) fn pop(&mut self) -> Option<String> {
        let mut line = self.0.pop_front()?;
        line.text.pop();
        Some(line.text)
    }

    /// Puts back a line of the user that was popped and could not be sent.
    pub(crate) fn requeue(&mut self, text: &str) {
        self.0.push_front(QueuedLine::new(text, true));
    }

    /// Queues commands of the client before all other lines.
    pub(crate) fn prepend(&mut self, texts: &[String]) {
        for text in texts.iter().rev() {
            self.0.push_front(QueuedLine::new(text, false));
        }
    }

    /// Returns the number of queued lines of the user.
    pub(crate) fn pending_lines(&self) -> usize {
        self.0.iter().filter(|line| line.is_user_input).count()
    }

    /// Returns whether nothing is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the queue has reached its limit, so that no more input may be taken.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= HIGH_WATER
    }

    /// Prepares the queue for the next connection: drops the client's own commands, and sends a
    /// partly written line again as a whole.
    pub(crate) fn reset_connection(&mut self) {
        self.0.restart(|line| line.is_user_input);
    }

    /// Writes as many bytes as the server takes now. Returns whether it took any.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub(crate) fn flush(&mut self, stream: &Stream) -> io::Result<bool> {
        self.0.try_flush(stream, drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(stream: &Stream) -> String {
        let mut received = Vec::new();
        while stream
            .try_read_with(|bytes| received.extend_from_slice(bytes))
            .is_ok_and(|length| length > 0)
        {}
        String::from_utf8(received).unwrap()
    }

    #[test]
    fn partly_written_line_is_sent_again_whole() {
        let (ours, theirs) = Stream::pair().unwrap();
        let mut queue = SendQueue::default();
        let long = "x".repeat(4 << 20);
        queue.push_line("first");
        queue.push_line(&long);
        queue.push_control("/who");
        assert!(queue.flush(&ours).unwrap() && queue.is_full());
        assert!(read_all(&theirs).starts_with("first\nxxx"));
        queue.reset_connection();
        assert_eq!(queue.pending_lines(), 1);
        assert_eq!(queue.pop(), Some(long));
        assert!(queue.is_empty() && !queue.is_full());
    }

    #[test]
    fn prepended_commands_are_sent_before_user_lines() {
        let (ours, theirs) = Stream::pair().unwrap();
        let mut queue = SendQueue::default();
        queue.push_line("hello");
        queue.prepend(&["/nick ada".into(), "/ack off".into()]);
        assert_eq!(queue.pending_lines(), 1);
        queue.flush(&ours).unwrap();
        assert_eq!(read_all(&theirs), "/nick ada\n/ack off\nhello\n");
        assert!(queue.is_empty() && !queue.flush(&ours).unwrap());
        assert_eq!(queue.0.len(), 0);
    }
}
