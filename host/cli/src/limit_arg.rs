//! `NAME=VALUE`: a limit on the command line.

use std::time::Duration;

use skep_protocol::limits::OFF;
use skep_protocol::{LimitName, Unit, quantity};

/// Parses a limit by its name in the table and a value in its unit: `64MiB`, `30s`, `1000`. A number
/// alone is in the unit of the name, and `off` removes the limit.
pub(crate) fn parse(text: &str) -> Result<(LimitName, u64), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let name = name.parse().map_err(|_| unknown(name))?;
    Ok((name, self::value(name, value)?))
}

fn value(name: LimitName, text: &str) -> Result<u64, String> {
    if text == "off" {
        return Ok(OFF);
    }
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    match name.unit() {
        Unit::Bytes => quantity::bytes(text),
        Unit::Millis => quantity::duration(text).map(millis),
        Unit::Count => Err(format!("`{text}` is not a whole number")),
    }
}

/// Converts a duration to whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(OFF)
}

/// Names the limit whose name is nearest, unless none is near.
fn unknown(name: &str) -> String {
    let distance = |known: &LimitName| strsim::damerau_levenshtein(known.as_str(), name);
    // `memory` means `memory_bytes`, however long the rest of the name is.
    let begins = |known: &&LimitName| !name.is_empty() && known.as_str().starts_with(name);
    let nearest = LimitName::ALL.iter().find(begins).or_else(|| {
        let nearest = LimitName::ALL.iter().min_by_key(|known| distance(known))?;
        (distance(nearest) <= name.len().max(3) / 2).then_some(nearest)
    });
    match nearest {
        Some(nearest) => format!("unknown limit `{name}`; did you mean `{nearest}`?"),
        None => format!("unknown limit `{name}`; `skep limits` and `skep inspect` list the names"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_takes_a_value_in_its_unit() {
        for &name in LimitName::ALL {
            assert_eq!(parse(&format!("{name}=7")), Ok((name, 7)));
            assert_eq!(parse(&format!("{name}=off")), Ok((name, OFF)));
            let (value, number) = match name.unit() {
                Unit::Bytes => ("64MiB", 64 << 20),
                Unit::Millis => ("1.5s", 1_500),
                Unit::Count => ("12", 12),
            };
            assert_eq!(parse(&format!("{name}={value}")), Ok((name, number)));
        }
        for text in ["memory_bytes", "memory_bytes=", "memory_bytes=5s", "fuel=1MiB", "fuel=-1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        for (name, nearest) in [
            ("memory", Some("memory_bytes")),
            ("memory_byte", Some("memory_bytes")),
            ("dsik_bytes", Some("disk_bytes")),
            ("log_bytes", Some("log_bytes_per_turn")),
            ("zzz", None),
            ("", None),
        ] {
            let error = parse(&format!("{name}=1")).unwrap_err();
            match nearest {
                Some(nearest) => assert!(error.contains(&format!("`{nearest}`?")), "{error}"),
                None => assert!(error.contains("skep inspect"), "{error}"),
            }
        }
    }
}
