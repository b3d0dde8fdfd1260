//! Secrets of callers: tokens, sessions and login codes. The text grants access, so `Debug` redacts
//! it.
//!
//! A secret is written `<kind>_<id>_<43 characters>`: the public id finds the stored record, the
//! rest is 256 random bits as base64url. Only the SHA-256 of the whole text is stored.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use skep_protocol::{IdError, TokenId};
use subtle::ConstantTimeEq;

use crate::RegistryError;

/// Maximum length of a secret.
const LONGEST: usize = 256;

/// Characters of the random part: 256 bits as base64url.
const RANDOM_CHARS: usize = 43;

/// The text of a token, session or login code.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Makes a token that nothing knows yet.
    ///
    /// # Errors
    /// [`RegistryError::NoRandomness`].
    pub fn new_token() -> Result<Self, RegistryError> {
        Ok(mint::<TokenId>(SecretKind::Token)?.secret)
    }

    /// Returns the text, to be handed to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The kind of a secret. Each kind is accepted only for its own purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretKind {
    /// A token, sent with each request.
    Token,
    /// A session, in a browser's cookie.
    Session,
    /// A code for one login.
    Code,
}

impl SecretKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Token => "skep",
            Self::Session => "session",
            Self::Code => "code",
        }
    }
}

/// The stored digest of a secret.
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

    /// Compares two digests in constant time.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// A newly created secret, with its public id.
pub(crate) struct Minted<I = TokenId> {
    pub(crate) id: I,
    pub(crate) secret: Secret,
    pub(crate) digest: SecretDigest,
}

impl<I: FromStr<Err = IdError>> Minted<I> {
    /// Reads a secret that was made elsewhere. It must be as long as one that is made here.
    pub(crate) fn parse(kind: SecretKind, text: &str) -> Result<Self, RegistryError> {
        let random = text.splitn(3, '_').nth(2).map(str::len);
        let id = id_in(kind, text).filter(|_| random.is_some_and(|length| length >= RANDOM_CHARS));
        let id = id.ok_or(RegistryError::MalformedToken)?;
        Ok(Self { id, digest: SecretDigest::of(text), secret: Secret(text.to_owned()) })
    }
}

/// Creates a secret.
pub(crate) fn mint<I: FromStr<Err = IdError>>(
    kind: SecretKind,
) -> Result<Minted<I>, RegistryError> {
    let mut random = [0; 38];
    getrandom::fill(&mut random).map_err(|_| RegistryError::NoRandomness)?;
    let (id, secret) = random.split_at(6);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = BASE64_URL_SAFE_NO_PAD.encode(secret);
    let text = format!("{}_{id}_{secret}", kind.word());
    let id = id.parse().expect("twelve digits are an id");
    Ok(Minted { id, digest: SecretDigest::of(&text), secret: Secret(text) })
}

/// Extracts the id from text in the form of a secret of this kind.
pub(crate) fn id_in<I: FromStr<Err = IdError>>(kind: SecretKind, text: &str) -> Option<I> {
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
        let minted: Minted = mint(SecretKind::Token).unwrap();
        let text = minted.secret.expose();
        assert_eq!(id_in(SecretKind::Token, text).as_ref(), Some(&minted.id));
        assert_eq!(id_in::<TokenId>(SecretKind::Session, text), None);
        assert_eq!(id_in::<TokenId>(SecretKind::Code, text), None);
        assert!(text.len() >= "skep_".len() + 12 + 1 + 43);
        assert!(minted.digest.matches(&SecretDigest::of(text)));
        assert!(!minted.digest.matches(&SecretDigest::of(&text[..text.len() - 1])));
        assert_eq!(format!("{:?}", minted.secret), "…");
    }

    #[test]
    fn malformed_secrets_have_no_id() {
        let long = format!("skep_a_{}", "x".repeat(300));
        for bad in ["", "skep", "skep_", "skep_a", "skep_A_x", "skep__x", "skep_a/b_x", &long] {
            assert_eq!(id_in::<TokenId>(SecretKind::Token, bad), None, "{bad}");
        }
    }

    #[test]
    fn secrets_are_unique() {
        let mint = || mint::<TokenId>(SecretKind::Code).unwrap();
        let (one, other) = (mint(), mint());
        assert_ne!(one.id, other.id);
        assert_ne!(one.secret.expose(), other.secret.expose());
    }
}
