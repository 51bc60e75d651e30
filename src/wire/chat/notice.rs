//! The notices of a chat server: formatted for the server, parsed for the client.
//!
//! A message in a room begins with the sender's nickname and a colon. A notice of the server begins
//! with `* `, which is not a valid nickname. A client needs some of the notices to know its
//! nickname and its room. Both directions are in this file, so that the two sides agree on the
//! wording.

use crate::wire::chat::names::validate_nick;

/// Formats the notice to a member that has joined a room with `others` other members.
pub fn format_welcome(nick: &str, room: &str, others: usize) -> String {
    let others = match others {
        1 => "1 other".into(),
        others => format!("{others} others"),
    };
    format!("you are {nick} in {room}, with {others}; /help lists the commands")
}

/// Formats the notice to a member about its own new nickname.
pub fn format_renamed(nick: &str) -> String {
    format!("you are now {nick}")
}

/// Formats the notice to a member that has left a room.
pub fn format_left(room: &str) -> String {
    format!("you left {room}; /join ROOM goes to another one")
}

/// Formats the notice before the server closes a session, for a reason such as `silent for 15m` or
/// `kicked by the operator`. Clients do not reconnect at once after it.
pub fn format_disconnected(reason: &str) -> String {
    format!("you were {reason}; good bye")
}

/// Formats the line to a rejected connection, for a reason such as `this address is banned`.
/// Clients do not reconnect at once after it.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::notice::{Notice, format_rejected, parse_notice};
///
/// let line = format_rejected("this address is banned");
/// assert_eq!(line, "* you were turned away: this address is banned; good bye\n");
/// assert_eq!(parse_notice(line.trim_end()), Notice::Disconnected);
/// ```
pub fn format_rejected(reason: &str) -> String {
    format!("* {}\n", format_disconnected(&format!("turned away: {reason}")))
}

/// A line that the server sends to a member, parsed.
///
/// The texts are slices of the line, so that a caller can find their positions in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice<'a> {
    /// A message or an action in the room: the sender's nickname.
    Message(&'a str),
    /// A private message: the sender's nickname.
    DirectMessage(&'a str),
    /// This member has joined a room.
    Welcome {
        /// This member's nickname.
        nick: &'a str,
        /// The room.
        room: &'a str,
        /// Whether the room has no other member.
        is_alone: bool,
    },
    /// This member has a new nickname.
    SelfRenamed(&'a str),
    /// This member is in no room any more.
    SelfLeft,
    /// The server ends this session, and the client should not reconnect at once.
    Disconnected,
    /// A member has joined the room: its nickname.
    MemberJoined(&'a str),
    /// A member has left the room: its nickname.
    MemberLeft(&'a str),
    /// A member of the room has a new nickname.
    MemberRenamed {
        /// The old nickname.
        old: &'a str,
        /// The new nickname.
        new: &'a str,
    },
    /// The members of the room, separated by commas. The list may be incomplete.
    MemberList(&'a str),
    /// Any other notice.
    Info,
    /// Not a line that the server sends to a member.
    Unrecognized,
}

/// Parses a line, given without its line ending. A time of day in brackets may come first.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::notice::{Notice, parse_notice};
///
/// assert_eq!(parse_notice("ada: hello"), Notice::Message("ada"));
/// assert_eq!(parse_notice("[15:04] ada: hello"), Notice::Message("ada"));
/// assert_eq!(parse_notice("[2026-11-24 15:04] ada: hello"), Notice::Message("ada"));
/// assert_eq!(parse_notice("* ada joined"), Notice::MemberJoined("ada"));
/// assert_eq!(parse_notice("* you are now bob"), Notice::SelfRenamed("bob"));
/// assert_eq!(parse_notice("two words: hello"), Notice::Unrecognized);
/// ```
pub fn parse_notice(line: &str) -> Notice<'_> {
    let line = strip_time(line);
    if let Some(action) = line.strip_prefix("** ") {
        return parse_nick_before(action, " ").map_or(Notice::Unrecognized, Notice::Message);
    }
    let Some(notice) = line.strip_prefix("* ") else {
        return parse_nick_before(line, ": ").map_or(Notice::Unrecognized, Notice::Message);
    };
    parse_about_self(notice).or_else(|| parse_about_member(notice)).unwrap_or(Notice::Info)
}

/// Parses a notice about this member.
fn parse_about_self(notice: &str) -> Option<Notice<'_>> {
    if let Some(nick) = notice.strip_prefix("you are now ") {
        return Some(Notice::SelfRenamed(nick));
    }
    if let Some(rest) = notice.strip_prefix("you are ") {
        let (nick, rest) = rest.split_once(" in ")?;
        let (room, others) = rest.split_once(", with ")?;
        return Some(Notice::Welcome { nick, room, is_alone: others.starts_with("0 ") });
    }
    if notice.starts_with("you left ") {
        return Some(Notice::SelfLeft);
    }
    let is_disconnected = notice.starts_with("you were ") && notice.ends_with("; good bye");
    is_disconnected.then_some(Notice::Disconnected)
}

/// Parses a notice about another member, or about the whole room.
fn parse_about_member(notice: &str) -> Option<Notice<'_>> {
    let (nick, what) = notice.split_once(' ')?;
    validate_nick(nick).ok()?;
    match what {
        "joined" => Some(Notice::MemberJoined(nick)),
        "left" => Some(Notice::MemberLeft(nick)),
        _ if what.starts_with("tells you: ") => Some(Notice::DirectMessage(nick)),
        _ if nick == "in" => what.split_once(": ").map(|(_, nicks)| Notice::MemberList(nicks)),
        _ => what.strip_prefix("is now ").map(|new| Notice::MemberRenamed { old: nick, new }),
    }
}

/// Returns the text before the first `end` if it is a valid nickname.
fn parse_nick_before<'a>(line: &'a str, end: &str) -> Option<&'a str> {
    let (nick, _) = line.split_once(end)?;
    validate_nick(nick).ok().map(|()| nick)
}

