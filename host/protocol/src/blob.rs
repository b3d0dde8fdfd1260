//! The name of a blob by its content: SHA-256 and size, as the Remote Execution API has it.
//!
//! This module only parses digests; hashing happens next to the bytes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The digest of a blob.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(into = "BlobText", try_from = "BlobText")]
#[schemars(with = "BlobText")]
pub struct BlobDigest {
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Its size in bytes.
    pub bytes: u64,
}

/// A digest as JSON has it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BlobDigest")]
struct BlobText {
    /// `sha256:` and the hash in hexadecimal.
    #[schemars(extend("pattern" = "^sha256:[0-9a-f]{64}$"))]
    digest: String,
    /// Size in bytes.
    bytes: u64,
}

/// The text is not the digest of a blob.
#[derive(Debug, thiserror::Error)]
#[error("a digest is written sha256: followed by 64 lower-case hex digits")]
pub struct BlobError;

impl BlobDigest {
    /// Returns the hash in lower-case hexadecimal.
    pub fn hex(&self) -> String {
        hex(&self.sha256)
    }

    /// Returns the first eight hexadecimal digits of the hash, for people.
    pub fn short(&self) -> String {
        self.hex()[..8].to_owned()
    }

    /// Returns the digest as reports spell it.
    pub fn text(&self) -> String {
        format!("sha256:{}", self.hex())
    }

    /// Parses a digest as reports spell it.
    pub fn parse(text: &str, bytes: u64) -> Option<Self> {
        Self::from_hex(text.strip_prefix("sha256:")?, bytes)
    }

    /// Parses a SHA-256 in lower-case hexadecimal.
    pub fn from_hex(hex: &str, bytes: u64) -> Option<Self> {
        let hex = hex.as_bytes();
        if hex.len() != 64 {
            return None;
        }
        let mut sha256 = [0; 32];
        for (byte, pair) in sha256.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self { sha256, bytes })
    }
}

/// Writes bytes in lower-case hexadecimal. A run of a pipeline does it some twenty times a step.
pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl From<BlobDigest> for BlobText {
    fn from(digest: BlobDigest) -> Self {
        Self { digest: digest.text(), bytes: digest.bytes }
    }
}

impl TryFrom<BlobText> for BlobDigest {
    type Error = BlobError;

    fn try_from(text: BlobText) -> Result<Self, BlobError> {
        Self::parse(&text.digest, text.bytes).ok_or(BlobError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_json_and_a_wrong_one_is_refused() {
        let digest = BlobDigest { sha256: std::array::from_fn(|i| i as u8 * 7), bytes: 9 };
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<BlobDigest>(&json).unwrap(), digest);
        for bad in ["", "ba", &"G".repeat(64), &"BA".repeat(32)] {
            assert_eq!(BlobDigest::from_hex(bad, 9), None, "{bad}");
            assert!(BlobDigest::parse(bad, 9).is_none(), "{bad}");
        }
        assert!(serde_json::from_str::<BlobDigest>(&json.replace("sha256", "sha512")).is_err());
    }
}
