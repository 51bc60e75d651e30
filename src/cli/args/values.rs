//! Conversion of a flag's text to its value, within its range.
//!
//! Each function takes the name of the flag in messages (`--clients`, or `SOCKACTORS_CLIENTS` if
//! the text is from the environment) and the text. Its error names both, and the accepted form.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::actors::{Dialect, OnConflict, Reconnect};
use crate::cli::output::settings::Color;
use crate::net::{Endpoint, ListenAddress};
use crate::scenario::{Role, Scenario};
use crate::wire::units;

/// The values of `--on-conflict`.
pub const ON_CONFLICT_CHOICES: [(&str, OnConflict); 4] = [
    ("fail", OnConflict::Fail),
    ("rename", OnConflict::Rename),
    ("overwrite", OnConflict::Overwrite),
    ("skip", OnConflict::Skip),
];

/// The values of `--dialect`.
pub const DIALECT_CHOICES: [(&str, Option<Dialect>); 3] =
    [("auto", None), ("lecture", Some(Dialect::Lecture)), ("line", Some(Dialect::Line))];

/// The values of `--reconnect`.
pub const RECONNECT_CHOICES: [(&str, Option<Reconnect>); 3] =
    [("auto", None), ("always", Some(Reconnect::Always)), ("never", Some(Reconnect::Never))];

/// The values of `--resume`.
pub const RESUME_CHOICES: [(&str, bool); 2] = [("auto", true), ("off", false)];

/// The values of `--color`.
pub const COLOR_CHOICES: [(&str, Color); 3] =
    [("auto", Color::Auto), ("always", Color::Always), ("never", Color::Never)];

/// Returns the value of one of several words.
///
/// # Errors
///
/// Returns a sentence that lists the words.
pub fn one_of<T: Copy>(name: &str, text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    match choices.iter().find(|choice| choice.0 == text) {
        Some(choice) => Ok(choice.1),
        None => {
            let words: Vec<&str> = choices.iter().map(|choice| choice.0).collect();
            Err(format!("{name}: {text:?} is not one of {}", words.join(", ")))
        }
    }
}

/// Reads the value of `--scenario`.
///
/// # Errors
///
/// Returns a sentence that lists the scenarios.
pub fn scenario(name: &str, text: &str) -> Result<Scenario, String> {
    one_of(name, text, &Scenario::ALL.map(|scenario| (scenario.name(), scenario)))
}

/// Reads the value of `--role`.
///
/// # Errors
///
/// Returns a sentence that lists the roles.
pub fn role(name: &str, text: &str) -> Result<Role, String> {
    one_of(name, text, &Role::ALL.map(|role| (role.name(), role)))
}

/// Reads a whole number in a range.
///
/// # Errors
///
/// Returns a sentence with the range.
pub fn integer<T>(name: &str, text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    // `parse` would accept a leading plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && range.contains(&number) => Ok(number),
        _ => {
            let (from, to) = (range.start(), range.end());
            Err(format!("{name}: {text:?} is not a whole number from {from} to {to}"))
        }
    }
}

/// Reads a whole number of 1 or more.
///
/// # Errors
///
/// Returns a sentence with that minimum.
pub fn positive<T>(name: &str, text: &str) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display + From<u8>,
{
    match text.parse() {
        Ok(number) if !text.starts_with('+') && number >= T::from(1) => Ok(number),
        _ => Err(format!("{name}: {text:?} is not a whole number of 1 or more")),
    }
}

/// Reads a name that `validate` accepts.
///
/// # Errors
///
/// Returns a sentence with the reason from `validate`.
pub fn validated_name(
    name: &str,
    text: &str,
    validate: fn(&str) -> Result<(), &'static str>,
) -> Result<String, String> {
    match validate(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(reason) => Err(format!("{name}: {text:?} is not a valid name: {reason}")),
    }
}

