//! The lines of stdin, as messages to an actor.
//!
//! Reading from a terminal cannot be given up: whoever waits for a line that is never typed waits for ever.
//! So stdin has a thread of its own that nobody joins, and a program that is done ends in the middle of that
//! thread's read. It reads one line, sends it, and waits while the actor's mailbox is full, so a large file
//! behind stdin is never in memory whole.
//!
//! Whoever takes the lines says by how long it takes when the next one is read. A line is bytes without the
//! line feed, for a file name may be any bytes, and the end of the input is told as `None`.
//!
//! A line longer than [`MAX_LINE_LEN`] is cut into pieces, each a line to the actor: nothing typed is lost, and
//! no character is cut in two.

use std::io::{self, BufRead, IsTerminal};
use std::thread;

/// The longest line that is handed on in one piece, in bytes.
pub const MAX_LINE_LEN: usize = 64 * 1024;

/// Tells whether a person is there to be prompted, and may be.
pub fn is_interactive(no_input: bool) -> bool {
    !no_input && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Hands every line of stdin, and at the end `None`, to `take`, until it returns `false`.
///
/// `take` runs on the thread of stdin and may block as long as it likes: that is what holds the input back.
///
/// # Errors
///
/// Fails if no thread can be started.
pub fn spawn_line_reader(
    take: impl FnMut(Option<Vec<u8>>) -> bool + Send + 'static,
) -> io::Result<()> {
    let work = move || forward_lines(InputLines::new(io::stdin().lock()), take);
    thread::Builder::new().name("stdin".to_owned()).spawn(work).map(drop)
}

fn forward_lines(
    mut lines: InputLines<impl BufRead>,
    mut take: impl FnMut(Option<Vec<u8>>) -> bool,
) {
    loop {
        let line = lines.next_line_or_eof();
        let ended = line.is_none();
        if !take(line) || ended {
            break;
        }
    }
}

/// Cuts what is read into lines.
#[derive(Debug)]
struct InputLines<R> {
    reader: R,
    /// The first bytes of the next line, which were read with the last one.
    pending: Vec<u8>,
    /// Whether the last line was a piece of a longer one.
    was_split: bool,
}

impl<R: BufRead> InputLines<R> {
    fn new(from: R) -> InputLines<R> {
        InputLines { reader: from, pending: Vec::new(), was_split: false }
    }

    /// Reads a line; takes a failure, which it tells, for the end.
    fn next_line_or_eof(&mut self) -> Option<Vec<u8>> {
        self.next_line().unwrap_or_else(|error| {
            log::warn!("cannot read stdin any further: {error}");
            None
        })
    }

    /// Reads a line, without what ends it; the last one needs no line feed.
    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let continued = self.was_split;
            match self.read_piece()? {
                // The end of a line that was cut just before it is no line of its own.
                Some(line) if line.is_empty() && continued => {}
                line => return Ok(line),
            }
        }
    }

    fn read_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = std::mem::take(&mut self.pending);
        self.was_split = false;
        while line.len() < MAX_LINE_LEN {
            let read = match self.reader.fill_buf() {
                Ok(read) => &read[..read.len().min(MAX_LINE_LEN - line.len())],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if read.is_empty() {
                return Ok((!line.is_empty()).then_some(line));
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            line.extend_from_slice(&read[..end.unwrap_or(read.len())]);
            let used = end.map_or(read.len(), |end| end + 1);
            self.reader.consume(used);
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

/// Returns how much of a full line is handed on: up to its last whole character, without a lone `\r`.
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

    fn spawn_line_reader(input: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = InputLines::new(Cursor::new(input));
        std::iter::from_fn(|| lines.next_line_or_eof()).collect()
    }

    #[test]
    fn lines_come_without_their_ends() {
        assert_eq!(spawn_line_reader(b"one\ntwo\r\n\nthree"), [&b"one"[..], b"two", b"", b"three"]);
        assert_eq!(spawn_line_reader(b""), [b""; 0]);
        assert_eq!(spawn_line_reader(b"\xff\n"), [b"\xff"]);
    }

    #[test]
    fn a_long_line_is_cut_and_nothing_is_lost() {
        let long = "x".repeat(2 * MAX_LINE_LEN + 5);
        let pieces = spawn_line_reader(format!("{long}\nnext").as_bytes());
        let lengths: Vec<usize> = pieces.iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_LINE_LEN, MAX_LINE_LEN, 5, 4]);
        assert_eq!(pieces[..3].concat(), long.as_bytes());
    }

    #[test]
    fn a_line_of_just_the_longest_length_is_one() {
        let longest = "x".repeat(MAX_LINE_LEN);
        for end in ["", "\n", "\r\n"] {
            assert_eq!(
                spawn_line_reader(format!("{longest}{end}").as_bytes()),
                [longest.as_bytes()]
            );
        }
        let last = format!("{}\r\nb", &longest[1..]);
        assert_eq!(spawn_line_reader(last.as_bytes()), [&longest.as_bytes()[1..], b"b"]);
    }

    #[test]
    fn no_character_is_cut_in_two() {
        let text = format!("x{}", "\u{20ac}".repeat(MAX_LINE_LEN / 2));
        let pieces = spawn_line_reader(text.as_bytes());
        assert!(pieces.iter().all(|piece| std::str::from_utf8(piece).is_ok()));
        assert_eq!(pieces.concat(), text.as_bytes());
    }

    #[test]
    fn the_end_is_told_after_the_last_line() {
        let mut told = Vec::new();
        forward_lines(InputLines::new(Cursor::new(b"one\ntwo")), |line| {
            told.push(line);
            true
        });
        assert_eq!(told, [Some(b"one".to_vec()), Some(b"two".to_vec()), None]);
    }

    #[test]
    fn nothing_is_read_for_nobody() {
        let mut times = 0;
        forward_lines(InputLines::new(Cursor::new(b"one\ntwo\n")), |_| {
            times += 1;
            false
        });
        assert_eq!(times, 1);
    }

    /// Fails, and would never end if it were asked again.
    #[derive(Debug)]
    struct FailingReader(bool);

    impl io::Read for FailingReader {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            assert!(!std::mem::replace(&mut self.0, true), "it was read again after it failed");
            Err(io::Error::other("broken"))
        }
    }

    #[test]
    fn a_failure_to_read_is_the_end() {
        let mut told = Vec::new();
        forward_lines(InputLines::new(io::BufReader::new(FailingReader(false))), |line| {
            told.push(line);
            true
        });
        assert_eq!(told, [None]);
    }
}
