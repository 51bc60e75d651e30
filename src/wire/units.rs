//! Durations and sizes in the form that people write.
//!
//! A bare `30` could mean seconds or milliseconds, so durations need a unit. Only `0` needs none.
//! Sizes may have no unit, because a bare number can only mean bytes. The parsers accept everything
//! that the formatters return, which is rounded as their documentation says.

use std::time::Duration;

/// The error of a text that is not a duration or a size. It shows how to write one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The text is not a duration.
    #[error(
        "{input:?} is not a duration; write a number and a unit, such as 30s, 150ms, 15m or 1m30s"
    )]
    Duration {
        /// The rejected text.
        input: String,
    },
    /// The text is not a size.
    #[error(
        "{input:?} is not a size; write a number and a unit, such as 512B, 10kB, 64MiB or 1GiB"
    )]
    Size {
        /// The rejected text.
        input: String,
    },
    /// The value is too large for its type.
    #[error("{input:?} is too large; the largest are about 213000000000d and 16383PiB")]
    TooLarge {
        /// The rejected text.
        input: String,
    },
}

/// The units of time in nanoseconds, largest first.
const TIME_UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The units of size in bytes. The binary units come first, from the largest to the smallest.
const SIZE_UNITS: [(&str, u128); 11] = [
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

/// Parses a duration: numbers with the units `d h m s ms us ns`, larger units first.
///
/// A number may have a fraction (`1.5s`), and a space before its unit. Fractions of a nanosecond
/// are truncated.
///
/// # Errors
///
/// Fails for any other text, for a number without a unit except `0`, and for more than
/// [`Duration::MAX`].
///
/// # Examples
///
/// ```
/// use sockactors::wire::units::parse_duration;
/// use std::time::Duration;
///
/// assert_eq!(parse_duration("150ms"), Ok(Duration::from_millis(150)));
/// assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
/// assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
/// assert!(parse_duration("30").unwrap_err().to_string().contains("30s"));
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let invalid = || UnitError::Duration { input: text.to_owned() };
    let too_large = || UnitError::TooLarge { input: text.to_owned() };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    // The units from `next_unit` on are smaller than those already used.
    let (mut rest, mut total, mut next_unit) = (text, 0_u128, 0);
    while !rest.is_empty() || next_unit == 0 {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split_while(strip_space(after), |c| c.is_ascii_alphabetic());
        let index = TIME_UNITS[next_unit..]
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or_else(invalid)?;
        let (_, nanos) = TIME_UNITS[next_unit + index];
        total = total.saturating_add(parse_scaled(number, nanos).ok_or_else(invalid)?);
        next_unit += index + 1;
        rest = after;
    }
    let secs = u64::try_from(total / 1_000_000_000).map_err(|_| too_large())?;
    Ok(Duration::new(secs, (total % 1_000_000_000) as u32))
}

/// Parses a size in bytes: a number and a unit. The units are `B`, `kB MB GB TB PB` (powers of
/// 1000) and `KiB MiB GiB TiB PiB` (powers of 1024).
///
/// Units are case-insensitive. Binary units can omit the `B` (`64Mi`). A number alone means bytes.
/// A number with a unit may have a fraction (`1.5GiB`), and a space before the unit. A bare `k` or
/// `M` is rejected, because its meaning differs between programs.
///
/// # Errors
///
/// Fails for any other text, and for more than [`u64::MAX`] bytes.
///
/// # Examples
///
/// ```
/// use sockactors::wire::units::parse_size;
///
/// assert_eq!(parse_size("64MiB"), Ok(64 * 1024 * 1024));
/// assert_eq!(parse_size("10kB"), Ok(10_000));
/// assert_eq!(parse_size("1024"), Ok(1024));
/// assert!(parse_size("lots").is_err());
/// ```
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let invalid = || UnitError::Size { input: text.to_owned() };
    let (number, unit) = split_while(text, |c| c.is_ascii_digit() || c == '.');
    let unit = strip_space(unit);
    let matches = |name: &str| {
        let short = name.strip_suffix("iB").map(|_| &name[..2]);
        unit.eq_ignore_ascii_case(name)
            || short.is_some_and(|short| unit.eq_ignore_ascii_case(short))
    };
    let bytes = match SIZE_UNITS.iter().find(|(name, _)| matches(name)) {
        Some((_, bytes)) => *bytes,
        None if number == text && !number.contains('.') => 1,
        None => return Err(invalid()),
    };
    let total = parse_scaled(number, bytes).ok_or_else(invalid)?;
    u64::try_from(total).map_err(|_| UnitError::TooLarge { input: text.to_owned() })
}

