//! The requests to an HTTP worker that have an entry in its transcript.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Invalid;

/// The requests to an HTTP worker that have an entry in its transcript.
///
/// Entries are bounded: those of failures to one a second, those of other requests to 100 a second. The
/// next entry counts those that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HttpEntries {
    /// Those that were not answered whole.
    #[default]
    Failures,
    /// All.
    All,
    /// Failures, and one in so many of the others.
    Every(NonZeroU32),
}

/// The prefix of [`HttpEntries::Every`] on the command line.
const EVERY: &str = "every=";

impl HttpEntries {
    /// Returns true if this is the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for HttpEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failures => f.write_str("failures"),
            Self::All => f.write_str("all"),
            Self::Every(number) => write!(f, "{EVERY}{number}"),
        }
    }
}

impl FromStr for HttpEntries {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "failures" => Ok(Self::Failures),
            "all" => Ok(Self::All),
            _ => {
                let number = text.strip_prefix(EVERY).and_then(|number| number.parse().ok());
                number.map(Self::Every).ok_or(Invalid::Query)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_value_has_one_text_and_one_json() {
        let ten = NonZeroU32::new(10).unwrap();
        for (entries, text, json) in [
            (HttpEntries::Failures, "failures", r#""failures""#),
            (HttpEntries::All, "all", r#""all""#),
            (HttpEntries::Every(ten), "every=10", r#"{"every":10}"#),
        ] {
            assert_eq!(entries.to_string(), text);
            assert_eq!(text.parse(), Ok(entries));
            assert_eq!(serde_json::to_string(&entries).unwrap(), json);
            assert_eq!(serde_json::from_str::<HttpEntries>(json).unwrap(), entries);
        }
        for text in ["", "none", "every", "every=0", "every=-1", "10"] {
            assert!(text.parse::<HttpEntries>().is_err(), "{text}");
        }
    }
}
