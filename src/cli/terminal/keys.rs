//! The keys of a person, from the bytes of a terminal to the bytes for the line editor.
//!
//! The editor fails at a byte that is not UTF-8, and types the parameters of a sequence that it
//! does not know. So a [`KeyFilter`] replaces invalid bytes with U+FFFD, and drops reports of the
//! mouse.
//!
//! A paste is text and not keys. The terminal marks its beginning and its end. Each of its lines is
//! forwarded as a paste of one line and the Enter key, so a Tab is literal. In a paste of several
//! lines a leading slash is doubled, so that no line is a command. A long paste waits for a
//! confirmation.

use crate::wire::text::decode_lossy;
use crate::wire::utf8::Utf8Decoder;

/// The number of lines up to which a paste is sent without a confirmation.
const MAX_UNCONFIRMED_LINES: usize = 10;

/// The maximum size of a paste in bytes. The rest is dropped.
const MAX_PASTE_LEN: usize = 1 << 20;

/// The maximum length of an escape sequence. A longer one is forwarded as keys.
const MAX_SEQUENCE_LEN: usize = 64;

pub(super) const CTRL_C: u8 = 3;
const CTRL_Z: u8 = 26;
const ESCAPE: u8 = 0x1b;
const PASTE_START: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
const MOUSE_REPORT: &[u8] = b"\x1b[M";

/// The length of a mouse report: the button and the position are one byte each.
const MOUSE_REPORT_LEN: usize = MOUSE_REPORT.len() + 3;

/// A consequence of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyAction {
    /// Forward these bytes to the editor.
    Forward(Vec<u8>),
    /// Ctrl-C was pressed.
    Interrupt,
    /// Ctrl-Z was pressed.
    Suspend,
    /// Show this text to the person.
    Show(String),
}

/// A filter between the terminal and the editor.
#[derive(Debug, Default)]
pub(super) struct KeyFilter {
    mode: Mode,
    /// The beginning of a sequence that is not complete.
    held: Vec<u8>,
    decoder: Utf8Decoder,
    /// Whether the last forwarded key was Enter.
    is_after_enter: bool,
}

#[derive(Debug, Default)]
enum Mode {
    #[default]
    Keys,
    /// Collects the bytes of a paste.
    Paste(Vec<u8>),
    /// Waits for the confirmation of a paste, given as keys for the editor.
    Confirm(Vec<u8>),
}

/// The sequence at the beginning of some bytes.
enum Sequence {
    PasteStart,
    /// A sequence of this length that is no key.
    Ignored(usize),
    Incomplete,
    /// A sequence for the editor.
    Key,
}

impl KeyFilter {
    /// Filters bytes of the terminal. `is_line_empty` tells whether the editor's line is empty.
    pub(super) fn push(&mut self, bytes: &[u8], is_line_empty: bool) -> Vec<KeyAction> {
        let mut actions = Vec::new();
        // A terminal that never marks the end of a paste must not disable Ctrl-C.
        if matches!(self.mode, Mode::Paste(_)) && bytes == [CTRL_C] {
            *self = KeyFilter::default();
            return vec![KeyAction::Interrupt];
        }
        let mut input = std::mem::take(&mut self.held);
        input.extend_from_slice(bytes);
        let mut rest = &input[..];
        while !rest.is_empty() {
            rest = match &mut self.mode {
                Mode::Keys => self.push_keys(rest, &mut actions),
                Mode::Confirm(_) => self.confirm(rest, &mut actions),
                Mode::Paste(paste) => match find(rest, PASTE_END) {
                    Some(end) => {
                        append_limited(paste, &rest[..end]);
                        self.finish_paste(is_line_empty, &mut actions);
                        &rest[end + PASTE_END.len()..]
                    }
                    None => {
                        let complete = rest.len() - partial_suffix_len(rest, PASTE_END);
                        append_limited(paste, &rest[..complete]);
                        self.held = rest[complete..].to_vec();
                        &[]
                    }
                },
            };
        }
        actions
    }

