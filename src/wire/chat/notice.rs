//! The notices of a chat server: formatted for the server, parsed for the client.
//!
//! A line of the server has one of three forms, and no member can choose the form of a line:
//!
//! ```text
//! NICK: TEXT      a message in the room
//! ** NICK TEXT    an action in the room
//! * NOTICE        a notice of the server
//! ```
//!
//! A time may come first: `[15:04] ` or `[2026-11-24 15:04] `. A nickname has no space, does not
//! begin with `[`, and is none of the words with which a notice about something else begins. So a
//! text in a line never makes another form of it. A client needs some of the notices to know its
//! nickname and its room. Both directions are in this file, so that the two sides agree on the
//! wording.

use crate::wire::chat::list::{NickList, format_list};
use crate::wire::chat::names::{validate_nick, validate_room};

/// The largest number of members that a notice about joins, leaves or new nicknames names.
pub const MAX_NAMED_MEMBERS: usize = 20;

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

/// Formats the reply to a member that asked for a nickname of another member.
pub fn format_nick_taken(nick: &str) -> String {
    format!("the name {nick} is taken; choose another")
}

/// Formats the notice to a member that has left a room.
pub fn format_left(room: &str) -> String {
    format!("you left {room}; /join ROOM goes to another one")
}

/// Formats the notice that members have joined a room. Returns `None` if there are none.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::notice::format_members_joined;
///
/// assert_eq!(format_members_joined(&["ada"]).unwrap(), "ada joined");
/// assert_eq!(format_members_joined(&["ada", "bob"]).unwrap(), "ada, bob joined");
/// assert!(format_members_joined(&["ada"; 55]).unwrap().ends_with(" ada and 35 others joined"));
/// ```
pub fn format_members_joined(nicks: &[&str]) -> Option<String> {
    (!nicks.is_empty()).then(|| format!("{} joined", format_members(nicks)))
}

/// Formats the notice that members have left a room. Returns `None` if there are none.
pub fn format_members_left(nicks: &[&str]) -> Option<String> {
    (!nicks.is_empty()).then(|| format!("{} left", format_members(nicks)))
}

fn format_members(nicks: &[&str]) -> String {
    format_list(nicks.iter().take(MAX_NAMED_MEMBERS), nicks.len())
}

