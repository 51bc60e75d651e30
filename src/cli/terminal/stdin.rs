//! The lines of stdin, as messages to an actor.
//!
//! A read from a terminal cannot be cancelled: it returns when a line is typed, or never. So stdin
//! has a thread that is never joined. The program can exit while that thread is blocked. The
//! thread reads one line, sends it, and waits while the actor's mailbox is full. A large file
//! behind stdin is therefore never held in memory whole.
//!
//! A line is bytes without the line feed, because a file name may hold any bytes. The end of the
//! input is `None`.
//!
//! A line longer than [`MAX_LINE_LEN`] is split into pieces, each of which is a line for the
//! actor. No input is lost, and no character of valid UTF-8 text is split.

use std::io::{self, BufRead, IsTerminal};
use std::thread;

/// The length limit of a line, in bytes. A longer line is split.
pub const MAX_LINE_LEN: usize = 64 * 1024;

/// Returns whether a person can be prompted: at a terminal, and without `--no-input`.
pub fn is_interactive(no_input: bool) -> bool {
    !no_input && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Starts a thread that passes stdin's lines, then `None`, to `on_line` until it returns `false`.
///
/// `on_line` runs on the thread of stdin and may block. Blocking delays the next read.
///
/// # Errors
///
/// Returns an error if the thread cannot be started.
pub fn spawn_line_reader(
    on_line: impl FnMut(Option<Vec<u8>>) -> bool + Send + 'static,
) -> io::Result<()> {
    let work = move || forward_lines(InputLines::new(io::stdin().lock()), on_line);
    thread::Builder::new().name("stdin".to_owned()).spawn(work).map(drop)
}

fn forward_lines(
    mut lines: InputLines<impl BufRead>,
    mut on_line: impl FnMut(Option<Vec<u8>>) -> bool,
) {
    loop {
        let line = lines.next_line_or_eof();
        let is_end = line.is_none();
        if !on_line(line) || is_end {
            break;
        }
    }
}

/// A reader of lines.
#[derive(Debug)]
struct InputLines<R> {
    reader: R,
    /// The first bytes of the next line, which were read with the previous one.
    pending: Vec<u8>,
    /// Whether the previous line was a piece of a longer one.
    was_split: bool,
    /// The error that ended the input behind the last line.
    error: Option<io::Error>,
}

impl<R: BufRead> InputLines<R> {
    fn new(reader: R) -> InputLines<R> {
        InputLines { reader, pending: Vec::new(), was_split: false, error: None }
    }

    /// Reads a line. Logs an error, and treats it as the end.
    fn next_line_or_eof(&mut self) -> Option<Vec<u8>> {
        self.next_line().unwrap_or_else(|error| {
            log::warn!("cannot read stdin, the input ends here: {error}");
            None
        })
    }

    /// Reads a line without its line end. The last line needs no line feed.
    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let is_continued = self.was_split;
            match self.read_piece()? {
                // A split just before the line end leaves an empty rest, which is not a line.
                Some(line) if line.is_empty() && is_continued => {}
                line => return Ok(line),
            }
        }
    }

    fn read_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut line = std::mem::take(&mut self.pending);
        self.was_split = false;
        while line.len() < MAX_LINE_LEN {
            let read = match self.reader.fill_buf() {
                Ok(read) => &read[..read.len().min(MAX_LINE_LEN - line.len())],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if line.is_empty() => return Err(error),
                // The unfinished line is not lost.
                Err(error) => {
                    self.error = Some(error);
                    return Ok(Some(line));
                }
            };
            if read.is_empty() {
                return Ok((!line.is_empty()).then_some(line));
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            line.extend_from_slice(&read[..end.unwrap_or(read.len())]);
            let consumed = end.map_or(read.len(), |end| end + 1);
            self.reader.consume(consumed);
            if end.is_some() {
                if line.ends_with(b"\r") {
                    line.pop();
                }
                return Ok(Some(line));
            }
        }
        self.pending = line.split_off(split_point(&line));
        self.was_split = true;
        Ok(Some(line))
    }
}

