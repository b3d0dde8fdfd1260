//! Sizes and durations on the command line.

use std::time::Duration;

/// Bytes: `65536`, `64KiB`, `64MiB`, `1GiB`; also `K`, `M`, `G` for the same.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(format!("`{unit}` is not a unit of size: use B, KiB, MiB or GiB")),
    };
    let number: u64 =
        number.parse().map_err(|_| format!("`{number}` is not a whole number of {unit}"))?;
    number.checked_mul(scale).ok_or_else(|| "that is more than fits into 64 bits".into())
}

/// A duration: `250ms`, `5s`, `2m`, `1h`; a bare number is seconds, which may have a fraction.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{unit}` is not a unit of time: use ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
    let duration =
        Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())?;
    if duration < Duration::from_millis(1) {
        return Err("a deadline is at least 1 ms".into());
    }
    Ok(duration)
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, value) in
            [("0", 0), ("64KiB", 65_536), ("64 MiB", 64 << 20), ("1g", 1 << 30), ("7B", 7)]
        {
            assert_eq!(bytes(text).unwrap(), value, "{text}");
        }
        for bad in ["", "MiB", "-1", "1.5GiB", "1TB", "99999999999GiB"] {
            assert!(bytes(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn durations_have_units_and_a_least() {
        for (text, millis) in [("250ms", 250), ("5s", 5_000), ("1.5", 1_500), ("2m", 120_000)] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for bad in ["", "s", "0", "5d", "1e99h", "-1s"] {
            assert!(duration(bad).is_err(), "{bad} was accepted");
        }
    }
}
