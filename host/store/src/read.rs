//! Reads of the database. Each is one statement and sees one snapshot.

pub(crate) mod entry;
pub(crate) mod input;
pub(crate) mod page;
pub(crate) mod recent;
pub(crate) mod shared;
pub(crate) mod state;
pub(crate) mod worker;

use rusqlite::{Connection, Params, Row};

use crate::StoreError;
use crate::row::BadRow;

/// Reads at most one row.
fn one<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(read).transpose()
}

/// Reads all rows.
fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// Returns a conversion to the error for damage that belongs to no worker.
fn damaged(what: &'static str) -> impl Fn(BadRow) -> StoreError {
    move |BadRow| StoreError::Damaged { what, worker: None }
}
