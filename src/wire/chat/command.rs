//! The commands of a line session.
//!
//! A line that begins with `/` is a command. Any other line is a message. The values of [`parse`]
//! borrow from the line. Parsing never fails: [`Command::Unknown`] and [`Command::Invalid`]
//! describe lines that are not valid commands.

use crate::wire::chat::operator_command;
use crate::wire::text::split_first_word;

/// The reply to `/help`: one line for each command, each with its newline.
pub const HELP: &str = "\
/nick NAME      changes your name
/join ROOM      leaves this room and joins another; creates it if needed
/leave          leaves the room
/msg NAME TEXT  sends a private message to a member of any room
/me TEXT        says what you do
/who            lists the members of the room
/rooms          lists the rooms
/topic [TEXT]   shows or sets the topic of the room
/history [N]    shows the last messages of the room
/time on|off    turns the time of day before each line on or off
/ack on|off     turns the receipts for your messages on or off
/help           shows this list
/quit           ends the session
//TEXT          sends a text that begins with a slash
";

/// A line of a line session, parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Publish this text to the room. It may be empty.
    Message(&'a str),
    /// Publish this text as an action of the member.
    Action(&'a str),
    /// Take this nickname, which [`validate_nick`](crate::wire::chat::validate_nick) has not
    /// checked yet.
    Nick(&'a str),
    /// Join this room, whose name [`validate_room`](crate::wire::chat::validate_room) has not
    /// checked yet.
    Join(&'a str),
    /// Leave the room.
    Leave,
    /// Send a private message: the nickname of the receiver, and the text.
    DirectMessage(&'a str, &'a str),
    /// List the members of the room.
    Who,
    /// List the rooms.
    Rooms,
    /// Show the topic of the room, or set it.
    Topic(Option<&'a str>),
    /// Show the last lines of the room: this number of lines, or the default number.
    History(Option<usize>),
    /// Turn the timestamp before each line on or off.
    Time(bool),
    /// Turn the receipts on or off.
    Ack(bool),
    /// Show [`HELP`].
    Help,
    /// End the session.
    Quit,
    /// Log in as an operator, with this password.
    OperatorLogin(&'a str),
    /// An operator's command, as the whole line. [`operator_command::parse`] parses it.
    OperatorLine(&'a str),
    /// An unknown command: its first word, with the slash.
    Unknown(&'a str),
    /// A command with missing or wrong arguments: the error, with the correct syntax.
    Invalid(&'static str),
}

/// Parses a line, given without its line ending.
///
/// Command names are case-insensitive. A line that begins with `//` is a message, whose text begins
/// at the second slash. Surplus arguments are ignored, so `/quit see you` quits.
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
    let (word, arguments) = split_first_word(line);
    match (word.to_ascii_lowercase().as_str(), arguments) {
        ("/nick", "") => Command::Invalid("/nick needs a name: /nick NAME"),
        ("/nick", name) => Command::Nick(name),
        ("/join", "") => Command::Invalid("/join needs a room: /join ROOM"),
        ("/join", room) => Command::Join(room),
        ("/leave", _) => Command::Leave,
        ("/msg", arguments) => match split_first_word(arguments) {
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

/// Parses `on` or `off`, in any case.
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
    use crate::wire::chat::names::validate_nick;
    use proptest::prelude::*;

    #[test]
    fn empty_line_is_empty_message() {
        assert_eq!(parse(""), Command::Message(""));
    }

    #[test]
    fn commands_ignore_case_and_extra_space() {
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
    fn wrong_command_reports_its_syntax() {
        assert_eq!(parse("/"), Command::Unknown("/"));
        assert_eq!(parse("/ nick"), Command::Unknown("/"));
        for (line, syntax) in [
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
                matches!(parse(line), Command::Invalid(error) if error.contains(syntax)),
                "{line}"
            );
        }
    }

    #[test]
    fn operator_command_keeps_its_whole_line() {
        assert_eq!(parse("/kick eve  now"), Command::OperatorLine("/kick eve  now"));
        assert_eq!(parse("/operator  open sesame "), Command::OperatorLogin("open sesame"));
    }

    #[test]
    fn space_before_slash_makes_message() {
        assert_eq!(parse(" /quit"), Command::Message(" /quit"));
    }

    #[test]
    fn every_command_in_help_is_known() {
        for line in HELP.lines().filter(|line| !line.starts_with("//")) {
            let word = line.split(' ').next().unwrap();
            assert!(
                !matches!(parse(word), Command::Unknown(_)),
                "{word} is in the help, but unknown"
            );
        }
        assert!(HELP.ends_with('\n') && HELP.lines().count() == 14);
    }

    proptest! {
        #[test]
        fn any_text_can_be_sent(text in "[^\r\n]*") {
            let line = if text.starts_with('/') { format!("/{text}") } else { text.clone() };
            prop_assert_eq!(parse(&line), Command::Message(&text));
        }

        #[test]
        fn valid_nick_survives_parsing(nick in r"[A-Za-z0-9_\[\]\\-]{1,32}") {
            prop_assume!(validate_nick(&nick).is_ok());
            let line = format!("/nick {nick}");
            prop_assert_eq!(parse(&line), Command::Nick(&nick));
        }
    }
}
