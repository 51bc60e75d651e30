//! The chat port's dialects.
//!
//! Three kinds of peer speak on one chat port. A *lecture* client sends what its user typed as one
//! chunk without a newline and waits for the receipt. A *line* client (netcat, telnet, our own)
//! sends lines, of which those that begin with `/` are commands. An IRC client registers itself
//! first. This module knows what they say; the sessions in `actors/` know what to do about it.
//!
//! The first bytes settle which one it is: see [`detect_dialect`]. A line is then read with
//! [`parse`](command::parse).

pub mod command;
pub mod history_record;
pub mod notice;
pub mod operator_command;

pub use super::utf8::Utf8Decoder;
use std::time::Duration;

/// The longest line in bytes, its line end not counted. A longer one is refused with a notice.
pub const MAX_LINE_LEN: usize = 4096;

/// What comes before the text in the receipt that a sender gets.
pub const ACK_PREFIX: &str = "Server received your message: ";

/// What `/ack off` answers, without its newline.
pub const ACK_OFF: &str = "* receipts are off";

/// What `/ack on` answers, without its newline.
pub const ACK_ON: &str = "* receipts are on";

/// How long a chunk without a newline stands alone before its sender is taken for a lecture client.
pub const DETECT_TIMEOUT: Duration = Duration::from_millis(100);

/// How many bytes without a newline settle the dialect even though more keep coming.
///
/// It bounds what a session has to hold before it knows whom it talks to.
pub const MAX_DETECT_BYTES: usize = 4 * MAX_LINE_LEN;

/// The longest nickname in bytes.
pub const MAX_NICK_LEN: usize = 32;

/// Checks a nickname: 1 to [`MAX_NICK_LEN`] ASCII letters, digits and `- _ [ ] \`.
///
/// This is narrower than RFC 2812 section 2.3.1 allows (no `` ` ^ { } | ``) and wider at the front
/// (a digit or a hyphen may come first). Nicknames are shown to others, so none can carry a space,
/// a colon or a control character.
///
/// # Errors
///
/// Gives the rule that was broken, in plain words for the one who chose the name.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::validate_nick;
///
/// assert_eq!(validate_nick("ada_1815"), Ok(()));
/// assert!(validate_nick("two words").is_err());
/// ```
pub fn validate_nick(nick: &str) -> Result<(), &'static str> {
    if nick.is_empty() {
        return Err("a name needs at least one character");
    }
    if nick.len() > MAX_NICK_LEN {
        return Err("a name has at most 32 characters");
    }
    if nick.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_[]\\".contains(&byte)) {
        return Ok(());
    }
    Err("a name is made of the letters a to z, digits, and - _ [ ] \\")
}

/// Checks a room's name, by the same rule as a nickname's: it is shown to others, too.
///
/// # Errors
///
/// Gives the rule that was broken, in plain words.
pub fn validate_room(room: &str) -> Result<(), &'static str> {
    validate_nick(room)
}

/// What the first bytes of a session tell about its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetectedDialect {
    /// Nothing yet: wait for more bytes, or for [`DETECT_TIMEOUT`] to pass since the last ones.
    Pending,
    /// A lecture client: acknowledge it chunk by chunk and send it nothing else.
    Lecture,
    /// A client that sends lines.
    Line,
}

/// Judges a session by all the bytes that it has sent so far, and by how long it has been silent
/// since.
///
/// A newline anywhere makes it a [`Line`](DetectedDialect::Line) session. Without one, [`DETECT_TIMEOUT`] of
/// silence or more than [`MAX_DETECT_BYTES`] bytes make it a [`Lecture`](DetectedDialect::Lecture) session. A
/// peer that has sent nothing stays undecided for as long as it likes.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::{DetectedDialect, DETECT_TIMEOUT, detect_dialect};
/// use std::time::Duration;
///
/// assert_eq!(detect_dialect(b"", DETECT_TIMEOUT), DetectedDialect::Pending);
/// assert_eq!(detect_dialect(b"Hello", Duration::ZERO), DetectedDialect::Pending);
/// assert_eq!(detect_dialect(b"Hello", DETECT_TIMEOUT), DetectedDialect::Lecture);
/// assert_eq!(detect_dialect(b"Hello\n", Duration::ZERO), DetectedDialect::Line);
/// ```
pub fn detect_dialect(first_bytes: &[u8], silent: Duration) -> DetectedDialect {
    if first_bytes.contains(&b'\n') {
        DetectedDialect::Line
    } else if !first_bytes.is_empty()
        && (silent >= DETECT_TIMEOUT || first_bytes.len() > MAX_DETECT_BYTES)
    {
        DetectedDialect::Lecture
    } else {
        DetectedDialect::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicknames_are_judged_by_length_and_letters() {
        for good in ["a", "7of9", "x-_[]\\9", &"n".repeat(MAX_NICK_LEN)] {
            assert_eq!(validate_nick(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a:b", "zoë", "a\u{1b}", &"n".repeat(MAX_NICK_LEN + 1)] {
            assert!(validate_nick(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_flood_without_a_newline_settles_at_once() {
        assert_eq!(
            detect_dialect(&vec![b'x'; MAX_DETECT_BYTES], Duration::ZERO),
            DetectedDialect::Pending
        );
        assert_eq!(
            detect_dialect(&vec![b'x'; MAX_DETECT_BYTES + 1], Duration::ZERO),
            DetectedDialect::Lecture
        );
    }
}
