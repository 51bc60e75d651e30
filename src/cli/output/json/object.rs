//! A writer of JSON objects and strings. Its output is safe to show on a terminal.

use std::fmt::{Display, Write};

use crate::runtime::json;
use crate::wire::text::is_unsafe;

/// A JSON object that is built field by field.
#[derive(Debug)]
pub struct Object(String);

impl Object {
    /// Creates an object with the version and the name of the event.
    pub fn new(event: &str) -> Object {
        Object("{\"v\":1".to_owned()).string("event", event)
    }

    /// Adds a field whose displayed value must be valid JSON.
    pub fn raw(mut self, name: &str, value: impl Display) -> Object {
        write!(self.0, ",\"{name}\":{value}").expect("writing to a String never fails");
        self
    }

    /// Adds a string field.
    pub fn string(self, name: &str, value: &str) -> Object {
        self.raw(name, quote(value))
    }

    /// Adds a string field if there is a value.
    pub fn opt_string(self, name: &str, value: Option<&str>) -> Object {
        match value {
            Some(value) => self.string(name, value),
            None => self,
        }
    }

    /// Adds a string field with the displayed value.
    pub fn display(self, name: &str, value: impl Display) -> Object {
        self.string(name, &value.to_string())
    }

    /// Adds the field `seconds`. JSON has no infinite numbers and no NaN, so these become 0.
    pub fn seconds(self, seconds: f64) -> Object {
        let seconds = if seconds.is_finite() { seconds } else { 0.0 };
        self.raw("seconds", format_args!("{seconds:.6}"))
    }

    /// Returns the complete object.
    pub fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Returns a text as a JSON string, with its quotation marks.
///
/// Characters that could mislead a terminal are escaped.
pub fn quote(text: &str) -> String {
    json::quote(text, is_unsafe)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parses a JSON string, strictly by RFC 8259.
    fn unquote(json: &str) -> Option<String> {
        let mut inside = json.strip_prefix('"')?.strip_suffix('"')?.chars();
        let mut units: Vec<u16> = Vec::new();
        while let Some(character) = inside.next() {
            let unescaped = match character {
                '\\' => match inside.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => {
                        let digits: String = inside.by_ref().take(4).collect();
                        units.push(u16::from_str_radix(&digits, 16).ok()?);
                        continue;
                    }
                    same @ ('"' | '\\') => same,
                    _ => return None,
                },
                '"' | '\0'..='\x1f' => return None,
                plain => plain,
            };
            units.extend_from_slice(unescaped.encode_utf16(&mut [0; 2]));
        }
        String::from_utf16(&units).ok()
    }

    proptest! {
        #[test]
        fn quoted_text_parses_to_itself(
            text in r"(\PC|[\x00-\x1f\\\u{7f}-\u{9f}\u{200e}\u{202e}\u{e0001}])*"
        ) {
            let json = quote(&text);
            prop_assert!(!json.contains(is_unsafe));
            prop_assert_eq!(unquote(&json), Some(text));
        }
    }

    #[test]
    fn control_and_bidi_characters_are_escaped() {
        assert_eq!(quote("\u{1b}[31m\u{202e}\u{85}\n"), r#""\u001b[31m\u202e\u0085\n""#);
        assert_eq!(quote("grüße \"\\"), r#""grüße \"\\""#);
    }
}
