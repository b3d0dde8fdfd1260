//! Cached state of the workers that are written to.
//!
//! All of it can be read from the database again, and is after a failed commit.

use std::collections::HashMap;

use rusqlite::Connection;
use skep_protocol::{Limits, Usage, WorkerSpec};

use super::error::WriteError;
use crate::{StoreError, StoreRefusal, WorkerNumber, read, row};

/// Maximum number of cached workers, which take about 10 MB.
const MOST: usize = 50_000;

#[derive(Clone, Debug)]
pub(crate) struct CachedWorker {
    /// The position of the worker's next entry.
    pub(crate) next_seq: u64,
    pub(crate) usage: Usage,
    /// The number of idempotency keys, once it has been counted.
    pub(crate) keys: Option<u64>,
    pub(crate) limits: StoreLimits,
    /// True if the worker was removed in the current batch.
    pub(crate) removed: bool,
}

/// The limits of a worker that the store itself enforces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreLimits {
    pub(crate) transcript_bytes: u64,
    pub(crate) keys: u64,
    pub(crate) key_ms: u64,
}

impl StoreLimits {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            transcript_bytes: limits.transcript_bytes,
            keys: limits.idempotency_keys,
            key_ms: limits.idempotency_ms,
        }
    }
}

#[derive(Default)]
pub(crate) struct WorkerCache {
    by_worker: HashMap<WorkerNumber, CachedWorker>,
    /// Workers whose usage is written with the current commit.
    changed: Vec<WorkerNumber>,
}

impl CachedWorker {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            next_seq: 1,
            usage: Usage::default(),
            keys: Some(0),
            limits: StoreLimits::of(limits),
            removed: false,
        }
    }

    fn load(
        connection: &Connection,
        worker: WorkerNumber,
        defaults: &Limits,
    ) -> Result<Self, WriteError> {
        let spec = connection
            .prepare_cached("SELECT spec FROM worker WHERE number = ?")?
            .query([worker.0])?
            .next()?
            // A damaged spec must not prevent the removal of the worker.
            .map(|found| row::text(found, 0).ok().and_then(|json| serde_json::from_str(json).ok()));
        let Some(spec) = spec else {
            let sql = "SELECT 1 FROM tombstone WHERE number = ?";
            let removed = connection.prepare_cached(sql)?.exists([worker.0])?;
            return Err(WriteError::Store(StoreError::Refused(match removed {
                true => StoreRefusal::WorkerRemoved,
                false => StoreRefusal::UnknownWorker,
            })));
        };
        let limits = spec.map_or(*defaults, |spec: WorkerSpec| spec.limits.over(defaults));
        Ok(Self {
            next_seq: read::worker::last_seq(connection, worker)?.0 + 1,
            usage: read::worker::usage(connection, worker)?,
            keys: None,
            limits: StoreLimits::of(&limits),
            removed: false,
        })
    }

    /// Returns the number of idempotency keys, counting them if necessary.
    pub(crate) fn keys(
        &mut self,
        connection: &Connection,
        worker: WorkerNumber,
    ) -> rusqlite::Result<&mut u64> {
        let keys = match self.keys {
            Some(keys) => keys,
            None => {
                let sql = "SELECT count(*) FROM input WHERE worker = ? AND key IS NOT NULL";
                let count: i64 =
                    connection.prepare_cached(sql)?.query_row([worker.0], |row| row.get(0))?;
                count.cast_unsigned()
            }
        };
        Ok(self.keys.insert(keys))
    }
}

impl WorkerCache {
    pub(crate) fn get(
        &mut self,
        connection: &Connection,
        worker: WorkerNumber,
        defaults: &Limits,
    ) -> Result<&mut CachedWorker, WriteError> {
        use std::collections::hash_map::Entry;
        match self.by_worker.entry(worker) {
            Entry::Occupied(known) if known.get().removed => {
                Err(WriteError::Store(StoreRefusal::WorkerRemoved.into()))
            }
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(vacant) => {
                Ok(vacant.insert(CachedWorker::load(connection, worker, defaults)?))
            }
        }
    }

    pub(crate) fn insert(
        &mut self,
        worker: WorkerNumber,
        cached: CachedWorker,
    ) -> &mut CachedWorker {
        self.by_worker.entry(worker).insert_entry(cached).into_mut()
    }

    /// Marks a worker's usage for the current commit.
    pub(crate) fn touch(&mut self, worker: WorkerNumber) {
        if self.changed.last() != Some(&worker) {
            self.changed.push(worker);
        }
    }

    /// Returns the workers whose usage has changed, once each.
    pub(crate) fn changed(&mut self) -> impl Iterator<Item = (WorkerNumber, &CachedWorker)> {
        self.changed.sort_unstable();
        self.changed.dedup();
        let by_worker = &self.by_worker;
        self.changed
            .iter()
            .filter_map(|worker| by_worker.get(worker).map(|cached| (*worker, cached)))
            .filter(|(_, cached)| !cached.removed)
    }

    /// Finishes a commit: clears the marks, and drops workers that were removed.
    pub(crate) fn settle(&mut self) {
        for worker in self.changed.drain(..) {
            if self.by_worker.get(&worker).is_some_and(|cached| cached.removed) {
                self.by_worker.remove(&worker);
            }
        }
        if self.by_worker.len() > MOST {
            self.by_worker.clear();
        }
    }

    /// Drops everything, so that it is read again.
    pub(crate) fn forget(&mut self) {
        self.by_worker.clear();
        self.changed.clear();
    }
}
