//! A byte stream cut into lines, with a limit.
//!
//! A connection delivers bytes in whatever pieces it likes. [`LineBuffer`] takes the pieces and
//! gives back the lines: the same lines for the same bytes, however they were cut. It keeps its
//! partial line in itself, so a reader that is dropped between two reads loses nothing; that makes
//! a read which feeds one safe to race against other events.
//!
//! A line that grows beyond the limit is not collected. Its bytes are counted and dropped as they
//! come, and when its end arrives it is told once, with its length, so that the session can refuse
//! it and go on.

use memchr::memchr;

/// What a [`LineBuffer`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The bytes of a line, without its `\n` or `\r\n`.
    Complete(Vec<u8>),
    /// A line longer than the limit was dropped; this many bytes long, without its `\n` or `\r\n`.
    TooLong(usize),
}

/// Splits a stream of bytes into lines.
///
/// Lines end with `\n` or `\r\n`. As long as each [`push`](LineBuffer::push) is followed by
/// [`next_line`](LineBuffer::next_line) until it gives `None`, or by a [`has_line`](LineBuffer::has_line)
/// that is false, the buffer never holds more than one line of the longest length, a carriage return, and what one push brought. Each byte is looked at
/// once, so a long line that arrives in small pieces costs linear time.
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
    /// Where the first line that was not taken yet begins in `buffer`.
    start: usize,
    /// Up to where `buffer` is known to have no newline.
    scanned: usize,
    /// How many bytes of the present line were dropped because it is too long.
    dropped: usize,
}

impl LineBuffer {
    /// Creates an empty buffer for lines of at most `max_len` bytes, line ends not counted.
    pub fn new(max_line: usize) -> LineBuffer {
        LineBuffer { max_len: max_line, buffer: Vec::new(), start: 0, scanned: 0, dropped: 0 }
    }

    /// Appends bytes as they came from the connection.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next complete line, or gives `None` when more bytes are needed.
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

    /// Shows the next complete line to `take`, if it is text and not too long, and drops it if that returns `true`;
    /// tells whether it did. So whoever has no use for a line of its own pays for none.
    pub fn take_line_if(&mut self, take: impl FnOnce(&str) -> bool) -> bool {
        let Some(found) = memchr(b'\n', &self.buffer[self.scanned..]) else { return false };
        let newline = self.scanned + found;
        let line = &self.buffer[self.start..newline];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.dropped > 0 || line.len() > self.max_len {
            return false;
        }
        let taken = std::str::from_utf8(line).is_ok_and(take);
        if taken {
            self.start = newline + 1;
            self.scanned = self.start;
        }
        taken
    }

    /// Tells whether [`next_line`](LineBuffer::next_line) has a line to give. If not, it lets go of what next_line would:
    /// whoever asks this after each push need not take nothing.
    pub fn has_line(&mut self) -> bool {
        let has = memchr(b'\n', &self.buffer[self.scanned..]).is_some();
        if !has {
            self.compact();
        }
        has
    }

