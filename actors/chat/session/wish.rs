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
pub(crate) struct Wish {
    pub(crate) nick: Option<String>,
    pub(crate) room: Option<String>,
    /// The first line that was about something else.
    pub(crate) rest: Option<Line>,
}

impl Wish {
    pub(crate) fn of(lines: &mut LineBuffer) -> Wish {
        let mut wish = Wish { nick: None, room: None, rest: None };
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
                    wish.rest = Some(line);
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

    fn of(bytes: &str) -> Wish {
        let mut lines = LineBuffer::new(100);
        lines.push(bytes.as_bytes());
        Wish::of(&mut lines)
    }

    fn wish(nick: Option<&str>, room: Option<&str>, rest: Option<&str>) -> Wish {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let rest = rest.map(|line| Line::Complete(line.into()));
        Wish { nick: owned(nick), room: owned(room), rest }
    }

    #[test]
    fn a_name_and_a_room_are_wishes_until_something_else_is_said() {
        assert_eq!(of("hello\n/nick ada\n"), wish(None, None, Some("hello")));
        assert_eq!(of("/nick ada\n"), wish(Some("ada"), None, None));
        let both = wish(Some("ada"), Some("den"), Some("/ack off"));
        assert_eq!(of("/nick ada\n/join den\n/ack off\n"), both);
        assert_eq!(of("/join den\n/nick ada\n/ack off\n"), both);
    }

    #[test]
    fn a_second_wish_and_a_wrong_room_are_commands_like_others() {
        assert_eq!(of("/nick a\n/nick b\n"), wish(Some("a"), None, Some("/nick b")));
        assert_eq!(of("/join a b\n"), wish(None, None, Some("/join a b")));
    }
}
