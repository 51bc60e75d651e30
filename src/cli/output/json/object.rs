//! A JSON object, and a string in it, as they are written: complete, and safe to show.

use std::fmt::{Display, Write};

use crate::runtime::json;
use crate::wire::text::is_unsafe;

/// A JSON object that grows field by field.
#[derive(Debug)]
pub struct Object(String);

impl Object {
    /// Begins an object that tells of `event`.
    pub fn new(event: &str) -> Object {
        Object("{\"v\":1".to_owned()).string("event", event)
    }

    /// Adds a field whose value is valid JSON as it is displayed.
    pub fn raw(mut self, name: &str, value: impl Display) -> Object {
        write!(self.0, ",\"{name}\":{value}").expect("a String takes any text");
        self
    }

    /// Adds a text.
    pub fn string(self, name: &str, value: &str) -> Object {
        self.raw(name, quote(value))
    }

    /// Adds a text, where there is one.
    pub fn opt_string(self, name: &str, value: Option<&str>) -> Object {
        match value {
            Some(value) => self.string(name, value),
            None => self,
        }
    }

    /// Adds what a value is displayed as, as a text.
    pub fn display(self, name: &str, value: impl Display) -> Object {
        self.string(name, &value.to_string())
    }

    /// Adds a time in seconds; what is no finite number has no place in JSON and becomes 0.
    pub fn seconds(self, seconds: f64) -> Object {
        let seconds = if seconds.is_finite() { seconds } else { 0.0 };
        self.raw("seconds", format_args!("{seconds:.6}"))
    }

    /// Returns the whole object.
    pub fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Returns a text as a JSON string, with its quotation marks. Characters that could mislead a
/// terminal are escaped.
pub fn quote(text: &str) -> String {
    json::quote(text, is_unsafe)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a JSON string back, strictly as RFC 8259 says.
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
        fn any_text_comes_back_from_its_json(text in r"(\PC|[\x00-\x1f\\\u{7f}-\u{9f}\u{200e}\u{202e}\u{e0001}])*") {
            let json = quote(&text);
            prop_assert!(!json.contains(is_unsafe));
            prop_assert_eq!(unquote(&json), Some(text));
        }
    }

    #[test]
    fn control_and_direction_are_escaped() {
        assert_eq!(quote("\u{1b}[31m\u{202e}\u{85}\n"), r#""\u001b[31m\u202e\u0085\n""#);
        assert_eq!(quote("grüße \"\\"), r#""grüße \"\\""#);
    }
}
