//! The colors of a chat at a terminal: one per nickname, and dim for server notices.

use crate::wire::chat::notice::{Notice, parse_notice};

/// The colors of nicknames. They are readable on dark and on light backgrounds.
const NICK_COLORS: [&str; 6] =
    ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[34m", "\x1b[35m", "\x1b[36m"];
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// Adds colors to a line, which must already be escaped.
pub fn colorize(line: &str) -> String {
    let nick = match parse_notice(line) {
        Notice::Message(nick) => nick,
        Notice::DirectMessage(nick) => return colorize_nick(line, nick, BOLD),
        Notice::Unrecognized => return line.into(),
        _ => return format!("{DIM}{line}{RESET}"),
    };
    colorize_nick(line, nick, "")
}

/// Returns the color of a nickname. It depends on the nickname only, not on its case.
pub fn nick_color(nick: &str) -> &'static str {
    // FNV-1a: nicknames that differ in one letter usually get different colors.
    let hash = nick
        .bytes()
        .map(|byte| byte.to_ascii_lowercase())
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    NICK_COLORS[(hash >> 8) as usize % NICK_COLORS.len()]
}

/// Colors a nickname, which must be a slice of `line`, and the rest of the line in `style`.
fn colorize_nick(line: &str, nick: &str, style: &str) -> String {
    // A search for the nickname could find an equal word before it.
    let start = nick.as_ptr() as usize - line.as_ptr() as usize;
    let (before, rest) = line.split_at(start);
    let after = &rest[nick.len()..];
    let color = nick_color(nick);
    format!("{style}{before}{color}{nick}{RESET}{style}{after}{RESET}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip_colors(text: &str) -> String {
        let mut parts = text.split('\x1b');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
    }

    #[test]
    fn nickname_is_colored_and_its_line_is_not() {
        let line = colorize("[15:04] ada: hello ada");
        let color = nick_color("ada");
        assert_eq!(line, format!("[15:04] {color}ada{RESET}: hello ada{RESET}"));
    }

    #[test]
    fn colors_leave_the_text_unchanged() {
        for line in [
            "ada: hi",
            "** ada waves",
            "* ada joined",
            "* ada tells you: psst",
            "Received message: hi",
            "",
        ] {
            assert_eq!(strip_colors(&colorize(line)), line);
        }
        assert_eq!(colorize("* ada joined"), format!("{DIM}* ada joined{RESET}"));
        assert_eq!(colorize("no name here"), "no name here");
    }

    #[test]
    fn color_depends_on_the_nickname_only() {
        let colors: std::collections::BTreeSet<_> =
            (0..100).map(|k| nick_color(&format!("guest{k}"))).collect();
        assert_eq!(colors.len(), NICK_COLORS.len());
        assert_eq!(nick_color("Ada"), nick_color("aDA"));
    }
}
