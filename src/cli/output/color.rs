//! The colours of a chat: each name in one of its own, what the chat itself says dim.

use crate::wire::chat::notice::{Notice, parse_notice};

/// What names are written in: colours that can be read on dark and on light.
const NICK_COLORS: [&str; 6] =
    ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[34m", "\x1b[35m", "\x1b[36m"];
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// Paints a line that is safe for a terminal already.
pub fn colorize(line: &str) -> String {
    let nick = match parse_notice(line) {
        Notice::Message(nick) => nick,
        Notice::DirectMessage(nick) => return colorize_nick(line, nick, BOLD),
        Notice::Unrecognized => return line.into(),
        _ => return format!("{DIM}{line}{RESET}"),
    };
    colorize_nick(line, nick, "")
}

/// Returns the colour of a name; it depends on the name alone.
pub fn nick_color(nick: &str) -> &'static str {
    // FNV-1a: names that differ in one letter differ in colour as a rule.
    let hash = nick
        .bytes()
        .map(|byte| byte.to_ascii_lowercase())
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    NICK_COLORS[(hash >> 8) as usize % NICK_COLORS.len()]
}

/// Paints a name that stands in a line, and the rest of it in `look`.
fn colorize_nick(line: &str, nick: &str, look: &str) -> String {
    // The name is a part of the line, so where it begins is found without looking at other words.
    let start = nick.as_ptr() as usize - line.as_ptr() as usize;
    let (before, rest) = line.split_at(start);
    let after = &rest[nick.len()..];
    let colour = nick_color(nick);
    format!("{look}{before}{colour}{nick}{RESET}{look}{after}{RESET}")
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
    fn a_name_is_painted_and_its_line_is_not() {
        let painted = colorize("[15:04] ada: hello ada");
        let colour = nick_color("ada");
        assert_eq!(painted, format!("[15:04] {colour}ada{RESET}: hello ada{RESET}"));
    }

    #[test]
    fn paint_changes_no_letter() {
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
    fn names_have_different_colours_and_the_same_ones_the_same() {
        let colours: std::collections::BTreeSet<_> =
            (0..100).map(|k| nick_color(&format!("guest{k}"))).collect();
        assert_eq!(colours.len(), NICK_COLORS.len());
        assert_eq!(nick_color("Ada"), nick_color("aDA"));
    }
}
