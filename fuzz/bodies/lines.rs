//! Arbitrary bytes, in arbitrary pieces, as the lines of a chat client.
//!
//! The first byte is the length limit of a line, and the second one decides how the rest is split.
//! Whatever the pieces, the lines are those of a plain split, and the buffer stays within its
//! limit. The text that others would see of a line contains nothing that misleads a terminal.

use std::borrow::Cow;

use sockactors::wire::chat::command::{Command, parse};
use sockactors::wire::chat::{validate_nick, validate_room};
use sockactors::wire::lines::{Line, LineBuffer};
use sockactors::wire::text::{decode_lossy, escape, is_safe_text};
use sockactors::wire::utf8::Utf8Decoder;

/// Checks one input.
pub fn check(input: &[u8]) {
    let [limit, cuts, bytes @ ..] = input else { return };
    let limit = usize::from(*limit);
    let expected = split_plainly(bytes, limit);
    let lines = split_with_buffer([bytes].into_iter(), limit);
    assert_eq!(lines, expected, "in one piece");
    let mut rest = bytes;
    let mut random = u32::from(*cuts);
    let pieces = std::iter::from_fn(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (random >> 24) as usize % (usize::from(*cuts % 61) + 2);
        let (piece, later) = rest.split_at(length.min(rest.len()));
        rest = later;
        (!piece.is_empty() || !rest.is_empty()).then_some(piece)
    });
    let pieces: Vec<_> = pieces.collect();
    let split = split_with_buffer(pieces.iter().copied(), limit);
    assert_eq!(split, expected, "in {} pieces", pieces.len());
    let mut decoder = Utf8Decoder::new();
    let mut text: String = pieces.iter().map(|piece| decoder.push(piece)).collect();
    text.push_str(&decoder.finish());
    assert_eq!(text, decode_lossy(bytes));
    for line in &lines {
        if let Line::Complete(line) = line {
            check_line(&decode_lossy(line));
        }
    }
}

/// Returns the lines of a plain split.
fn split_plainly(bytes: &[u8], limit: usize) -> Vec<Line> {
    let mut lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    let last = lines.pop().unwrap_or_default();
    let limited = |line: &[u8]| match line.len() > limit {
        true => Line::TooLong(line.len()),
        false => Line::Complete(line.to_vec()),
    };
    let complete = lines.into_iter().map(|line| limited(line.strip_suffix(b"\r").unwrap_or(line)));
    let unterminated = (!last.is_empty()).then(|| limited(last));
    complete.chain(unterminated).collect()
}

/// Returns the lines of a [`LineBuffer`], and checks its other methods.
fn split_with_buffer<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> Vec<Line> {
    let mut buffer = LineBuffer::new(limit);
    let mut lines = Vec::new();
    for piece in pieces {
        buffer.push(piece);
        assert_eq!(buffer.has_line(), piece.contains(&b'\n'));
        lines.extend(std::iter::from_fn(|| buffer.next_line()));
        assert!(!buffer.has_line() && buffer.partial().len() <= limit + 1);
    }
    lines.extend(std::iter::from_fn(|| buffer.finish()));
    assert!(buffer.partial().is_empty() && buffer.finish().is_none());
    lines
}

/// Checks how a line is parsed, and the text that others would see of it.
fn check_line(line: &str) {
    let safe = escape(line);
    assert!(is_safe_text(&safe), "{safe:?}");
    assert_eq!(matches!(safe, Cow::Borrowed(_)), is_safe_text(line));
    assert_eq!(escape(&safe), safe);
    let argument = match parse(line) {
        Command::Message(text) => {
            assert!(text == line || line.strip_prefix('/') == Some(text));
            text
        }
        Command::Nick(name) => {
            assert!(validate_nick(name).is_err() || escape(name) == name);
            name
        }
        Command::Join(name) => {
            assert!(validate_room(name).is_err() || escape(name) == name);
            name
        }
        Command::DirectMessage(to, text) => {
            assert!(!to.contains(char::is_whitespace) && line.contains(to) && !text.is_empty());
            text
        }
        Command::Action(text) | Command::Topic(Some(text)) | Command::Unknown(text) => {
            assert!(!text.is_empty());
            text
        }
        _ => return,
    };
    assert!(line.contains(argument));
}
