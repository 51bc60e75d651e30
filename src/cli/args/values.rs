//! From the text of a flag to its value, in its range.
//!
//! Each function takes what to call the flag (`--clients`, or `SOCKACTORS_CLIENTS` where the text came from
//! the environment) and the text, and on failure names both and says what would be right.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::net::Endpoint;
use crate::wire::units;

/// Reads one of several words.
///
/// # Errors
///
/// Returns a sentence that lists the words.
pub fn one_of<T: Copy>(called: &str, text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    match choices.iter().find(|choice| choice.0 == text) {
        Some(choice) => Ok(choice.1),
        None => {
            let names: Vec<&str> = choices.iter().map(|choice| choice.0).collect();
            Err(format!("{called}: {text:?} is none of {}", names.join(", ")))
        }
    }
}

/// Reads a whole number in a range.
///
/// # Errors
///
/// Returns a sentence that says the range.
pub fn integer<T>(called: &str, text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    // `parse` takes a leading plus sign, which nobody means here.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && range.contains(&number) => Ok(number),
        _ => {
            let (from, to) = (range.start(), range.end());
            Err(format!("{called}: {text:?} is not a whole number from {from} to {to}"))
        }
    }
}

/// Reads a whole number of which at least one is needed.
///
/// # Errors
///
/// Returns a sentence that says so.
pub fn positive<T>(called: &str, text: &str) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display + From<u8>,
{
    match text.parse() {
        Ok(number) if !text.starts_with('+') && number >= T::from(1) => Ok(number),
        _ => Err(format!("{called}: {text:?} is not a whole number of 1 or more")),
    }
}

/// Reads a name that `judge` finds nothing wrong with.
///
/// # Errors
///
/// Returns a sentence with what is wrong.
pub fn validated_name(
    called: &str,
    text: &str,
    judge: fn(&str) -> Result<(), &'static str>,
) -> Result<String, String> {
    match judge(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(why) => Err(format!("{called}: {text:?} is not a name: {why}")),
    }
}

/// Reads how many of something there may be in which time: `N/DUR`, or `N/s` for a second.
///
/// # Errors
///
/// Returns a sentence with an example.
pub fn rate(called: &str, text: &str) -> Result<(u32, Duration), String> {
    let Some((count, within)) = text.split_once('/') else {
        return Err(format!("{called}: {text:?} is no number and time, as in 100/10s"));
    };
    // A unit alone is one of it.
    let one = format!("1{within}");
    let within = if within.starts_with(|c: char| c.is_ascii_alphabetic()) { &one } else { within };
    Ok((positive(called, count)?, nonzero_duration(called, within)?))
}

/// Reads a share in percent, with or without its sign: `5`, `0.5%`.
///
/// # Errors
///
/// Returns a sentence that says the range.
pub fn percent(called: &str, text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match number.parse() {
        Ok(share) if is_plain && (0.0..=100.0).contains(&share) => Ok(share),
        _ => Err(format!("{called}: {text:?} is not from 0 to 100 percent")),
    }
}

/// Reads a duration with a unit.
///
/// # Errors
///
/// Returns a sentence with examples.
pub fn duration(called: &str, text: &str) -> Result<Duration, String> {
    units::parse_duration(text).map_err(|error| format!("{called}: {error}"))
}

/// Reads a duration that is longer than nothing.
///
/// # Errors
///
/// Returns a sentence that says so.
pub fn nonzero_duration(called: &str, text: &str) -> Result<Duration, String> {
    match duration(called, text)? {
        Duration::ZERO => Err(format!("{called}: {text:?} is no time at all; it must be above 0")),
        duration => Ok(duration),
    }
}

/// Reads a limit in time, which `off` and a duration of nothing turn off.
///
/// # Errors
///
/// Returns a sentence with examples.
pub fn optional_duration(called: &str, text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" => Ok(None),
        text => duration(called, text).map(|time| Some(time).filter(|time| !time.is_zero())),
    }
}

