//! Digests of blobs: hashing, and the messages of REAPI.

use sha2::{Digest, Sha256};
pub use skep_protocol::BlobDigest;

use crate::messages::DigestMessage;

/// Hashes bytes.
pub fn digest_of(content: &[u8]) -> BlobDigest {
    BlobDigest { sha256: Sha256::digest(content).into(), bytes: content.len() as u64 }
}

/// Returns the message for a digest.
pub(crate) fn to_message(digest: &BlobDigest) -> DigestMessage {
    let size = i64::try_from(digest.bytes).unwrap_or(i64::MAX);
    DigestMessage { hash: digest.hex(), size_bytes: size }
}

/// Reads the digest in a message.
pub(crate) fn from_message(message: &DigestMessage) -> Option<BlobDigest> {
    BlobDigest::from_hex(&message.hash, u64::try_from(message.size_bytes).ok()?)
}

/// Parses a SHA-256 in lower-case hexadecimal.
pub(crate) fn from_hex(hex: &str) -> Option<[u8; 32]> {
    BlobDigest::from_hex(hex, 0).map(|digest| digest.sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_its_message() {
        let digest = digest_of(b"abc");
        assert!(digest.hex().starts_with("ba7816bf"));
        assert_eq!(from_message(&to_message(&digest)), Some(digest));
    }
}
