//! Durations and sizes: parsed and formatted.

use proptest::prelude::*;

use crate::wire::units::*;

#[test]
fn durations_are_parsed() {
    for (text, expected) in [
        ("30s", Duration::from_secs(30)),
        ("15m", Duration::from_secs(900)),
        ("2h", Duration::from_secs(7200)),
        ("1d", Duration::from_secs(86_400)),
        ("1.5s", Duration::from_millis(1500)),
        ("1h0m1ms", Duration::from_secs(3600) + Duration::from_millis(1)),
        ("250us", Duration::from_micros(250)),
        ("0s", Duration::ZERO),
        ("8 ms", Duration::from_millis(8)),
    ] {
        assert_eq!(parse_duration(text), Ok(expected), "{text}");
    }
}

#[test]
fn bad_duration_error_shows_example() {
    for text in
        ["", "5", "s", "-1s", "1  s", "1s1m", "1s1s", "1.s", ".5s", "1.2.3s", "10x", "1S", "∞"]
    {
        let error = parse_duration(text).unwrap_err();
        assert!(matches!(error, UnitError::Duration { .. }), "{text}");
        assert!(
            error.to_string().contains(&format!("{text:?}")) && error.to_string().contains("1m30s")
        );
    }
}

#[test]
fn sizes_are_parsed() {
    for (text, expected) in [
        ("0", 0),
        ("512B", 512),
        ("10kB", 10_000),
        ("10KB", 10_000),
        ("2kib", 2048),
        ("64Mi", 64 << 20),
        ("1.5GiB", 3 << 29),
        ("64 MiB", 64 << 20),
        ("1TB", 1_000_000_000_000),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(parse_size(text), Ok(expected), "{text}");
    }
}

#[test]
fn bad_size_error_shows_example() {
    for text in ["", "B", "1k", "1M", "1.5", "-1", "1  MiB", "1 ", "1MiBs", "lots"] {
        let error = parse_size(text).unwrap_err();
        assert!(matches!(error, UnitError::Size { .. }), "{text}");
        assert!(error.to_string().contains("64MiB"), "{error}");
    }
}

#[test]
fn too_large_values_are_rejected() {
    for text in ["18446744073709551616", "20000PiB", &"9".repeat(60)] {
        assert!(matches!(parse_size(text), Err(UnitError::TooLarge { .. })), "{text}");
    }
    for text in ["18446744073709551616s", &format!("{}d", "9".repeat(60))] {
        assert!(matches!(parse_duration(text), Err(UnitError::TooLarge { .. })), "{text}");
    }
}

#[test]
fn durations_are_formatted_briefly() {
    for (expected, duration) in [
        ("0 s", Duration::ZERO),
        ("1 ns", Duration::from_nanos(1)),
        ("999 ms", Duration::from_nanos(999_999_999)),
        ("1.02 ms", Duration::from_nanos(1_029_999)),
        ("12.3 s", Duration::from_micros(12_345_678)),
        ("2h", Duration::from_secs(7200)),
        ("2h", Duration::from_secs(7230)),
        ("1d1h", Duration::from_secs(90_000)),
    ] {
        assert_eq!(format_duration(duration), expected);
    }
    assert_eq!(
        parse_duration(&format_duration(Duration::MAX)).map(|d| d.as_secs() / 86_400),
        Ok(u64::MAX / 86_400)
    );
}

#[test]
fn sizes_have_three_digits() {
    for (expected, bytes) in [
        ("999 B", 999),
        ("0.976 KiB", 1000),
        ("833 KiB", 833 << 10),
        ("395 MiB", (395 << 20) + 700_000),
        ("1.5 GiB", 3 << 29),
    ] {
        assert_eq!(format_size(bytes), expected);
    }
}

proptest! {
    #[test]
    fn formatted_duration_parses_to_nearly_same(nanos in any::<u64>()) {
        let given = Duration::from_nanos(nanos);
        let back = parse_duration(&format_duration(given)).unwrap();
        prop_assert!(back <= given && given - back <= given / 20, "{given:?} became {back:?}");
    }

    #[test]
    fn formatted_size_parses_to_nearly_same(bytes in any::<u64>()) {
        let back = parse_size(&format_size(bytes)).unwrap();
        prop_assert!(back <= bytes && bytes - back <= bytes / 100, "{bytes} became {back}");
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = (parse_duration(&text), parse_size(&text));
    }
}
