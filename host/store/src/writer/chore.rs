//! Deletes obsolete rows, a few milliseconds at a time, between commits.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};
use skep_protocol::{EntryKind, Limits, Timestamp};

use super::cache::WorkerCache;
use super::error::WriteError;
use super::input::forget_key;
use super::queue::Chore;
use super::statement::Statements;
use crate::row;
use crate::row::input::{COLUMNS, InputRow};
use crate::row::tombstone::{DIRECTORY_PENDING, ROWS_PENDING};
use crate::{StoreError, WorkerNumber, WorkerWrite};

/// Time of one slice.
const SLICE: Duration = Duration::from_millis(4);
/// Rows deleted between two checks of the time.
const ROWS: i64 = 64;
/// Pages returned to the file system at once, and the number of free pages (16 MiB) from which on
/// that is done.
const VACUUM_PAGES: i64 = 64;
const FREE_PAGES: i64 = 4_096;

/// The pending work.
pub(super) struct Chores {
    /// Workers whose transcripts are over their bound.
    trim: BTreeSet<WorkerNumber>,
    /// Workers with too many idempotency keys.
    keys: BTreeSet<WorkerNumber>,
    /// The latest time in any write: this crate has no clock.
    now: Timestamp,
}

impl Chores {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { trim: BTreeSet::new(), keys: BTreeSet::new(), now }
    }

    /// Queues work for the workers that were written to.
    pub(super) fn note(&mut self, workers: &mut WorkerCache) {
        for (worker, cached) in workers.changed() {
            if cached.usage.transcript_bytes > cached.limits.transcript_bytes {
                self.trim.insert(worker);
            }
            // A few surplus keys are tolerated: finding the oldest key means reading all of them.
            let most = cached.limits.keys;
            if cached.keys.is_some_and(|keys| keys > most.saturating_add(most / 16)) {
                self.keys.insert(worker);
            }
        }
    }

    pub(super) fn see(&mut self, writes: &[WorkerWrite]) {
        let latest = writes.iter().filter_map(time_of).max();
        self.now = self.now.max(latest.unwrap_or_default());
    }
}

/// Does one slice and replies. Returns true if the connection must not be used again.
pub(super) fn run_slice<'c>(
    connection: &'c Connection,
    statements: &mut Statements<'c>,
    workers: &mut WorkerCache,
    chores: &mut Chores,
    limits: &Limits,
    chore: Chore,
) -> bool {
    let end = Instant::now() + SLICE;
    let mut slice = Slice { connection, statements, workers, chores, limits, end };
    let done = slice.run(&chore.moved).map_err(StoreError::from);
    let mut broken = false;
    if let Err(error) = &done {
        workers.forget();
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        broken = error.is_disk_failure() || !connection.is_autocommit();
    }
    chore.answer(done);
    broken
}

struct Slice<'a, 'c> {
    connection: &'c Connection,
    statements: &'a mut Statements<'c>,
    workers: &'a mut WorkerCache,
    chores: &'a mut Chores,
    limits: &'a Limits,
    end: Instant,
}

