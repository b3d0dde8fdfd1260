//! Names chosen by users and callers: shown and compared, never used as authority.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::is_unsafe;

/// The reason why text is not a valid name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Invalid display reference.
    #[error("a display reference is 1 to 128 characters, none of them a control character")]
    DisplayRef,
    /// Invalid label key.
    #[error("a label's key is 1 to 63 of a-z, 0-9, `.`, `_`, `/` and `-`")]
    LabelKey,
    /// Invalid label value.
    #[error("a label's value is at most 256 characters, none of them a control character")]
    LabelValue,
    /// Too many labels.
    #[error("a worker has at most 32 labels")]
    TooManyLabels,
    /// Invalid idempotency key.
    #[error("an idempotency key is 1 to 255 printable ASCII characters")]
    IdempotencyKey,
    /// Invalid scope name.
    #[error("a scope's name is 1 to 64 of a-z, 0-9, `_` and `-`")]
    ScopeName,
    /// Invalid secret name.
    #[error("a secret's name is 1 to 64 of a-z, 0-9, `_` and `-`")]
    SecretName,
    /// Invalid token name.
    #[error("a token's name is 1 to 64 characters, none of them a control character")]
    TokenName,
    /// Invalid site name.
    #[error("a site's name is 1 to 64 of a-z, 0-9, `_` and `-`")]
    SiteName,
    /// Invalid guest path.
    #[error("a directory of the guest is an absolute path without `.`, `..` and empty parts")]
    GuestPath,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(NameError::$name) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A display name of a worker. It need not be unique.
    DisplayRef, |text| {
        !text.is_empty() && text.chars().count() <= 128 && !text.chars().any(is_unsafe)
    }
}

name! {
    /// A caller's key for one input: an input resent with the same key is not handled twice.
    IdempotencyKey, |text| {
        (1..=255).contains(&text.len()) && text.bytes().all(|c| (0x20..0x7f).contains(&c))
    }
}

name! {
    /// The operator's name for a directory that can be granted.
    ScopeName, |text| {
        let allowed = |c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        (1..=64).contains(&text.len()) && text.bytes().all(allowed)
    }
}

name! {
    /// The operator's name for a secret that can be granted.
    SecretName, |text| {
        let allowed = |c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        (1..=64).contains(&text.len()) && text.bytes().all(allowed)
    }
}

name! {
    /// The operator's name for an address on which HTTP workers answer.
    SiteName, |text| {
        let allowed = |c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        (1..=64).contains(&text.len()) && text.bytes().all(allowed)
    }
}

name! {
    /// A name by which people recognise a token. It need not be unique.
    TokenName, |text| {
        !text.is_empty() && text.chars().count() <= 64 && !text.chars().any(is_unsafe)
    }
}

name! {
    /// The path of a directory in the guest: `/data`, `/src`.
    GuestPath, |text| {
        let part = |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(is_unsafe);
        text.len() <= 256 && text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part))
    }
}

/// Keys and values for finding workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "BTreeMap<String, String>", try_from = "BTreeMap<String, String>")]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Iterates over the labels, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

impl TryFrom<BTreeMap<String, String>> for Labels {
    type Error = NameError;

    fn try_from(labels: BTreeMap<String, String>) -> Result<Self, NameError> {
        let in_key = |c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'/' | b'-');
        if labels.len() > 32 {
            return Err(NameError::TooManyLabels);
        }
        for (key, value) in &labels {
            if !(1..=63).contains(&key.len()) || !key.bytes().all(in_key) {
                return Err(NameError::LabelKey);
            }
            if value.chars().count() > 256 || value.chars().any(is_unsafe) {
                return Err(NameError::LabelValue);
            }
        }
        Ok(Self(labels))
    }
}

impl From<Labels> for BTreeMap<String, String> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_contain_no_control_characters() {
        assert!("Build № 7 🐝".parse::<DisplayRef>().is_ok());
        for bad in ["", "a\nb", "\u{1b}[31m", "a\u{202e}b", &"x".repeat(129)] {
            assert_eq!(bad.parse::<DisplayRef>(), Err(NameError::DisplayRef), "{bad:?}");
        }
        for bad in ["", "é", "a\tb", &"k".repeat(256)] {
            assert!(bad.parse::<IdempotencyKey>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_guest_path_is_absolute_and_normal() {
        for good in ["/data", "/a/b.c/d e"] {
            assert!(good.parse::<GuestPath>().is_ok(), "{good}");
        }
        for bad in ["", "/", "data", "/a/", "//a", "/a/../b", "/./a", "/a\0b"] {
            assert!(bad.parse::<GuestPath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn labels_are_limited_in_number_and_alphabet() {
        let labels = |key: &str, value: &str| {
            Labels::try_from(BTreeMap::from([(key.to_owned(), value.to_owned())]))
        };
        assert_eq!(labels("ci/job", "7").unwrap().get("ci/job"), Some("7"));
        assert_eq!(labels("", "7"), Err(NameError::LabelKey));
        assert_eq!(labels("Job", "7"), Err(NameError::LabelKey));
        assert_eq!(labels("job", "a\u{7}"), Err(NameError::LabelValue));
        let many = (0..33).map(|n| (n.to_string(), String::new())).collect::<BTreeMap<_, _>>();
        assert_eq!(Labels::try_from(many), Err(NameError::TooManyLabels));
    }
}
