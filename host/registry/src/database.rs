//! `registry.db` and the files of fleets: their tables, and the connections of this process.
//!
//! | table | contents |
//! | --- | --- |
//! | `token` | digests of tokens, with their roles and limits |
//! | `session` | digests of browsers' sessions, with the tokens that they began with |
//! | `audit` | changes and their callers; append-only |
//! | `remote` | addresses and credentials' files of remotes |
//! | `route` | hosts and paths of sites, with the workers that answer |
//! | `replica` | the shared log that a file of a fleet follows, and its place there |
//!
//! A file of a fleet has the fleet's tokens, sessions and audit, and `registry.db` the rest.
//! `PRAGMA user_version` is the format version. Other processes use the file at the same time, so
//! every request reads it anew.

use std::fmt;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::RegistryError;

/// The file of this host, in the root of the store.
pub(crate) const OWN: &str = "registry.db";

/// Maximum time to wait for another process's lock.
const BUSY: Duration = Duration::from_secs(5);

/// Format version that this program writes.
const FORMAT: i64 = MIGRATIONS.len() as i64;

/// Migrations: number `n` leads from format `n` to `n + 1`. Format 0 is an empty file.
const MIGRATIONS: [&str; 4] = [
    "
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
",
    // A session without a token began with a login link.
    "
    CREATE TABLE session (
        id TEXT PRIMARY KEY,
        digest BLOB NOT NULL,
        token_id TEXT,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX session_expiry ON session (expires_at);

    ALTER TABLE token ADD COLUMN name TEXT;
    ALTER TABLE audit ADD COLUMN before TEXT;
    ALTER TABLE audit ADD COLUMN after TEXT;
",
    "
    CREATE TABLE route (
        site TEXT NOT NULL,
        prefix TEXT NOT NULL,
        runtime_id TEXT NOT NULL,
        worker_id TEXT NOT NULL,
        auth TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        PRIMARY KEY (site, prefix)
    ) WITHOUT ROWID;
",
    "
    CREATE TABLE replica (
        log TEXT PRIMARY KEY,
        applied INTEGER NOT NULL,
        -- The last entry, by which a log that was set back is told.
        entry INTEGER,
        digest BLOB
    ) WITHOUT ROWID;
",
];

/// The file, and this process's connections to it.
pub(crate) struct RegistryDatabase {
    dir: Dir,
    file: String,
    writing: Mutex<Connection>,
    reading: Mutex<Connection>,
}

/// The connections' own `Debug` would print the path of the file.
impl fmt::Debug for RegistryDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistryDatabase")
    }
}

impl RegistryDatabase {
    /// Opens a file in the root of the store; creates it if there is none.
    pub(crate) fn open(dir: Dir, file: &str) -> Result<Self, RegistryError> {
        // SQLite would create it world-readable; its other files inherit the mode of this one.
        let mut options = OpenOptions::new();
        options.write(true).create(true).mode(0o600);
        dir.open_with(file, &options).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => RegistryError::Full,
            _ => RegistryError::Io,
        })?;
        let mut writing = connect(&dir, file)?;
        write_ahead(&writing)?;
        migrate(&mut writing)?;
        let reading = reader(&dir, file)?;
        let file = file.to_owned();
        Ok(Self { dir, file, writing: Mutex::new(writing), reading: Mutex::new(reading) })
    }

    /// Opens a new connection that can write.
    pub(crate) fn writer(&self) -> Result<Connection, RegistryError> {
        Ok(connect(&self.dir, &self.file)?)
    }

    /// Opens a new read-only connection.
    pub(crate) fn reader(&self) -> Result<Connection, RegistryError> {
        Ok(reader(&self.dir, &self.file)?)
    }

    /// Reads through the shared connection.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        work(&hold(&self.reading))
    }

    /// Runs a write transaction. Committed data survives a power loss.
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

/// A poisoned lock is usable: a transaction is rolled back when its owner panics.
fn hold(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(dir: &Dir, file: &str) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path(dir, file), flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // With read(2), a disk failure is an error; through a mapping it would kill the process.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

fn reader(dir: &Dir, file: &str) -> rusqlite::Result<Connection> {
    let connection = connect(dir, file)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// SQLite opens files by name only, so it gets the current path of our directory handle.
fn path(dir: &Dir, file: &str) -> PathBuf {
    let link = format!("/proc/self/fd/{}", dir.as_raw_fd());
    let target = rustix::fs::readlink(&link, Vec::new()).ok().and_then(|target| {
        let target: std::ffi::OsString =
            std::os::unix::ffi::OsStringExt::from_vec(target.into_bytes());
        Some(PathBuf::from(target)).filter(|target| target.is_absolute())
    });
    target.unwrap_or_else(|| PathBuf::from(link)).join(file)
}

/// Switching to WAL needs an exclusive lock, and SQLite's busy timeout does not cover that.
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

    fn version(database: &RegistryDatabase) -> i64 {
        let read = |connection: &Connection| {
            Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
        };
        database.read(read).unwrap()
    }

    #[test]
    fn concurrent_opens_create_the_file_once() {
        let dir = Arc::new(dir());
        let open = |_| {
            let dir = Arc::clone(&dir);
            std::thread::spawn(move || {
                RegistryDatabase::open(dir.try_clone().unwrap(), OWN).unwrap()
            })
        };
        let threads: Vec<_> = (0..8).map(open).collect();
        for thread in threads {
            assert_eq!(version(&thread.join().unwrap()), FORMAT);
        }
    }

    #[test]
    fn only_the_owner_can_read_the_file() {
        let dir = dir();
        let database = RegistryDatabase::open(dir.try_clone().unwrap(), OWN).unwrap();
        database.write(|t| Ok(t.execute_batch("PRAGMA user_version = 3")?)).unwrap();
        for name in [OWN, "registry.db-wal", "registry.db-shm"] {
            let file = dir.open(name).unwrap().into_std();
            assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_later_format_is_left_untouched() {
        let dir = dir();
        let database = RegistryDatabase::open(dir.try_clone().unwrap(), OWN).unwrap();
        let later = |t: &Transaction<'_>| Ok(t.pragma_update(None, "user_version", 7)?);
        database.write(later).unwrap();
        let refused = RegistryDatabase::open(dir.try_clone().unwrap(), OWN).unwrap_err();
        assert_eq!(refused, RegistryError::NewerFormat { found: 7 });
        assert_eq!(version(&database), 7);
    }

    #[test]
    fn a_foreign_file_is_refused() {
        let dir = dir();
        dir.write(OWN, vec![7; 4096]).unwrap();
        let refused = RegistryDatabase::open(dir.try_clone().unwrap(), OWN).unwrap_err();
        assert_eq!(refused, RegistryError::Damaged);
    }
}
