//! Reads of workers' state.

use rusqlite::{Connection, Row, params};
use skep_protocol::StateItem;

use super::one;
use super::worker::damage;
use crate::row::{self, BadRow};
use crate::{StoreError, WorkerNumber};

pub(crate) fn get(
    connection: &Connection,
    worker: WorkerNumber,
    key: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT value, crc FROM state WHERE worker = ? AND key = ?";
    one(connection, sql, (worker.0, key), |row| {
        let value = row::blob(row, 0).map_err(|BadRow| damage(connection, worker, "state"))?;
        match row::int(row, 1) {
            Ok(crc) if crc == row::state::crc(worker, key, value) => Ok(value.to_vec()),
            _ => Err(damage(connection, worker, "state")),
        }
    })
}

/// Returns the whole state, in the order of its keys.
pub(crate) fn all(
    connection: &Connection,
    worker: WorkerNumber,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let sql = "SELECT key, value, crc FROM state WHERE worker = ? ORDER BY key";
    super::all(connection, sql, [worker.0], |row| {
        pair(row, worker).map_err(|BadRow| damage(connection, worker, "state"))
    })
}

/// Bytes of values that one page reads. Each value is read whole, for its checksum.
const PAGE_BYTES: u64 = 16 << 20;

/// Returns a page of keys and values, and whether there are more.
pub(crate) fn page(
    connection: &Connection,
    worker: WorkerNumber,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<StateItem>, bool), StoreError> {
    let sql = "SELECT key, value, crc FROM state \
               WHERE worker = ?1 AND key >= ?2 AND (?3 IS NULL OR key > ?3) ORDER BY key";
    let from = after.map_or(prefix, |after| after.max(prefix));
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![worker.0, from, after])?;
    let (mut items, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let pair = pair(row, worker);
        let (key, value) = pair.map_err(|BadRow| damage(connection, worker, "state"))?;
        if !key.starts_with(prefix) {
            break;
        }
        if items.len() == limit || bytes >= PAGE_BYTES {
            return Ok((items, true));
        }
        bytes += value.len() as u64;
        items.push(StateItem::of(key, &value));
    }
    Ok((items, false))
}

/// Reads a row with key, value and checksum.
fn pair(row: &Row<'_>, worker: WorkerNumber) -> Result<(String, Vec<u8>), BadRow> {
    let (key, value) = (row::text(row, 0)?, row::blob(row, 1)?);
    if row::int(row, 2)? != row::state::crc(worker, key, value) {
        return Err(BadRow);
    }
    Ok((key.to_owned(), value.to_vec()))
}

/// Lists keys only. Values are read and verified one by one.
pub(crate) fn list(
    connection: &Connection,
    worker: WorkerNumber,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT key FROM state WHERE worker = ?1 AND key >= ?2 AND (?3 IS NULL OR key > ?3) \
               ORDER BY key";
    // Start at the later of the two.
    let from = after.map_or(prefix, |after| after.max(prefix));
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![worker.0, from, after])?;
    let mut keys = Vec::new();
    while keys.len() < limit {
        let Some(row) = rows.next()? else { break };
        let key = row::text(row, 0).map_err(|BadRow| damage(connection, worker, "state"))?;
        if !key.starts_with(prefix) {
            break;
        }
        keys.push(key.to_owned());
    }
    Ok(keys)
}