/// Formats the notices that members of a room, given by their old and new nicknames, have new
/// ones.
pub fn format_members_renamed(nicks: &[(&str, &str)]) -> Vec<String> {
    let named = nicks.iter().take(MAX_NAMED_MEMBERS);
    let mut notices: Vec<_> = named.map(|(old, new)| format!("{old} is now {new}")).collect();
    match nicks.len().saturating_sub(MAX_NAMED_MEMBERS) {
        0 => {}
        1 => notices.push("1 other changed its name".into()),
        others => notices.push(format!("{others} others changed their names")),
    }
    notices
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
    /// Members have joined the room. The list may be incomplete.
    MembersJoined(NickList<'a>),
    /// Members have left the room. The list may be incomplete.
    MembersLeft(NickList<'a>),
    /// A member of the room has a new nickname.
    MemberRenamed {
        /// The old nickname.
        old: &'a str,
        /// The new nickname.
        new: &'a str,
    },
    /// The members of the room. The list may be incomplete.
    MemberList(NickList<'a>),
    /// Any other notice.
    Info,
    /// Not a line that the server sends to a member.
    Unrecognized,
}

/// Parses a line, given without its line ending. A time of day in brackets may come first.
///
/// All nicknames and room names in the result are valid.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::notice::{Notice, parse_notice};
///
/// assert_eq!(parse_notice("ada: hello"), Notice::Message("ada"));
/// assert_eq!(parse_notice("[15:04] ada: hello"), Notice::Message("ada"));
/// assert_eq!(parse_notice("[2026-11-24 15:04] ada: hello"), Notice::Message("ada"));
/// assert_eq!(parse_notice("* bob is now cy"), Notice::MemberRenamed { old: "bob", new: "cy" });
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
    parse_about_self(notice).or_else(|| parse_about_members(notice)).unwrap_or(Notice::Info)
}

/// Returns whether a line, given without its line ending, announces joins, leaves or new nicknames.
pub(crate) fn is_presence_notice(line: &str) -> bool {
    let others = line.strip_prefix("* ").and_then(|notice| {
        notice
            .strip_suffix(" others changed their names")
            .or_else(|| notice.strip_suffix(" other changed its name"))
    });
    others.is_some_and(|count| count.bytes().all(|byte| byte.is_ascii_digit()))
        || matches!(
            parse_notice(line),
            Notice::MembersJoined(_) | Notice::MembersLeft(_) | Notice::MemberRenamed { .. }
        )
}

/// Parses a notice about this member.
fn parse_about_self(notice: &str) -> Option<Notice<'_>> {
    if let Some(nick) = notice.strip_prefix("you are now ") {
        return is_nick(nick).then_some(Notice::SelfRenamed(nick));
    }
    if let Some(rest) = notice.strip_prefix("you are ") {
        let (nick, rest) = rest.split_once(" in ")?;
        let (room, others) = rest.split_once(", with ")?;
        let is_valid = is_nick(nick) && validate_room(room).is_ok();
        let is_alone = others.starts_with("0 ");
        return is_valid.then_some(Notice::Welcome { nick, room, is_alone });
    }
    if notice.starts_with("you left ") {
        return Some(Notice::SelfLeft);
    }
    let is_disconnected = notice.starts_with("you were ") && notice.ends_with("; good bye");
    is_disconnected.then_some(Notice::Disconnected)
}

/// Parses a notice about other members.
fn parse_about_members(notice: &str) -> Option<Notice<'_>> {
    let list_before = |end| notice.strip_suffix(end).and_then(NickList::parse);
    if let Some(nicks) = list_before(" joined") {
        return Some(Notice::MembersJoined(nicks));
    }
    if let Some(nicks) = list_before(" left") {
        return Some(Notice::MembersLeft(nicks));
    }
    if let Some((room, nicks)) = notice.strip_prefix("in ").and_then(|rest| rest.split_once(": ")) {
        validate_room(room).ok()?;
        return NickList::parse(nicks).map(Notice::MemberList);
    }
    let (nick, what) = notice.split_once(' ').filter(|(nick, _)| is_nick(nick))?;
    if what.starts_with("tells you: ") {
        return Some(Notice::DirectMessage(nick));
    }
    let new = what.strip_prefix("is now ").filter(|new| is_nick(new))?;
    Some(Notice::MemberRenamed { old: nick, new })
}

fn is_nick(text: &str) -> bool {
    validate_nick(text).is_ok()
}

/// Returns the text before the first `end` if it is a valid nickname.
fn parse_nick_before<'a>(line: &'a str, end: &str) -> Option<&'a str> {
    line.split_once(end).map(|(nick, _)| nick).filter(|nick| is_nick(nick))
}

