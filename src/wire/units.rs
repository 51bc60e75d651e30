//! Durations and sizes as people write them.
//!
//! A bare `30` leaves open whether seconds or milliseconds are meant, so durations carry a unit;
//! only `0` needs none. Sizes may be bare, because a number of bytes is never mistaken for anything
//! else. What is printed can be read back by the same module, rounded as said below.

use std::time::Duration;

/// Says what was wrong with a duration or a size, and what one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The text is not a duration.
    #[error(
        "{input:?} is not a duration; write a number and a unit, such as 30s, 150ms, 15m or 1m30s"
    )]
    Duration {
        /// The text as it was given.
        input: String,
    },
    /// The text is not a size.
    #[error(
        "{input:?} is not a size; write a number and a unit, such as 512B, 10kB, 64MiB or 1GiB"
    )]
    Size {
        /// The text as it was given.
        input: String,
    },
    /// The number is larger than the machine can count.
    #[error("{input:?} is too large; the largest are about 213000000000d and 16383PiB")]
    TooLarge {
        /// The text as it was given.
        input: String,
    },
}

/// Units of time in nanoseconds, from the largest to the smallest.
const TIME_UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of size in bytes; the binary ones come from the largest to the smallest.
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

/// Reads a duration: numbers with the units `d h m s ms us ns`, the larger before the smaller.
///
/// A number may have a fraction (`1.5s`); what is finer than a nanosecond is cut off.
///
/// # Errors
///
/// Fails for anything else, for a number without a unit other than `0`, and for more than
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
    let wrong = || UnitError::Duration { input: text.to_owned() };
    let large = || UnitError::TooLarge { input: text.to_owned() };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut total, mut finer) = (text, 0_u128, 0);
    while !rest.is_empty() || finer == 0 {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split_while(after, |c| c.is_ascii_alphabetic());
        let place =
            TIME_UNITS[finer..].iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let (_, nanos) = TIME_UNITS[finer + place];
        let part = parse_scaled(number, nanos).ok_or_else(wrong)?;
        total = total.saturating_add(part);
        finer += place + 1;
        rest = after;
    }
    let secs = u64::try_from(total / 1_000_000_000).map_err(|_| large())?;
    Ok(Duration::new(secs, (total % 1_000_000_000) as u32))
}

/// Reads a size in bytes: a number, and a unit of `B`, `kB MB GB TB PB` (powers of 1000) or `KiB
/// MiB GiB TiB PiB` (powers of 1024).
///
/// Units are read in any case, the `B` may be left out of the binary ones (`64Mi`), a number alone
/// means bytes, and a number may have a fraction (`1.5GiB`). A lone `k` or `M` is refused, because
/// programs differ in what it means.
///
/// # Errors
///
/// Fails for anything else, and for more than [`u64::MAX`] bytes.
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
    let wrong = || UnitError::Size { input: text.to_owned() };
    let (number, unit) = split_while(text, |c| c.is_ascii_digit() || c == '.');
    let matches = |name: &str| {
        let short = name.strip_suffix("iB").map(|_| &name[..2]);
        unit.eq_ignore_ascii_case(name)
            || short.is_some_and(|short| unit.eq_ignore_ascii_case(short))
    };
    let bytes = match SIZE_UNITS.iter().find(|(name, _)| matches(name)) {
        Some((_, bytes)) => *bytes,
        None if unit.is_empty() && !number.contains('.') => 1,
        None => return Err(wrong()),
    };
    let total = parse_scaled(number, bytes).ok_or_else(wrong)?;
    u64::try_from(total).map_err(|_| UnitError::TooLarge { input: text.to_owned() })
}

/// Writes a duration shortly: `0s`, `150ms`, `1.5s`, `15m`, `1m30s`, `2h`.
///
/// Below a minute it has at most two decimals, above at most two units; the rest is cut off.
///
/// # Examples
///
/// ```
/// use sockactors::wire::units::format_duration;
/// use std::time::Duration;
///
/// assert_eq!(format_duration(Duration::from_millis(1500)), "1.5s");
/// assert_eq!(format_duration(Duration::from_secs(900)), "15m");
/// assert_eq!(format_duration(Duration::from_secs(90)), "1m30s");
/// ```
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let Some(place) = TIME_UNITS.iter().position(|(_, unit)| nanos >= *unit) else {
        return "0s".to_owned();
    };
    let (name, unit) = TIME_UNITS[place];
    if place >= 3 {
        return format_decimal(nanos, unit, name);
    }
    let (finer_name, finer) = TIME_UNITS[place + 1];
    match nanos % unit / finer {
        0 => format!("{}{name}", nanos / unit),
        more => format!("{}{name}{more}{finer_name}", nanos / unit),
    }
}

/// Writes a size shortly, in binary units with at most two decimals: `512B`, `1.5KiB`, `64MiB`.
///
/// What is finer is cut off.
///
/// # Examples
///
/// ```
/// use sockactors::wire::units::format_size;
///
/// assert_eq!(format_size(0), "0B");
/// assert_eq!(format_size(1536), "1.5KiB");
/// assert_eq!(format_size(64 << 20), "64MiB");
/// ```
pub fn format_size(bytes: u64) -> String {
    let bytes = u128::from(bytes);
    let (name, unit) =
        SIZE_UNITS[..6].iter().find(|(_, unit)| bytes >= *unit).unwrap_or(&SIZE_UNITS[5]);
    format_decimal(bytes, *unit, name)
}

/// Cuts `text` where the first character fails the test.
fn split_while(text: &str, test: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !test(c)).unwrap_or(text.len()))
}

/// Multiplies a decimal number with a unit, saturating; `None` when it is not a number.
fn parse_scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    // Digits alone fail to parse only when they are too many, which the callers' limits then
    // refuse.
    let whole = whole.parse::<u128>().unwrap_or(u128::MAX).saturating_mul(unit);
    // Eighteen digits are finer than any unit counts, and times the largest unit they fit in 128
    // bits.
    let fraction = &fraction[..fraction.len().min(18)];
    let part = fraction.parse::<u128>().ok()? * unit / 10_u128.pow(fraction.len() as u32);
    Some(whole.saturating_add(part))
}

/// Writes `amount / unit` with at most two decimals and no trailing zeros.
fn format_decimal(amount: u128, unit: u128, name: &str) -> String {
    let hundredths = amount % unit * 100 / unit;
    let number = format!("{}.{hundredths:02}", amount / unit);
    format!("{}{name}", number.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests;
