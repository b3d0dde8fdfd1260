//! Rows of `entry`.

use bytes::Bytes;

use rusqlite::Row;
use skep_protocol::{
    Cursor, Ending, Entry, EntryKind, InputId, Outcome, Payload, Timestamp, TokenId,
};

use super::unsigned;
use super::{BadRow, blob, code, input_id, int, optional_blob, optional_int, optional_text, text};
use crate::checksum::Checksum;
use crate::{NewEntry, WorkerNumber, WorkerWrite, outcome};

/// The columns, in the order that [`StoredEntry::read`] reads.
pub(crate) const COLUMNS: &str =
    "worker, seq, at, kind, input, label, ending, flags, content_type, body, crc";

const TRUNCATED: i64 = 1;
const RUN: i64 = 2;

/// Cost of an entry in addition to its texts, so that empty entries are not free.
const FIXED_COST: u64 = 64;

/// An entry to be written. Its texts are borrowed.
pub(crate) struct EntryRow<'a> {
    pub(crate) at: Timestamp,
    pub(crate) kind: EntryKind,
    pub(crate) input_id: Option<InputId>,
    pub(crate) label: Option<&'a str>,
    pub(crate) ending: Option<Ending>,
    pub(crate) flags: i64,
    pub(crate) content_type: &'a str,
    pub(crate) body: Bytes,
}

/// An entry that was read, with its private flags.
pub(crate) struct StoredEntry {
    pub(crate) entry: Entry,
    is_run: bool,
}

impl<'a> EntryRow<'a> {
    /// Returns the entry that a write appends, if any.
    pub(crate) fn of(write: &'a WorkerWrite) -> Option<Self> {
        let bare = |at, kind, input_id| Self {
            at,
            kind,
            input_id,
            label: None,
            ending: None,
            flags: 0,
            content_type: "",
            body: Bytes::new(),
        };
        match write {
            WorkerWrite::Create(record) => Some(bare(record.created_at, EntryKind::Created, None)),
            WorkerWrite::Fork { record, origin } => Some(Self {
                label: Some(origin),
                ..bare(record.created_at, EntryKind::Created, None)
            }),
            WorkerWrite::Accept { id, at, payload, sender, .. } => Some(Self {
                label: sender.as_ref().map(TokenId::as_str),
                content_type: &payload.content_type,
                body: payload.body.clone(),
                ..bare(*at, EntryKind::Input, Some(*id))
            }),
            WorkerWrite::End { id, at, ending, output, error } => {
                let encoded = outcome::encode(*ending, output.as_ref(), error.as_ref());
                Some(Self {
                    ending: Some(*ending),
                    flags: if encoded.is_run { RUN } else { 0 },
                    content_type: encoded.content_type,
                    body: encoded.body,
                    ..bare(*at, encoded.kind, Some(*id))
                })
            }
            WorkerWrite::Append(entry) => Some(Self::of_new(entry)),
            WorkerWrite::Put(_)
            | WorkerWrite::Remove { .. }
            | WorkerWrite::Begin { .. }
            | WorkerWrite::SetState { .. }
            | WorkerWrite::DeleteState { .. }
            | WorkerWrite::Usage(_)
            | WorkerWrite::Connected(_) => None,
        }
    }

    fn of_new(entry: &'a NewEntry) -> Self {
        Self {
            at: entry.at,
            kind: entry.kind,
            input_id: entry.input_id,
            label: entry.label.as_deref(),
            ending: entry.ending,
            flags: if entry.truncated { TRUNCATED } else { 0 },
            content_type: &entry.payload.content_type,
            body: entry.payload.body.clone(),
        }
    }

    pub(crate) fn crc(&self, worker: WorkerNumber, seq: u64) -> i64 {
        Checksum::new()
            .int(worker.0)
            .int(seq.cast_signed())
            .int(self.at.as_millis().cast_signed())
            .int(self.kind as i64)
            .int(self.ending.map_or(0, code::of_ending))
            .int(self.flags)
            .optional_bytes(self.input_id.as_ref().map(|id| &id.as_bytes()[..]))
            .optional_bytes(self.label.map(str::as_bytes))
            .bytes(self.content_type.as_bytes())
            .bytes(&self.body)
            .finish()
    }

    /// Returns the entry's cost in `transcript_bytes`.
    pub(crate) fn cost(&self) -> u64 {
        cost([self.label.map_or(0, str::len), self.content_type.len(), self.body.len()])
    }

    /// Converts it to the public type.
    pub(crate) fn into_entry(self, seq: Cursor) -> Entry {
        Entry {
            seq,
            at: self.at,
            kind: self.kind,
            input_id: self.input_id,
            label: self.label.map(str::to_owned),
            ending: self.ending,
            payload: Payload { content_type: self.content_type.to_owned(), body: self.body },
            truncated: self.flags & TRUNCATED != 0,
            body_bytes: None,
        }
    }
}

impl StoredEntry {
    /// Reads a row of [`COLUMNS`] and verifies its checksum.
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, BadRow> {
        let kind = u8::try_from(int(row, 3)?).ok().and_then(EntryKind::from_code).ok_or(BadRow)?;
        let seq = unsigned(row, 1)?;
        let flags = int(row, 7)?;
        let found = EntryRow {
            at: Timestamp(unsigned(row, 2)?),
            kind,
            input_id: optional_blob(row, 4)?.map(input_id).transpose()?,
            label: optional_text(row, 5)?,
            ending: optional_int(row, 6)?.map(code::ending).transpose()?,
            flags,
            content_type: text(row, 8)?,
            body: Bytes::copy_from_slice(blob(row, 9)?),
        };
        if found.crc(WorkerNumber(int(row, 0)?), seq) != int(row, 10)? {
            return Err(BadRow);
        }
        Ok(Self { entry: found.into_entry(Cursor(seq)), is_run: flags & RUN != 0 })
    }

    /// Returns the outcome that the entry holds.
    pub(crate) fn into_outcome(self) -> Option<Outcome> {
        outcome::decode(self.entry.kind, self.entry.ending, self.is_run, self.entry.payload)
    }
}

/// Returns the cost of an entry with texts of these lengths.
pub(crate) fn cost(texts: [usize; 3]) -> u64 {
    FIXED_COST + texts.iter().sum::<usize>() as u64
}