/// Returns where to split a full buffer: after its last complete character, and before a
/// `\r` that may belong to the line end.
fn split_point(line: &[u8]) -> usize {
    match std::str::from_utf8(line) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ if line.ends_with(b"\r") => line.len() - 1,
        _ => line.len(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn read_lines(input: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = InputLines::new(Cursor::new(input));
        std::iter::from_fn(|| lines.next_line_or_eof()).collect()
    }

    #[test]
    fn lines_have_no_line_ends() {
        assert_eq!(read_lines(b"one\ntwo\r\n\nthree"), [&b"one"[..], b"two", b"", b"three"]);
        assert_eq!(read_lines(b""), [b""; 0]);
        assert_eq!(read_lines(b"\xff\n"), [b"\xff"]);
    }

    #[test]
    fn long_line_is_split_without_loss() {
        let long = "x".repeat(2 * MAX_LINE_LEN + 5);
        let pieces = read_lines(format!("{long}\nnext").as_bytes());
        let lengths: Vec<usize> = pieces.iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_LINE_LEN, MAX_LINE_LEN, 5, 4]);
        assert_eq!(pieces[..3].concat(), long.as_bytes());
    }

    #[test]
    fn line_at_the_limit_is_not_split() {
        let longest = "x".repeat(MAX_LINE_LEN);
        for end in ["", "\n", "\r\n"] {
            assert_eq!(read_lines(format!("{longest}{end}").as_bytes()), [longest.as_bytes()]);
        }
        let last = format!("{}\r\nb", &longest[1..]);
        assert_eq!(read_lines(last.as_bytes()), [&longest.as_bytes()[1..], b"b"]);
    }

    #[test]
    fn characters_are_not_split() {
        let text = format!("x{}", "\u{20ac}".repeat(MAX_LINE_LEN / 2));
        let pieces = read_lines(text.as_bytes());
        assert!(pieces.iter().all(|piece| std::str::from_utf8(piece).is_ok()));
        assert_eq!(pieces.concat(), text.as_bytes());
    }

    #[test]
    fn end_follows_the_last_line() {
        let mut lines = Vec::new();
        forward_lines(InputLines::new(Cursor::new(b"one\ntwo")), |line| {
            lines.push(line);
            true
        });
        assert_eq!(lines, [Some(b"one".to_vec()), Some(b"two".to_vec()), None]);
    }

    #[test]
    fn reading_stops_when_the_callback_returns_false() {
        let mut calls = 0;
        forward_lines(InputLines::new(Cursor::new(b"one\ntwo\n")), |_| {
            calls += 1;
            false
        });
        assert_eq!(calls, 1);
    }

    /// A reader of some bytes that then fails, and must not be read again.
    #[derive(Debug)]
    struct FailingReader(Option<&'static [u8]>);

    impl io::Read for FailingReader {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let mut bytes = self.0.expect("read again after an error");
            if bytes.is_empty() {
                self.0 = None;
                return Err(io::Error::other("broken"));
            }
            let length = bytes.read(buf)?;
            self.0 = Some(bytes);
            Ok(length)
        }
    }

    #[test]
    fn read_error_ends_input_behind_unfinished_line() {
        for (bytes, expected) in [(&b""[..], vec![]), (b"one\ntwo", vec!["one", "two"])] {
            let mut lines = Vec::new();
            let reader = io::BufReader::new(FailingReader(Some(bytes)));
            forward_lines(InputLines::new(reader), |line| {
                lines.push(line);
                true
            });
            assert_eq!(lines.pop(), Some(None));
            let lines: Vec<Vec<u8>> = lines.into_iter().flatten().collect();
            assert_eq!(lines, expected.iter().map(|line| line.as_bytes()).collect::<Vec<_>>());
        }
    }
}
