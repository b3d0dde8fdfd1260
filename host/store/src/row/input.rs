//! Rows of `input`.

use rusqlite::Row;
use skep_protocol::{Cursor, Timestamp};

use super::{BadRow, blob, input_id, int, optional_int, optional_text, unsigned};
use crate::checksum::Checksum;
use crate::{InputRecord, WorkerNumber};

/// The columns, in the order that [`InputRow::read`] reads.
pub(crate) const COLUMNS: &str =
    "worker, seq, id, at, attempt, outcome_seq, bytes, key, digest, crc, rowid, started_at";

/// The row of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputRow {
    pub(crate) worker: WorkerNumber,
    pub(crate) at: Timestamp,
    /// The time when its last attempt began, if it is known.
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) record: InputRecord,
    /// Its rowid, or 0 before it is inserted.
    pub(crate) rowid: i64,
}

impl InputRow {
    /// Reads a row of [`COLUMNS`] and verifies its checksum.
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, BadRow> {
        let key = optional_text(row, 7)?;
        let found = Self {
            worker: WorkerNumber(int(row, 0)?),
            at: Timestamp(unsigned(row, 3)?),
            started_at: optional_int(row, 11)?.map(|at| Timestamp(at.cast_unsigned())),
            record: InputRecord {
                id: input_id(blob(row, 2)?)?,
                seq: Cursor(unsigned(row, 1)?),
                attempt: u32::try_from(int(row, 4)?).map_err(|_| BadRow)?,
                outcome_seq: optional_int(row, 5)?.map(|seq| Cursor(seq.cast_unsigned())),
                bytes: unsigned(row, 6)?,
                key: key.map(|key| key.parse().map_err(|_| BadRow)).transpose()?,
                content_digest: blob(row, 8)?.try_into().map_err(|_| BadRow)?,
            },
            rowid: int(row, 10)?,
        };
        if found.crc() == int(row, 9)? { Ok(found) } else { Err(BadRow) }
    }

    /// Returns true if the row's key still refuses another input: while the input has no outcome, and
    /// for `remembered_ms` after it was accepted.
    pub(crate) fn is_remembered(&self, now: Timestamp, remembered_ms: u64) -> bool {
        self.record.outcome_seq.is_none() || now.0.saturating_sub(self.at.0) < remembered_ms
    }

    pub(crate) fn crc(&self) -> i64 {
        let input = &self.record;
        let checksum = Checksum::new()
            .int(self.worker.0)
            .int(input.seq.0.cast_signed())
            .bytes(input.id.as_bytes())
            .int(self.at.as_millis().cast_signed())
            .int(i64::from(input.attempt))
            .optional_int(input.outcome_seq.map(|seq| seq.0.cast_signed()))
            .int(input.bytes.cast_signed())
            .optional_bytes(input.key.as_ref().map(|key| key.as_str().as_bytes()))
            .bytes(&input.content_digest);
        // Rows from before this column have a checksum without it.
        match self.started_at {
            Some(at) => checksum.int(at.as_millis().cast_signed()).finish(),
            None => checksum.finish(),
        }
    }
}
