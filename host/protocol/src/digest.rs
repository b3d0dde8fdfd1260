//! Digests of immutable content: the SHA-256 of its bytes, written `sha256:` and 64 hex digits.
//!
//! This module only parses digests; hashing happens next to the bytes. Components and config
//! bundles have separate types, so that the compiler tells them apart.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const PREFIX: &str = "sha256:";

/// The text is not a digest.
#[derive(Debug, thiserror::Error)]
#[error("a digest is written sha256: followed by 64 lower-case hex digits")]
pub struct DigestError;

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(into = "String", try_from = "String")]
        #[schemars(extend("pattern" = "^sha256:[0-9a-f]{64}$"))]
        pub struct $name([u8; 32]);

        impl $name {
            /// Creates a digest from a SHA-256 result.
            pub const fn from_sha256(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Returns the 64 hex digits without the prefix: a safe file name.
            pub fn hex(&self) -> String {
                crate::blob::hex(&self.0)
            }

            /// Returns the raw bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{PREFIX}{}", self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                let hex = text.strip_prefix(PREFIX).ok_or(DigestError)?.as_bytes();
                if hex.len() != 64 {
                    return Err(DigestError);
                }
                let mut bytes = [0; 32];
                for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
                    *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
                }
                Ok(Self(bytes))
            }
        }

        impl TryFrom<String> for $name {
            type Error = DigestError;

            fn try_from(text: String) -> Result<Self, DigestError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(digest: $name) -> Self {
                digest.to_string()
            }
        }
    };
}

digest! {
    /// A component's digest. Always well-formed.
    ComponentDigest
}

digest! {
    /// A config bundle's digest: the SHA-256 of its canonical bytes.
    ConfigDigest
}

digest! {
    /// A blob's digest without its size: what a runtime stores it by.
    BlobHash
}

fn nibble(digit: u8) -> Result<u8, DigestError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(DigestError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_round_trips_through_text() {
        let digest = ComponentDigest::from_sha256(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(digest.to_string().parse::<ComponentDigest>().unwrap(), digest);
    }

    #[test]
    fn only_lower_case_sha256_digests_are_accepted() {
        let good = ComponentDigest::from_sha256([0xab; 32]).to_string();
        for bad in [
            String::new(),
            "sha256:".into(),
            good.replace("sha256", "sha512"),
            good.to_uppercase(),
            format!("{good}0"),
            good.replace("ab", "a/"),
            format!("sha256:{}", "é".repeat(32)),
        ] {
            assert!(bad.parse::<ComponentDigest>().is_err(), "{bad} was accepted");
        }
    }
}