    /// Returns whether the beginning of a sequence waits for its rest, which may never come.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.mode, Mode::Keys) && !self.held.is_empty()
    }

    /// Returns the beginning of a sequence as keys: its rest did not come.
    pub(super) fn take_waiting(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        self.decoder.push(&held).into_bytes()
    }

    /// Handles keys up to the next one with a meaning. Returns the others.
    fn push_keys<'a>(&mut self, input: &'a [u8], actions: &mut Vec<KeyAction>) -> &'a [u8] {
        let is_special = |byte: &u8| matches!(*byte, CTRL_C | CTRL_Z | ESCAPE);
        let (plain, rest) =
            input.split_at(input.iter().position(is_special).unwrap_or(input.len()));
        if !plain.is_empty() {
            self.forward(plain, actions);
            return rest;
        }
        let (length, action) = match input[0] {
            CTRL_C => (1, Some(KeyAction::Interrupt)),
            CTRL_Z => (1, Some(KeyAction::Suspend)),
            _ => match parse_sequence(input) {
                Sequence::PasteStart => {
                    self.mode = Mode::Paste(Vec::new());
                    (PASTE_START.len(), None)
                }
                Sequence::Ignored(length) => (length, None),
                Sequence::Incomplete => {
                    self.held = input.to_vec();
                    (input.len(), None)
                }
                Sequence::Key => {
                    self.forward(&input[..1], actions);
                    (1, None)
                }
            },
        };
        actions.extend(action);
        &input[length..]
    }

    fn forward(&mut self, keys: &[u8], actions: &mut Vec<KeyAction>) {
        let keys = self.decoder.push(keys).into_bytes();
        if let Some(last) = keys.last() {
            self.is_after_enter = is_enter(*last);
            actions.push(KeyAction::Forward(keys));
        }
    }

    /// Sends or drops the paste that waits, and consumes the key that decided it.
    fn confirm<'a>(&mut self, input: &'a [u8], actions: &mut Vec<KeyAction>) -> &'a [u8] {
        let Mode::Confirm(keys) = std::mem::take(&mut self.mode) else { return input };
        if is_enter(input[0]) {
            self.is_after_enter = keys.last().copied().is_some_and(is_enter);
            actions.push(KeyAction::Forward(keys));
            return &input[1..];
        }
        actions.push(KeyAction::Show("the paste was dropped".into()));
        // Another paste is not the answer to the question about this one.
        if input.starts_with(PASTE_START) { input } else { &[] }
    }

    fn finish_paste(&mut self, is_line_empty: bool, actions: &mut Vec<KeyAction>) {
        let Mode::Paste(paste) = std::mem::take(&mut self.mode) else { return };
        let is_at_start = is_line_empty || self.is_after_enter;
        let text = decode_lossy(&paste).replace("\r\n", "\n").replace('\r', "\n");
        let count = text.lines().count();
        let mut keys = Vec::new();
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let line_text: String =
                line.chars().filter(|c| *c == '\t' || !c.is_control()).collect();
            if !line_text.is_empty() {
                keys.extend_from_slice(PASTE_START);
                let is_command = line_text.starts_with('/') && (index > 0 || is_at_start);
                keys.extend(is_command.then_some(b'/').filter(|_| count > 1));
                keys.extend_from_slice(line_text.as_bytes());
                keys.extend_from_slice(PASTE_END);
            }
            if line.ends_with('\n') {
                keys.push(b'\r');
            }
        }
        if paste.len() == MAX_PASTE_LEN {
            let notice = format!("the paste is cut: more than {MAX_PASTE_LEN} bytes");
            actions.push(KeyAction::Show(notice));
        }
        if count > MAX_UNCONFIRMED_LINES {
            let question = "Enter sends them, any other key drops them";
            actions.push(KeyAction::Show(format!("paste of {count} lines: {question}")));
            self.mode = Mode::Confirm(keys);
        } else if let Some(last) = keys.last() {
            self.is_after_enter = is_enter(*last);
            actions.push(KeyAction::Forward(keys));
        }
    }
}

/// Parses the sequence at the beginning of `input`, which begins with the escape character.
///
/// A private sequence, with one of `<=>?` after the bracket, is a report and no key.
fn parse_sequence(input: &[u8]) -> Sequence {
    if input.starts_with(PASTE_START) {
        return Sequence::PasteStart;
    }
    if input.starts_with(MOUSE_REPORT) {
        let is_complete = input.len() >= MOUSE_REPORT_LEN;
        return if is_complete {
            Sequence::Ignored(MOUSE_REPORT_LEN)
        } else {
            Sequence::Incomplete
        };
    }
    if matches!(input, [ESCAPE, b'[', b'<'..=b'?', ..]) && input.len() <= MAX_SEQUENCE_LEN {
        let end = input[2..].iter().position(|byte| matches!(byte, b'@'..=b'~'));
        return end.map_or(Sequence::Incomplete, |end| Sequence::Ignored(end + 3));
    }
    if PASTE_START.starts_with(input) { Sequence::Incomplete } else { Sequence::Key }
}

