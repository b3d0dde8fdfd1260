//! The worker's own durable, append-only record: emit events, read entries.

use std::fmt;
use std::time::SystemTime;

use crate::host;
use crate::message::TEXT;

/// One entry of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The entry's place in the record, growing without gaps unless old entries were trimmed.
    pub seq: u64,
    /// When it was written, to the millisecond.
    pub at: SystemTime,
    /// What it is: `input`, `event`, `output`, `log`, `failure` and so on.
    pub kind: String,
    /// The worker's own word for it, for an entry of kind `event`.
    pub event: Option<String>,
    /// The input whose turn wrote it, if one did.
    pub input_id: Option<String>,
    /// The media type of `body`.
    pub content_type: String,
    /// The content; empty for kinds that have none.
    pub body: Vec<u8>,
}

/// A run of entries in ascending order of `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Pass this as `after` to read on. `None` when the end was reached.
    pub next: Option<u64>,
}

/// Why an entry was not written or read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The body is longer than `event_bytes`. The value is that limit.
    TooLarge(u64),
    /// This turn has emitted `events_per_turn` events. The value is that limit.
    TooMany(u64),
    /// The kind is not 1 to 64 characters of `a-z`, `0-9`, `-`, `_` and `.`.
    InvalidKind,
    /// The host could not reach its store. The text says what it was doing.
    Unavailable(String),
}

/// Appends an event of this turn; readers of the worker see it once it is durable. `kind` is the
/// worker's own word for it, such as `progress`; the entry is of kind `event` and has that word in
/// [`Entry::event`]. A turn that fails later keeps its events.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::TooMany`], [`Error::InvalidKind`], [`Error::Unavailable`].
pub fn emit(kind: &str, content_type: &str, body: impl AsRef<[u8]>) -> Result<(), Error> {
    host::transcript::emit(kind, content_type, body.as_ref())
}

/// [`emit`] of a `text/plain; charset=utf-8` body.
///
/// # Errors
/// Those of [`emit`].
pub fn emit_text(kind: &str, text: &str) -> Result<(), Error> {
    emit(kind, TEXT, text)
}

/// Reads this worker's own entries with `seq` greater than `after` (0 for all), at most `limit` of
/// them and never more than 1,000. What this turn has emitted is not there yet.
///
/// # Errors
/// [`Error::Unavailable`].
pub fn read(after: u64, limit: u32) -> Result<Page, Error> {
    host::transcript::read(after, limit)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(limit) => write!(f, "the event is longer than {limit} bytes"),
            Self::TooMany(limit) => write!(f, "this turn has emitted its {limit} events"),
            Self::InvalidKind => {
                f.write_str("the event's kind is not 1 to 64 characters of a-z, 0-9, -, _ and .")
            }
            Self::Unavailable(doing) => write!(f, "the transcript is unavailable: {doing}"),
        }
    }
}

impl std::error::Error for Error {}
