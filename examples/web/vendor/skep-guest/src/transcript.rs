//! The worker's durable, append-only record: emit events, read entries.

use std::fmt;
use std::time::SystemTime;

use crate::host;
use crate::message::TEXT;

/// One entry of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The entry's position in the record. Positions have no gaps unless old entries were trimmed.
    pub seq: u64,
    /// The time at which it was written, to the millisecond.
    pub at: SystemTime,
    /// The kind: `input`, `event`, `output`, `log`, `failure` and so on.
    pub kind: String,
    /// The worker's name for the event, for an entry of kind `event`.
    pub event: Option<String>,
    /// The input whose turn wrote it, if any.
    pub input_id: Option<String>,
    /// The media type of `body`.
    pub content_type: String,
    /// The content; empty for kinds that have none.
    pub body: Vec<u8>,
}

/// A page of entries in ascending order of `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The `after` of the next page, or `None` at the end.
    pub next: Option<u64>,
}

/// The reason why an entry was not written or read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The body is longer than `event_bytes`. The value is that limit.
    TooLarge(u64),
    /// This turn has emitted `events_per_turn` events. The value is that limit.
    TooMany(u64),
    /// The kind is not 1 to 64 characters of `a-z`, `0-9`, `-`, `_` and `.`.
    InvalidKind,
    /// The host could not reach its store. The text names the operation.
    Unavailable(String),
}

/// Appends an event of this turn; readers of the worker see it once it is durable. `kind` is the
/// worker's name for it, such as `progress`; the entry is of kind `event` and has that name in
/// [`Entry::event`]. A turn that fails later keeps its events.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::TooMany`], [`Error::InvalidKind`], [`Error::Unavailable`].
pub fn emit(kind: &str, content_type: &str, body: impl AsRef<[u8]>) -> Result<(), Error> {
    host::transcript::emit(kind, content_type, body.as_ref())
}

/// Emits a `text/plain; charset=utf-8` body with [`emit`].
///
/// # Errors
/// Those of [`emit`].
pub fn emit_text(kind: &str, text: &str) -> Result<(), Error> {
    emit(kind, TEXT, text)
}

/// Reads this worker's own entries with `seq` greater than `after` (0 for all): at most `limit`,
/// and never more than 1,000. This turn's own events are not among them yet.
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