/// Reads a size in bytes, with or without a unit, in a range.
///
/// # Errors
///
/// Returns a sentence with examples or the range.
pub fn size(called: &str, text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let size = units::parse_size(text).map_err(|error| format!("{called}: {error}"))?;
    if range.contains(&size) {
        return Ok(size);
    }
    match (range.start(), range.end()) {
        (from, &u64::MAX) => Err(format!("{called}: {text:?} is below the least, {from} bytes")),
        (from, to) => Err(format!("{called}: {text:?} is not from {from} to {to} bytes")),
    }
}

/// Reads an endpoint.
///
/// # Errors
///
/// Returns a sentence that says what is wrong with it.
pub fn endpoint(called: &str, text: &str) -> Result<Endpoint, String> {
    text.parse().map_err(|error| format!("{called}: {error}"))
}

/// Reads which actor to crash, and how often: `PATH` or `PATH=TIMES`.
///
/// # Errors
///
/// Returns a sentence that says the form.
pub fn drill(called: &str, text: &str) -> Result<(String, u32), String> {
    let (path, times) = match text.split_once('=') {
        Some((path, times)) => (path, positive(called, times)?),
        None => (text, 1),
    };
    match path {
        "" => Err(format!("{called}: {text:?} names no actor; give PATH or PATH=TIMES")),
        path => Ok((path.to_owned(), times)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_outside_of_its_range_is_told_the_range() {
        assert_eq!(integer("--threads", "64", 1..=64), Ok(64));
        for wrong in ["0", "65", "-1", "+2", "", "many", "99999999999999999999"] {
            let error = integer("--threads", wrong, 1..=64).unwrap_err();
            assert_eq!(error, format!("--threads: {wrong:?} is not a whole number from 1 to 64"));
        }
    }

    #[test]
    fn a_timeout_of_nothing_is_refused_and_a_limit_of_nothing_is_off() {
        assert_eq!(nonzero_duration("--timeout", "150ms"), Ok(Duration::from_millis(150)));
        assert!(nonzero_duration("--timeout", "0s").unwrap_err().contains("above 0"));
        assert_eq!(optional_duration("--idle-timeout", "0s"), Ok(None));
        assert_eq!(optional_duration("--idle-timeout", "off"), Ok(None));
        assert_eq!(optional_duration("--idle-timeout", "2s"), Ok(Some(Duration::from_secs(2))));
    }

    #[test]
    fn a_size_takes_a_unit_and_has_a_range() {
        assert_eq!(size("--buffer-size", "2KiB", 1..=65535), Ok(2048));
        let error = size("--buffer-size", "64KiB", 1..=65535).unwrap_err();
        assert_eq!(error, "--buffer-size: \"64KiB\" is not from 1 to 65535 bytes");
        assert!(size("--max-size", "lots", 1..=u64::MAX).unwrap_err().contains("not a size"));
    }

    #[test]
    fn a_drill_is_a_path_and_perhaps_a_number() {
        assert_eq!(drill("--drill", "listener"), Ok(("listener".to_owned(), 1)));
        assert_eq!(drill("--drill", "chat/room=3"), Ok(("chat/room".to_owned(), 3)));
        for wrong in ["", "=2", "room=0", "room="] {
            assert!(drill("--drill", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rate_is_a_number_and_a_time_or_a_unit() {
        assert_eq!(rate("--rate", "100/10s"), Ok((100, Duration::from_secs(10))));
        assert_eq!(rate("--reply-rate", "5/s"), Ok((5, Duration::from_secs(1))));
        for wrong in ["5", "5/", "/s", "0/s", "5/x", "5/0s", "-1/s"] {
            assert!(rate("--rate", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_share_is_a_number_of_percent() {
        assert_eq!(percent("--max-loss", "0.5%"), Ok(0.5));
        assert_eq!(percent("--max-loss", "100"), Ok(100.0));
        for wrong in ["", "%", "-1", "101", "1e1", "nan", "+5", "5%%"] {
            assert!(percent("--max-loss", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_word_is_told_the_right_ones() {
        let choices = [("auto", 1), ("never", 2)];
        assert_eq!(one_of("--color", "never", &choices), Ok(2));
        let error = one_of("--color", "blue", &choices).unwrap_err();
        assert_eq!(error, "--color: \"blue\" is none of auto, never");
    }
}
