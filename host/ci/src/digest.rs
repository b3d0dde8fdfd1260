//! The name of a blob by its content: SHA-256 and size, as REAPI has it.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::messages::DigestMessage;

/// The digest of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobDigest {
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Its size in bytes.
    pub bytes: u64,
}

impl BlobDigest {
    /// Hashes bytes.
    pub fn of(content: &[u8]) -> Self {
        Self { sha256: Sha256::digest(content).into(), bytes: content.len() as u64 }
    }

    /// Returns the hash in lower-case hexadecimal.
    pub fn hex(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
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
        Some(Self { sha256: from_hex(text.strip_prefix("sha256:")?)?, bytes })
    }

    pub(crate) fn message(&self) -> DigestMessage {
        let size = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        DigestMessage { hash: self.hex(), size_bytes: size }
    }

    pub(crate) fn from_message(message: &DigestMessage) -> Option<Self> {
        let bytes = u64::try_from(message.size_bytes).ok()?;
        Some(Self { sha256: from_hex(&message.hash)?, bytes })
    }
}

impl fmt::Display for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// Parses a SHA-256 in lower-case hexadecimal.
pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(out)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_its_message_and_a_wrong_one_is_refused() {
        let digest = BlobDigest::of(b"abc");
        assert!(digest.hex().starts_with("ba7816bf"));
        assert_eq!(BlobDigest::from_message(&digest.message()), Some(digest));
        for bad in ["", "ba", &"G".repeat(64), &"BA".repeat(32)] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
