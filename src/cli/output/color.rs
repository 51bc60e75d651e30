//! The colours of a chat: each name in one of its own, what the chat itself says dim.

use crate::wire::chat::notice::{Heard, read};

/// What names are written in: colours that can be read on dark and on light.
const NAMES: [&str; 6] = ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[34m", "\x1b[35m", "\x1b[36m"];
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const OFF: &str = "\x1b[0m";

/// Paints a line that is safe for a terminal already.
pub fn paint(line: &str) -> String {
    let nick = match read(line) {
        Heard::Said(nick) => nick,
        Heard::Told(nick) => return around(line, nick, BOLD),
        Heard::Other => return line.into(),
        _ => return format!("{DIM}{line}{OFF}"),
    };
    around(line, nick, "")
}

/// Returns the colour of a name; it depends on the name alone.
pub fn colour(nick: &str) -> &'static str {
    // FNV-1a: names that differ in one letter differ in colour as a rule.
    let hash = nick
        .bytes()
        .map(|byte| byte.to_ascii_lowercase())
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    NAMES[(hash >> 8) as usize % NAMES.len()]
}

/// Paints a name that stands in a line, and the rest of it in `look`.
fn around(line: &str, nick: &str, look: &str) -> String {
    // The name is a part of the line, so where it begins is found without looking at other words.
    let start = nick.as_ptr() as usize - line.as_ptr() as usize;
    let (before, rest) = line.split_at(start);
    let after = &rest[nick.len()..];
    let colour = colour(nick);
    format!("{look}{before}{colour}{nick}{OFF}{look}{after}{OFF}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        let mut parts = text.split('\x1b');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
    }

    #[test]
    fn a_name_is_painted_and_its_line_is_not() {
        let painted = paint("[15:04] ada: hello ada");
        let colour = colour("ada");
        assert_eq!(painted, format!("[15:04] {colour}ada{OFF}: hello ada{OFF}"));
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
            assert_eq!(plain(&paint(line)), line);
        }
        assert_eq!(paint("* ada joined"), format!("{DIM}* ada joined{OFF}"));
        assert_eq!(paint("no name here"), "no name here");
    }

    #[test]
    fn names_have_different_colours_and_the_same_ones_the_same() {
        let colours: std::collections::BTreeSet<_> =
            (0..100).map(|k| colour(&format!("guest{k}"))).collect();
        assert_eq!(colours.len(), NAMES.len());
        assert_eq!(colour("Ada"), colour("aDA"));
    }
}
