//! Reads of workers.

use rusqlite::{Connection, params};
use skep_protocol::{Cursor, Usage, WorkerId};

use super::{all, damaged, one};
use crate::row::{self, BadRow};
use crate::{Lookup, StoreError, WorkerNumber, WorkerOutline, WorkerRecord};

pub(crate) fn lookup(connection: &Connection, id: &WorkerId) -> Result<Lookup, StoreError> {
    let sql = format!("SELECT {} FROM worker WHERE id = ?", row::worker::COLUMNS);
    let bad = |BadRow| StoreError::Damaged { what: "worker", worker: Some(*id) };
    let found = one(connection, &sql, [id.as_bytes()], |row| row::worker::read(row).map_err(bad))?;
    if let Some(record) = found {
        let other = record.id != *id;
        return if other { Err(bad(BadRow)) } else { Ok(Lookup::Found(Box::new(record))) };
    }
    let sql = "SELECT 1 FROM tombstone WHERE id = ?";
    match one(connection, sql, [id.as_bytes()], |_| Ok(()))? {
        Some(()) => Ok(Lookup::Removed),
        None => Ok(Lookup::Unknown),
    }
}

/// Returns a worker's number, even if its row is damaged.
pub(crate) fn number(
    connection: &Connection,
    id: &WorkerId,
) -> Result<Option<WorkerNumber>, StoreError> {
    one(connection, "SELECT number FROM worker WHERE id = ?", [id.as_bytes()], |row| {
        row::int(row, 0).map(WorkerNumber).map_err(damaged("worker"))
    })
}

/// Returns the id of a worker for an error message.
pub(crate) fn id(connection: &Connection, worker: WorkerNumber) -> Option<WorkerId> {
    let sql = "SELECT id FROM worker WHERE number = ?";
    one(connection, sql, [worker.0], |row| {
        row::blob(row, 0).and_then(row::worker_id).map_err(damaged("worker"))
    })
    .ok()
    .flatten()
}

/// Returns the error for a damaged row of a worker.
pub(crate) fn damage(
    connection: &Connection,
    worker: WorkerNumber,
    what: &'static str,
) -> StoreError {
    StoreError::Damaged { what, worker: id(connection, worker) }
}

pub(crate) fn exists(connection: &Connection, worker: WorkerNumber) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM worker WHERE number = ?";
    Ok(one(connection, sql, [worker.0], |_| Ok(()))?.is_some())
}

/// Returns workers in the order of their ids. Damaged ones are left out, and their ids are passed
/// to `damaged`.
pub(crate) fn list(
    connection: &Connection,
    after: Option<&WorkerId>,
    label: Option<(&str, &str)>,
    limit: usize,
    mut damaged: impl FnMut(Option<WorkerId>),
) -> Result<Vec<WorkerRecord>, StoreError> {
    let columns = row::worker::COLUMNS;
    let after = after.map_or(&[][..], |id| id.as_bytes());
    let sql = match label {
        None => format!("SELECT {columns} FROM worker WHERE id > ?1 ORDER BY id"),
        Some(_) => format!(
            "SELECT {columns} FROM label JOIN worker ON number = worker \
             WHERE key = ?2 AND value = ?3 AND worker_id > ?1 ORDER BY worker_id"
        ),
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = match label {
        None => statement.query([after])?,
        Some((key, value)) => statement.query(params![after, key, value])?,
    };
    let mut found = Vec::new();
    while found.len() < limit {
        let Some(row) = rows.next()? else { break };
        match row::worker::read(row) {
            Ok(record) => found.push(record),
            Err(BadRow) => damaged(row::blob(row, 1).and_then(row::worker_id).ok()),
        }
    }
    Ok(found)
}

/// Passes the outlines of all workers to `take`, in no order, and the ids of damaged ones to
/// `damaged`.
pub(crate) fn outlines(
    connection: &Connection,
    mut take: impl FnMut(WorkerOutline),
    mut damaged: impl FnMut(Option<WorkerId>),
) -> Result<(), StoreError> {
    let sql = format!("SELECT {} FROM worker", row::worker::COLUMNS);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match row::worker::outline(row) {
            Ok(outline) => take(outline),
            Err(BadRow) => damaged(row::blob(row, 1).and_then(row::worker_id).ok()),
        }
    }
    Ok(())
}

