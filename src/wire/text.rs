//! A peer's text, made safe to show.
//!
//! Bytes from a socket may carry anything: an escape sequence that repaints a terminal, a newline
//! that forges a log entry, a bidirectional override that makes `exe.txt` look like `txt.exe`.
//! Every sink of this crate (terminal, log, line to another peer) passes such text through
//! [`escape`] first, so that what is seen is what was sent.
//!
//! The escapes are those of Rust's string literals, which most readers can decode at sight. The
//! zero width joiner and non-joiner stay: emoji sequences and the Persian script are spelled with
//! them.

use std::borrow::Cow;

/// Returns `text` with every character that could mislead a terminal, a log or a line replaced by
/// an escape.
///
/// Replaced are the control characters (C0, DEL and C1, thus tab and newline too), the line and
/// paragraph separators, the marks, overrides and isolates of the bidirectional algorithm (Unicode
/// UAX #9), and the invisible format characters that no script needs. They become `\n`, `\r`, `\t`
/// or `\u{1b}`. A backslash stays as it is, so the result is meant for eyes and not for decoding.
///
/// The text is borrowed when nothing had to change.
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
    // Nearly all that is said, at a byte a time and without decoding it.
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

/// Tells whether [`escape`] replaces the character.
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
            | '\u{180e}' | '\u{200b}' | '\u{feff}'               // spaces without width
            | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}'  // of formulas, old controls
            | '\u{fff9}'..='\u{fffb}' | '\u{e0001}'              // annotations, language tag
        )
}

/// Decodes UTF-8, with U+FFFD in place of each invalid sequence.
///
/// The result is still a peer's text: pass it through [`escape`] before it is shown. To decode a
/// stream whose chunks may cut a character in two, use [`Utf8Chunks`](super::utf8::Utf8Chunks).
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_is_borrowed() {
        assert!(matches!(escape("plain \\ text, ñ, 漢字"), Cow::Borrowed(_)));
    }

    #[test]
    fn emoji_families_and_persian_stay_whole() {
        for text in ["👩\u{200d}👩\u{200d}👧", "می\u{200c}خواهم"] {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn newline_tab_and_bidi_are_spelled_out() {
        assert_eq!(escape("a\r\n\tb\u{7f}\u{9b}"), r"a\r\n\tb\u{7f}\u{9b}");
        assert_eq!(escape("\u{202e}\u{2066}\u{200f}\u{2028}"), r"\u{202e}\u{2066}\u{200f}\u{2028}");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(text in any::<String>()) {
            prop_assert!(!escape(&text).contains(is_unsafe));
        }

        #[test]
        fn escaping_twice_changes_nothing_more(text in r"(\PC|[\x00-\x1f\\\u{202e}\u{200b}])*") {
            let once = escape(&text).into_owned();
            prop_assert_eq!(escape(&once), once.clone());
        }
    }
}
