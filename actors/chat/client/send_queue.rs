//! The send queue of a chat client.
//!
//! A line stays in the queue until all of it is written, so a lost connection loses no line of
//! the user: what was written in part or not at all is sent to the next connection. The client's
//! own commands for the lost connection are dropped.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use crate::net::Stream;

/// Number of queued bytes from which no more input is taken.
const HIGH_WATER: usize = 1 << 20;

/// Maximum number of slices in one vectored write.
const MAX_IOVECS: usize = 64;

/// The lines that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    lines: VecDeque<QueuedLine>,
    bytes: usize,
    /// Number of written bytes of the first line.
    written: usize,
}

#[derive(Debug)]
struct QueuedLine {
    /// The line with its newline.
    text: String,
    /// Whether the user typed it. Otherwise it is the client's own command.
    is_user_input: bool,
}

impl SendQueue {
    /// Queues a line of the user, given without its newline.
    pub(crate) fn push_line(&mut self, text: &str) {
        self.push(text, true);
    }

    /// Queues a command of the client for the current connection, given without its newline.
    pub(crate) fn push_control(&mut self, text: &str) {
        self.push(text, false);
    }

    fn push(&mut self, text: &str, is_user_input: bool) {
        let text = format!("{text}\n");
        self.bytes += text.len();
        self.lines.push_back(QueuedLine { text, is_user_input });
    }

    /// Removes and returns the first line, without its newline.
    pub(crate) fn pop(&mut self) -> Option<String> {
        let mut line = self.lines.pop_front()?;
        self.bytes -= line.text.len();
        self.written = 0;
        line.text.pop();
        Some(line.text)
    }

    /// Puts back a line of the user that was popped and could not be sent.
    pub(crate) fn requeue(&mut self, text: &str) {
        let line = QueuedLine { text: format!("{text}\n"), is_user_input: true };
        self.bytes += line.text.len();
        self.lines.push_front(line);
    }

    /// Queues commands of the client before all other lines.
    pub(crate) fn prepend(&mut self, texts: &[String]) {
        for text in texts.iter().rev() {
            let text = format!("{text}\n");
            self.bytes += text.len();
            self.lines.push_front(QueuedLine { text, is_user_input: false });
        }
    }

    /// Returns the number of queued lines of the user.
    pub(crate) fn pending_lines(&self) -> usize {
        self.lines.iter().filter(|line| line.is_user_input).count()
    }

    /// Returns whether nothing is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns whether so much is queued that no more input may be taken.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= HIGH_WATER
    }

    /// Prepares the queue for the next connection: drops the client's own commands, and sends a
    /// partly written line again as a whole.
    pub(crate) fn reset_connection(&mut self) {
        self.written = 0;
        self.lines.retain(|line| line.is_user_input);
        self.bytes = self.lines.iter().map(|line| line.text.len()).sum();
    }

    /// Writes as many bytes as the server takes now. Returns whether it took any.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub(crate) fn flush(&mut self, stream: &Stream) -> io::Result<bool> {
        let mut any = false;
        while !self.lines.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_IOVECS];
            let mut count = 0;
            for (slice, line) in slices.iter_mut().zip(&self.lines) {
                let skip = if count == 0 { self.written } else { 0 };
                *slice = IoSlice::new(&line.text.as_bytes()[skip..]);
                count += 1;
            }
            match stream.try_write_vectored(&slices[..count]) {
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            any = true;
        }
        Ok(any)
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        while let Some(line) = self.lines.front() {
            if self.written < line.text.len() {
                return;
            }
            self.written -= line.text.len();
            self.bytes -= line.text.len();
            self.lines.pop_front();
        }
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
        assert_eq!(queue.bytes, 0);
    }
}
