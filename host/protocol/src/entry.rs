//! The transcript: the ordered, append-only record of one worker.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Cursor, Ending, InputId, Payload, Timestamp};

/// Serializes the cursor as text, like the cursor of every other list.
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

/// The same for a place that may be absent.
mod written_place {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::Cursor;

    #[expect(clippy::ref_option, reason = "serde passes fields by reference")]
    pub(super) fn serialize<S: Serializer>(
        place: &Option<Cursor>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        place.map(|place| place.to_string()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Cursor>, D::Error> {
        let written = Option::<String>::deserialize(from)?;
        written.map(|place| place.parse().map_err(de::Error::custom)).transpose()
    }
}

macro_rules! entry_kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $word:literal;)*) => {
        /// The kind of an entry. The store persists the number, so it never changes.
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

            /// Returns the kind with this number.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// Returns the kind with this word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$name),)* _ => None }
            }
        }
    };
}

entry_kinds! {
    /// The worker was created; if it is a copy, `label` is the id of the worker that was copied.
    Created = 1, "created";
    /// An instance was created.
    Connected = 2, "connected";
    /// The instance was dropped.
    Disconnected = 3, "disconnected";
    /// An input was accepted; the body is its message.
    Input = 4, "input";
    /// The worker emitted an event; `label` is the worker's name for it.
    Event = 5, "event";
    /// A line of the worker's output; `label` is `stdout` or `stderr`.
    Log = 6, "log";
    /// A turn completed; the body is its output.
    Output = 7, "output";
    /// A turn did not complete; `ending` is the reason, the body is a [`crate::TurnError`] in JSON.
    Failure = 8, "failure";
    /// The host went down during a turn; the input will be handled again.
    Interrupted = 9, "interrupted";
    /// The worker was stopped.
    Stopped = 10, "stopped";
    /// The worker was started.
    Started = 11, "started";
    /// The worker was switched to another component or config bundle; the body is a
    /// [`crate::VersionChange`] in JSON. If `label` is `grants`, its grants changed, and the body is
    /// the new [`crate::Grants`] in JSON.
    Updated = 12, "updated";
    /// The worker was rolled back to its previous version; the body is a [`crate::VersionChange`] in
    /// JSON.
    RolledBack = 13, "rolled_back";
    /// The worker tried something that it has no grant for; `label` names the interface. The body
    /// is a [`crate::Denial`] in JSON, or empty if the interface says it all.
    Denied = 14, "denied";
    /// Entries before this one were trimmed.
    Gap = 15, "gap";
    /// The worker failed and stays down until a person starts it; `label` is the reason.
    Failed = 16, "failed";
    /// The worker sent an HTTP request; `label` is the method and host, the body is a
    /// [`crate::RequestRecord`] in JSON.
    Request = 17, "request";
    /// A turn waited for its component's machine code; the body is a [`crate::CompileRecord`] in
    /// JSON. Code that is found within 250 ms has no entry.
    Compiled = 18, "compiled";
    /// A request to an HTTP worker that was not answered whole, or a sample of those that were;
    /// `label` is the reason, `answered` or `client_left`. The body is an [`crate::AccessRecord`] in JSON.
    Access = 19, "access";
}

/// One entry of a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Sequence number, assigned in the commit that makes the entry durable: from 1, without gaps.
    pub seq: Cursor,
    /// Time of the event.
    pub at: Timestamp,
    /// Kind of entry.
    pub kind: EntryKind,
    /// Input of the turn that the entry belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_id: Option<InputId>,
    /// Detail of the kind: an event's name, a log line's stream, a denied interface, or the id of
    /// the token that an input was sent with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Ending of the turn, if this entry is its outcome.
    #[serde(rename = "outcome", default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// Content; empty for kinds without one.
    #[serde(flatten)]
    pub payload: Payload,
    /// True if the content was truncated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Length of the whole body in bytes, if a preview of it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
}

/// A page of entries, in ascending order wherever the page is. Under a filter it may be short, or
/// even empty, and still not be the last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryPage {
    /// The entries.
    #[serde(rename = "items")]
    pub entries: Vec<Entry>,
    /// Place to read on after: the last entry's `seq`, the last entry that the filter looked at, or
    /// the page's own start.
    #[serde(rename = "next_cursor", with = "written_cursor")]
    #[schemars(with = "String")]
    pub next: Cursor,
    /// Place to read on before; none if there is nothing earlier.
    #[serde(rename = "prev_cursor", with = "written_place", default)]
    #[schemars(with = "Option<String>")]
    pub prev: Option<Cursor>,
    /// True if there were more entries in the direction of reading when the page was read.
    pub more: bool,
    /// The oldest entry of the transcript when the page was read; those before it were trimmed.
    #[serde(default)]
    pub first_seq: Option<Cursor>,
    /// The newest entry of the transcript when the page was read.
    #[serde(default)]
    pub last_seq: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_parses_back_from_its_number() {
        for &kind in EntryKind::ALL {
            assert_eq!(EntryKind::from_code(kind as u8), Some(kind));
            assert_eq!(EntryKind::from_word(kind.as_str()), Some(kind));
        }
        assert_eq!(EntryKind::from_word("Log"), None);
        assert_eq!(EntryKind::from_code(0), None);
    }
}
