//! Writes to the row of a worker and to the rows that go with it.

use rusqlite::{Connection, params};
use skep_protocol::Timestamp;

use super::error::WriteError;
use crate::row::tombstone::{DIRECTORY_PENDING, ROWS_PENDING};
use crate::row::worker::WorkerRow;
use crate::row::{BadRow, code};
use crate::{StoreRefusal, WorkerNumber, WorkerRecord};

/// Inserts a new worker, whose id and number have never been used.
pub(super) fn create(
    connection: &Connection,
    worker: WorkerNumber,
    record: &WorkerRecord,
) -> Result<(), WriteError> {
    if record.number != worker || worker.0 <= 0 {
        return Err(StoreRefusal::Malformed.into());
    }
    let known = |table| -> rusqlite::Result<bool> {
        let sql = format!("SELECT 1 FROM {table} WHERE id = ? OR number = ?");
        let id = &record.id.as_bytes()[..];
        connection.prepare_cached(&sql)?.exists(params![id, worker.0])
    };
    if known("tombstone")? {
        return Err(StoreRefusal::WorkerRemoved.into());
    }
    if known("worker")? {
        return Err(StoreRefusal::WorkerExists.into());
    }
    insert(connection, record)
}

/// Replaces the row and the labels of a worker.
pub(super) fn replace(
    connection: &Connection,
    worker: WorkerNumber,
    record: &WorkerRecord,
) -> Result<(), WriteError> {
    let sql = "SELECT 1 FROM worker WHERE number = ? AND id = ?";
    let known = params![worker.0, &record.id.as_bytes()[..]];
    if record.number != worker || !connection.prepare_cached(sql)?.exists(known)? {
        return Err(StoreRefusal::Malformed.into());
    }
    connection.prepare_cached("DELETE FROM label WHERE worker = ?")?.execute([worker.0])?;
    insert(connection, record)
}

/// Replaces a worker with a tombstone. Its other rows are deleted later, in slices.
pub(super) fn remove(
    connection: &Connection,
    worker: WorkerNumber,
    at: Timestamp,
) -> Result<(), WriteError> {
    let buried = connection
        .prepare_cached(
            "INSERT INTO tombstone (number, id, at, pending) \
             SELECT number, id, ?2, ?3 FROM worker WHERE number = ?1",
        )?
        .execute(params![
            worker.0,
            at.as_millis().cast_signed(),
            ROWS_PENDING | DIRECTORY_PENDING
        ])?;
    if buried == 0 {
        return Err(StoreRefusal::UnknownWorker.into());
    }
    for sql in [
        "DELETE FROM diagnostic WHERE worker_id = (SELECT id FROM worker WHERE number = ?)",
        "DELETE FROM worker WHERE number = ?",
        "DELETE FROM label WHERE worker = ?",
        "DELETE FROM connected WHERE worker = ?",
    ] {
        connection.prepare_cached(sql)?.execute([worker.0])?;
    }
    Ok(())
}

/// Records that a worker has a live instance, or that it has none any more.
pub(super) fn connect(
    connection: &Connection,
    worker: WorkerNumber,
    live: bool,
) -> Result<(), WriteError> {
    let sql = match live {
        true => "INSERT OR IGNORE INTO connected VALUES (?)",
        false => "DELETE FROM connected WHERE worker = ?",
    };
    connection.prepare_cached(sql)?.execute([worker.0])?;
    Ok(())
}

fn insert(connection: &Connection, record: &WorkerRecord) -> Result<(), WriteError> {
    if let Some(config) = &record.spec.config {
        // The caller has checked this already, but the bundle may have been removed since.
        let sql = "SELECT 1 FROM config WHERE digest = ?";
        if !connection.prepare_cached(sql)?.exists([&config.as_bytes()[..]])? {
            return Err(StoreRefusal::UnknownConfig.into());
        }
    }
    let row = WorkerRow::new(record).map_err(|BadRow| StoreRefusal::Malformed)?;
    let (standing, detail) = code::of_standing(record.standing);
    let previous = record.previous.as_ref();
    let sql = "INSERT OR REPLACE INTO worker (number, id, kind, spec, created_as, component, \
               previous_component, previous_config, desired, standing, standing_detail, \
               has_directory, created_at, updated_at, crc) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(sql)?.execute(params![
        record.number.0,
        &record.id.as_bytes()[..],
        code::of_kind(record.kind),
        row.spec,
        row.created_as,
        &record.spec.component.as_bytes()[..],
        previous.map(|version| &version.component.as_bytes()[..]),
        previous.and_then(|version| version.config.as_ref()).map(|digest| &digest.as_bytes()[..]),
        code::of_desired(record.desired),
        standing,
        detail,
        record.has_directory,
        record.created_at.as_millis().cast_signed(),
        record.updated_at.as_millis().cast_signed(),
        row.crc(),
    ])?;
    for (key, value) in record.spec.labels.iter() {
        let id = &record.id.as_bytes()[..];
        let sql = "INSERT INTO label (key, value, worker_id, worker) VALUES (?, ?, ?, ?)";
        connection.prepare_cached(sql)?.execute(params![key, value, id, record.number.0])?;
    }
    Ok(())
}