/// Returns the number of inputs without an outcome of each worker that has some.
pub(crate) fn queue_lengths(
    connection: &Connection,
) -> Result<Vec<(WorkerNumber, u64)>, StoreError> {
    let sql = "SELECT worker, count(*) FROM input WHERE outcome_seq IS NULL GROUP BY worker";
    all(connection, sql, [], |row| {
        let read = || Ok((WorkerNumber(row::int(row, 0)?), row::unsigned(row, 1)?));
        read().map_err(damaged("database"))
    })
}

pub(crate) fn count(connection: &Connection) -> Result<u64, StoreError> {
    let count = one(connection, "SELECT count(*) FROM worker", [], |row| {
        row::unsigned(row, 0).map_err(damaged("database"))
    })?;
    Ok(count.unwrap_or(0))
}

/// Returns the largest number that any worker has or had.
pub(crate) fn last_number(connection: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT max(coalesce((SELECT max(number) FROM worker), 0), \
                          coalesce((SELECT max(number) FROM tombstone), 0))";
    let last = one(connection, sql, [], |row| row::int(row, 0).map_err(damaged("database")))?;
    Ok(last.unwrap_or(0))
}

pub(crate) fn unfinished(
    connection: &Connection,
) -> Result<Vec<(WorkerId, WorkerNumber)>, StoreError> {
    let sql = "SELECT id, number FROM worker WHERE number IN \
                   (SELECT worker FROM input WHERE outcome_seq IS NULL) ORDER BY number";
    numbered(connection, sql)
}

/// Returns the workers that had a live instance when the store was last closed or the process died.
pub(crate) fn connected(
    connection: &Connection,
) -> Result<Vec<(WorkerId, WorkerNumber)>, StoreError> {
    let sql = "SELECT id, number FROM connected JOIN worker ON number = worker ORDER BY number";
    numbered(connection, sql)
}

/// Reads ids and numbers. A damaged id is left out; it is reported when the worker is read.
fn numbered(
    connection: &Connection,
    sql: &str,
) -> Result<Vec<(WorkerId, WorkerNumber)>, StoreError> {
    let pairs = all(connection, sql, [], |row| {
        let id = row::blob(row, 0).and_then(row::worker_id).ok();
        let number = row::int(row, 1).map_err(damaged("worker"))?;
        Ok(id.map(|id| (id, WorkerNumber(number))))
    })?;
    Ok(pairs.into_iter().flatten().collect())
}

pub(crate) fn last_seq(
    connection: &Connection,
    worker: WorkerNumber,
) -> Result<Cursor, StoreError> {
    let sql = "SELECT max(seq) FROM entry WHERE worker = ?";
    let last = one(connection, sql, [worker.0], |row| {
        row::optional_int(row, 0).map_err(damaged("entry"))
    })?;
    Ok(Cursor(last.flatten().unwrap_or(0).cast_unsigned()))
}

pub(crate) fn usage(connection: &Connection, worker: WorkerNumber) -> Result<Usage, StoreError> {
    let sql = "SELECT turns, wall_us, cpu_us, fuel, memory_peak_bytes, disk_bytes, disk_entries, \
                      state_bytes, transcript_bytes FROM usage WHERE worker = ?";
    let found = one(connection, sql, [worker.0], |row| {
        let at = |column| row::unsigned(row, column);
        let read = || {
            Ok(Usage {
                turns: at(0)?,
                wall_us: at(1)?,
                cpu_us: at(2)?,
                fuel: at(3)?,
                memory_peak_bytes: at(4)?,
                disk_bytes: at(5)?,
                disk_entries: at(6)?,
                state_bytes: at(7)?,
                transcript_bytes: at(8)?,
            })
        };
        read().map_err(|BadRow| damage(connection, worker, "usage"))
    })?;
    Ok(found.unwrap_or_default())
}