    /// Tells whether nothing is held of any line, so that a new buffer would do as well.
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len() && self.dropped == 0
    }

    /// Takes what is left once the stream has ended: each remaining line, then the rest that no
    /// newline ended.
    ///
    /// A stream that ended with a newline has no rest. A lone carriage return at the very end
    /// belongs to the rest.
    pub fn finish(&mut self) -> Option<Line> {
        if let Some(line) = self.next_line() {
            return Some(line);
        }
        let length = self.dropped + self.buffer.len();
        let rest = std::mem::take(&mut self.buffer);
        self.scanned = 0;
        self.dropped = 0;
        match length {
            0 => None,
            _ if length > self.max_len => Some(Line::TooLong(length)),
            _ => Some(Line::Complete(rest)),
        }
    }

    /// Shows the bytes after the last newline, which are a line's beginning.
    ///
    /// It is empty while a line that is too long is being dropped. Lines that were not taken yet
    /// are not part of it.
    pub fn partial(&self) -> &[u8] {
        if self.dropped > 0 {
            return &[];
        }
        let rest = &self.buffer[self.start..];
        let begin = rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        &rest[begin..]
    }

    /// Moves the partial line to the front, or drops it when it cannot become a line within the
    /// limit any more.
    fn compact(&mut self) {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.is_empty() {
            // A connection that waits holds no buffer.
            self.buffer = Vec::new();
        }
        let length = self.buffer.len();
        // One byte beyond the limit may still be the first half of `\r\n`.
        let fits =
            length <= self.max_len || (length == self.max_len + 1 && self.buffer.ends_with(b"\r"));
        if !fits || self.dropped > 0 {
            // The last byte stays, so that a `\r` whose `\n` is still to come is not counted as a
            // part of the line.
            let gone = length.saturating_sub(1);
            self.buffer.drain(..gone);
            self.dropped += gone;
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
    fn smoke() {
        assert_eq!(
            split(10, &[b"a\nb\r\n\nc"]),
            [complete("a"), complete("b"), complete(""), complete("c")]
        );
        assert_eq!(split(10, &[]), []);
        assert_eq!(split(10, &[b"end\n"]), [complete("end")]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes_with_either_ending() {
        assert_eq!(
            split(3, &[b"abc\nabc\r\nabc"]),
            [complete("abc"), complete("abc"), complete("abc")]
        );
        assert_eq!(split(3, &[b"abc\r", b"\n"]), [complete("abc")]);
        assert_eq!(split(3, &[b"abcd\nx"]), [Line::TooLong(4), complete("x")]);
    }

    #[test]
    fn a_long_line_is_told_once_with_its_length() {
        let flood = vec![b'x'; 1000];
        let mut pieces: Vec<&[u8]> = vec![&flood; 50];
        pieces.push(b"\r\nnext\n");
        assert_eq!(split(16, &pieces), [Line::TooLong(50_000), complete("next")]);
    }

    #[test]
    fn a_line_without_end_is_not_kept_where_it_is_only_asked_for() {
        let mut lines = LineBuffer::new(4);
        for _ in 0..100 {
            lines.push(b"abcdefgh");
            assert!(!lines.has_line());
            assert!(lines.buffer.len() <= 5, "{} bytes held", lines.buffer.len());
        }
        lines.push(b"\r\nab\n");
        assert!(lines.has_line());
        assert_eq!(lines.next_line(), Some(Line::TooLong(800)));
        assert_eq!(lines.next_line(), Some(complete("ab")));
    }

    #[test]
    fn partial_is_the_beginning_of_the_next_line() {
        let mut buffer = LineBuffer::new(4);
        buffer.push(b"one\ntw");
        assert_eq!(buffer.partial(), b"tw");
        assert_eq!(buffer.next_line(), Some(complete("one")));
        assert!(!buffer.is_empty());
        assert_eq!(buffer.partial(), b"tw");
        buffer.push(b"o is long");
        assert_eq!(buffer.next_line(), None);
        assert_eq!(buffer.partial(), b"");
        // What was dropped of the line is remembered until it ends.
        assert!(!buffer.is_empty());
        buffer.push(b"\n");
        assert_eq!(buffer.next_line(), Some(Line::TooLong(11)));
        assert!(buffer.is_empty());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines(
            input in proptest::collection::vec(proptest::sample::select(&b"\n\rab"[..]), 0..80),
            piece in 1_usize..9,
            max in 0_usize..12,
        ) {
            let pieces: Vec<&[u8]> = input.chunks(piece).collect();
            prop_assert_eq!(split(max, &pieces), split(max, &[&input]));
        }

        #[test]
        fn joined_lines_are_the_input(lines in proptest::collection::vec("[a-z]{0,9}", 0..9)) {
            let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let expected: Vec<Line> = lines.iter().map(|line| complete(line)).collect();
            prop_assert_eq!(split(9, &[input.as_bytes()]), expected);
        }
    }
}
