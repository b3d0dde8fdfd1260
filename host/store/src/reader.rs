//! The pool of read-only connections. Readers and the writer never wait for each other.

use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::Connection;

use crate::StoreError;
use crate::database::Database;

/// Maximum number of concurrent reads. Each read is short; more would only queue at the disk.
const CONNECTIONS: usize = 4;

pub(crate) struct Readers {
    database: Database,
    pool: Mutex<ReaderPool>,
    freed: Condvar,
}

#[derive(Default)]
struct ReaderPool {
    idle: Vec<Connection>,
    open: usize,
    closed: bool,
}

impl Readers {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, pool: Mutex::default(), freed: Condvar::new() }
    }

    /// Runs a read on a connection, waiting for one if all are in use.
    pub(crate) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let lease = self.lease()?;
        let connection = match lease.idle() {
            Some(connection) => connection,
            None => self.database.reader()?,
        };
        let result = read(&connection);
        // After a disk failure, the next read opens a new connection.
        if !matches!(result, Err(StoreError::Io(_) | StoreError::Full)) {
            lease.put_back(connection);
        }
        result
    }

    fn lease(&self) -> Result<Lease<'_>, StoreError> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        while !pool.closed && pool.open == CONNECTIONS {
            pool = self.freed.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        if pool.closed {
            return Err(StoreError::Closed);
        }
        pool.open += 1;
        Ok(Lease(self))
    }

    /// Refuses new reads, and waits for those in flight.
    pub(crate) fn close(&self) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.closed = true;
        self.freed.notify_all();
        while pool.open > 0 {
            pool = self.freed.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        pool.idle.clear();
    }
}

/// The right to use one connection.
struct Lease<'a>(&'a Readers);

impl Lease<'_> {
    fn idle(&self) -> Option<Connection> {
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner).idle.pop()
    }

    fn put_back(&self, connection: Connection) {
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner).idle.push(connection);
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner).open -= 1;
        self.0.freed.notify_all();
    }
}
