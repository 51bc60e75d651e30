//! The chat port's dialects.
//!
//! Three kinds of peer speak on one chat port. A *lecture* client sends what its user typed as one
//! chunk without a newline and waits for the receipt. A *line* client (netcat, telnet, our own)
//! sends lines, of which those that begin with `/` are commands. An IRC client registers itself
//! first. This module knows what they say; the sessions in `actors/` know what to do about it.
//!
//! The first bytes settle which one it is: see [`opening`]. A line is then read with [`parse`],
//! whose values borrow from the line. Nothing here fails: what cannot be understood is a value too,
//! with words for its sender.

pub use super::utf8::Utf8Chunks;
use std::time::Duration;

/// The longest line in bytes, its line end not counted. A longer one is refused with a notice.
pub const LINE_MAX: usize = 4096;

/// What comes before the text in the receipt that a sender gets.
pub const RECEIPT: &str = "Server received your message: ";

/// What `/ack off` answers, without its newline.
pub const ACK_OFF: &str = "* receipts are off";

/// What `/ack on` answers, without its newline.
pub const ACK_ON: &str = "* receipts are on";

/// How long a chunk without a newline stands alone before its sender is taken for a lecture client.
pub const SETTLE: Duration = Duration::from_millis(100);

/// How many bytes without a newline settle the dialect even though more keep coming.
///
/// It bounds what a session has to hold before it knows whom it talks to.
pub const OPENING_MAX: usize = 4 * LINE_MAX;

/// The longest nickname in bytes.
pub const NICK_MAX: usize = 32;

/// What `/help` answers: one line for each command, each ended by a newline.
pub const HELP: &str = "\
/nick NAME   changes your name
/who         lists who is in the room
/ack on|off  turns the receipts for what you say on or off
/help        shows this list
/quit        ends the session
//TEXT       says a text that begins with a slash
";

/// What a line of a line session asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Say this to the room. It may be empty.
    Say(&'a str),
    /// Take this nickname, which [`valid_nick`] has not judged yet.
    Nick(&'a str),
    /// List who is in the room.
    Who,
    /// Turn the receipts on or off.
    Ack(bool),
    /// Show [`HELP`].
    Help,
    /// End the session.
    Quit,
    /// No such command: the word that was written, with its slash.
    Unknown(&'a str),
    /// A command whose arguments make no sense, and how it is written.
    Invalid(&'static str),
}

/// Reads a line, given without its line end.
///
/// A line that begins with `/` is a command, whose name is read in any case; one that begins with
/// `//` says the text from its second slash on; any other is said as it is. Arguments beyond those
/// that a command takes are ignored, so `/quit see you` quits.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::{Command, parse};
///
/// assert_eq!(parse("hello"), Command::Say("hello"));
/// assert_eq!(parse("//etc is a directory"), Command::Say("/etc is a directory"));
/// assert_eq!(parse("/nick ada"), Command::Nick("ada"));
/// assert_eq!(parse("/ack off"), Command::Ack(false));
/// assert_eq!(parse("/dance now"), Command::Unknown("/dance"));
/// assert_eq!(parse("/nick"), Command::Invalid("/nick needs a name: /nick NAME"));
/// ```
pub fn parse(line: &str) -> Command<'_> {
    let Some(after) = line.strip_prefix('/') else {
        return Command::Say(line);
    };
    if after.starts_with('/') {
        return Command::Say(after);
    }
    let end = line.find(char::is_whitespace).unwrap_or(line.len());
    let (word, rest) = (&line[..end], line[end..].trim());
    match word.to_ascii_lowercase().as_str() {
        "/nick" if rest.is_empty() => Command::Invalid("/nick needs a name: /nick NAME"),
        "/nick" => Command::Nick(rest),
        "/who" => Command::Who,
        "/ack" if rest.eq_ignore_ascii_case("on") => Command::Ack(true),
        "/ack" if rest.eq_ignore_ascii_case("off") => Command::Ack(false),
        "/ack" => Command::Invalid("/ack needs on or off: /ack on, /ack off"),
        "/help" => Command::Help,
        "/quit" => Command::Quit,
        _ => Command::Unknown(word),
    }
}

/// Checks a nickname: 1 to [`NICK_MAX`] ASCII letters, digits and `- _ [ ] \`.
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
/// use sockactors::wire::chat::valid_nick;
///
/// assert_eq!(valid_nick("ada_1815"), Ok(()));
/// assert!(valid_nick("two words").is_err());
/// ```
pub fn valid_nick(nick: &str) -> Result<(), &'static str> {
    if nick.is_empty() {
        return Err("a name needs at least one character");
    }
    if nick.len() > NICK_MAX {
        return Err("a name has at most 32 characters");
    }
    if nick.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_[]\\".contains(&byte)) {
        return Ok(());
    }
    Err("a name is made of the letters a to z, digits, and - _ [ ] \\")
}

