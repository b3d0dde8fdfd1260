//! Config bundles: immutable text values, named by the digest of their canonical bytes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ConfigDigest, Timestamp};

/// Maximum size of one bundle, keys and values summed, in bytes. Every worker that uses a bundle
/// keeps it in memory.
pub const CONFIG_BYTES: usize = 256 << 10;

/// The values of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "BTreeMap<String, String>", try_from = "BTreeMap<String, String>")]
pub struct ConfigValues(BTreeMap<String, String>);

/// The reason why values are not a valid bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A key is malformed.
    #[error("a config key is 1 to 128 characters, none of them a control character")]
    Key,
    /// Keys and values exceed [`CONFIG_BYTES`].
    #[error("a config bundle holds at most 256 KiB of keys and values")]
    TooLarge,
}

impl ConfigValues {
    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Iterates over keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns the bytes whose SHA-256 is the bundle's digest: for each key in order, the lengths
    /// of key and value as 8 little-endian bytes each, the key, the value.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in &self.0 {
            bytes.extend((key.len() as u64).to_le_bytes());
            bytes.extend((value.len() as u64).to_le_bytes());
            bytes.extend(key.as_bytes());
            bytes.extend(value.as_bytes());
        }
        bytes
    }
}

impl TryFrom<BTreeMap<String, String>> for ConfigValues {
    type Error = ConfigError;

    fn try_from(values: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        for key in values.keys() {
            let count = key.chars().count();
            if !(1..=128).contains(&count) || key.chars().any(crate::text::is_unsafe) {
                return Err(ConfigError::Key);
            }
        }
        if values.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > CONFIG_BYTES {
            return Err(ConfigError::TooLarge);
        }
        Ok(Self(values))
    }
}

impl From<ConfigValues> for BTreeMap<String, String> {
    fn from(values: ConfigValues) -> Self {
        values.0
    }
}

/// A request to store a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConfig {
    /// Values of the bundle.
    pub values: ConfigValues,
}

/// A stored bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigView {
    /// Digest of the bundle.
    pub digest: ConfigDigest,
    /// Values of the bundle.
    pub values: ConfigValues,
    /// Time of the first upload.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Result<ConfigValues, ConfigError> {
        let owned = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        ConfigValues::try_from(owned.collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn different_values_have_different_bytes() {
        let a = values(&[("ab", "c")]).unwrap().canonical_bytes();
        let b = values(&[("a", "bc")]).unwrap().canonical_bytes();
        let c = values(&[("a", ""), ("b", "c")]).unwrap().canonical_bytes();
        assert!(a != b && b != c && a != c);
    }

    #[test]
    fn a_bundle_has_a_size_limit() {
        assert_eq!(values(&[("", "x")]), Err(ConfigError::Key));
        assert_eq!(values(&[("a\n", "x")]), Err(ConfigError::Key));
        assert_eq!(values(&[("a", &"x".repeat(CONFIG_BYTES))]), Err(ConfigError::TooLarge));
        assert!(values(&[("a", &"x".repeat(CONFIG_BYTES - 1))]).is_ok());
    }
}
