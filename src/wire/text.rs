//! Text from peers, made safe to show.
//!
//! Bytes from a socket may contain anything: an escape sequence that repaints the terminal, a
//! newline that forges a log entry, a bidirectional override that makes `exe.txt` look like
//! `txt.exe`. Every sink of this crate (terminal, log, line to another peer) passes such text
//! through [`escape`] first, so that readers see exactly what was sent.
//!
//! The escapes are those of Rust's string literals, which most readers know. [`is_unsafe`] decides
//! for every sink. Three kinds of characters depend on their context:
//!
//! | character | in a text | in a name |
//! |---|---|---|
//! | zero width joiner and non-joiner, which emoji and the Persian script need | kept | after a character from U+0600 on |
//! | variation selector 16, which gives a symbol its emoji style | after such a symbol | rejected |
//! | spaces other than U+0020 | kept | rejected |

use std::borrow::Cow;

/// Returns `text` with an escape in place of every character that could mislead a terminal, a log
/// or a reader.
///
/// It escapes every [unsafe](is_unsafe) character, except a variation selector 16 behind a symbol.
/// They become `\n`, `\r`, `\t` or `\u{1b}`. A backslash is not escaped, so the result is for
/// reading and not for decoding.
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
    if is_safe_text(text) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for (previous, c) in with_previous(text) {
        if is_unsafe_after(previous, c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Returns whether [`escape`] changes nothing in a text.
pub fn is_safe_text(text: &str) -> bool {
    !with_previous(text).any(|(previous, c)| is_unsafe_after(previous, c))
}

/// Returns whether a name shows every character that it has, so that it cannot imitate another one.
///
/// # Examples
///
/// ```
/// use sockactors::wire::text::is_safe_name;
///
/// assert!(is_safe_name("two words 漢字.txt"));
/// assert!(!is_safe_name("two\u{a0}words.txt"));
/// assert!(!is_safe_name("rep\u{200d}ort.txt"));
/// ```
pub fn is_safe_name(name: &str) -> bool {
    with_previous(name).all(|(previous, c)| match c {
        ' ' => true,
        // No Latin, Greek or Cyrillic letter joins another one.
        ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER => previous.is_some_and(|c| c >= '\u{600}'),
        c => !c.is_whitespace() && !is_unsafe(c),
    })
}

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Gives the symbol before it the style of an emoji.
const VARIATION_SELECTOR_16: char = '\u{fe0f}';

/// Returns the characters of a text, each with the one before it.
fn with_previous(text: &str) -> impl Iterator<Item = (Option<char>, char)> {
    let mut previous = None;
    text.chars().map(move |c| (previous.replace(c), c))
}

fn is_unsafe_after(previous: Option<char>, c: char) -> bool {
    match c {
        VARIATION_SELECTOR_16 => !previous.is_some_and(has_emoji_style),
        c => is_unsafe(c),
    }
}

/// Returns whether a symbol may have two styles. Digits have them too, but look alike in both.
fn has_emoji_style(c: char) -> bool {
    matches!(c,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
        | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{24c2}'
        | '\u{25a0}'..='\u{27bf}' | '\u{2934}' | '\u{2935}' | '\u{2b00}'..='\u{2bff}'
        | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1f9ff}'
    )
}

/// Returns whether a character could mislead a terminal, a log or a reader.
///
/// These are the control characters (C0, DEL and C1, including tab and newline), the line and
/// paragraph separators, the marks, overrides and isolates of the bidirectional algorithm (Unicode
/// UAX #9), and the characters that are not visible. The latter are those that Unicode calls
/// default ignorable, without the zero width joiner and non-joiner, and a few that are blank.
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
            | '\u{202a}'..='\u{202e}'                            // bidirectional overrides
            | '\u{2028}' | '\u{2029}'                            // line and paragraph separator
            | '\u{ad}' | '\u{34f}'                               // soft hyphen, grapheme joiner
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'  // Hangul fillers
            | '\u{17b4}' | '\u{17b5}' | '\u{16fe4}'              // Khmer vowels, Khitan filler
            | '\u{180b}'..='\u{180f}'                            // Mongolian selectors
            | '\u{200b}' | '\u{feff}'                            // zero-width spaces
            | '\u{2060}'..='\u{206f}'                            // operators, isolates, controls
            | '\u{2800}' | '\u{1d159}'                           // blank Braille pattern, notehead
            | '\u{fe00}'..='\u{fe0f}'                            // variation selectors
            | '\u{fff0}'..='\u{fffb}'                            // specials, annotations
            | '\u{13430}'..='\u{1343f}'                          // hieroglyph format controls
            | '\u{1bca0}'..='\u{1bca3}'                          // shorthand format controls
            | '\u{1d173}'..='\u{1d17a}'                          // musical format controls
            | '\u{e0000}'..='\u{e0fff}'                          // tags, variation selectors
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
    fn invisible_characters_are_unsafe_in_texts_and_names() {
        // The default ignorable characters of Unicode 16, without the joiners, and blank ones.
        let ranges = [
            0xad..=0xad,
            0x34f..=0x34f,
            0x61c..=0x61c,
            0x115f..=0x1160,
            0x17b4..=0x17b5,
            0x180b..=0x180f,
            0x200b..=0x200b,
            0x200e..=0x200f,
            0x2028..=0x202e,
            0x2060..=0x206f,
            0x2800..=0x2800,
            0x3164..=0x3164,
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xffa0..=0xffa0,
            0xfff0..=0xfffb,
            0x1bca0..=0x1bca3,
            0x1d173..=0x1d17a,
            0xe0000..=0xe0fff,
        ];
        for c in ranges.into_iter().flatten().filter_map(char::from_u32) {
            assert!(is_unsafe(c), "{c:?}");
            let text = format!("a{c}b");
            assert_eq!(escape(&text), format!("a{}b", c.escape_unicode()));
            assert!(!is_safe_text(&text) && !is_safe_name(&text), "{c:?}");
        }
    }

    #[test]
    fn emoji_style_is_kept_only_behind_symbols() {
        for text in ["❤\u{fe0f}", "👁\u{fe0f}\u{200d}🗨\u{fe0f}", "™\u{fe0f}"] {
            assert_eq!(escape(text), text);
            assert!(!is_safe_name(text), "{text:?}");
        }
        assert_eq!(escape("a\u{fe0f}1\u{fe0f}"), r"a\u{fe0f}1\u{fe0f}");
        assert_eq!(escape("❤\u{fe0f}\u{fe0f}"), "❤\u{fe0f}\\u{fe0f}");
    }

    #[test]
    fn names_have_no_blank_that_imitates_a_space() {
        for c in ['\u{a0}', '\u{2000}', '\u{200a}', '\u{202f}', '\u{205f}', '\u{3000}', '\u{1680}']
        {
            let name = format!("a{c}b");
            assert!(!is_safe_name(&name) && is_safe_text(&name), "{c:?}");
        }
        for name in ["a b", "می\u{200c}خواهم", "👩\u{200d}👧.png", "zoë", "漢字"] {
            assert!(is_safe_name(name), "{name:?}");
        }
        for name in ["a\u{200d}b", "\u{200c}a", "б\u{200c}а"] {
            assert!(!is_safe_name(name), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_has_no_unsafe_character(text in any::<String>()) {
            prop_assert!(is_safe_text(&escape(&text)));
        }

        #[test]
        fn escaping_twice_changes_nothing(
            text in r"(\PC|[\x00-\x1f\\\u{202e}\u{200b}\u{fe0f}\u{2764}])*"
        ) {
            let once = escape(&text).into_owned();
            prop_assert_eq!(escape(&once), once.clone());
        }
    }
}
