//! Secrets: what lets somebody in. Whoever has the text is let in, so nothing prints it by itself.
//!
//! A secret is written `<kind>_<id>_<43 characters>`: the id is public and finds what is kept of it,
//! the rest are 256 random bits as base64url. What is kept is the SHA-256 of the whole text.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use skep_protocol::TokenId;
use subtle::ConstantTimeEq;

use crate::RegistryError;

/// The longest text that is looked at.
const LONGEST: usize = 256;

/// The text of a token, a session or a code.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text itself, to be handed to the one whose it is.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What a secret is for. One of another kind is not taken in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sent with each request.
    Token,
    /// A browser's cookie.
    Session,
    /// Good for one login.
    Code,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Token => "skep",
            Self::Session => "session",
            Self::Code => "code",
        }
    }
}

/// What is kept of a secret.
#[derive(Clone, Copy)]
pub(crate) struct SecretDigest([u8; 32]);

impl SecretDigest {
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether they are the same, in the same time whatever they are.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// A secret that was made just now.
pub(crate) struct Minted {
    pub(crate) id: TokenId,
    pub(crate) secret: Secret,
    pub(crate) digest: SecretDigest,
}

/// Makes a secret.
pub(crate) fn mint(kind: Kind) -> Result<Minted, RegistryError> {
    let mut random = [0; 38];
    getrandom::fill(&mut random).map_err(|_| RegistryError::NoRandomness)?;
    let (id, secret) = random.split_at(6);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = BASE64_URL_SAFE_NO_PAD.encode(secret);
    let text = format!("{}_{id}_{secret}", kind.word());
    let id = id.parse().expect("twelve digits are an id");
    Ok(Minted { id, digest: SecretDigest::of(&text), secret: Secret(text) })
}

/// The id in a text that looks like a secret of this kind.
pub(crate) fn id_in(kind: Kind, text: &str) -> Option<TokenId> {
    if text.len() > LONGEST {
        return None;
    }
    let (id, _) = text.strip_prefix(kind.word())?.strip_prefix('_')?.split_once('_')?;
    id.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_by_its_id_and_not_printed() {
        let minted = mint(Kind::Token).unwrap();
        let text = minted.secret.expose();
        assert_eq!(id_in(Kind::Token, text).as_ref(), Some(&minted.id));
        assert_eq!(id_in(Kind::Session, text), None);
        assert_eq!(id_in(Kind::Code, text), None);
        assert!(text.len() >= "skep_".len() + 12 + 1 + 43);
        assert!(minted.digest.matches(&SecretDigest::of(text)));
        assert!(!minted.digest.matches(&SecretDigest::of(&text[..text.len() - 1])));
        assert_eq!(format!("{:?}", minted.secret), "…");
    }

    #[test]
    fn what_does_not_look_like_a_secret_has_no_id() {
        let long = format!("skep_a_{}", "x".repeat(300));
        for bad in ["", "skep", "skep_", "skep_a", "skep_A_x", "skep__x", "skep_a/b_x", &long] {
            assert_eq!(id_in(Kind::Token, bad), None, "{bad}");
        }
    }

    #[test]
    fn no_two_secrets_are_alike() {
        let (one, other) = (mint(Kind::Code).unwrap(), mint(Kind::Code).unwrap());
        assert_ne!(one.id, other.id);
        assert_ne!(one.secret.expose(), other.secret.expose());
    }
}
