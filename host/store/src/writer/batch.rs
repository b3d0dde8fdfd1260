//! One commit of the database: the transactions of several workers, written together.

use rusqlite::Connection;
use skep_protocol::{Cursor, Limits, Timestamp, Usage};

use super::cache::{CachedWorker, StoreLimits, WorkerCache};
use super::error::WriteError;
use super::queue::{Work, WriteJob};
use super::statement::Statements;
use super::step::Step;
use super::{input, shared, worker};
use crate::row::entry::EntryRow;
use crate::{Receipt, StoreError, StoreRefusal, WorkerNumber, WorkerRecord, WorkerWrite};

/// A commit that is being written.
pub(super) struct Batch<'a, 'c> {
    pub(super) connection: &'c Connection,
    pub(super) statements: &'a mut Statements<'c>,
    pub(super) workers: &'a mut WorkerCache,
    pub(super) defaults: &'a Limits,
}

impl Batch<'_, '_> {
    /// Commits all jobs or none of them.
    pub(super) fn commit(&mut self, jobs: &[WriteJob]) -> Result<Vec<Receipt>, StoreError> {
        let done = self.write(jobs).map_err(StoreError::from);
        if done.is_err() {
            self.workers.forget();
            if !self.connection.is_autocommit() {
                // If the rollback fails too, the caller drops this connection.
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        done
    }

    fn write(&mut self, jobs: &[WriteJob]) -> Result<Vec<Receipt>, WriteError> {
        self.statements.begin.execute([])?;
        let mut receipts = Vec::with_capacity(jobs.len());
        for job in jobs {
            receipts.push(match &job.work {
                Work::Worker(writes) => self.transaction(job.worker, writes)?,
                Work::Shared(write) => {
                    shared::write(self.connection, write)?;
                    Receipt { seqs: Vec::new() }
                }
            });
        }
        for (worker, cached) in self.workers.changed() {
            self.statements.put_usage(worker, &cached.usage)?;
        }
        self.statements.commit.execute([])?;
        Ok(receipts)
    }

    fn transaction(
        &mut self,
        number: WorkerNumber,
        writes: &[WorkerWrite],
    ) -> Result<Receipt, WriteError> {
        let Self { connection, statements, workers, defaults } = self;
        let cached = match writes.first() {
            Some(WorkerWrite::Create(record) | WorkerWrite::Fork { record, .. }) => {
                worker::create(connection, number, record)?;
                let limits = record.spec.limits.over(defaults);
                workers.insert(number, CachedWorker::new(&limits))
            }
            _ => workers.get(connection, number, defaults)?,
        };
        let seqs = assign_seqs(writes, cached.next_seq);
        let mut transaction = TransactionWriter {
            connection,
            statements,
            worker: number,
            cached,
            defaults,
            usage_changed: seqs.iter().any(Option::is_some),
        };
        for index in 0..writes.len() {
            transaction.write(Step { writes, seqs: &seqs, index })?;
        }
        let usage_changed = transaction.usage_changed;
        let seqs: Vec<_> = seqs.into_iter().flatten().collect();
        cached.next_seq += seqs.len() as u64;
        if usage_changed {
            workers.touch(number);
        }
        Ok(Receipt { seqs })
    }
}

/// The transaction of one worker that is being written.
struct TransactionWriter<'t, 'c> {
    connection: &'c Connection,
    statements: &'t mut Statements<'c>,
    worker: WorkerNumber,
    cached: &'t mut CachedWorker,
    defaults: &'t Limits,
    usage_changed: bool,
}

impl TransactionWriter<'_, '_> {
    fn write(&mut self, step: Step<'_>) -> Result<(), WriteError> {
        if self.cached.removed {
            return Err(StoreRefusal::WorkerRemoved.into());
        }
        self.append(step)?;
        match step.write() {
            WorkerWrite::Create(_) | WorkerWrite::Fork { .. } => self.create(step),
            WorkerWrite::Put(record) => self.put(record),
            WorkerWrite::Remove { at } => self.remove(*at),
            WorkerWrite::Accept { .. } => self.accept(step),
            WorkerWrite::Begin { .. } | WorkerWrite::End { .. } => self.advance(step),
            WorkerWrite::Append(_) => Ok(()),
            WorkerWrite::SetState { key, value } => self.set_state(key, value),
            WorkerWrite::DeleteState { key } => self.delete_state(key),
            WorkerWrite::Usage(usage) => self.replace_usage(*usage),
            WorkerWrite::Connected(live) => worker::connect(self.connection, self.worker, *live),
        }
    }

    /// Appends the entry of a write, if it has one.
    fn append(&mut self, step: Step<'_>) -> Result<(), WriteError> {
        let (entry, seq) = (EntryRow::of(step.write()), step.seq());
        debug_assert_eq!(entry.is_some(), seq.is_some(), "an entry without a position");
        let (Some(entry), Some(seq)) = (entry, seq) else { return Ok(()) };
        self.statements.insert_entry(self.worker, seq.0, &entry)?;
        self.cached.usage.transcript_bytes += entry.cost();
        Ok(())
    }

    /// Refuses a `Create` that is not the first write. The first one is done already.
    fn create(&self, step: Step<'_>) -> Result<(), WriteError> {
        match step.index {
            0 => Ok(()),
            _ => Err(StoreRefusal::Malformed.into()),
        }
    }

    fn put(&mut self, record: &WorkerRecord) -> Result<(), WriteError> {
        worker::replace(self.connection, self.worker, record)?;
        self.cached.limits = StoreLimits::of(&record.spec.limits.over(self.defaults));
        Ok(())
    }

    fn remove(&mut self, at: Timestamp) -> Result<(), WriteError> {
        worker::remove(self.connection, self.worker, at)?;
        self.cached.removed = true;
        self.usage_changed = true;
        Ok(())
    }

    fn accept(&mut self, step: Step<'_>) -> Result<(), WriteError> {
        let Self { connection, statements, worker, cached, .. } = self;
        input::accept(connection, statements, *worker, cached, step)
    }

    fn advance(&mut self, step: Step<'_>) -> Result<(), WriteError> {
        let Self { connection, statements, worker, .. } = self;
        input::advance(connection, statements, *worker, step)
    }

    fn set_state(&mut self, key: &str, value: &[u8]) -> Result<(), WriteError> {
        Ok(self.statements.put_state(self.worker, key, value)?)
    }

    fn delete_state(&mut self, key: &str) -> Result<(), WriteError> {
        Ok(self.statements.delete_state(self.worker, key)?)
    }

    /// Replaces the usage, except for the bytes of the transcript, which the store counts itself.
    fn replace_usage(&mut self, usage: Usage) -> Result<(), WriteError> {
        let transcript_bytes = self.cached.usage.transcript_bytes;
        self.cached.usage = Usage { transcript_bytes, ..usage };
        self.usage_changed = true;
        Ok(())
    }
}

/// Assigns positions to the entries that the writes append.
fn assign_seqs(writes: &[WorkerWrite], mut next: u64) -> Vec<Option<Cursor>> {
    let assign = |write: &WorkerWrite| {
        write.has_entry().then(|| {
            let seq = Cursor(next);
            next += 1;
            seq
        })
    };
    writes.iter().map(assign).collect()
}
