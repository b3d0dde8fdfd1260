//! Reads of single entries.

use rusqlite::Connection;
use skep_protocol::Cursor;

use super::one;
use super::worker::damage;
use crate::row::BadRow;
use crate::row::entry::{COLUMNS, StoredEntry};
use crate::{StoreError, WorkerNumber};

pub(crate) fn one_at(
    connection: &Connection,
    worker: WorkerNumber,
    seq: Cursor,
) -> Result<Option<StoredEntry>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM entry WHERE worker = ? AND seq = ?");
    one(connection, &sql, (worker.0, i64::try_from(seq.0).unwrap_or(-1)), |row| {
        StoredEntry::read(row).map_err(|BadRow| damage(connection, worker, "entry"))
    })
}
