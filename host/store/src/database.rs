//! Connections to the database, and the meaning of its errors.

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags};

use crate::{OpenError, StoreError};

/// The name of the database's file.
pub(crate) const FILE: &str = "state.db";

/// Page cache of the writer in KiB. A reader's cache is smaller: SQLite drops it after every write
/// by another connection.
const WRITER_CACHE_KIB: i64 = 2 << 10;
const READER_CACHE_KIB: i64 = 512;

/// Time to wait for a lock. Another program may hold one for a moment, for example `sqlite3` while
/// it makes a backup.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// The location of the database. Keeps the directory's handle open.
#[derive(Clone)]
pub(crate) struct Database {
    dir: Arc<Dir>,
    vfs: Option<String>,
}

impl Database {
    pub(crate) fn new(dir: Arc<Dir>, vfs: Option<String>) -> Self {
        Self { dir, vfs }
    }

    /// Opens a connection that can write.
    pub(crate) fn writer(&self) -> rusqlite::Result<Connection> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_CREATE)?;
        // Only affects a database without tables.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        Ok(connection)
    }

    /// Opens a read-only connection.
    pub(crate) fn reader(&self) -> rusqlite::Result<Connection> {
        let connection = self.connect(OpenFlags::empty())?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }

    /// Opens a connection that moves pages from the log to the database.
    pub(crate) fn checkpointer(&self) -> rusqlite::Result<Connection> {
        let connection = self.connect(OpenFlags::empty())?;
        connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
        // Only a connection that has read keeps the log open.
        connection.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
        Ok(connection)
    }

    /// Opens a connection for inspection, which leaves the files unchanged. A connection that can
    /// write would move the log into the database when it is closed.
    pub(crate) fn inspector(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(self.path(), flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "mmap_size", 0)?;
        Ok(connection)
    }

    fn connect(&self, more: OpenFlags) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | more;
        let path = self.path();
        let connection = match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs.as_str())?,
            None => Connection::open_with_flags(path, flags)?,
        };
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // A failing disk makes read(2) return an error, but kills a process that uses a mapping.
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        Ok(connection)
    }

    /// Returns a path for SQLite, which cannot open a file through a handle. The path is the one
    /// that the directory's handle has at this moment, so SQLite opens that directory and no other.
    fn path(&self) -> PathBuf {
        let link = format!("/proc/self/fd/{}", self.dir.as_raw_fd());
        let dir = rustix::fs::readlink(&link, Vec::new()).ok().and_then(|dir| {
            let dir: std::ffi::OsString =
                std::os::unix::ffi::OsStringExt::from_vec(dir.into_bytes());
            Some(PathBuf::from(dir)).filter(|dir| dir.is_absolute())
        });
        dir.unwrap_or_else(|| PathBuf::from(link)).join(FILE)
    }
}

/// Converts a database error for readers and writers.
pub(crate) fn error(error: Error) -> StoreError {
    const DAMAGED: StoreError = StoreError::Damaged { what: "database", worker: None };
    match (error.sqlite_error_code(), &error) {
        (Some(ErrorCode::DiskFull), _) => StoreError::Full,
        (Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase), _) => DAMAGED,
        (
            None,
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..),
        ) => DAMAGED,
        _ => StoreError::Io(Arc::new(error)),
    }
}

/// Converts a database error while the store is being opened.
pub(crate) fn open_error(error: Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => OpenError::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            OpenError::Damaged("state.db is damaged, truncated or not a database")
        }
        _ => OpenError::Io(Box::new(error)),
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        self::error(error)
    }
}
