//! Times of day and dates in UTC, as the chat shows them.

use std::time::{Duration, SystemTime};

/// Formats a time in UTC: `15:04` on the day of `now`, and `2026-11-24 15:04` on any other day.
///
/// A time before 1970 is shown as the start of 1970.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use sockactors::wire::date::format_timestamp;
///
/// let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 3600);
/// assert_eq!(format_timestamp(noon, noon + Duration::from_secs(60)), "12:00");
/// let tomorrow = noon + Duration::from_secs(24 * 3600);
/// assert_eq!(format_timestamp(noon, tomorrow), "1970-01-01 12:00");
/// ```
pub fn format_timestamp(at: SystemTime, now: SystemTime) -> String {
    let (day, minute) = days_and_minutes(at);
    let time = format!("{:02}:{:02}", minute / 60, minute % 60);
    if day == days_and_minutes(now).0 {
        return time;
    }
    let (year, month, day) = civil_date(day);
    format!("{year}-{month:02}-{day:02} {time}")
}

/// Splits a time into the days since 1970 and the minutes since the start of the day.
fn days_and_minutes(at: SystemTime) -> (u64, u64) {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let minutes = since.as_secs() / 60;
    (minutes / (24 * 60), minutes % (24 * 60))
}

/// Returns the Gregorian year, month and day of a day, counted from 1970-01-01.
fn civil_date(mut day: u64) -> (u64, u64, u64) {
    const FOUR_CENTURIES: u64 = 400 * 365 + 97;
    let mut year = 1970 + day / FOUR_CENTURIES * 400;
    day %= FOUR_CENTURIES;
    let is_leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_convert_to_dates() {
        for (day, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (10_956, (1999, 12, 31)),
            (11_016, (2000, 2, 29)),
            (20_781, (2026, 11, 24)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
            (157_113, (2400, 2, 29)),
        ] {
            assert_eq!(civil_date(day), expected, "{day}");
        }
    }

    #[test]
    fn extreme_times_are_formatted_without_panic() {
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(format_timestamp(now - Duration::from_secs(1), now), "00:00");
        assert_eq!(civil_date(u64::MAX / 86_400).1, civil_date(u64::MAX / 86_400).1.clamp(1, 12));
    }
}