/// Strips a leading time, such as `[15:04] ` or `[2026-11-24 15:04] `.
fn strip_time(line: &str) -> &str {
    let without_time = || {
        let (time, rest) = line.strip_prefix('[')?.split_once("] ")?;
        let is_time = |byte: u8| byte.is_ascii_digit() || b"-: ".contains(&byte);
        (time.len() >= 5 && time.bytes().all(is_time)).then_some(rest)
    };
    without_time().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn notices_about_self_round_trip() {
        let line = format!("* {}", format_welcome("ada", "lobby", 0));
        let (nick, room) = ("ada", "lobby");
        assert_eq!(parse_notice(&line), Notice::Welcome { nick, room, is_alone: true });
        let line = format!("* {}", format_welcome("ada", "lobby", 10));
        assert_eq!(parse_notice(&line), Notice::Welcome { nick, room, is_alone: false });
        assert_eq!(
            parse_notice(&format!("* {}", format_renamed("bob"))),
            Notice::SelfRenamed("bob")
        );
        assert_eq!(parse_notice(&format!("* {}", format_left("lobby"))), Notice::SelfLeft);
        assert_eq!(
            parse_notice(&format!("* {}", format_disconnected("silent for 15m"))),
            Notice::Disconnected
        );
    }

    #[test]
    fn notices_about_members_name_them() {
        assert_eq!(parse_notice("* bob left"), Notice::MemberLeft("bob"));
        assert_eq!(
            parse_notice("* bob is now cy"),
            Notice::MemberRenamed { old: "bob", new: "cy" }
        );
        assert_eq!(parse_notice("* bob tells you: you are now x"), Notice::DirectMessage("bob"));
        assert_eq!(parse_notice("* in lobby: ada, bob"), Notice::MemberList("ada, bob"));
        assert_eq!(parse_notice("* bob set the topic: tea"), Notice::Info);
        assert_eq!(parse_notice("** bob waves"), Notice::Message("bob"));
        assert_eq!(parse_notice("*"), Notice::Unrecognized);
        assert_eq!(parse_notice("Hello: two words before: this"), Notice::Message("Hello"));
    }

    proptest! {
        #[test]
        fn message_text_never_parses_as_notice(
            nick in r"[A-Za-z0-9_\[\]\\-]{1,32}", text in "[^\r\n]*"
        ) {
            let message = format!("{nick}: {text}");
            prop_assert_eq!(parse_notice(&message), Notice::Message(&nick));
            let action = format!("** {nick} {text}");
            prop_assert_eq!(parse_notice(&action), Notice::Message(&nick));
            let private = format!("* {nick} tells you: {text}");
            prop_assert_eq!(parse_notice(&private), Notice::DirectMessage(&nick));
        }

        #[test]
        fn arbitrary_line_never_panics(line in "\\PC*") {
            parse_notice(&line);
        }
    }
}
