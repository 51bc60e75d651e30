//! JSON strings: the only module of the crate that quotes them.
//!
//! The module is in the lowest layer that writes JSON, so that every layer above can use it.

use std::fmt::Write;

/// Returns `text` as a JSON string (RFC 8259), with its quotation marks.
///
/// Control characters are always escaped, and so is every character for which `is_unsafe` returns
/// true. Graphviz reads the result as a quoted label, too.
pub(crate) fn quote(text: &str, is_unsafe: impl Fn(char) -> bool) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            c if c.is_control() || is_unsafe(c) => {
                // A character above U+FFFF takes two UTF-16 units.
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(json, "\\u{unit:04x}").expect("writing to a String cannot fail");
                }
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let quoted = quote("a\u{1}\u{85}\\\"\r\n\t\u{7f}", |_| false);
        assert_eq!(quoted, r#""a\u0001\u0085\\\"\r\n\t\u007f""#);
    }

    #[test]
    fn unsafe_characters_become_utf16_escapes() {
        let quoted = quote("a\u{202e}\u{e0001}é", |c| matches!(c, '\u{202e}' | '\u{e0001}'));
        assert_eq!(quoted, r#""a\u202e\udb40\udc01é""#);
    }
}
