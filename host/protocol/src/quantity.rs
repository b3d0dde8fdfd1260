//! Sizes and durations in flags and manifests.
//!
//! Values that later arithmetic cannot handle are refused here. A size fits into 64 bits. A
//! duration is between 1 ms and 100 years, so adding it to a point in time never overflows.

use std::time::Duration;

/// The unit of deadlines. A shorter duration would round to none.
const SHORTEST: Duration = Duration::from_millis(1);

/// A hundred years: longer than any run, and far from the overflow of a clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Number of significant digits of a fraction. Further digits of an hour are below a nanosecond.
const FRACTION_DIGITS: usize = 15;

/// Parses a size in bytes: `65536`, `64KiB`, `64MiB`, `1GiB`; also `K`, `M`, `G` for the same.
///
/// # Errors
/// A sentence that says what is wrong with the text.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(format!("unknown unit of size `{unit}`; use B, KiB, MiB or GiB")),
    };
    if number.contains('.') {
        return Err(format!("`{number}` is not a whole number; use a smaller unit"));
    }
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(scale));
    bytes.ok_or_else(|| format!("`{text}` is too large; a size must fit into 64 bits"))
}

/// Parses a duration: `250ms`, `5s`, `2m`, `1h`, or a bare number of seconds. The number may have a
/// fraction.
///
/// # Errors
/// A sentence that says what is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "" | "s" => Duration::from_secs(1),
        "m" | "min" => Duration::from_secs(60),
        "h" => Duration::from_secs(60 * 60),
        _ => return Err(format!("unknown unit of time `{unit}`; use ms, s, m or h")),
    };
    match times(unit, number)? {
        Some(duration) if duration < SHORTEST => Err("too short; the minimum is 1 ms".into()),
        Some(duration) if duration <= LONGEST => Ok(duration),
        _ => Err("too long; the maximum is 876000h (100 years)".into()),
    }
}

/// Multiplies a unit by a number with or without a fraction, rounding down to a nanosecond. Returns
/// `None` on overflow.
fn times(unit: Duration, number: &str) -> Result<Option<Duration>, String> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(fraction) {
        return Err(format!("`{number}` is not a number"));
    }
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let of = |digits: &str| match digits {
        "" => Some(0),
        digits => digits.parse::<u128>().ok()?.checked_mul(unit.as_nanos()),
    };
    let shift = 10_u128.pow(fraction.len() as u32);
    let nanos =
        of(whole).zip(of(fraction)).and_then(|(whole, part)| whole.checked_add(part / shift));
    let nanos = nanos.and_then(|nanos| u64::try_from(nanos).ok());
    Ok(nanos.map(Duration::from_nanos))
}

/// Splits a quantity into its number, which begins with a digit or a point, and its unit.
fn split(text: &str) -> Result<(&str, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => Err("missing number, such as 30 in 30s or 64 in 64MiB".into()),
        (number, unit) => Ok((number, unit.trim_start())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, value) in [
            ("0", 0),
            ("64KiB", 65_536),
            ("64 MiB", 64 << 20),
            ("1g", 1 << 30),
            ("7B", 7),
            ("18446744073709551615", u64::MAX),
            ("17179869183GiB", u64::MAX - ((1 << 30) - 1)),
        ] {
            assert_eq!(bytes(text), Ok(value), "{text}");
        }
        for bad in [
            "",
            "MiB",
            "-1",
            "+1",
            "1.5GiB",
            ".",
            "1..2",
            "1TB",
            "1e3",
            "٣",
            "١GiB",
            "0x10",
            "18446744073709551616",
            "17179869184GiB",
            "99999999999GiB",
            "99999999999999999999999999999999999999999999999",
        ] {
            assert!(bytes(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn durations_have_units_a_minimum_and_a_maximum() {
        for (text, nanos) in [
            ("250ms", 250_000_000),
            ("5s", 5_000_000_000),
            ("1.5", 1_500_000_000),
            (".5", 500_000_000),
            ("2.", 2_000_000_000),
            ("2m", 120_000_000_000),
            ("1 min", 60_000_000_000),
            ("1ms", 1_000_000),
            ("1.5ms", 1_500_000),
            ("0.001s", 1_000_000),
            ("1.0000000019999", 1_000_000_001),
            ("0.333333333333333333333333333h", 1_199_999_999_999),
            ("0000000000000000000000000000001h", 3_600_000_000_000),
            ("876000h", 3_153_600_000_000_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for bad in [
            "",
            "s",
            "ms",
            ".",
            ".s",
            "..",
            "1..2",
            "1.2.3s",
            "-1s",
            "+1s",
            "5d",
            "584942417355y",
            "1e300",
            "1e99h",
            "NaN",
            "inf",
            "infinity",
            "٣s",
            "５s",
            "1 ms s",
            "0",
            "0ms",
            "0.999999ms",
            "876000.0000000001h",
            "3153600001",
            "18446744073709549568",
            "18446744073709551615",
            "18446744073709551616ms",
            "340282366920938463463374607431768211456",
            "99999999999999999999999999999999999999999999h",
        ] {
            assert!(duration(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn errors_name_the_problem_and_the_range() {
        for (text, expected) in [
            ("18446744073709549568", "too long; the maximum is 876000h (100 years)"),
            ("0.5ms", "too short; the minimum is 1 ms"),
            ("inf", "missing number, such as 30 in 30s or 64 in 64MiB"),
            ("1..2", "`1..2` is not a number"),
            ("1e300", "unknown unit of time `e300`; use ms, s, m or h"),
        ] {
            assert_eq!(duration(text).unwrap_err(), expected);
        }
    }

    /// Pieces of quantities, and other text, in any order.
    fn words() -> impl Strategy<Value = String> {
        let digits = (0_u128..).prop_map(|number| number.to_string());
        let other = prop::sample::select(vec![
            ".", "0", "9", "ms", "s", "m", "min", "h", "KiB", "g", "B", "e9", "-", " ", "٣", "inf",
        ]);
        let piece = prop_oneof![digits, other.prop_map(str::to_owned)];
        prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in words()) {
            let _ = bytes(&text);
            if let Ok(duration) = duration(&text) {
                prop_assert!((SHORTEST..=LONGEST).contains(&duration));
                // Callers add it to a point in time.
                let _ = std::time::Instant::now() + duration + duration;
                prop_assert!(u64::try_from(duration.as_millis()).is_ok());
            }
        }

        #[test]
        fn a_duration_is_parsed_exactly(nanos in 1_000_000_u64..=LONGEST.as_nanos() as u64) {
            let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
            prop_assert_eq!(duration(&text), Ok(Duration::from_nanos(nanos)));
        }

        #[test]
        fn a_size_is_parsed_exactly(size: u64) {
            prop_assert_eq!(bytes(&size.to_string()), Ok(size));
            prop_assert_eq!(bytes(&format!("{} KiB", size >> 10)), Ok(size >> 10 << 10));
        }
    }
}
