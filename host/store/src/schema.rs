//! The tables, and the migrations from earlier formats.
//!
//! Rows refer to a worker by its number; only the worker's own row contains its id. That keeps rows
//! and indices small. `entry` is a rowid table with a unique index, which inserts twice as fast as
//! a table ordered by that key. `entry`, `input`, `state` and `worker` have a checksum over all
//! their columns, because SQLite has none.
//!
//! Every row of `input` can be found from its worker: the input is unfinished, or has a key, or its
//! outcome is an existing entry. Trimming and removal preserve this.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use skep_protocol::RuntimeId;

use crate::OpenError;
use crate::database;

/// A step that migrates a database to the next format.
pub(crate) type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// The migrations. The one at index `n` leads from format `n` to `n + 1`. Format 0 is an empty
/// file.
pub(crate) const MIGRATIONS: &[Migration] = &[create, denials, trust, several, starts];

fn create(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

         CREATE TABLE worker (
             number INTEGER PRIMARY KEY,
             id BLOB NOT NULL UNIQUE,
             kind INTEGER NOT NULL,
             spec TEXT NOT NULL,
             created_as TEXT,
             component BLOB NOT NULL,
             previous_component BLOB,
             previous_config BLOB,
             desired INTEGER NOT NULL,
             standing INTEGER NOT NULL,
             standing_detail INTEGER NOT NULL,
             has_directory INTEGER NOT NULL,
             created_at INTEGER NOT NULL,
             updated_at INTEGER NOT NULL,
             crc INTEGER NOT NULL
         );
         CREATE INDEX worker_component ON worker (component);
         CREATE INDEX worker_previous ON worker (previous_component)
             WHERE previous_component IS NOT NULL;

         CREATE TABLE label (
             key TEXT, value TEXT, worker_id BLOB, worker INTEGER NOT NULL,
             PRIMARY KEY (key, value, worker_id)
         ) WITHOUT ROWID;
         CREATE INDEX label_worker ON label (worker);

         CREATE TABLE tombstone (
             number INTEGER PRIMARY KEY,
             id BLOB NOT NULL UNIQUE,
             at INTEGER NOT NULL,
             pending INTEGER NOT NULL
         );
         CREATE INDEX tombstone_pending ON tombstone (number) WHERE pending;

         CREATE TABLE connected (worker INTEGER PRIMARY KEY);

         CREATE TABLE entry (
             worker INTEGER NOT NULL,
             seq INTEGER NOT NULL,
             at INTEGER NOT NULL,
             kind INTEGER NOT NULL,
             input BLOB,
             label TEXT,
             ending INTEGER,
             flags INTEGER NOT NULL,
             content_type TEXT NOT NULL,
             body BLOB NOT NULL,
             crc INTEGER NOT NULL
         );
         CREATE UNIQUE INDEX entry_place ON entry (worker, seq);

         CREATE TABLE input (
             worker INTEGER NOT NULL,
             seq INTEGER NOT NULL,
             id BLOB NOT NULL,
             at INTEGER NOT NULL,
             attempt INTEGER NOT NULL,
             outcome_seq INTEGER,
             bytes INTEGER NOT NULL,
             key TEXT,
             digest BLOB NOT NULL,
             crc INTEGER NOT NULL
         );
         CREATE UNIQUE INDEX input_id ON input (id);
         CREATE UNIQUE INDEX input_key ON input (worker, key) WHERE key IS NOT NULL;
         CREATE INDEX input_unfinished ON input (worker, seq) WHERE outcome_seq IS NULL;

         CREATE TABLE state (
             worker INTEGER, key TEXT, value BLOB NOT NULL, crc INTEGER NOT NULL,
             PRIMARY KEY (worker, key)
         ) WITHOUT ROWID;

         CREATE TABLE usage (
             worker INTEGER PRIMARY KEY,
             turns INTEGER NOT NULL,
             wall_us INTEGER NOT NULL,
             cpu_us INTEGER NOT NULL,
             fuel INTEGER NOT NULL,
             memory_peak_bytes INTEGER NOT NULL,
             disk_bytes INTEGER NOT NULL,
             disk_entries INTEGER NOT NULL,
             state_bytes INTEGER NOT NULL,
             transcript_bytes INTEGER NOT NULL
         );

         CREATE TABLE component (
             digest BLOB PRIMARY KEY,
             kind INTEGER NOT NULL,
             bytes INTEGER NOT NULL,
             imports TEXT NOT NULL,
             exports TEXT NOT NULL,
             created_at INTEGER NOT NULL
         ) WITHOUT ROWID;

         CREATE TABLE config (
             digest BLOB PRIMARY KEY, value TEXT NOT NULL, created_at INTEGER NOT NULL
         );

         CREATE TABLE diagnostic (
             number INTEGER PRIMARY KEY,
             code TEXT NOT NULL,
             severity INTEGER NOT NULL,
             message TEXT NOT NULL,
             worker_id BLOB NOT NULL,
             at INTEGER NOT NULL,
             UNIQUE (worker_id, code)
         );",
    )
}

