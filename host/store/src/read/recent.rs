//! Reads of a worker's inputs, newest first and without their bodies.

use rusqlite::{Connection, params};
use skep_protocol::{Cursor, EntryKind, Timestamp};

use super::all;
use super::worker::damage;
use crate::record::{InputPage, RecentInput};
use crate::row::input::{COLUMNS, InputRow};
use crate::row::{BadRow, code, optional_int, optional_text, text};
use crate::{StoreError, WorkerNumber};

/// Entries that one page looks through at most. A worker that emits thousands of events per input
/// gets shorter pages instead of slower ones.
const SCANNED: usize = 10_000;

/// Returns at most `limit` inputs accepted before a position, newest first.
pub(crate) fn page(
    connection: &Connection,
    worker: WorkerNumber,
    before: Cursor,
    limit: usize,
) -> Result<InputPage, StoreError> {
    let before = before.0.min(i64::MAX as u64).cast_signed();
    let first = "SELECT min(seq), count(*) FROM
         (SELECT seq FROM entry WHERE worker = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3)";
    let scanned = SCANNED as i64;
    let (first, count): (Option<i64>, i64) = connection
        .prepare_cached(first)?
        .query_row(params![worker.0, before, scanned], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(first) = first else { return Ok(InputPage::default()) };

    let columns = COLUMNS.replace(", ", ", input.");
    let sql = format!(
        "SELECT input.{columns}, entry.label, entry.content_type, outcome.at, outcome.ending
         FROM entry JOIN input ON input.id = entry.input
         LEFT JOIN entry AS outcome
             ON outcome.worker = entry.worker AND outcome.seq = input.outcome_seq
         WHERE entry.worker = ?1 AND entry.seq < ?2 AND entry.seq >= ?3 AND entry.kind = ?4
         ORDER BY entry.seq DESC LIMIT ?5"
    );
    let parameters = params![worker.0, before, first, EntryKind::Input as i64, limit as i64 + 1];
    let mut inputs = all(connection, &sql, parameters, |row| {
        read(row).map_err(|BadRow| damage(connection, worker, "input"))
    })?;
    let more = inputs.len() > limit;
    inputs.truncate(limit);
    let next = match inputs.last().filter(|_| more) {
        Some(last) => Some(last.record.seq),
        None if count == scanned => Some(Cursor(first.cast_unsigned())),
        None => None,
    };
    Ok(InputPage { inputs, next })
}

fn read(row: &rusqlite::Row<'_>) -> Result<RecentInput, BadRow> {
    let InputRow { at, started_at, record, .. } = InputRow::read(row)?;
    let ended_at = optional_int(row, 14)?.map(|at| Timestamp(at.cast_unsigned()));
    let ending = optional_int(row, 15)?.map(code::ending).transpose()?;
    Ok(RecentInput {
        accepted_at: at,
        started_at,
        record,
        sender: optional_text(row, 12)?.map(|id| id.parse().map_err(|_| BadRow)).transpose()?,
        content_type: text(row, 13)?.to_owned(),
        end: ended_at.zip(ending),
    })
}
