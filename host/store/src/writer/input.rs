//! Writes to the rows of inputs.

use rusqlite::{Connection, ErrorCode, params};
use skep_protocol::{Cursor, InputId, Timestamp};

use super::cache::CachedWorker;
use super::error::WriteError;
use super::statement::Statements;
use super::step::Step;
use crate::row::BadRow;
use crate::row::input::InputRow;
use crate::{InputRecord, StoreRefusal, WorkerNumber, WorkerWrite, read};

/// Inserts the input that an `Accept` describes.
pub(super) fn accept(
    connection: &Connection,
    statements: &mut Statements<'_>,
    worker: WorkerNumber,
    cached: &mut CachedWorker,
    step: Step<'_>,
) -> Result<(), WriteError> {
    let WorkerWrite::Accept { id, at, payload, content_digest, key, attempt, .. } = step.write()
    else {
        return Err(StoreRefusal::Malformed.into());
    };
    if let Some(key) = key {
        let found = find(
            connection,
            worker,
            &mut statements.input_by_key,
            params![worker.0, key.as_str()],
        )?;
        if let Some(old) = found {
            if old.is_remembered(*at, cached.limits.key_ms) {
                return Err(StoreRefusal::KeyTaken.into());
            }
            let keys = cached.keys(connection, worker)?;
            *keys = keys.saturating_sub(1);
            forget_key(connection, statements, old)?;
        }
        *cached.keys(connection, worker)? += 1;
    }
    // Most turns are one transaction, so the row is inserted in its final state.
    let started_at = (*attempt > 0).then_some(*at);
    let begun = InputProgress { attempt: *attempt, started_at, outcome_seq: None };
    let InputProgress { attempt, started_at, outcome_seq } = progress(id, begun, step.later());
    let row = InputRow {
        worker,
        at: *at,
        started_at,
        record: InputRecord {
            id: *id,
            seq: step.seq().unwrap_or_default(),
            attempt,
            outcome_seq,
            bytes: payload.body.len() as u64,
            key: key.clone(),
            content_digest: *content_digest,
        },
        rowid: 0,
    };
    statements.insert_input(&row).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => StoreRefusal::InputExists.into(),
        _ => WriteError::Sql(error),
    })
}

/// Updates the input that a `Begin` or `End` names.
pub(super) fn advance(
    connection: &Connection,
    statements: &mut Statements<'_>,
    worker: WorkerNumber,
    step: Step<'_>,
) -> Result<(), WriteError> {
    let (WorkerWrite::Begin { id, .. } | WorkerWrite::End { id, .. }) = step.write() else {
        return Err(StoreRefusal::Malformed.into());
    };
    if is_accepted(step.earlier(), id) {
        // `accept` has looked ahead and inserted the row with this write applied.
        return match is_ended(step.earlier(), id) {
            true => Err(StoreRefusal::InputEnded.into()),
            false => Ok(()),
        };
    }
    let by_id = params![&id.as_bytes()[..]];
    let found = find(connection, worker, &mut statements.input_by_id, by_id)?;
    let mut row = found.filter(|row| row.worker == worker).ok_or(StoreRefusal::UnknownInput)?;
    if row.record.outcome_seq.is_some() {
        return Err(StoreRefusal::InputEnded.into());
    }
    match step.write() {
        WorkerWrite::Begin { attempt, at, .. } => {
            (row.record.attempt, row.started_at) = (*attempt, Some(*at));
        }
        _ => row.record.outcome_seq = step.seq(),
    }
    Ok(statements.update_input(&row)?)
}

/// Removes an input's key, or the whole input if its outcome was trimmed.
pub(super) fn forget_key(
    connection: &Connection,
    statements: &mut Statements<'_>,
    mut row: InputRow,
) -> Result<(), WriteError> {
    let outcome = row.record.outcome_seq.map(|seq| seq.0.cast_signed());
    let sql = "SELECT 1 FROM entry WHERE worker = ? AND seq = ?";
    let kept = match outcome {
        Some(seq) => connection.prepare_cached(sql)?.exists([row.worker.0, seq])?,
        None => true,
    };
    if kept {
        row.record.key = None;
        statements.update_input(&row)?;
    } else {
        connection.prepare_cached("DELETE FROM input WHERE rowid = ?")?.execute([row.rowid])?;
    }
    Ok(())
}

/// What became of an input.
struct InputProgress {
    attempt: u32,
    started_at: Option<Timestamp>,
    outcome_seq: Option<Cursor>,
}

/// Returns what an input reaches within the transaction that accepts it.
fn progress<'a>(
    id: &InputId,
    mut reached: InputProgress,
    later: impl Iterator<Item = (&'a WorkerWrite, Option<Cursor>)>,
) -> InputProgress {
    for (write, seq) in later {
        match write {
            WorkerWrite::Begin { id: other, attempt, at } if other == id => {
                (reached.attempt, reached.started_at) = (*attempt, Some(*at));
            }
            WorkerWrite::End { id: other, .. } if other == id => {
                return InputProgress { outcome_seq: seq, ..reached };
            }
            _ => {}
        }
    }
    reached
}

fn is_accepted(writes: &[WorkerWrite], id: &InputId) -> bool {
    writes.iter().any(|write| matches!(write, WorkerWrite::Accept { id: other, .. } if other == id))
}

fn is_ended(writes: &[WorkerWrite], id: &InputId) -> bool {
    writes.iter().any(|write| matches!(write, WorkerWrite::End { id: other, .. } if other == id))
}

fn find(
    connection: &Connection,
    worker: WorkerNumber,
    statement: &mut rusqlite::Statement<'_>,
    parameters: impl rusqlite::Params,
) -> Result<Option<InputRow>, WriteError> {
    let mut rows = statement.query(parameters)?;
    let damage = |BadRow| read::worker::damage(connection, worker, "input");
    Ok(rows.next()?.map(InputRow::read).transpose().map_err(damage)?)
}