impl Slice<'_, '_> {
    /// Does one slice. Returns true if there is more to do.
    fn run(&mut self, moved: &[WorkerNumber]) -> Result<bool, WriteError> {
        if moved.is_empty() && !self.is_needed()? {
            return self.vacuum();
        }
        self.statements.begin.execute([])?;
        for worker in moved {
            self.clear_pending(*worker, DIRECTORY_PENDING)?;
        }
        let more = self.removed()? || self.trim()? || self.keys()? || self.sweep()?;
        for (worker, cached) in self.workers.changed() {
            self.statements.put_usage(worker, &cached.usage)?;
        }
        self.statements.commit.execute([])?;
        self.workers.settle();
        Ok(more || self.vacuum()?)
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// Returns true if there is anything to do, so that an idle store is not written to.
    fn is_needed(&self) -> Result<bool, WriteError> {
        Ok(!self.chores.trim.is_empty()
            || !self.chores.keys.is_empty()
            || self.next_removed()?.is_some()
            || !self.old_inputs(self.swept()?, 1)?.is_empty())
    }

    fn next_removed(&self) -> rusqlite::Result<Option<WorkerNumber>> {
        let sql = "SELECT number FROM tombstone WHERE pending AND pending & ? LIMIT 1";
        self.connection
            .prepare_cached(sql)?
            .query_row([ROWS_PENDING], |row| row.get(0).map(WorkerNumber))
            .optional()
    }

    fn clear_pending(&self, worker: WorkerNumber, what: i64) -> rusqlite::Result<usize> {
        let sql = "UPDATE tombstone SET pending = pending & ~?2 WHERE number = ?1";
        self.connection.prepare_cached(sql)?.execute(params![worker.0, what])
    }

    /// Deletes the rows of removed workers. Returns true if there are more.
    fn removed(&mut self) -> Result<bool, WriteError> {
        while let Some(worker) = self.next_removed()? {
            if self.is_over() {
                return Ok(true);
            }
            if self.delete_some(worker)? == 0 {
                self.clear_pending(worker, ROWS_PENDING)?;
            }
        }
        Ok(false)
    }

    /// Deletes a few rows of a removed worker. Returns 0 if none are left.
    fn delete_some(&mut self, worker: WorkerNumber) -> Result<usize, WriteError> {
        let oldest = self.oldest_entries(worker, i64::MAX)?;
        for entry in &oldest {
            if let Some(input) = &entry.input {
                let sql = "DELETE FROM input WHERE id = ? AND worker = ?";
                self.connection.prepare_cached(sql)?.execute(params![input, worker.0])?;
            }
            self.delete_entry(entry.rowid)?;
        }
        if !oldest.is_empty() {
            return Ok(oldest.len());
        }
        for sql in [
            "DELETE FROM input WHERE rowid IN \
             (SELECT rowid FROM input WHERE worker = ?1 AND outcome_seq IS NULL LIMIT ?2)",
            "DELETE FROM input WHERE rowid IN \
             (SELECT rowid FROM input WHERE worker = ?1 AND key IS NOT NULL LIMIT ?2)",
            "DELETE FROM state WHERE worker = ?1 AND key IN \
             (SELECT key FROM state WHERE worker = ?1 ORDER BY key LIMIT ?2)",
            "DELETE FROM usage WHERE worker = ?1 AND ?2",
        ] {
            let gone = self.connection.prepare_cached(sql)?.execute(params![worker.0, ROWS])?;
            if gone > 0 {
                return Ok(gone);
            }
        }
        Ok(0)
    }

    /// Deletes the oldest entries of transcripts over their bound. Returns true if there are more.
    fn trim(&mut self) -> Result<bool, WriteError> {
        while let Some(worker) = self.chores.trim.first().copied() {
            let Ok(cached) = self.workers.get(self.connection, worker, self.limits) else {
                self.chores.trim.remove(&worker);
                continue;
            };
            // Trim below the bound, so that the next entry does not cause another trim.
            let bound = cached.limits.transcript_bytes;
            let target = bound - bound / 16;
            // A queued input keeps its message. The last entry stays because it determines the next
            // position.
            let last = cached.next_seq.saturating_sub(1);
            let sql = "SELECT min(seq) FROM input WHERE worker = ? AND outcome_seq IS NULL";
            let unfinished: Option<i64> =
                self.connection.prepare_cached(sql)?.query_row([worker.0], |row| row.get(0))?;
            let end = unfinished.unwrap_or(i64::MAX).min(last.cast_signed());
            loop {
                if self.is_over() {
                    return Ok(true);
                }
                let oldest = self.oldest_entries(worker, end)?;
                let cached = self.workers.get(self.connection, worker, self.limits)?;
                let mut gone = Vec::new();
                for entry in oldest {
                    if cached.usage.transcript_bytes <= target {
                        break;
                    }
                    cached.usage.transcript_bytes =
                        cached.usage.transcript_bytes.saturating_sub(entry.cost);
                    gone.push(entry);
                }
                if gone.is_empty() {
                    break;
                }
                self.workers.touch(worker);
                for entry in &gone {
                    if let (Some(input), true) = (&entry.input, entry.is_outcome) {
                        let sql = "DELETE FROM input \
                                   WHERE id = ? AND outcome_seq = ? AND key IS NULL";
                        self.connection.prepare_cached(sql)?.execute(params![input, entry.seq])?;
                    }
                    self.delete_entry(entry.rowid)?;
                }
            }
            self.chores.trim.remove(&worker);
        }
        Ok(false)
    }

    /// Forgets the oldest keys of workers that have too many. Returns true if there are more.
    fn keys(&mut self) -> Result<bool, WriteError> {
        while let Some(worker) = self.chores.keys.first().copied() {
            if self.is_over() {
                return Ok(true);
            }
            let Ok(cached) = self.workers.get(self.connection, worker, self.limits) else {
                self.chores.keys.remove(&worker);
                continue;
            };
            let bound = cached.limits.keys;
            let keys = cached.keys(self.connection, worker)?;
            let surplus = keys.saturating_sub(bound).min(ROWS.cast_unsigned());
            let sql = format!(
                "SELECT {COLUMNS} FROM input WHERE rowid IN (SELECT rowid FROM input \
                 WHERE worker = ? AND key IS NOT NULL ORDER BY rowid LIMIT ?) \
                 AND outcome_seq IS NOT NULL"
            );
            let rows = inputs(self.connection, &sql, params![worker.0, surplus.cast_signed()])?;
            *keys = keys.saturating_sub(rows.len() as u64);
            if rows.iter().all(|(_, row)| row.is_none()) {
                self.chores.keys.remove(&worker);
            }
            for row in rows.into_iter().filter_map(|(_, row)| row) {
                forget_key(self.connection, self.statements, row)?;
            }
        }
        Ok(false)
    }

    /// Forgets expired keys in the order of their inputs. Returns true if there are more.
    fn sweep(&mut self) -> Result<bool, WriteError> {
        let mut swept = self.swept()?;
        let from = swept;
        let more = loop {
            if self.is_over() {
                break true;
            }
            let rows = self.old_inputs(swept, ROWS)?;
            if rows.is_empty() {
                break false;
            }
            for (rowid, row) in rows {
                swept = rowid;
                // A damaged row is reported when it is read.
                let Some(row) = row else { continue };
                if row.record.key.is_none() || row.record.outcome_seq.is_none() {
                    continue;
                }
                let worker = row.worker;
                let Ok(cached) = self.workers.get(self.connection, worker, self.limits) else {
                    continue;
                };
                // A key that its worker keeps longer than the default goes when there are too many
                // keys.
                if cached.limits.key_ms <= self.limits.idempotency_ms {
                    cached.keys = cached.keys.map(|keys| keys.saturating_sub(1));
                    forget_key(self.connection, self.statements, row)?;
                }
            }
        };
        if swept != from {
            let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES ('keys_swept', ?)";
            self.connection.prepare_cached(sql)?.execute([swept])?;
        }
        Ok(more)
    }

    /// Returns the rowid of the last input whose key was swept.
    fn swept(&self) -> rusqlite::Result<i64> {
        let sql = "SELECT value FROM meta WHERE name = 'keys_swept'";
        let found = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0));
        Ok(found.optional()?.unwrap_or(0))
    }

    /// Returns inputs after a rowid that are older than the default lifetime of a key.
    fn old_inputs(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(i64, Option<InputRow>)>, WriteError> {
        let horizon = self.chores.now.0.saturating_sub(self.limits.idempotency_ms);
        let sql = format!("SELECT {COLUMNS} FROM input WHERE rowid > ? ORDER BY rowid LIMIT ?");
        let mut rows = inputs(self.connection, &sql, params![after, limit])?;
        let is_young = |row: &InputRow| row.at.0 > horizon;
        let young = rows.iter().position(|(_, row)| row.as_ref().is_some_and(is_young));
        rows.truncate(young.unwrap_or(rows.len()));
        Ok(rows)
    }

    /// Returns free pages to the file system. Returns true if there are more.
    fn vacuum(&mut self) -> Result<bool, WriteError> {
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get(0));
        let free: i64 = pragma("freelist_count")?;
        let pages: i64 = pragma("page_count")?;
        if free < FREE_PAGES || free < pages / 8 {
            return Ok(false);
        }
        // Each step frees one page.
        let sql = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut steps = statement.query([])?;
        while steps.next()?.is_some() {}
        Ok(true)
    }

    /// Returns the oldest entries of a worker before a position.
    fn oldest_entries(&self, worker: WorkerNumber, end: i64) -> Result<Vec<OldEntry>, WriteError> {
        let sql = "SELECT rowid, seq, kind, input, coalesce(octet_length(label), 0), \
                   octet_length(content_type), octet_length(body) FROM entry \
                   WHERE worker = ? AND seq < ? ORDER BY seq LIMIT ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_map(params![worker.0, end, ROWS], |row| {
            let kind: i64 = row.get(2)?;
            let lengths: [u32; 3] = [row.get(4)?, row.get(5)?, row.get(6)?];
            Ok(OldEntry {
                rowid: row.get(0)?,
                seq: row.get(1)?,
                is_outcome: kind == EntryKind::Output as i64 || kind == EntryKind::Failure as i64,
                input: row.get(3)?,
                cost: row::entry::cost(lengths.map(|length| length as usize)),
            })
        })?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn delete_entry(&self, rowid: i64) -> rusqlite::Result<usize> {
        self.connection.prepare_cached("DELETE FROM entry WHERE rowid = ?")?.execute([rowid])
    }
}

struct OldEntry {
    rowid: i64,
    seq: i64,
    is_outcome: bool,
    input: Option<Vec<u8>>,
    cost: u64,
}

/// Returns rows of inputs with their rowids. A damaged row is `None`.
fn inputs(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<(i64, Option<InputRow>)>, WriteError> {
    let mut statement = connection.prepare_cached(sql)?;
    let found =
        statement.query_map(parameters, |row| Ok((row.get("rowid")?, InputRow::read(row).ok())))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Returns the time of a write, if it has one.
fn time_of(write: &WorkerWrite) -> Option<Timestamp> {
    match write {
        WorkerWrite::Create(record) | WorkerWrite::Fork { record, .. } => Some(record.created_at),
        WorkerWrite::Put(record) => Some(record.updated_at),
        WorkerWrite::Remove { at }
        | WorkerWrite::Accept { at, .. }
        | WorkerWrite::Begin { at, .. }
        | WorkerWrite::End { at, .. } => Some(*at),
        WorkerWrite::Append(entry) => Some(entry.at),
        WorkerWrite::SetState { .. }
        | WorkerWrite::DeleteState { .. }
        | WorkerWrite::Usage(_)
        | WorkerWrite::Connected(_) => None,
    }
}