fn is_enter(key: u8) -> bool {
    matches!(key, b'\r' | b'\n')
}

/// Appends bytes up to [`MAX_PASTE_LEN`].
fn append_limited(paste: &mut Vec<u8>, bytes: &[u8]) {
    let free = MAX_PASTE_LEN.saturating_sub(paste.len());
    paste.extend_from_slice(&bytes[..bytes.len().min(free)]);
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Returns the length of the longest end of `bytes` with which `wanted` begins.
fn partial_suffix_len(bytes: &[u8], wanted: &[u8]) -> usize {
    let longest = bytes.len().min(wanted.len() - 1);
    let is_partial = |length: &usize| wanted.starts_with(&bytes[bytes.len() - length..]);
    (1..=longest).rev().find(is_partial).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pushes chunks while the editor's line is empty. Joins the forwarded bytes.
    fn actions_of(chunks: &[&[u8]]) -> Vec<KeyAction> {
        let mut filter = KeyFilter::default();
        join(chunks.iter().flat_map(|chunk| filter.push(chunk, true)))
    }

    fn join(actions: impl IntoIterator<Item = KeyAction>) -> Vec<KeyAction> {
        let mut joined = Vec::new();
        for action in actions {
            match (joined.last_mut(), action) {
                (Some(KeyAction::Forward(keys)), KeyAction::Forward(more)) => keys.extend(more),
                (_, action) => joined.push(action),
            }
        }
        joined
    }

    fn forward(keys: &str) -> KeyAction {
        KeyAction::Forward(keys.into())
    }

    fn paste(text: &str) -> Vec<u8> {
        [PASTE_START, text.as_bytes(), PASTE_END].concat()
    }

    /// Returns the keys for lines of a paste, each of which ends with Enter.
    fn pasted_lines(lines: &[&str]) -> String {
        let lines = lines.iter().map(|line| format!("\x1b[200~{line}\x1b[201~\r"));
        lines.collect()
    }

    #[test]
    fn invalid_bytes_are_replaced() {
        assert_eq!(actions_of(&[b"caf\xe9\r"]), [forward("caf\u{fffd}\r")]);
        assert_eq!(actions_of(&[b"\xff"]), [forward("\u{fffd}")]);
        assert_eq!(actions_of(&["é".as_bytes()]), [forward("é")]);
        assert_eq!(actions_of(&[b"\xc3", b"\xa9"]), [forward("é")]);
    }

    #[test]
    fn reports_of_the_mouse_are_dropped() {
        assert_eq!(actions_of(&[b"a\x1b[M \xe4\xa1b"]), [forward("ab")]);
        assert_eq!(actions_of(&[b"a\x1b[", b"M \xe4", b"\xa1b"]), [forward("ab")]);
        assert_eq!(actions_of(&[b"a\x1b[<0;132;7Mb\x1b[<0;1", b"32;7mc"]), [forward("abc")]);
    }

    #[test]
    fn keys_of_the_editor_are_unchanged() {
        let keys = "\x1b[A\x1bOH\x1b[3~\x1b[1;5Cx\x1bb\t\x01\x04\u{7f}";
        assert_eq!(actions_of(&[keys.as_bytes()]), [forward(keys)]);
        assert_eq!(
            actions_of(&[b"a\x03b\x1ac"]),
            [forward("a"), KeyAction::Interrupt, forward("b"), KeyAction::Suspend, forward("c")]
        );
    }

    #[test]
    fn lone_escape_waits_and_is_forwarded() {
        let mut filter = KeyFilter::default();
        assert_eq!(filter.push(b"\x1b", true), []);
        assert!(filter.is_waiting());
        assert_eq!(filter.take_waiting(), b"\x1b");
        assert!(!filter.is_waiting());
    }

    #[test]
    fn single_pasted_line_is_unchanged() {
        assert_eq!(actions_of(&[&paste("/nick\tada")]), [forward("\x1b[200~/nick\tada\x1b[201~")]);
        assert_eq!(actions_of(&[&paste("/who\r")]), [forward(&pasted_lines(&["/who"]))]);
    }

    #[test]
    fn lines_of_a_paste_are_no_commands() {
        let expected = pasted_lines(&["//quit", "b", "//kick\tx"]) + "\x1b[200~end\x1b[201~";
        assert_eq!(actions_of(&[&paste("/quit\r\nb\n/kick\tx\rend")]), [forward(&expected)]);
        let mut filter = KeyFilter::default();
        filter.push(b"/msg bob ", true);
        let expected = pasted_lines(&["/etc", "//usr"]);
        assert_eq!(filter.push(&paste("/etc\n/usr\n"), false), [forward(&expected)]);
        // The editor may not have handled the Enter key yet.
        filter.push(b"hello\r", false);
        let expected = pasted_lines(&["//etc", "b"]);
        assert_eq!(filter.push(&paste("/etc\nb\n"), false), [forward(&expected)]);
    }

    #[test]
    fn control_characters_of_a_paste_are_dropped() {
        let expected = forward("\x1b[200~a[2Jb\x1b[201~");
        assert_eq!(actions_of(&[&paste("a\x03\x1a\x04\x1b[2J\u{9b}b")]), [expected]);
    }

    #[test]
    fn long_paste_is_confirmed_once() {
        let text: String = (0..11).map(|k| format!("{k}\n")).collect();
        let lines: Vec<String> = (0..11).map(|k| k.to_string()).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let sent = forward(&pasted_lines(&lines));
        let mut filter = KeyFilter::default();
        let asked = filter.push(&paste(&text), true);
        assert!(matches!(&asked[..], [KeyAction::Show(text)] if text.contains("11 lines")));
        assert_eq!(filter.push(b"\rx", true), [sent, forward("x")]);
        for refusal in [&b"n"[..], b"\x03", b"\x1b[A"] {
            assert_eq!(filter.push(&paste(&text), true).len(), 1);
            assert!(matches!(&filter.push(refusal, true)[..], [KeyAction::Show(_)]));
            assert_eq!(filter.push(b"x", true), [forward("x")]);
        }
    }

    #[test]
    fn paste_is_bounded_and_can_be_interrupted() {
        let mut filter = KeyFilter::default();
        let actions = filter.push(&paste(&"x".repeat(MAX_PASTE_LEN + 9)), true);
        let [KeyAction::Show(_), KeyAction::Forward(keys)] = &actions[..] else {
            panic!("{}", actions.len());
        };
        assert_eq!(keys.len(), PASTE_START.len() + MAX_PASTE_LEN + PASTE_END.len());
        assert_eq!(filter.push(b"\x1b[200~without an end", true), []);
        assert_eq!(filter.push(b"\x03", true), [KeyAction::Interrupt]);
        assert_eq!(filter.push(b"x", true), [forward("x")]);
    }

    proptest! {
        #[test]
        fn split_of_the_input_changes_nothing(
            bytes in proptest::collection::vec(
                prop_oneof![
                    any::<u8>().prop_map(|byte| vec![byte]),
                    Just(PASTE_START.to_vec()),
                    Just(PASTE_END.to_vec()),
                    Just(b"\x1b[M".to_vec()),
                    Just(b"\r/quit".to_vec()),
                ],
                0..30,
            ),
            size in 2_usize..9,
        ) {
            let bytes = bytes.concat();
            let mut whole = KeyFilter::default();
            let mut split = KeyFilter::default();
            // A paste that waits for an answer drops the rest of the piece.
            let expected = join(whole.push(&bytes, true));
            let actual = join(bytes.chunks(size).flat_map(|chunk| split.push(chunk, true)));
            let asks = |actions: &[KeyAction]| {
                actions.iter().any(|action| matches!(action, KeyAction::Show(_)))
            };
            prop_assume!(!asks(&expected) && !bytes.chunks(size).any(|chunk| chunk == [CTRL_C]));
            prop_assert_eq!(actual, expected);
        }

        #[test]
        fn forwarded_bytes_are_utf8(bytes in any::<Vec<u8>>()) {
            let mut filter = KeyFilter::default();
            for action in filter.push(&bytes, false) {
                if let KeyAction::Forward(keys) = action {
                    prop_assert!(std::str::from_utf8(&keys).is_ok());
                }
            }
        }
    }
}