/// Reads a rate: `N/DUR`, or `N/s` for a second.
///
/// # Errors
///
/// Returns a sentence with an example.
pub fn rate(name: &str, text: &str) -> Result<(u32, Duration), String> {
    let Some((count, period)) = text.split_once('/') else {
        return Err(format!("{name}: {text:?} is not a rate: write N/DUR, such as 100/10s"));
    };
    // A unit without a number means one unit: `100/s` is `100/1s`.
    let one = format!("1{period}");
    let period = if period.starts_with(|c: char| c.is_ascii_alphabetic()) { &one } else { period };
    Ok((positive(name, count)?, nonzero_duration(name, period)?))
}

/// Reads a percentage, with or without its sign: `5`, `0.5%`.
///
/// # Errors
///
/// Returns a sentence with the range.
pub fn percent(name: &str, text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match number.parse() {
        Ok(percentage) if is_plain && (0.0..=100.0).contains(&percentage) => Ok(percentage),
        _ => Err(format!("{name}: {text:?} is not a percentage from 0 to 100")),
    }
}

/// Reads a duration with a unit.
///
/// # Errors
///
/// Returns a sentence with examples.
pub fn duration(name: &str, text: &str) -> Result<Duration, String> {
    units::parse_duration(text).map_err(|error| format!("{name}: {error}"))
}

/// Reads a duration above zero.
///
/// # Errors
///
/// Returns a sentence with examples or that minimum.
pub fn nonzero_duration(name: &str, text: &str) -> Result<Duration, String> {
    match duration(name, text)? {
        Duration::ZERO => Err(format!("{name}: {text:?} is too short; it must be above 0")),
        duration => Ok(duration),
    }
}

/// Reads a timeout. `off` and a duration of zero are `None`.
///
/// # Errors
///
/// Returns a sentence with examples.
pub fn optional_duration(name: &str, text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" => Ok(None),
        text => duration(name, text).map(|time| Some(time).filter(|time| !time.is_zero())),
    }
}

/// Reads a size in bytes, with or without a unit, in a range.
///
/// # Errors
///
/// Returns a sentence with examples or the range.
pub fn size(name: &str, text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let size = units::parse_size(text).map_err(|error| format!("{name}: {error}"))?;
    if range.contains(&size) {
        return Ok(size);
    }
    match (range.start(), range.end()) {
        (from, &u64::MAX) => Err(format!("{name}: {text:?} is below the minimum of {from} bytes")),
        (from, to) => Err(format!("{name}: {text:?} is not from {from} to {to} bytes")),
    }
}

/// Reads a number of bytes per second: a size and `/s`. `0` needs neither unit.
///
/// # Errors
///
/// Returns a sentence with an example.
pub fn byte_rate(name: &str, text: &str) -> Result<u64, String> {
    match text.strip_suffix("/s") {
        Some(bytes) => size(name, bytes, 0..=u64::MAX),
        None if text == "0" => Ok(0),
        None => {
            Err(format!("{name}: {text:?} is not a rate: write a size per second, such as 64B/s"))
        }
    }
}

/// Reads an endpoint. A host without a port has the default port.
///
/// # Errors
///
/// Returns a sentence with the reason.
pub fn endpoint(name: &str, text: &str, default_port: u16) -> Result<Endpoint, String> {
    match listen_address(name, text, default_port)? {
        ListenAddress { endpoint, mode: None, .. } => Ok(endpoint),
        ListenAddress { endpoint, .. } => {
            Err(format!("{name}: only --listen sets a mode; write {endpoint}"))
        }
    }
}

/// Reads an address to listen on. A host without a port has the default port.
///
/// # Errors
///
/// Returns a sentence with the reason.
pub fn listen_address(name: &str, text: &str, default_port: u16) -> Result<ListenAddress, String> {
    let address = ListenAddress::parse_with_default_port(text, default_port);
    address.map_err(|error| format!("{name}: {error}"))
}

