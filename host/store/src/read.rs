//! What is read of the database, one statement each: what it answers was true at one moment.

pub(crate) mod entry;
pub(crate) mod input;
pub(crate) mod shared;
pub(crate) mod state;
pub(crate) mod worker;

use rusqlite::{Connection, Params, Row};

use crate::StoreError;
use crate::row::BadRow;

/// One row, or none.
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

/// All rows.
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

/// Says what is damaged where it is no one's.
fn damaged(what: &'static str) -> impl Fn(BadRow) -> StoreError {
    move |BadRow| StoreError::Damaged { what, worker: None }
}
