//! What a chat says to its members, as a client reads it.
//!
//! A line of a room begins with its speaker's name and a colon; what the chat itself has to tell begins with
//! `* `, which no name does. A few of these notices say what a client has to remember: who it is, where it is,
//! and that it is not wanted any more. They are written and read here, so that both sides keep to one wording.

use crate::wire::chat::valid_nick;

/// Words the coming into a room.
pub fn seated(nick: &str, room: &str, others: usize) -> String {
    let others = match others {
        1 => "1 other".into(),
        others => format!("{others} others"),
    };
    format!("you are {nick} in {room}, with {others}; /help lists the commands")
}

/// Words a change of one's own name.
pub fn renamed(nick: &str) -> String {
    format!("you are now {nick}")
}

/// Words one's own leaving of a room.
pub fn left(room: &str) -> String {
    format!("you left {room}; /join ROOM goes to another one")
}

/// Words the end of a session that is not wanted back at once: `silent for 15m`, `kicked by the operator`.
pub fn dismissed(why: &str) -> String {
    format!("you were {why}; good bye")
}

/// Makes the line for whoever may not even come in: `this address is banned`. It is not wanted back at once.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::notice::{Heard, read, turned_away};
///
/// let line = turned_away("this address is banned");
/// assert_eq!(line, "* you were turned away: this address is banned; good bye\n");
/// assert_eq!(read(line.trim_end()), Heard::Dismissed);
/// ```
pub fn turned_away(why: &str) -> String {
    format!("* {}\n", dismissed(&format!("turned away: {why}")))
}

/// A line that a member is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// Somebody said something, or did: the name. It stands where the line has it.
    Said(&'a str),
    /// Somebody told something to this member alone.
    Told(&'a str),
    /// This member is in a room now, under a name.
    Seated {
        /// The name.
        nick: &'a str,
        /// The room.
        room: &'a str,
        /// Whether nobody else is there.
        is_alone: bool,
    },
    /// This member has another name now.
    Renamed(&'a str),
    /// This member is in no room any more.
    Out,
    /// This member's session ends, and it is not wanted back at once.
    Dismissed,
    /// Somebody came into the room.
    Joined(&'a str),
    /// Somebody left the room.
    Left(&'a str),
    /// Somebody in the room has another name now.
    Named {
        /// The name until now.
        old: &'a str,
        /// The name from now on.
        new: &'a str,
    },
    /// Those in the room, separated by commas, perhaps not all.
    Present(&'a str),
    /// Another notice.
    Notice,
    /// Nothing that a room's member is sent.
    Other,
}

/// Reads a line, given without its line end; a time of day may stand before it.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::notice::{Heard, read};
///
/// assert_eq!(read("ada: hello"), Heard::Said("ada"));
/// assert_eq!(read("[15:04] ada: hello"), Heard::Said("ada"));
/// assert_eq!(read("[2026-11-24 15:04] ada: hello"), Heard::Said("ada"));
/// assert_eq!(read("* ada joined"), Heard::Joined("ada"));
/// assert_eq!(read("* you are now bob"), Heard::Renamed("bob"));
/// assert_eq!(read("Hello: there are two words before: this"), Heard::Said("Hello"));
/// assert_eq!(read("two words: before"), Heard::Other);
/// ```
pub fn read(line: &str) -> Heard<'_> {
    let line = without_time(line);
    if let Some(act) = line.strip_prefix("** ") {
        return nick_before(act, " ").map_or(Heard::Other, Heard::Said);
    }
    let Some(notice) = line.strip_prefix("* ") else {
        return nick_before(line, ": ").map_or(Heard::Other, Heard::Said);
    };
    about_oneself(notice).or_else(|| about_others(notice)).unwrap_or(Heard::Notice)
}

fn about_oneself(notice: &str) -> Option<Heard<'_>> {
    if let Some(nick) = notice.strip_prefix("you are now ") {
        return Some(Heard::Renamed(nick));
    }
    if let Some(place) = notice.strip_prefix("you are ") {
        let (nick, place) = place.split_once(" in ")?;
        let (room, others) = place.split_once(", with ")?;
        return Some(Heard::Seated { nick, room, is_alone: others.starts_with("0 ") });
    }
    if notice.starts_with("you left ") {
        return Some(Heard::Out);
    }
    let dismissed = notice.starts_with("you were ") && notice.ends_with("; good bye");
    dismissed.then_some(Heard::Dismissed)
}

fn about_others(notice: &str) -> Option<Heard<'_>> {
    let (nick, what) = notice.split_once(' ')?;
    valid_nick(nick).ok()?;
    match what {
        "joined" => Some(Heard::Joined(nick)),
        "left" => Some(Heard::Left(nick)),
        _ if what.starts_with("tells you: ") => Some(Heard::Told(nick)),
        _ if nick == "in" => what.split_once(": ").map(|(_, nicks)| Heard::Present(nicks)),
        _ => what.strip_prefix("is now ").map(|new| Heard::Named { old: nick, new }),
    }
}

/// Returns the name before the first `end`, if it is one.
fn nick_before<'a>(line: &'a str, end: &str) -> Option<&'a str> {
    let (nick, _) = line.split_once(end)?;
    valid_nick(nick).ok().map(|()| nick)
}

/// Takes off a time, as `[15:04] ` or `[2026-11-24 15:04] `.
fn without_time(line: &str) -> &str {
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
        let line = format!("* {}", seated("ada", "lobby", 0));
        let (nick, room) = ("ada", "lobby");
        assert_eq!(read(&line), Heard::Seated { nick, room, is_alone: true });
        let line = format!("* {}", seated("ada", "lobby", 10));
        assert_eq!(read(&line), Heard::Seated { nick, room, is_alone: false });
        assert_eq!(read(&format!("* {}", renamed("bob"))), Heard::Renamed("bob"));
        assert_eq!(read(&format!("* {}", left("lobby"))), Heard::Out);
        assert_eq!(read(&format!("* {}", dismissed("silent for 15m"))), Heard::Dismissed);
    }

    #[test]
    fn notices_about_others_name_them() {
        assert_eq!(read("* bob left"), Heard::Left("bob"));
        assert_eq!(read("* bob is now cy"), Heard::Named { old: "bob", new: "cy" });
        assert_eq!(read("* bob tells you: you are now x"), Heard::Told("bob"));
        assert_eq!(read("* in lobby: ada, bob"), Heard::Present("ada, bob"));
        assert_eq!(read("* bob set the topic: tea"), Heard::Notice);
        assert_eq!(read("** bob waves"), Heard::Said("bob"));
        assert_eq!(read("*"), Heard::Other);
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_passes_for_a_notice(
            nick in r"[A-Za-z0-9_\[\]\\-]{1,32}", text in "[^\r\n]*"
        ) {
            let said = format!("{nick}: {text}");
            prop_assert_eq!(read(&said), Heard::Said(&nick));
            let done = format!("** {nick} {text}");
            prop_assert_eq!(read(&done), Heard::Said(&nick));
            let told = format!("* {nick} tells you: {text}");
            prop_assert_eq!(read(&told), Heard::Told(&nick));
        }

        #[test]
        fn any_line_is_read(line in "\\PC*") {
            read(&line);
        }
    }
}
