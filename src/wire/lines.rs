//! A byte stream split into lines, with a length limit.
//!
//! A connection delivers bytes in pieces of any size. [`LineBuffer`] takes the pieces and returns
//! the lines. The result does not depend on how the stream is split into pieces. The buffer keeps
//! the partial line itself. So a read that feeds it is cancel-safe: dropping it between two reads
//! loses nothing.
//!
//! A line beyond the limit is not buffered. Its bytes are counted and dropped as they arrive. At
//! its end it is reported once, with its length, so that the session can reject it and continue.

use memchr::memchr;

/// A line from a [`LineBuffer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The bytes of a line, without the `\n` or `\r\n`.
    Complete(Vec<u8>),
    /// A line beyond the limit, which was dropped: its length in bytes, without the `\n` or `\r\n`.
    TooLong(usize),
}

/// A buffer that splits a stream of bytes into lines.
///
/// Lines end with `\n` or `\r\n`. Call [`next_line`](LineBuffer::next_line) after each
/// [`push`](LineBuffer::push) until it returns `None`, or [`has_line`](LineBuffer::has_line) until
/// it returns false. Then the buffer holds at most one line of the maximum length and a carriage
/// return, and no more memory than that. Each byte is scanned once, so a long line in small pieces
/// takes linear time.
///
/// # Examples
///
/// ```
/// use sockactors::wire::lines::{Line, LineBuffer};
///
/// let mut lines = LineBuffer::new(8);
/// lines.push(b"hel");
/// assert_eq!(lines.next_line(), None);
///
/// lines.push(b"lo\r\nmuch too long\nrest");
/// assert_eq!(lines.next_line(), Some(Line::Complete(b"hello".to_vec())));
/// assert_eq!(lines.next_line(), Some(Line::TooLong(13)));
/// assert_eq!(lines.next_line(), None);
/// assert_eq!(lines.finish(), Some(Line::Complete(b"rest".to_vec())));
/// ```
#[derive(Debug, Clone)]
pub struct LineBuffer {
    max_len: usize,
    buffer: Vec<u8>,
    /// The start of the first line in `buffer` that was not returned yet.
    start: usize,
    /// The end of the part of `buffer` after `start` that has no newline.
    scanned: usize,
    /// The number of dropped bytes of the current line, which is too long.
    dropped: usize,
}

impl LineBuffer {
    /// Creates an empty buffer for lines of at most `max_len` bytes, without their line endings.
    pub fn new(max_len: usize) -> LineBuffer {
        LineBuffer { max_len, buffer: Vec::new(), start: 0, scanned: 0, dropped: 0 }
    }

    /// Appends received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Removes and returns the next complete line, or returns `None` if more bytes are needed.
    pub fn next_line(&mut self) -> Option<Line> {
        let Some(found) = memchr(b'\n', &self.buffer[self.scanned..]) else {
            self.compact();
            return None;
        };
        let newline = self.scanned + found;
        let line = &self.buffer[self.start..newline];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let length = self.dropped + line.len();
        let line = if length > self.max_len {
            Line::TooLong(length)
        } else {
            Line::Complete(line.to_vec())
        };
        self.start = newline + 1;
        self.scanned = self.start;
        self.dropped = 0;
        Some(line)
    }

    /// Passes the next complete line to `accept`, if it is UTF-8 and not too long. Removes the line
    /// if `accept` returns `true`, and returns whether it did.
    ///
    /// The line is borrowed, so this allocates nothing.
    pub fn take_line_if(&mut self, accept: impl FnOnce(&str) -> bool) -> bool {
        let Some(found) = memchr(b'\n', &self.buffer[self.scanned..]) else { return false };
        let newline = self.scanned + found;
        let line = &self.buffer[self.start..newline];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.dropped > 0 || line.len() > self.max_len {
            return false;
        }
        let accepted = std::str::from_utf8(line).is_ok_and(accept);
        if accepted {
            self.start = newline + 1;
            self.scanned = self.start;
        }
        accepted
    }

    /// Returns whether [`next_line`](LineBuffer::next_line) would return a line. If not, it frees
    /// memory and drops the bytes of a line that is too long, as `next_line` would.
    pub fn has_line(&mut self) -> bool {
        let has_line = memchr(b'\n', &self.buffer[self.scanned..]).is_some();
        if !has_line {
            self.compact();
        }
        has_line
    }

    /// Returns whether the start of a line that is too long was dropped, and its end is awaited.
    pub fn is_cutting(&self) -> bool {
        self.dropped > 0
    }

