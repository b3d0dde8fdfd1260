//! `registry.db`: its tables, and the connections of this process.
//!
//! | table | holds |
//! | --- | --- |
//! | `token` | digests of tokens, and what they let their holders do |
//! | `audit` | who changed what; rows can be added and not be changed or removed |
//! | `remote` | how remotes are reached |
//!
//! `PRAGMA user_version` is its format. Other processes use the file at the same time, so each
//! answer is read from it when it is asked for.

use std::fmt;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::RegistryError;

/// The file's name in the store's root.
const FILE: &str = "registry.db";

/// How long another process may hold it.
const BUSY: Duration = Duration::from_secs(5);

/// The format that this version writes.
const FORMAT: i64 = MIGRATIONS.len() as i64;

/// From format `n` to `n + 1`, at place `n`. Format 0 is an empty file.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE token (
        id TEXT PRIMARY KEY,
        digest BLOB NOT NULL,
        role TEXT NOT NULL,
        runtimes TEXT,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        revoked_at INTEGER
    ) WITHOUT ROWID;

    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        token_id TEXT,
        action TEXT NOT NULL,
        runtime_id TEXT,
        worker_id TEXT,
        outcome TEXT NOT NULL
    );
    CREATE TRIGGER audit_keeps_what_it_has BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
    CREATE TRIGGER audit_keeps_all BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
    -- An INSERT OR REPLACE would delete without the trigger above.
    CREATE TRIGGER audit_replaces_nothing BEFORE INSERT ON audit
    WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;

    CREATE TABLE remote (
        runtime_id TEXT PRIMARY KEY,
        endpoint TEXT NOT NULL,
        token_file BLOB,
        ca_file BLOB,
        insecure INTEGER NOT NULL,
        display_name TEXT
    ) WITHOUT ROWID;
"];

/// The file, and this process's connections to it.
pub(crate) struct Database {
    dir: Dir,
    writing: Mutex<Connection>,
    reading: Mutex<Connection>,
}

/// A connection would print where the file is.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

impl Database {
    /// Opens the file, and makes it where there is none.
    pub(crate) fn open(dir: Dir) -> Result<Self, RegistryError> {
        // SQLite would make it for everyone to read; its other files take the mode of this one.
        let mut options = OpenOptions::new();
        options.write(true).create(true).mode(0o600);
        dir.open_with(FILE, &options).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => RegistryError::Full,
            _ => RegistryError::Io,
        })?;
        let mut writing = connect(&dir)?;
        write_ahead(&writing)?;
        migrate(&mut writing)?;
        let reading = reader(&dir)?;
        Ok(Self { dir, writing: Mutex::new(writing), reading: Mutex::new(reading) })
    }

    /// A connection of one's own that writes.
    pub(crate) fn writer(&self) -> Result<Connection, RegistryError> {
        Ok(connect(&self.dir)?)
    }

    /// A connection of one's own that cannot write.
    pub(crate) fn reader(&self) -> Result<Connection, RegistryError> {
        Ok(reader(&self.dir)?)
    }

    /// Reads.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        work(&hold(&self.reading))
    }

    /// Writes, all or nothing. What the disk has then is there after a power cut.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut connection = hold(&self.writing);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }
}

/// A transaction is rolled back where its holder panics, so the connection is fit for the next.
fn hold(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(dir: &Dir) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path(dir), flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // A failing disk is an error through read(2), but kills the process through a mapping.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

fn reader(dir: &Dir) -> rusqlite::Result<Connection> {
    let connection = connect(dir)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// SQLite knows files by their names only. It is given the one that our handle has at this moment.
fn path(dir: &Dir) -> PathBuf {
    let link = format!("/proc/self/fd/{}", dir.as_raw_fd());
    let target = rustix::fs::readlink(&link, Vec::new()).ok().and_then(|target| {
        let target: std::ffi::OsString =
            std::os::unix::ffi::OsStringExt::from_vec(target.into_bytes());
        Some(PathBuf::from(target)).filter(|target| target.is_absolute())
    });
    target.unwrap_or_else(|| PathBuf::from(link)).join(FILE)
}

/// Changing the mode takes the file for oneself, and SQLite does not wait for that as for a lock.
fn write_ahead(connection: &Connection) -> Result<(), RegistryError> {
    let began = Instant::now();
    loop {
        let mode: rusqlite::Result<String> =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(RegistryError::Io),
            Err(error) if is_busy(&error) && began.elapsed() < BUSY => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn migrate(connection: &mut Connection) -> Result<(), RegistryError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if !(0..=FORMAT).contains(&found) {
        return Err(RegistryError::NewerFormat { found });
    }
    for (format, migration) in (0..).zip(MIGRATIONS).filter(|(format, _)| *format >= found) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", format + 1)?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;

    use cap_std::ambient_authority;

    use super::*;

    fn dir() -> cap_tempfile::TempDir {
        cap_tempfile::tempdir(ambient_authority()).unwrap()
    }

    fn version(database: &Database) -> i64 {
        let read = |connection: &Connection| {
            Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
        };
        database.read(read).unwrap()
    }

    #[test]
    fn a_file_is_made_once_however_many_open_it() {
        let dir = Arc::new(dir());
        let open = |_| {
            let dir = Arc::clone(&dir);
            std::thread::spawn(move || Database::open(dir.try_clone().unwrap()).unwrap())
        };
        let threads: Vec<_> = (0..8).map(open).collect();
        for thread in threads {
            assert_eq!(version(&thread.join().unwrap()), 1);
        }
    }

    #[test]
    fn nobody_else_may_read_it() {
        let dir = dir();
        let database = Database::open(dir.try_clone().unwrap()).unwrap();
        database.write(|t| Ok(t.execute_batch("PRAGMA user_version = 1")?)).unwrap();
        for name in [FILE, "registry.db-wal", "registry.db-shm"] {
            let file = dir.open(name).unwrap().into_std();
            assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_later_format_is_not_touched() {
        let dir = dir();
        let database = Database::open(dir.try_clone().unwrap()).unwrap();
        let later = |t: &Transaction<'_>| Ok(t.pragma_update(None, "user_version", 7)?);
        database.write(later).unwrap();
        let refused = Database::open(dir.try_clone().unwrap()).unwrap_err();
        assert_eq!(refused, RegistryError::NewerFormat { found: 7 });
        assert_eq!(version(&database), 7);
    }

    #[test]
    fn something_else_is_said_to_be() {
        let dir = dir();
        dir.write(FILE, vec![7; 4096]).unwrap();
        let refused = Database::open(dir.try_clone().unwrap()).unwrap_err();
        assert_eq!(refused, RegistryError::Damaged);
    }
}
