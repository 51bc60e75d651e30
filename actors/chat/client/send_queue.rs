//! What a chat client has to say: lines that wait until they are written to a server.
//!
//! A line is here until all of it is written, so a connection that is lost takes no word along: what was not
//! written, or in part, is said to the next one. Lines that were the client's own business with the lost
//! connection are not.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use crate::net::Stream;

/// How many bytes of lines may wait before whoever types them has to.
const HIGH_WATER: usize = 1 << 20;

/// So many lines are handed to the kernel at once.
const MAX_IOVECS: usize = 64;

/// Lines on their way.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    lines: VecDeque<QueuedLine>,
    bytes: usize,
    /// How much of the first one is written.
    written: usize,
}

#[derive(Debug)]
struct QueuedLine {
    /// With its newline.
    text: String,
    /// Whether a person said it.
    is_user_input: bool,
}

impl SendQueue {
    /// Adds what a person said, given without its line end.
    pub(crate) fn push_line(&mut self, text: &str) {
        self.push(text, true);
    }

    /// Adds what the client has to tell this one server, given without its line end.
    pub(crate) fn push_control(&mut self, text: &str) {
        self.push(text, false);
    }

    fn push(&mut self, text: &str, is_said: bool) {
        let text = format!("{text}\n");
        self.bytes += text.len();
        self.lines.push_back(QueuedLine { text, is_user_input: is_said });
    }

    /// Takes the first line out, without its line end.
    pub(crate) fn pop(&mut self) -> Option<String> {
        let mut line = self.lines.pop_front()?;
        self.bytes -= line.text.len();
        self.written = 0;
        line.text.pop();
        Some(line.text)
    }

    /// Puts a line back that was taken out and could not be said.
    pub(crate) fn requeue(&mut self, text: &str) {
        let line = QueuedLine { text: format!("{text}\n"), is_user_input: true };
        self.bytes += line.text.len();
        self.lines.push_front(line);
    }

    /// Puts what the client has to tell before all that a person said.
    pub(crate) fn prepend(&mut self, texts: &[String]) {
        for text in texts.iter().rev() {
            let text = format!("{text}\n");
            self.bytes += text.len();
            self.lines.push_front(QueuedLine { text, is_user_input: false });
        }
    }

    /// Returns how many lines wait that a person said.
    pub(crate) fn pending_lines(&self) -> usize {
        self.lines.iter().filter(|line| line.is_user_input).count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Tells whether so much waits that no more is to be taken.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= HIGH_WATER
    }

    /// Forgets the connection: what a person said is said to the next one, from its beginning.
    pub(crate) fn reset_connection(&mut self) {
        self.written = 0;
        self.lines.retain(|line| line.is_user_input);
        self.bytes = self.lines.iter().map(|line| line.text.len()).sum();
    }

    /// Writes as much as the server takes now; tells whether that was anything.
    ///
    /// # Errors
    ///
    /// What the connection says.
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
        let mut heard = Vec::new();
        while stream
            .try_read_with(|bytes| heard.extend_from_slice(bytes))
            .is_ok_and(|length| length > 0)
        {}
        String::from_utf8(heard).unwrap()
    }

    #[test]
    fn a_line_that_was_written_in_part_is_said_again_and_whole() {
        let (ours, theirs) = Stream::pair().unwrap();
        let mut outgoing = SendQueue::default();
        let long = "x".repeat(4 << 20);
        outgoing.push_line("first");
        outgoing.push_line(&long);
        outgoing.push_control("/who");
        assert!(outgoing.flush(&ours).unwrap() && outgoing.is_full());
        assert!(read_all(&theirs).starts_with("first\nxxx"));
        outgoing.reset_connection();
        assert_eq!(outgoing.pending_lines(), 1);
        assert_eq!(outgoing.pop(), Some(long));
        assert!(outgoing.is_empty() && !outgoing.is_full());
    }

    #[test]
    fn the_opening_comes_first_and_is_nobody_elses() {
        let (ours, theirs) = Stream::pair().unwrap();
        let mut outgoing = SendQueue::default();
        outgoing.push_line("hello");
        outgoing.prepend(&["/nick ada".into(), "/ack off".into()]);
        assert_eq!(outgoing.pending_lines(), 1);
        outgoing.flush(&ours).unwrap();
        assert_eq!(read_all(&theirs), "/nick ada\n/ack off\nhello\n");
        assert!(outgoing.is_empty() && !outgoing.flush(&ours).unwrap());
        assert_eq!(outgoing.bytes, 0);
    }
}
