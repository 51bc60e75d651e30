//! What a chat says to its members, as a client reads it.
//!
//! A line of a room begins with its speaker's name and a colon; what the chat itself has to tell begins with
//! `* `, which no name does. A few of these notices say what a client has to remember: who it is, where it is,
//! and that it is not wanted any more. They are written and read here, so that both sides keep to one wording.

use crate::wire::chat::validate_nick;

/// Words the coming into a room.
pub fn format_welcome(nick: &str, room: &str, others: usize) -> String {
    let others = match others {
        1 => "1 other".into(),
        others => format!("{others} others"),
    };
    format!("you are {nick} in {room}, with {others}; /help lists the commands")
}

/// Words a change of one's own name.
pub fn format_renamed(nick: &str) -> String {
    format!("you are now {nick}")
}

/// Words one's own leaving of a room.
pub fn format_left(room: &str) -> String {
    format!("you left {room}; /join ROOM goes to another one")
}

/// Words the end of a session that is not wanted back at once: `silent for 15m`, `kicked by the operator`.
pub fn format_disconnected(why: &str) -> String {
    format!("you were {why}; good bye")
}

/// Makes the line for whoever may not even come in: `this address is banned`. It is not wanted back at once.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::notice::{Notice, parse_notice, format_rejected};
///
/// let line = format_rejected("this address is banned");
/// assert_eq!(line, "* you were turned away: this address is banned; good bye\n");
/// assert_eq!(parse_notice(line.trim_end()), Notice::Disconnected);
/// ```
pub fn format_rejected(why: &str) -> String {
    format!("* {}\n", format_disconnected(&format!("turned away: {why}")))
}

/// A line that a member is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice<'a> {
    /// Somebody said something, or did: the name. It stands where the line has it.
    Message(&'a str),
    /// Somebody told something to this member alone.
    DirectMessage(&'a str),
    /// This member is in a room now, under a name.
    Welcome {
        /// The name.
        nick: &'a str,
        /// The room.
        room: &'a str,
        /// Whether nobody else is there.
        is_alone: bool,
    },
    /// This member has another name now.
    SelfRenamed(&'a str),
    /// This member is in no room any more.
    SelfLeft,
    /// This member's session ends, and it is not wanted back at once.
    Disconnected,
    /// Somebody came into the room.
    MemberJoined(&'a str),
    /// Somebody left the room.
    MemberLeft(&'a str),
    /// Somebody in the room has another name now.
    MemberRenamed {
        /// The name until now.
        old: &'a str,
        /// The name from now on.
        new: &'a str,
    },
    /// Those in the room, separated by commas, perhaps not all.
    MemberList(&'a str),
    /// Another notice.
    Info,
    /// Nothing that a room's member is sent.
    Unrecognized,
}

/// Reads a line, given without its line end; a time of day may stand before it.
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
/// assert_eq!(parse_notice("Hello: there are two words before: this"), Notice::Message("Hello"));
/// assert_eq!(parse_notice("two words: before"), Notice::Unrecognized);
/// ```
pub fn parse_notice(line: &str) -> Notice<'_> {
    let line = strip_time(line);
    if let Some(act) = line.strip_prefix("** ") {
        return parse_nick_before(act, " ").map_or(Notice::Unrecognized, Notice::Message);
    }
    let Some(notice) = line.strip_prefix("* ") else {
        return parse_nick_before(line, ": ").map_or(Notice::Unrecognized, Notice::Message);
    };
    parse_about_self(notice).or_else(|| parse_about_member(notice)).unwrap_or(Notice::Info)
}

fn parse_about_self(notice: &str) -> Option<Notice<'_>> {
    if let Some(nick) = notice.strip_prefix("you are now ") {
        return Some(Notice::SelfRenamed(nick));
    }
    if let Some(place) = notice.strip_prefix("you are ") {
        let (nick, place) = place.split_once(" in ")?;
        let (room, others) = place.split_once(", with ")?;
        return Some(Notice::Welcome { nick, room, is_alone: others.starts_with("0 ") });
    }
    if notice.starts_with("you left ") {
        return Some(Notice::SelfLeft);
    }
    let dismissed = notice.starts_with("you were ") && notice.ends_with("; good bye");
    dismissed.then_some(Notice::Disconnected)
}

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

/// Returns the name before the first `end`, if it is one.
fn parse_nick_before<'a>(line: &'a str, end: &str) -> Option<&'a str> {
    let (nick, _) = line.split_once(end)?;
    validate_nick(nick).ok().map(|()| nick)
}

/// Takes off a time, as `[15:04] ` or `[2026-11-24 15:04] `.
fn strip_time(line: &str) -> &str {
    let after = || {
        let (time, rest) = line.strip_prefix('[')?.split_once("] ")?;
        let is_time = |byte: u8| byte.is_ascii_digit() || b"-: ".contains(&byte);
        (time.len() >= 5 && time.bytes().all(is_time)).then_some(rest)
    };
    after().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn notices_about_oneself_are_read_as_they_are_written() {
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
    fn notices_about_others_name_them() {
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
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_passes_for_a_notice(
            nick in r"[A-Za-z0-9_\[\]\\-]{1,32}", text in "[^\r\n]*"
        ) {
            let said = format!("{nick}: {text}");
            prop_assert_eq!(parse_notice(&said), Notice::Message(&nick));
            let done = format!("** {nick} {text}");
            prop_assert_eq!(parse_notice(&done), Notice::Message(&nick));
            let told = format!("* {nick} tells you: {text}");
            prop_assert_eq!(parse_notice(&told), Notice::DirectMessage(&nick));
        }

        #[test]
        fn any_line_is_read(line in "\\PC*") {
            parse_notice(&line);
        }
    }
}