    /// Returns whether the buffer holds no part of a line and is not dropping one.
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len() && self.dropped == 0
    }

    /// Removes and returns the next line at the end of the stream: each remaining complete line,
    /// then the unterminated last line.
    ///
    /// A stream that ends with a newline has no unterminated line. A carriage return at the very
    /// end is a part of the unterminated line.
    pub fn finish(&mut self) -> Option<Line> {
        if let Some(line) = self.next_line() {
            return Some(line);
        }
        let length = self.dropped + self.buffer.len();
        let partial = std::mem::take(&mut self.buffer);
        self.scanned = 0;
        self.dropped = 0;
        match length {
            0 => None,
            _ if length > self.max_len => Some(Line::TooLong(length)),
            _ => Some(Line::Complete(partial)),
        }
    }

    /// Returns the bytes after the last newline, which are the start of a line.
    ///
    /// The slice is empty while a line that is too long is being dropped.
    pub fn partial(&self) -> &[u8] {
        if self.dropped > 0 {
            return &[];
        }
        let unread = &self.buffer[self.start..];
        let start = unread.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        &unread[start..]
    }

    /// Moves the partial line to the front of the buffer, or drops it if it is beyond the limit.
    fn compact(&mut self) {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.is_empty() {
            // An idle connection holds no memory.
            self.buffer = Vec::new();
        }
        let length = self.buffer.len();
        // One byte beyond the limit may be the first half of `\r\n`.
        let fits =
            length <= self.max_len || (length == self.max_len + 1 && self.buffer.ends_with(b"\r"));
        if !fits || self.dropped > 0 {
            // The last byte stays: it may be a `\r` before a `\n`, which is not a part of the line.
            let excess = length.saturating_sub(1);
            self.buffer.drain(..excess);
            self.dropped += excess;
        }
        if self.buffer.capacity() > self.max_len + 1 {
            // A start of a line must not keep the memory of the lines before it.
            self.buffer.shrink_to_fit();
        }
        self.scanned = self.buffer.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn complete(text: &str) -> Line {
        Line::Complete(text.as_bytes().to_vec())
    }

    fn split(max: usize, pieces: &[&[u8]]) -> Vec<Line> {
        let mut buffer = LineBuffer::new(max);
        let mut lines = Vec::new();
        for piece in pieces {
            buffer.push(piece);
            while let Some(line) = buffer.next_line() {
                lines.push(line);
            }
            assert!(buffer.buffer.len() <= max + 1, "{} bytes held", buffer.buffer.len());
        }
        lines.extend(std::iter::from_fn(|| buffer.finish()));
        lines
    }

    #[test]
    fn stream_is_split_into_lines() {
        assert_eq!(
            split(10, &[b"a\nb\r\n\nc"]),
            [complete("a"), complete("b"), complete(""), complete("c")]
        );
        assert_eq!(split(10, &[]), []);
        assert_eq!(split(10, &[b"end\n"]), [complete("end")]);
    }

    #[test]
    fn line_at_limit_passes_with_either_ending() {
        assert_eq!(
            split(3, &[b"abc\nabc\r\nabc"]),
            [complete("abc"), complete("abc"), complete("abc")]
        );
        assert_eq!(split(3, &[b"abc\r", b"\n"]), [complete("abc")]);
        assert_eq!(split(3, &[b"abcd\nx"]), [Line::TooLong(4), complete("x")]);
    }

    #[test]
    fn long_line_is_reported_once_with_length() {
        let flood = vec![b'x'; 1000];
        let mut pieces: Vec<&[u8]> = vec![&flood; 50];
        pieces.push(b"\r\nnext\n");
        assert_eq!(split(16, &pieces), [Line::TooLong(50_000), complete("next")]);
    }

    #[test]
    fn has_line_drops_endless_line() {
        let mut lines = LineBuffer::new(4);
        for _ in 0..100 {
            lines.push(b"abcdefgh");
            assert!(!lines.has_line());
            assert!(lines.buffer.len() <= 5, "{} bytes held", lines.buffer.len());
            assert!(lines.is_cutting());
        }
        lines.push(b"\r\nab\n");
        assert!(lines.has_line());
        assert_eq!(lines.next_line(), Some(Line::TooLong(800)));
        assert!(!lines.is_cutting());
        assert_eq!(lines.next_line(), Some(complete("ab")));
    }

    #[test]
    fn partial_line_releases_memory_of_earlier_lines() {
        let mut lines = LineBuffer::new(100);
        lines.push(&b"\n".repeat(16 << 10));
        lines.push(b"x");
        while lines.next_line().is_some() {}
        assert_eq!(lines.partial(), b"x");
        assert!(lines.buffer.capacity() <= 101, "{}", lines.buffer.capacity());
    }

    #[test]
    fn partial_returns_start_of_last_line() {
        let mut buffer = LineBuffer::new(4);
        buffer.push(b"one\ntw");
        assert_eq!(buffer.partial(), b"tw");
        assert_eq!(buffer.next_line(), Some(complete("one")));
        assert!(!buffer.is_empty());
        assert_eq!(buffer.partial(), b"tw");
        buffer.push(b"o is long");
        assert_eq!(buffer.next_line(), None);
        assert_eq!(buffer.partial(), b"");
        // The length of the dropped line is remembered until its end.
        assert!(!buffer.is_empty());
        buffer.push(b"\n");
        assert_eq!(buffer.next_line(), Some(Line::TooLong(11)));
        assert!(buffer.is_empty());
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_pieces(
            input in proptest::collection::vec(proptest::sample::select(&b"\n\rab"[..]), 0..80),
            piece in 1_usize..9,
            max in 0_usize..12,
        ) {
            let pieces: Vec<&[u8]> = input.chunks(piece).collect();
            prop_assert_eq!(split(max, &pieces), split(max, &[&input]));
        }

        #[test]
        fn split_lines_equal_joined_input(lines in proptest::collection::vec("[a-z]{0,9}", 0..9)) {
            let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let expected: Vec<Line> = lines.iter().map(|line| complete(line)).collect();
            prop_assert_eq!(split(9, &[input.as_bytes()]), expected);
        }
    }
}
