//! Identifiers. Parsing validates them, so a value is always well-formed.
//!
//! | id | written as |
//! | --- | --- |
//! | [`RuntimeId`], [`HostId`], [`TokenId`], [`SessionId`], [`CiRunId`], [`StepKey`] | 1 to 64 of `a-z`, `0-9` and `-`, beginning with a letter or digit |
//! | [`WorkerId`], [`InputId`] | a UUIDv7 in lower case: `019b0d2e-7c31-7e0a-8f7d-0a6d2f3c1b55` |
//!
//! A worker is named by its runtime's id and its own. Display names, which carry no authority, are in
//! [`crate::name`].

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The reason why text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not the id of a runtime, host, token, session, run or step.
    #[error(
        "the id of a runtime, host, token, session, run or step is 1 to 64 of a-z, 0-9 and -, and begins with a letter or digit"
    )]
    Runtime,
    /// Not the id of a worker or input.
    #[error("an id is a UUIDv7 in lower case, such as 019b0d2e-7c31-7e0a-8f7d-0a6d2f3c1b55")]
    Uuid,
    /// Not the digest of a component or config bundle.
    #[error("a digest is sha256: and 64 digits of 0-9 and a-f")]
    Digest,
}

macro_rules! short_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(into = "String", try_from = "String")]
        #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9-]{0,63}$"))]
        pub struct $name(String);

        impl $name {
            /// Returns the id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let allowed = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-');
                let fits = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
                let good = fits && !text.starts_with('-');
                if good { Ok(Self(text.to_owned())) } else { Err(IdError::Runtime) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

short_id! {
    /// The authoritative id of a runtime.
    RuntimeId
}

short_id! {
    /// The process that a runtime runs in; every process has a new id. It is informational, never
    /// authority, and reveals neither the machine's name nor its address.
    HostId
}

short_id! {
    /// The public id of an access token. It grants no access by itself.
    TokenId
}

short_id! {
    /// The public id of a browser's session. It grants no access by itself.
    SessionId
}

short_id! {
    /// The name of a step on a runtime: it stands for a step of a run.
    StepKey
}

short_id! {
    /// The name of a pipeline's run: a time and random digits, so that later names sort later.
    CiRunId
}

macro_rules! uuid_v7 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(into = "String", try_from = "String")]
        #[schemars(extend("format" = "uuid"))]
        pub struct $name(Uuid);

        impl $name {
            /// Creates an id from a time, in milliseconds since 1970, and ten random bytes, of
            /// which 74 bits are used. Later times sort later.
            pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
            }

            /// Returns the 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Creates an id from its 16 bytes.
            ///
            /// # Errors
            /// [`IdError::Uuid`] if they are not a UUIDv7.
            pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, IdError> {
                let uuid = Uuid::from_bytes(bytes);
                let rfc = uuid.get_variant() == uuid::Variant::RFC4122;
                if rfc && uuid.get_version_num() == 7 { Ok(Self(uuid)) } else { Err(IdError::Uuid) }
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                // Only one spelling is accepted; `uuid` itself also takes upper case, braces and
                // `urn:`.
                let plain = text.len() == 36 && !text.bytes().any(|c| c.is_ascii_uppercase());
                let uuid = plain.then(|| Uuid::try_parse(text).ok()).flatten();
                Self::from_bytes(*uuid.ok_or(IdError::Uuid)?.as_bytes())
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

uuid_v7! {
    /// A worker within its runtime. Never reused.
    WorkerId
}

uuid_v7! {
    /// An accepted input.
    InputId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_ids_sort_by_time_and_have_one_spelling() {
        let early = WorkerId::new(1_000, [0xff; 10]);
        let late = WorkerId::new(1_001, [0; 10]);
        assert!(early < late);
        assert_eq!(early.to_string().parse::<WorkerId>(), Ok(early));
        assert_eq!(WorkerId::from_bytes(*late.as_bytes()), Ok(late));
        for bad in [
            early.to_string().to_uppercase(),
            format!("{{{early}}}"),
            format!("urn:uuid:{early}"),
            early.to_string().replace('-', ""),
            "00000000-0000-0000-0000-000000000000".into(),
            "019b0d2e-7c31-4e0a-8f7d-0a6d2f3c1b55".into(),
            "../../../../../../../../../../etc/pwd".into(),
            String::new(),
        ] {
            assert_eq!(bad.parse::<WorkerId>(), Err(IdError::Uuid), "{bad}");
        }
    }

    #[test]
    fn runtime_ids_have_a_small_alphabet() {
        for good in ["a", "local", "0-rt", &"x".repeat(64)] {
            assert!(good.parse::<RuntimeId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "a/b", "a.b", "ü", &"x".repeat(65)] {
            assert!(bad.parse::<RuntimeId>().is_err(), "{bad}");
        }
    }
}