/// Strips a leading time: `[15:04] ` or `[2026-11-24 15:04] `, exactly as
/// [`format_timestamp`](crate::wire::date::format_timestamp) writes it.
fn strip_time(line: &str) -> &str {
    let strip = |form: &str| {
        let (time, rest) = line.split_at_checked(form.len())?;
        let matches = |(byte, form): (u8, u8)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == form,
        };
        time.bytes().zip(form.bytes()).all(matches).then_some(rest)
    };
    strip("[00:00] ").or_else(|| strip("[0000-00-00 00:00] ")).unwrap_or(line)
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
        let list = |text| NickList::parse(text).unwrap();
        assert_eq!(parse_notice("* bob left"), Notice::MembersLeft(list("bob")));
        assert_eq!(
            parse_notice("* bob, cy and 35 others joined"),
            Notice::MembersJoined(list("bob, cy"))
        );
        assert_eq!(
            parse_notice("* bob is now cy"),
            Notice::MemberRenamed { old: "bob", new: "cy" }
        );
        assert_eq!(parse_notice("* bob tells you: you are now x"), Notice::DirectMessage("bob"));
        assert_eq!(parse_notice("* in lobby: ada, bob"), Notice::MemberList(list("ada, bob")));
        assert_eq!(parse_notice("* bob set the topic: tea"), Notice::Info);
        assert_eq!(parse_notice("** bob waves"), Notice::Message("bob"));
        assert_eq!(parse_notice("*"), Notice::Unrecognized);
        assert_eq!(parse_notice("Hello: two words before: this"), Notice::Message("Hello"));
    }

    #[test]
    fn server_names_are_validated() {
        for notice in [
            "you are now \u{1b}[2J",
            "you are two words in lobby, with 0 others; /help lists the commands",
            "you are ada in a room, with 0 others; /help lists the commands",
            "bob is now b b",
            "in lobby: ada, b\u{7f}",
            "in the lobby: ada",
            "ada, , bob joined",
            " joined",
        ] {
            assert_eq!(parse_notice(&format!("* {notice}")), Notice::Info, "{notice:?}");
        }
    }

    #[test]
    fn only_exact_times_are_stripped() {
        for line in [
            "[15-04] ada: x",
            "[15:04]  ada: x",
            "[1:04] ada: x",
            "[15:04: 1] ada: x",
            "[é:04] a: x",
        ] {
            assert_eq!(parse_notice(line), Notice::Unrecognized, "{line}");
        }
        let twice = "[15:04] [15:04] * you are now eve";
        assert_eq!(parse_notice(twice), Notice::Unrecognized);
    }

    /// The words of our notices, with which a forged notice is most likely.
    const WORDS: [&str; 34] = [
        "you",
        "are",
        "now",
        "in",
        "is",
        "joined",
        "left",
        "and",
        "1 other",
        "2 others",
        ", ",
        ": ",
        " ",
        "* ",
        "** ",
        "[15:04] ",
        "[15-04",
        "] ",
        "[2026-11-30 15:04] ",
        "ada",
        "bob",
        "lobby",
        "tells you: ",
        "were kicked",
        "; good bye",
        "with 0 others",
        "set the topic: ",
        "the",
        "topic of",
        "you are now eve",
        "you left lobby; /join",
        "]",
        "[",
        "\\",
    ];

    fn nick_strategy() -> impl Strategy<Value = String> {
        let any = r"[A-Za-z0-9_\[\]\\-]{1,32}".boxed();
        let word = proptest::sample::select(&WORDS[..]).prop_map(str::to_owned).boxed();
        prop_oneof![any, word].prop_filter("a valid nickname", |nick| is_nick(nick))
    }

    fn text_strategy() -> impl Strategy<Value = String> {
        let word = proptest::sample::select(&WORDS[..]);
        let words = proptest::collection::vec(word, 1..9);
        let spaced = words.clone().prop_map(|words| words.join(" "));
        let joined = words.prop_map(|words| words.concat());
        prop_oneof!["[^\r\n]*", spaced, joined]
    }

    proptest! {
        #[test]
        fn member_text_never_parses_as_notice(
            time in proptest::sample::select(&["", "[15:04] ", "[2026-11-30 15:04] "][..]),
            nick in nick_strategy(),
            text in text_strategy(),
        ) {
            let parse = |line: &str| format!("{:?}", parse_notice(&format!("{time}{line}")));
            let by_nick = |notice: fn(&'static str) -> Notice<'static>| {
                format!("{:?}", notice("")).replace("\"\"", &format!("{nick:?}"))
            };
            prop_assert_eq!(parse(&format!("{nick}: {text}")), by_nick(Notice::Message));
            prop_assert_eq!(parse(&format!("** {nick} {text}")), by_nick(Notice::Message));
            let private = format!("* {nick} tells you: {text}");
            prop_assert_eq!(parse(&private), by_nick(Notice::DirectMessage));
            for notice in [
                format!("* {nick} set the topic: {text}"),
                format!("* topic of {nick}: {text}"),
                format!("* rooms: {nick} (1): {text}"),
                format!("* you tell {nick}: {text}"),
                format!("* {nick} announces: {text}"),
                format!("* the operator announces: {text}"),
                format!("* {nick} was kicked by {nick}: {text}"),
            ] {
                prop_assert_eq!(parse(&notice), "Info", "{}", notice);
            }
        }

        #[test]
        fn member_lists_round_trip(
            nicks in proptest::collection::vec(nick_strategy(), 1..9), others in 0_usize..3
        ) {
            let text = format_list(&nicks, nicks.len() + others);
            let parsed = |line: &str| match parse_notice(line) {
                Notice::MembersJoined(list) | Notice::MembersLeft(list)
                | Notice::MemberList(list) => list.iter().map(str::to_owned).collect(),
                _ => Vec::new(),
            };
            for line in
                [format!("* {text} joined"), format!("* {text} left"), format!("* in den: {text}")]
            {
                prop_assert_eq!(parsed(&line), nicks.clone(), "{}", line);
            }
        }

        #[test]
        fn arbitrary_line_never_panics(line in "\\PC*") {
            parse_notice(&line);
        }
    }
}