/// Lets a diagnostic record the grant that would allow a denied operation.
fn denials(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch("ALTER TABLE diagnostic ADD COLUMN denial TEXT")
}

/// Lets a component be trusted. Existing ones are not, because their uploader is unknown.
fn trust(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch("ALTER TABLE component ADD COLUMN trusted INTEGER NOT NULL DEFAULT 0")
}

/// Lets a worker have several diagnostics with the same code, each about another thing.
fn several(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "ALTER TABLE diagnostic RENAME TO diagnostic_before;

         CREATE TABLE diagnostic (
             number INTEGER PRIMARY KEY,
             code TEXT NOT NULL,
             about TEXT NOT NULL,
             severity INTEGER NOT NULL,
             message TEXT NOT NULL,
             worker_id BLOB NOT NULL,
             at INTEGER NOT NULL,
             denial TEXT,
             UNIQUE (worker_id, code, about)
         );

         INSERT INTO diagnostic (number, code, about, severity, message, worker_id, at, denial)
             SELECT number, code, '', severity, message, worker_id, at, denial
             FROM diagnostic_before;

         DROP TABLE diagnostic_before;",
    )
}

/// Lets an input record when its last attempt began.
fn starts(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch("ALTER TABLE input ADD COLUMN started_at INTEGER")
}

/// Applies the missing migrations, one transaction per step.
pub(crate) fn migrate(
    connection: &mut Connection,
    migrations: &[Migration],
) -> Result<(), OpenError> {
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
    };
    let found = version(connection).map_err(database::open_error)?;
    let format = usize::try_from(found)
        .ok()
        .filter(|format| *format <= migrations.len())
        .ok_or(OpenError::NewerFormat { found: found.cast_unsigned() })?;
    for (found, step) in (found..).zip(&migrations[format..]) {
        let apply = |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            step(&transaction)?;
            transaction.pragma_update(None, "user_version", found + 1)?;
            transaction.commit()
        };
        apply(connection).map_err(database::open_error)?;
        tracing::info!(from = found, to = found + 1, "migrated the store");
    }
    Ok(())
}

/// Returns the runtime that the database belongs to. If none is recorded yet, records `id`.
pub(crate) fn identity(connection: &Connection, id: &RuntimeId) -> Result<RuntimeId, OpenError> {
    let sql = "INSERT OR IGNORE INTO meta (name, value) VALUES ('runtime_id', ?)";
    let kept = connection.execute(sql, [id.as_str()]).and_then(|_| {
        let sql = "SELECT value FROM meta WHERE name = 'runtime_id'";
        connection.query_row(sql, [], |row| row.get::<_, String>(0))
    });
    let damaged = |_| OpenError::Damaged("state.db does not name its runtime");
    kept.map_err(database::open_error)?.parse().map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_formats_are_migrated_step_by_step() {
        let mut connection = Connection::open_in_memory().unwrap();
        let first: Migration = |t| t.execute_batch("CREATE TABLE a (x); INSERT INTO a VALUES (1)");
        let second: Migration = |t| t.execute_batch("ALTER TABLE a ADD COLUMN y DEFAULT 7");
        let third: Migration = |t| t.execute_batch("UPDATE a SET x = x + y");
        migrate(&mut connection, &[first]).unwrap();
        migrate(&mut connection, &[first, second, third]).unwrap();
        migrate(&mut connection, &[first, second, third]).unwrap();
        let x: i64 = connection.query_row("SELECT x FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(x, 8);
    }

    #[test]
    fn failed_migrations_keep_the_earlier_format() {
        let mut connection = Connection::open_in_memory().unwrap();
        let first: Migration = |t| t.execute_batch("CREATE TABLE a (x)");
        let broken: Migration = |t| t.execute_batch("CREATE TABLE b (x); SELECT no_such_thing");
        assert!(migrate(&mut connection, &[first, broken]).is_err());
        let version: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 1);
        assert!(connection.prepare("SELECT * FROM b").is_err());
    }

    #[test]
    fn diagnostics_of_the_first_format_are_kept() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS[..1]).unwrap();
        let old = "INSERT INTO diagnostic (code, severity, message, worker_id, at) \
                   VALUES ('crash_loop', 3, 'old', x'', 7)";
        connection.execute(old, []).unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        let kept = crate::read::shared::diagnostics(&connection, None).unwrap();
        assert_eq!((kept.len(), &*kept[0].message, &kept[0].denial), (1, "old", &None));
    }

    #[test]
    fn later_formats_are_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 9).unwrap();
        let refused = migrate(&mut connection, MIGRATIONS);
        assert!(matches!(refused, Err(OpenError::NewerFormat { found: 9 })));
    }
}
