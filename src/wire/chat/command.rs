//! What a line of a chat asks for.
//!
//! A line that begins with `/` is a command; any other is said as it is. The values of [`parse`] borrow from the
//! line. Nothing here fails: what cannot be understood is a value too, with words for its sender.

use crate::wire::chat::operator_command;

/// What `/help` answers: one line for each command, each ended by a newline.
pub const HELP: &str = "\
/nick NAME      changes your name
/join ROOM      leaves this room for another one, made if there is none
/leave          leaves the room
/msg NAME TEXT  tells something to one member alone, in whatever room
/me TEXT        says what you do
/who            lists who is in the room
/rooms          lists the rooms
/topic [TEXT]   shows what the room is about, or sets it
/history [N]    shows the last lines that were said in the room
/time on|off    turns the time of day before each line on or off
/ack on|off     turns the receipts for what you say on or off
/help           shows this list
/quit           ends the session
//TEXT          says a text that begins with a slash
";

/// What a line of a line session asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Say this to the room. It may be empty.
    Message(&'a str),
    /// Say that one does this.
    Action(&'a str),
    /// Take this nickname, which [`valid_nick`](crate::wire::chat::valid_nick) has not judged yet.
    Nick(&'a str),
    /// Go into this room, which [`valid_room`](crate::wire::chat::valid_room) has not judged yet.
    Join(&'a str),
    /// Leave the room.
    Leave,
    /// Tell a member something alone.
    DirectMessage(&'a str, &'a str),
    /// List who is in the room.
    Who,
    /// List the rooms.
    Rooms,
    /// Show what the room is about, or set it.
    Topic(Option<&'a str>),
    /// Show the last lines of the room: so many, or as many as is usual.
    History(Option<usize>),
    /// Turn the time of day before each line on or off.
    Time(bool),
    /// Turn the receipts on or off.
    Ack(bool),
    /// Show [`HELP`].
    Help,
    /// End the session.
    Quit,
    /// Become an operator, by this password.
    OperatorLogin(&'a str),
    /// The whole line is an operator's order, or would be: see [`operator_command::parse`].
    OperatorLine(&'a str),
    /// No such command: the word that was written, with its slash.
    Unknown(&'a str),
    /// A command whose arguments make no sense, and how it is written.
    Invalid(&'static str),
}

/// Reads a line, given without its line end.
///
/// The name of a command is read in any case; a line that begins with `//` says the text from its second
/// slash on. Arguments beyond those that a command takes are ignored, so `/quit see you` quits.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::command::{Command, parse};
///
/// assert_eq!(parse("hello"), Command::Message("hello"));
/// assert_eq!(parse("//etc is a directory"), Command::Message("/etc is a directory"));
/// assert_eq!(parse("/nick ada"), Command::Nick("ada"));
/// assert_eq!(parse("/msg bob are you there?"), Command::DirectMessage("bob", "are you there?"));
/// assert_eq!(parse("/ack off"), Command::Ack(false));
/// assert_eq!(parse("/dance now"), Command::Unknown("/dance"));
/// assert_eq!(parse("/nick"), Command::Invalid("/nick needs a name: /nick NAME"));
/// ```
pub fn parse(line: &str) -> Command<'_> {
    let Some(after) = line.strip_prefix('/') else {
        return Command::Message(line);
    };
    if after.starts_with('/') {
        return Command::Message(after);
    }
    let (word, rest) = split_first_word(line);
    match (word.to_ascii_lowercase().as_str(), rest) {
        ("/nick", "") => Command::Invalid("/nick needs a name: /nick NAME"),
        ("/nick", name) => Command::Nick(name),
        ("/join", "") => Command::Invalid("/join needs a room: /join ROOM"),
        ("/join", room) => Command::Join(room),
        ("/leave", _) => Command::Leave,
        ("/msg", rest) => match split_first_word(rest) {
            (name, text) if !text.is_empty() => Command::DirectMessage(name, text),
            _ => Command::Invalid("/msg needs a name and a text: /msg NAME TEXT"),
        },
        ("/me", "") => Command::Invalid("/me needs a text: /me TEXT"),
        ("/me", text) => Command::Action(text),
        ("/who", _) => Command::Who,
        ("/rooms", _) => Command::Rooms,
        ("/topic", "") => Command::Topic(None),
        ("/topic", text) => Command::Topic(Some(text)),
        ("/history", "") => Command::History(None),
        ("/history", count) => match split_first_word(count).0.parse() {
            Ok(count) => Command::History(Some(count)),
            Err(_) => Command::Invalid("/history takes a number of lines: /history 20"),
        },
        ("/time", on) => parse_on_off(on)
            .map_or(Command::Invalid("/time needs on or off: /time on, /time off"), Command::Time),
        ("/ack", on) => parse_on_off(on)
            .map_or(Command::Invalid("/ack needs on or off: /ack on, /ack off"), Command::Ack),
        ("/help", _) => Command::Help,
        ("/quit", _) => Command::Quit,
        ("/operator", "") => Command::Invalid("/operator needs the password: /operator PASSWORD"),
        ("/operator", password) => Command::OperatorLogin(password),
        _ if operator_command::parse(line).is_some() => Command::OperatorLine(line),
        _ => Command::Unknown(word),
    }
}

/// Splits the first word off, and the space around the rest.
fn split_first_word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

fn parse_on_off(word: &str) -> Option<bool> {
    match word {
        on if on.eq_ignore_ascii_case("on") => Some(true),
        off if off.eq_ignore_ascii_case("off") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::chat::validate_nick;
    use proptest::prelude::*;

    #[test]
    fn an_empty_line_says_nothing() {
        assert_eq!(parse(""), Command::Message(""));
    }

    #[test]
    fn commands_are_read_in_any_case_and_with_any_space() {
        assert_eq!(parse("/NICK \t ada  "), Command::Nick("ada"));
        assert_eq!(parse("/Ack ON"), Command::Ack(true));
        assert_eq!(parse("/time Off"), Command::Time(false));
        assert_eq!(parse("/who is there"), Command::Who);
        assert_eq!(parse("/help"), Command::Help);
        assert_eq!(parse("/quit see you"), Command::Quit);
        assert_eq!(parse("/join  den "), Command::Join("den"));
        assert_eq!(parse("/me  waves  a hand"), Command::Action("waves  a hand"));
        assert_eq!(parse("/msg ada  a  b "), Command::DirectMessage("ada", "a  b"));
        assert_eq!(parse("/topic"), Command::Topic(None));
        assert_eq!(parse("/topic tea, and more"), Command::Topic(Some("tea, and more")));
        assert_eq!(parse("/history"), Command::History(None));
        assert_eq!(parse("/history 5 please"), Command::History(Some(5)));
    }

    #[test]
    fn a_wrong_command_is_told_in_words() {
        assert_eq!(parse("/"), Command::Unknown("/"));
        assert_eq!(parse("/ nick"), Command::Unknown("/"));
        for (line, how) in [
            ("/ack maybe", "on or off"),
            ("/time", "on or off"),
            ("/nick   ", "/nick NAME"),
            ("/join", "/join ROOM"),
            ("/msg ada", "/msg NAME TEXT"),
            ("/msg", "/msg NAME TEXT"),
            ("/me", "/me TEXT"),
            ("/history all", "/history 20"),
            ("/history -1", "/history 20"),
            ("/operator", "/operator PASSWORD"),
        ] {
            assert!(
                matches!(parse(line), Command::Invalid(words) if words.contains(how)),
                "{line}"
            );
        }
    }

    #[test]
    fn an_order_is_known_as_one_and_left_as_it_is() {
        assert_eq!(parse("/kick eve  now"), Command::OperatorLine("/kick eve  now"));
        assert_eq!(parse("/operator  open sesame "), Command::OperatorLogin("open sesame"));
    }

    #[test]
    fn a_space_before_the_slash_makes_it_text() {
        assert_eq!(parse(" /quit"), Command::Message(" /quit"));
    }

    #[test]
    fn every_command_has_its_line_of_help() {
        for line in HELP.lines().filter(|line| !line.starts_with("//")) {
            let word = line.split(' ').next().unwrap();
            assert!(
                !matches!(parse(word), Command::Unknown(_)),
                "{word} is explained and not known"
            );
        }
        assert!(HELP.ends_with('\n') && HELP.lines().count() == 14);
    }

    proptest! {
        #[test]
        fn any_text_can_be_said(text in "[^\r\n]*") {
            let line = if text.starts_with('/') { format!("/{text}") } else { text.clone() };
            prop_assert_eq!(parse(&line), Command::Message(&text));
        }

        #[test]
        fn a_valid_nick_survives_parsing(nick in r"[A-Za-z0-9_\[\]\\-]{1,32}") {
            prop_assert_eq!(validate_nick(&nick), Ok(()));
            let line = format!("/nick {nick}");
            prop_assert_eq!(parse(&line), Command::Nick(&nick));
        }
    }
}
