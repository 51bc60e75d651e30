//! How a member who sends lines would like to come in.
//!
//! A client that was in a room before and comes back says its name and its room first, so that nobody hears of a
//! guest in the room that everybody comes to.

use crate::wire::chat::command::{Command, parse};
use crate::wire::chat::validate_room;
use crate::wire::lines::{Line, LineBuffer};
use crate::wire::text::decode_lossy;

/// Which name and which room the first lines wish for, before anybody hears of their sender.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    pub(crate) nick: Option<String>,
    pub(crate) room: Option<String>,
    /// The first line that was about something else.
    pub(crate) first_line: Option<Line>,
}

impl Handshake {
    pub(crate) fn parse(lines: &mut LineBuffer) -> Handshake {
        let mut wish = Handshake { nick: None, room: None, first_line: None };
        while let Some(line) = lines.next_line() {
            let text = match &line {
                Line::Complete(line) => decode_lossy(line),
                Line::TooLong(_) => "".into(),
            };
            match parse(&text) {
                Command::Nick(nick) if wish.nick.is_none() => wish.nick = Some(nick.into()),
                Command::Join(room) if wish.room.is_none() && validate_room(room).is_ok() => {
                    wish.room = Some(room.into());
                }
                _ => {
                    wish.first_line = Some(line);
                    break;
                }
            }
        }
        wish
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_handshake(bytes: &str) -> Handshake {
        let mut lines = LineBuffer::new(100);
        lines.push(bytes.as_bytes());
        Handshake::parse(&mut lines)
    }

    fn handshake(nick: Option<&str>, room: Option<&str>, rest: Option<&str>) -> Handshake {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let rest = rest.map(|line| Line::Complete(line.into()));
        Handshake { nick: owned(nick), room: owned(room), first_line: rest }
    }

    #[test]
    fn a_name_and_a_room_are_wishes_until_something_else_is_said() {
        assert_eq!(parse_handshake("hello\n/nick ada\n"), handshake(None, None, Some("hello")));
        assert_eq!(parse_handshake("/nick ada\n"), handshake(Some("ada"), None, None));
        let both = handshake(Some("ada"), Some("den"), Some("/ack off"));
        assert_eq!(parse_handshake("/nick ada\n/join den\n/ack off\n"), both);
        assert_eq!(parse_handshake("/join den\n/nick ada\n/ack off\n"), both);
    }

    #[test]
    fn a_second_wish_and_a_wrong_room_are_commands_like_others() {
        assert_eq!(
            parse_handshake("/nick a\n/nick b\n"),
            handshake(Some("a"), None, Some("/nick b"))
        );
        assert_eq!(parse_handshake("/join a b\n"), handshake(None, None, Some("/join a b")));
    }
}
