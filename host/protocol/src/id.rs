//! Identifiers. Each is parsed once and is well-formed ever after.
//!
//! | id | written as |
//! | --- | --- |
//! | [`RuntimeId`], [`HostId`], [`TokenId`] | 1 to 64 of `a-z`, `0-9` and `-`, beginning with a letter or digit |
//! | [`WorkerId`], [`InputId`] | a UUIDv7 in lower case: `019b0d2e-7c31-7e0a-8f7d-0a6d2f3c1b55` |
//!
//! Only [`WorkerRef`] is authority for a worker; what people call it is in [`crate::name`].

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text is not an id of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// For runtimes, hosts and tokens.
    #[error(
        "the id of a runtime, host or token is 1 to 64 of a-z, 0-9 and -, and begins with a letter or digit"
    )]
    Runtime,
    /// For workers and inputs.
    #[error("an id is a UUIDv7 in lower case, such as 019b0d2e-7c31-7e0a-8f7d-0a6d2f3c1b55")]
    Uuid,
    /// For components and config bundles.
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
            /// The id as it is written.
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
    /// Authority id of a runtime.
    RuntimeId
}

short_id! {
    /// The process or machine that a runtime runs on, made anew with each process. Something to
    /// look at, never authority; it says nothing of the machine's name or address.
    HostId
}

short_id! {
    /// The public name of an access token. Knowing it lets nobody in.
    TokenId
}

macro_rules! uuid_v7 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(into = "String", try_from = "String")]
        #[schemars(extend("format" = "uuid"))]
        pub struct $name(Uuid);

        impl $name {
            /// A new id made of the time, in milliseconds since 1970, and ten random bytes, of
            /// which 74 bits are used. Later times sort later.
            pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
            }

            /// The 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id with these 16 bytes.
            ///
            /// # Errors
            /// [`IdError::Uuid`] where they are not a UUIDv7.
            pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, IdError> {
                let uuid = Uuid::from_bytes(bytes);
                let rfc = uuid.get_variant() == uuid::Variant::RFC4122;
                if rfc && uuid.get_version_num() == 7 { Ok(Self(uuid)) } else { Err(IdError::Uuid) }
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                // One spelling only: `uuid` itself takes upper case, braces and urn: as well.
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
    /// A worker within its runtime. Never used twice.
    WorkerId
}

uuid_v7! {
    /// An accepted input.
    InputId
}

/// The only authority for a worker.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct WorkerRef {
    /// Whose it is.
    pub runtime_id: RuntimeId,
    /// Which it is there.
    pub worker_id: WorkerId,
}

impl fmt::Display for WorkerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.runtime_id, self.worker_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_ordered_by_time_and_has_one_spelling() {
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
    fn a_runtime_id_has_a_small_alphabet() {
        for good in ["a", "local", "0-rt", &"x".repeat(64)] {
            assert!(good.parse::<RuntimeId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "a/b", "a.b", "ü", &"x".repeat(65)] {
            assert!(bad.parse::<RuntimeId>().is_err(), "{bad}");
        }
    }
}