/// Reads the actor to crash and the number of crashes: `PATH` or `PATH=N`.
///
/// # Errors
///
/// Returns a sentence with the form.
pub fn drill(name: &str, text: &str) -> Result<(String, u32), String> {
    let (path, count) = match text.split_once('=') {
        Some((path, count)) => (path, positive(name, count)?),
        None => (text, 1),
    };
    match path {
        "" => Err(format!("{name}: {text:?} names no actor: write PATH or PATH=N")),
        path => Ok((path.to_owned(), count)),
    }
}

/// Reads the path of a directory.
///
/// # Errors
///
/// Returns a sentence if it is empty.
pub fn directory<'a>(name: &str, text: &'a str) -> Result<&'a str, String> {
    match text {
        "" => Err(format!("{name}: the directory is empty; \".\" is the current directory")),
        text => Ok(text),
    }
}

/// Reads the path of a file.
///
/// # Errors
///
/// Returns a sentence if it is empty.
pub fn file<'a>(name: &str, text: &'a str) -> Result<&'a str, String> {
    match text {
        "" => Err(format!("{name}: the file name is empty")),
        text => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_out_of_range_names_the_range() {
        assert_eq!(integer("--threads", "64", 1..=64), Ok(64));
        for wrong in ["0", "65", "-1", "+2", "", "many", "99999999999999999999"] {
            let error = integer("--threads", wrong, 1..=64).unwrap_err();
            assert_eq!(error, format!("--threads: {wrong:?} is not a whole number from 1 to 64"));
        }
    }

    #[test]
    fn zero_timeout_fails_and_zero_limit_is_off() {
        assert_eq!(nonzero_duration("--timeout", "150ms"), Ok(Duration::from_millis(150)));
        assert!(nonzero_duration("--timeout", "0s").unwrap_err().contains("above 0"));
        assert_eq!(optional_duration("--idle-timeout", "0s"), Ok(None));
        assert_eq!(optional_duration("--idle-timeout", "off"), Ok(None));
        assert_eq!(optional_duration("--idle-timeout", "2s"), Ok(Some(Duration::from_secs(2))));
    }

    #[test]
    fn size_accepts_a_unit_within_its_range() {
        assert_eq!(size("--buffer-size", "2KiB", 1..=65535), Ok(2048));
        let error = size("--buffer-size", "64KiB", 1..=65535).unwrap_err();
        assert_eq!(error, "--buffer-size: \"64KiB\" is not from 1 to 65535 bytes");
        assert!(size("--max-size", "lots", 1..=u64::MAX).unwrap_err().contains("not a size"));
    }

    #[test]
    fn drill_is_a_path_with_an_optional_count() {
        assert_eq!(drill("--drill", "listener"), Ok(("listener".to_owned(), 1)));
        assert_eq!(drill("--drill", "chat/room=3"), Ok(("chat/room".to_owned(), 3)));
        for wrong in ["", "=2", "room=0", "room="] {
            assert!(drill("--drill", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rate_is_a_number_per_duration_or_unit() {
        assert_eq!(rate("--rate", "100/10s"), Ok((100, Duration::from_secs(10))));
        assert_eq!(rate("--reply-rate", "5/s"), Ok((5, Duration::from_secs(1))));
        for wrong in ["5", "5/", "/s", "0/s", "5/x", "5/0s", "-1/s"] {
            assert!(rate("--rate", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn percentage_is_a_plain_number_up_to_100() {
        assert_eq!(percent("--max-loss", "0.5%"), Ok(0.5));
        assert_eq!(percent("--max-loss", "100"), Ok(100.0));
        for wrong in ["", "%", "-1", "101", "1e1", "nan", "+5", "5%%"] {
            assert!(percent("--max-loss", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn unknown_word_lists_the_choices() {
        let choices = [("auto", 1), ("never", 2)];
        assert_eq!(one_of("--color", "never", &choices), Ok(2));
        let error = one_of("--color", "blue", &choices).unwrap_err();
        assert_eq!(error, "--color: \"blue\" is not one of auto, never");
    }
}
