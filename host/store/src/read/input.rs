//! Reads of inputs.

use rusqlite::{Connection, Params};
use skep_protocol::{IdempotencyKey, InputId, Timestamp};

use super::worker::damage;
use super::{all, one};
use crate::row::BadRow;
use crate::row::input::{COLUMNS, InputRow};
use crate::{InputRecord, StoreError, WorkerNumber};

/// Returns the inputs without an outcome, in order.
pub(crate) fn queue(
    connection: &Connection,
    worker: WorkerNumber,
) -> Result<Vec<InputRecord>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM input WHERE worker = ? AND outcome_seq IS NULL ORDER BY seq"
    );
    let rows = all(connection, &sql, [worker.0], |row| {
        InputRow::read(row).map_err(|BadRow| damage(connection, worker, "input"))
    })?;
    Ok(rows.into_iter().map(|row| row.record).collect())
}

pub(crate) fn by_id(
    connection: &Connection,
    worker: WorkerNumber,
    id: &InputId,
) -> Result<Option<InputRow>, StoreError> {
    let found = find(connection, worker, "id = ?", [id.as_bytes()])?;
    Ok(found.filter(|row| row.worker == worker))
}

/// Returns the input that a key belongs to, while the key is remembered or the input has no
/// outcome.
pub(crate) fn by_key(
    connection: &Connection,
    worker: WorkerNumber,
    key: &IdempotencyKey,
    now: Timestamp,
    remembered_ms: u64,
) -> Result<Option<InputRow>, StoreError> {
    let found = find(connection, worker, "worker = ? AND key = ?", (worker.0, key.as_str()))?;
    Ok(found.filter(|row| row.is_remembered(now, remembered_ms)))
}

fn find(
    connection: &Connection,
    worker: WorkerNumber,
    condition: &str,
    parameters: impl Params,
) -> Result<Option<InputRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM input WHERE {condition}");
    one(connection, &sql, parameters, |row| {
        InputRow::read(row).map_err(|BadRow| damage(connection, worker, "input"))
    })
}
