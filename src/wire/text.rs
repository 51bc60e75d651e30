//! Text from peers, made safe to show.
//!
//! Bytes from a socket may contain anything: an escape sequence that repaints the terminal, a
//! newline that forges a log entry, a bidirectional override that makes `exe.txt` look like
//! `txt.exe`. Every sink of this crate (terminal, log, line to another peer) passes such text
//! through [`escape`] first, so that readers see exactly what was sent.
//!
//! The escapes are those of Rust's string literals, which most readers know. The zero width joiner
//! and non-joiner are not escaped, because emoji sequences and the Persian script need them.

use std::borrow::Cow;

/// Returns `text` with an escape in place of every character that could mislead a terminal, a log
/// or a reader.
///
/// It escapes the control characters (C0, DEL and C1, including tab and newline), the line and
/// paragraph separators, the marks, overrides and isolates of the bidirectional algorithm (Unicode
/// UAX #9), and the invisible format characters that no script needs. They become `\n`, `\r`, `\t`
/// or `\u{1b}`. A backslash is not escaped, so the result is for reading and not for decoding.
///
/// The text is borrowed if nothing had to change.
///
/// # Examples
///
/// ```
/// use sockactors::wire::text::escape;
///
/// assert_eq!(escape("two\nlines"), r"two\nlines");
/// assert_eq!(escape("\u{1b}[2Jgone"), r"\u{1b}[2Jgone");
/// assert_eq!(escape("C:\\temp"), r"C:\temp");
/// ```
pub fn escape(text: &str) -> Cow<'_, str> {
    // The fast path: most text is ASCII, which needs no decoding.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let Some(first) = text.find(is_unsafe) else {
        return Cow::Borrowed(text);
    };
    let mut safe = String::with_capacity(text.len() + 16);
    safe.push_str(&text[..first]);
    for c in text[first..].chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Returns whether [`escape`] replaces the character.
///
/// # Examples
///
/// ```
/// use sockactors::wire::text::is_unsafe;
///
/// assert!(is_unsafe('\u{202e}'));
/// assert!(!is_unsafe('\u{200d}'));
/// ```
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}'                  // bidirectional marks
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'  // overrides and isolates
            | '\u{2028}' | '\u{2029}'                            // line and paragraph separator
            | '\u{180e}' | '\u{200b}' | '\u{feff}'               // zero-width spaces
            | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}'  // operators, old controls
            | '\u{fff9}'..='\u{fffb}' | '\u{e0001}'              // annotations, language tag
        )
}

/// Decodes UTF-8, with U+FFFD in place of each invalid sequence.
///
/// The result is still a peer's text: pass it through [`escape`] before it is shown. For a stream
/// whose chunks may split a character, use [`Utf8Decoder`](crate::wire::utf8::Utf8Decoder).
///
/// # Examples
///
/// ```
/// use sockactors::wire::text::decode_lossy;
///
/// assert_eq!(decode_lossy("grüezi".as_bytes()), "grüezi");
/// assert_eq!(decode_lossy(b"a\xffb"), "a\u{fffd}b");
/// ```
pub fn decode_lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Splits off the first word. Returns it, and the rest without the white space around it.
pub(crate) fn split_first_word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_is_borrowed() {
        assert!(matches!(escape("plain \\ text, ñ, 漢字"), Cow::Borrowed(_)));
    }

    #[test]
    fn emoji_families_and_persian_stay_unchanged() {
        for text in ["👩\u{200d}👩\u{200d}👧", "می\u{200c}خواهم"] {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn newline_tab_and_bidi_are_escaped() {
        assert_eq!(escape("a\r\n\tb\u{7f}\u{9b}"), r"a\r\n\tb\u{7f}\u{9b}");
        assert_eq!(escape("\u{202e}\u{2066}\u{200f}\u{2028}"), r"\u{202e}\u{2066}\u{200f}\u{2028}");
    }

    #[test]
    fn invisible_format_characters_are_unsafe() {
        let invisible =
            ('\u{2060}'..='\u{2064}').chain('\u{fff9}'..='\u{fffb}').chain(['\u{180e}']);
        for c in invisible {
            assert!(is_unsafe(c), "{c:?}");
            assert_eq!(escape(&format!("a{c}b")), format!("a{}b", c.escape_unicode()));
        }
    }

    proptest! {
        #[test]
        fn escaped_text_has_no_unsafe_character(text in any::<String>()) {
            prop_assert!(!escape(&text).contains(is_unsafe));
        }

        #[test]
        fn escaping_twice_changes_nothing(text in r"(\PC|[\x00-\x1f\\\u{202e}\u{200b}])*") {
            let once = escape(&text).into_owned();
            prop_assert_eq!(escape(&once), once.clone());
        }
    }
}