/// Formats a duration briefly, with three digits or two units: `0 s`, `150 ms`, `1.5 s`, `15m`,
/// `1m30s`, `2h`.
///
/// The rest is truncated.
///
/// # Examples
///
/// ```
/// use sockactors::wire::units::format_duration;
/// use std::time::Duration;
///
/// assert_eq!(format_duration(Duration::from_micros(1_234_567)), "1.23 s");
/// assert_eq!(format_duration(Duration::from_secs(900)), "15m");
/// assert_eq!(format_duration(Duration::from_secs(90)), "1m30s");
/// ```
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let Some(index) = TIME_UNITS.iter().position(|(_, unit)| nanos >= *unit) else {
        return "0 s".to_owned();
    };
    let (name, unit) = TIME_UNITS[index];
    if index >= 3 {
        return format_decimal(nanos, unit, name);
    }
    let (next_name, next_unit) = TIME_UNITS[index + 1];
    match nanos % unit / next_unit {
        0 => format!("{}{name}", nanos / unit),
        count => format!("{}{name}{count}{next_name}", nanos / unit),
    }
}

/// Formats a size briefly, in binary units with three digits: `512 B`, `1.5 KiB`, `64 MiB`.
///
/// More digits are truncated.
///
/// # Examples
///
/// ```
/// use sockactors::wire::units::format_size;
///
/// assert_eq!(format_size(0), "0 B");
/// assert_eq!(format_size(1536), "1.5 KiB");
/// assert_eq!(format_size(1023 << 10), "0.999 MiB");
/// ```
pub fn format_size(bytes: u64) -> String {
    let bytes = u128::from(bytes);
    // A thousand of the next smaller unit would need a fourth digit.
    let fits = |(_, unit): &&(&str, u128)| bytes >= *unit || bytes * 1024 >= *unit * 1000;
    let (name, unit) = SIZE_UNITS[..6].iter().find(fits).unwrap_or(&SIZE_UNITS[5]);
    format_decimal(bytes, *unit, name)
}

/// Removes the space that may be between a number and its unit.
fn strip_space(unit: &str) -> &str {
    unit.strip_prefix(' ').unwrap_or(unit)
}

/// Splits `text` before the first character that fails the test.
fn split_while(text: &str, test: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !test(c)).unwrap_or(text.len()))
}

/// Parses a decimal number and multiplies it by a unit, saturating. Returns `None` if it is not a
/// number.
fn parse_scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    // Parsing digits fails only if there are too many. The callers reject the saturated value.
    let whole = whole.parse::<u128>().unwrap_or(u128::MAX).saturating_mul(unit);
    // Eighteen digits are more precise than any unit, and multiplied by the largest unit they fit
    // into 128 bits.
    let fraction = &fraction[..fraction.len().min(18)];
    let fraction_units = fraction.parse::<u128>().ok()? * unit / 10_u128.pow(fraction.len() as u32);
    Some(whole.saturating_add(fraction_units))
}

/// Formats `amount / unit` with three significant digits and without trailing zeros.
fn format_decimal(amount: u128, unit: u128, name: &str) -> String {
    let whole = amount / unit;
    let decimals = match whole {
        0 => 3,
        1..=9 => 2,
        10..=99 => 1,
        _ => return format!("{whole} {name}"),
    };
    let fraction = amount % unit * 10_u128.pow(decimals) / unit;
    let number = format!("{whole}.{fraction:0width$}", width = decimals as usize);
    format!("{} {name}", number.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests;
