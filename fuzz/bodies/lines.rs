//! Any bytes, in any pieces, as the lines of a chat client.
//!
//! The first byte says how long a line may be and the second how the rest is cut. Whatever the cuts, the lines are
//! those that a plain split gives; no more is held than promised; and what is made of a line for other people's eyes
//! has nothing in it that misleads a terminal.

use std::borrow::Cow;

use sockactors::wire::chat::command::{Command, parse};
use sockactors::wire::chat::{validate_nick, validate_room};
use sockactors::wire::lines::{Line, LineBuffer};
use sockactors::wire::text::{decode_lossy, escape, is_unsafe};
use sockactors::wire::utf8::Utf8Decoder;

/// Checks one input.
pub fn check(input: &[u8]) {
    let [limit, cuts, bytes @ ..] = input else { return };
    let limit = usize::from(*limit);
    let expected = plain(bytes, limit);
    let whole = taken([bytes].into_iter(), limit);
    assert_eq!(whole, expected, "in one piece");
    let mut rest = bytes;
    let mut dice = u32::from(*cuts);
    let pieces = std::iter::from_fn(|| {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (dice >> 24) as usize % (usize::from(*cuts % 61) + 2);
        let (piece, later) = rest.split_at(length.min(rest.len()));
        rest = later;
        (!piece.is_empty() || !rest.is_empty()).then_some(piece)
    });
    let pieces: Vec<_> = pieces.collect();
    assert_eq!(taken(pieces.iter().copied(), limit), expected, "in {} pieces", pieces.len());
    let mut chunks = Utf8Decoder::new();
    let mut text: String = pieces.iter().map(|piece| chunks.push(piece)).collect();
    text.push_str(&chunks.finish());
    assert_eq!(text, decode_lossy(bytes));
    for line in &whole {
        if let Line::Complete(line) = line {
            judge(&decode_lossy(line));
        }
    }
}

/// The lines as a plain split has them.
fn plain(bytes: &[u8], limit: usize) -> Vec<Line> {
    let mut lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    let rest = lines.pop().unwrap_or_default();
    let judged = |line: &[u8]| match line.len() > limit {
        true => Line::TooLong(line.len()),
        false => Line::Complete(line.to_vec()),
    };
    let ended = lines.into_iter().map(|line| judged(line.strip_suffix(b"\r").unwrap_or(line)));
    let rest = (!rest.is_empty()).then(|| judged(rest));
    ended.chain(rest).collect()
}

/// The lines as the buffer has them.
fn taken<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> Vec<Line> {
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

/// Judges what a line is taken for, and what others are shown of it.
fn judge(line: &str) {
    let safe = escape(line);
    assert!(!safe.contains(is_unsafe), "{safe:?}");
    assert_eq!(matches!(safe, Cow::Borrowed(_)), !line.contains(is_unsafe));
    assert_eq!(escape(&safe), safe);
    let said = match parse(line) {
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
    assert!(line.contains(said));
}