/// What the first bytes of a session tell about its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Nothing yet: wait for more bytes, or for [`SETTLE`] to pass since the last ones.
    Wait,
    /// A lecture client: acknowledge it chunk by chunk and send it nothing else.
    Lecture,
    /// A client that sends lines.
    Line,
}

/// Judges a session by all the bytes that it has sent so far, and by how long it has been silent
/// since.
///
/// A newline anywhere makes it a [`Line`](Opening::Line) session. Without one, [`SETTLE`] of
/// silence or more than [`OPENING_MAX`] bytes make it a [`Lecture`](Opening::Lecture) session. A
/// peer that has sent nothing stays undecided for as long as it likes.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::{Opening, SETTLE, opening};
/// use std::time::Duration;
///
/// assert_eq!(opening(b"", SETTLE), Opening::Wait);
/// assert_eq!(opening(b"Hello", Duration::ZERO), Opening::Wait);
/// assert_eq!(opening(b"Hello", SETTLE), Opening::Lecture);
/// assert_eq!(opening(b"Hello\n", Duration::ZERO), Opening::Line);
/// ```
pub fn opening(first_bytes: &[u8], silent: Duration) -> Opening {
    if first_bytes.contains(&b'\n') {
        Opening::Line
    } else if !first_bytes.is_empty() && (silent >= SETTLE || first_bytes.len() > OPENING_MAX) {
        Opening::Lecture
    } else {
        Opening::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_line_says_nothing() {
        assert_eq!(parse(""), Command::Say(""));
    }

    #[test]
    fn commands_are_read_in_any_case_and_with_any_space() {
        assert_eq!(parse("/NICK \t ada  "), Command::Nick("ada"));
        assert_eq!(parse("/Ack ON"), Command::Ack(true));
        assert_eq!(parse("/who is there"), Command::Who);
        assert_eq!(parse("/help"), Command::Help);
        assert_eq!(parse("/quit see you"), Command::Quit);
    }

    #[test]
    fn a_wrong_command_is_told_in_words() {
        assert_eq!(parse("/"), Command::Unknown("/"));
        assert_eq!(parse("/ nick"), Command::Unknown("/"));
        assert!(
            matches!(parse("/ack maybe"), Command::Invalid(words) if words.contains("on or off"))
        );
        assert!(
            matches!(parse("/nick   "), Command::Invalid(words) if words.contains("/nick NAME"))
        );
    }

    #[test]
    fn a_space_before_the_slash_makes_it_text() {
        assert_eq!(parse(" /quit"), Command::Say(" /quit"));
    }

    #[test]
    fn every_command_has_its_line_of_help() {
        for word in ["/nick", "/who", "/ack", "/help", "/quit", "//"] {
            assert_eq!(HELP.lines().filter(|line| line.starts_with(word)).count(), 1, "{word}");
        }
        assert!(HELP.ends_with('\n'));
    }

    #[test]
    fn nicknames_are_judged_by_length_and_letters() {
        for good in ["a", "7of9", "x-_[]\\9", &"n".repeat(NICK_MAX)] {
            assert_eq!(valid_nick(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a:b", "zoë", "a\u{1b}", &"n".repeat(NICK_MAX + 1)] {
            assert!(valid_nick(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_flood_without_a_newline_settles_at_once() {
        assert_eq!(opening(&vec![b'x'; OPENING_MAX], Duration::ZERO), Opening::Wait);
        assert_eq!(opening(&vec![b'x'; OPENING_MAX + 1], Duration::ZERO), Opening::Lecture);
    }

    proptest! {
        #[test]
        fn any_text_can_be_said(text in "[^\r\n]*") {
            let line = if text.starts_with('/') { format!("/{text}") } else { text.clone() };
            prop_assert_eq!(parse(&line), Command::Say(&text));
        }

        #[test]
        fn a_valid_nick_survives_parsing(nick in r"[A-Za-z0-9_\[\]\\-]{1,32}") {
            prop_assert_eq!(valid_nick(&nick), Ok(()));
            let line = format!("/nick {nick}");
            prop_assert_eq!(parse(&line), Command::Nick(&nick));
        }
    }
}
