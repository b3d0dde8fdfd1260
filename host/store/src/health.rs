//! A check of a store from outside: its integrity and its size.
//!
//! The check takes no lock and writes nothing, so it can run while a host uses the store. It sees
//! one snapshot of the database. It stops when it has seen everything or its time is over. Newest
//! rows come first, because a failing disk has written those last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use rusqlite::{Connection, Row, params};
use skep_protocol::RuntimeId;

use crate::database::{self, Database};
use crate::row::{self, BadRow};
use crate::{OpenError, StoreError, WorkerNumber, layout, schema};

/// Virtual machine steps of SQLite between two checks of the time.
const STEPS: i32 = 10_000;

/// Rows between two checks of the time.
const ROWS: usize = 1_000;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreHealth {
    /// The runtime that the store belongs to.
    pub runtime_id: Option<RuntimeId>,
    /// The format of the database.
    pub format: u64,
    /// The format that this version would migrate it to.
    pub newest_format: u64,
    /// Number of workers.
    pub workers: u64,
    /// Number of rows that were checked.
    pub rows: u64,
    /// Number of damaged rows by table: `worker`, `input`, `state`, `entry`, `database`.
    pub damaged: Vec<(&'static str, u64)>,
    /// True if the whole store was checked.
    pub complete: bool,
}

/// Checks the store in a directory for at most `within`.
///
/// # Errors
/// Same as [`crate::Store::open`], except [`OpenError::InUse`]; and [`OpenError::NotAStore`] for an
/// empty directory.
pub fn check(dir: &Dir, within: Duration) -> Result<StoreHealth, OpenError> {
    let until = Instant::now() + within;
    let found = layout::inspect(dir)?;
    if !found.database {
        return Err(OpenError::NotAStore);
    }
    layout::prepare_database(dir, &found)?;
    let dir = dir.try_clone().map_err(layout::open_error)?;
    let mut connection =
        Database::new(Arc::new(dir), None).inspector().map_err(database::open_error)?;
    let format = connection
        .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
        .map_err(database::open_error)?
        .cast_unsigned();
    let newest_format = schema::MIGRATIONS.len() as u64;
    if format > newest_format {
        return Err(OpenError::NewerFormat { found: format });
    }
    let mut health = StoreHealth {
        runtime_id: found.identity,
        format,
        newest_format,
        workers: 0,
        rows: 0,
        damaged: Vec::new(),
        complete: true,
    };
    // The rows of an earlier format can be read only after a migration.
    if format == newest_format {
        match rows(&connection, until, &mut health).map_err(database::error) {
            Ok(()) => {}
            Err(StoreError::Damaged { .. }) => health.damaged.push(("database", 1)),
            Err(error) => return Err(OpenError::Io(Box::new(error))),
        }
    }
    pages(&mut connection, until, &mut health)?;
    Ok(health)
}

type Check = fn(&Row<'_>) -> Result<(), BadRow>;

fn rows(
    connection: &Connection,
    until: Instant,
    health: &mut StoreHealth,
) -> Result<(), rusqlite::Error> {
    let count = |row: &Row<'_>| row.get::<_, i64>(0);
    health.workers =
        connection.query_row("SELECT count(*) FROM worker", [], count)?.cast_unsigned();
    let tables: [(&'static str, String, Check); 4] = [
        (
            "worker",
            format!("SELECT {} FROM worker ORDER BY number DESC", row::worker::COLUMNS),
            |row| row::worker::read(row).map(drop),
        ),
        (
            "input",
            format!("SELECT {} FROM input ORDER BY rowid DESC", row::input::COLUMNS),
            |row| row::input::InputRow::read(row).map(drop),
        ),
        ("state", "SELECT worker, key, value, crc FROM state".to_owned(), |row| {
            let worker = WorkerNumber(row::int(row, 0)?);
            let crc = row::state::crc(worker, row::text(row, 1)?, row::blob(row, 2)?);
            if crc == row::int(row, 3)? { Ok(()) } else { Err(BadRow) }
        }),
        (
            "entry",
            format!("SELECT {} FROM entry ORDER BY rowid DESC", row::entry::COLUMNS),
            |row| row::entry::StoredEntry::read(row).map(drop),
        ),
    ];
    for (table, sql, check) in tables {
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query(params![])?;
        let (mut seen, mut damaged) = (0, 0);
        while let Some(row) = rows.next()? {
            seen += 1;
            damaged += u64::from(check(row).is_err());
            if seen % ROWS == 0 && Instant::now() > until {
                health.complete = false;
                break;
            }
        }
        health.rows += seen as u64;
        if damaged > 0 {
            health.damaged.push((table, damaged));
        }
    }
    Ok(())
}

/// Lets SQLite check its own pages.
fn pages(
    connection: &mut Connection,
    until: Instant,
    health: &mut StoreHealth,
) -> Result<(), OpenError> {
    connection
        .progress_handler(STEPS, Some(move || Instant::now() > until))
        .map_err(database::open_error)?;
    let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match checked {
        Ok(found) if found == "ok" => Ok(()),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
        {
            health.complete = false;
            Ok(())
        }
        Ok(_) => {
            health.damaged.push(("database", 1));
            Ok(())
        }
        Err(error) => match database::error(error) {
            StoreError::Damaged { .. } => {
                health.damaged.push(("database", 1));
                Ok(())
            }
            error => Err(OpenError::Io(Box::new(error))),
        },
    }
}
