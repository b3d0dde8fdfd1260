//! The transcript: the ordered, append-only record of one worker.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Ending, InputId, Payload, Timestamp};

/// A place in a worker's transcript: the `seq` of the last entry that was seen, 0 before the first.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Cursor(pub u64);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Cursor {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// As text, as the cursor of every other list is.
mod written_cursor {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Cursor;

    pub(super) fn serialize<S: Serializer>(cursor: &Cursor, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(cursor)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Cursor, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

macro_rules! entry_kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $word:literal;)*) => {
        /// What an entry records. The number is what the store keeps and never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum EntryKind {
            $($(#[$doc])* $name = $code,)*
        }

        impl EntryKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word used in every API and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The kind with that number.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

entry_kinds! {
    /// The worker came to be.
    Created = 1, "created";
    /// An instance came to be.
    Connected = 2, "connected";
    /// It went.
    Disconnected = 3, "disconnected";
    /// An input was accepted; the body is its message.
    Input = 4, "input";
    /// The worker emitted something; `label` is its own word for it.
    Event = 5, "event";
    /// A line that the worker wrote; `label` is `stdout` or `stderr`.
    Log = 6, "log";
    /// A turn completed; the body is what it gave.
    Output = 7, "output";
    /// A turn ended otherwise; `ending` says how, the body is a [`crate::TurnError`] in JSON.
    Failure = 8, "failure";
    /// The host went down in a turn; the input is handled again.
    Interrupted = 9, "interrupted";
    /// A person stopped the worker.
    Stopped = 10, "stopped";
    /// A person started it.
    Started = 11, "started";
    /// It was switched to another component or config bundle; or its grants were changed: then
    /// `label` is `grants`, and the body is what they are now, [`crate::Grants`] in JSON.
    Updated = 12, "updated";
    /// It was switched back.
    RolledBack = 13, "rolled_back";
    /// It asked for something that it was not granted; `label` names the interface, the body is a
    /// [`crate::Denial`] in JSON where there is more to say.
    Denied = 14, "denied";
    /// Entries before this one were trimmed.
    Gap = 15, "gap";
    /// It runs no more before a person starts it; `label` is the reason.
    Failed = 16, "failed";
    /// It sent an HTTP request; `label` is its method and host, the body is a
    /// [`crate::RequestRecord`] in JSON.
    Request = 17, "request";
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Its place, assigned inside the commit that made it durable: from 1, without holes.
    pub seq: Cursor,
    /// When it happened.
    pub at: Timestamp,
    /// What it is.
    pub kind: EntryKind,
    /// The input whose turn it belongs to, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_id: Option<InputId>,
    /// A word beside the kind: an event's own, a log line's stream, a denied interface, the id of
    /// the token that an input was sent with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How the turn ended, where this is its outcome.
    #[serde(rename = "outcome", default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// The content; empty where the kind has none.
    #[serde(flatten)]
    pub payload: Payload,
    /// Whether the content was cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// Entries in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryPage {
    /// The entries.
    #[serde(rename = "items")]
    pub entries: Vec<Entry>,
    /// Where to read on: the last entry's place, or where the page began if it is empty.
    #[serde(rename = "next_cursor", with = "written_cursor")]
    #[schemars(with = "String")]
    pub next: Cursor,
    /// Whether there were more when the page was read.
    pub more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_again_by_its_number() {
        for &kind in EntryKind::ALL {
            assert_eq!(EntryKind::from_code(kind as u8), Some(kind));
        }
        assert_eq!(EntryKind::from_code(0), None);
    }
}
