//! A runtime's store, open.

mod files;
mod records;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::Dir;
use skep_protocol::{DiagnosticCode, Limits, RuntimeId, Timestamp, WorkerId};

use crate::commit::AfterCommit;
use crate::component_file::ComponentFiles;
use crate::database::{self, Database};
use crate::feed::Rings;
use crate::noticed::NoticedDiagnostics;
use crate::reader::Readers;
use crate::writer::queue::{SHARED, Work, WriteJob, WriteQueue};
use crate::writer::{Writer, WriterContext};
use crate::{
    Commit, Faults, Feed, OpenError, Receipt, SharedWrite, StoreError, Transaction, WorkerNumber,
    janitor, layout, read, schema,
};

/// What a store is opened with.
pub struct StoreParts {
    /// Its directory. A new store is made where that is empty.
    pub dir: Dir,
    /// The time, for what is noticed while opening.
    pub now: Timestamp,
    /// The id of the runtime where the store is new.
    pub new_runtime_id: RuntimeId,
    /// Where a test makes the disk fail; [`crate::NoFaults`] otherwise.
    pub faults: Arc<dyn Faults>,
    /// SQLite's file layer, by name, if not its own.
    pub vfs: Option<String>,
}

/// A runtime's store. Clones are the same store; it is closed with the last of them.
#[derive(Clone)]
pub struct Store(Arc<OpenStore>);

struct OpenStore {
    dir: Arc<Dir>,
    /// Let go of last: whoever waits for it finds the database closed.
    lock: Mutex<Option<File>>,
    runtime_id: RuntimeId,
    readers: Arc<Readers>,
    writing: Arc<WriterContext>,
    writer: Writer,
    next_number: AtomicI64,
    connected: HashMap<WorkerNumber, WorkerId>,
    /// What was found while opening and reading, which is not written down.
    noticed: NoticedDiagnostics,
}

impl Store {
    /// Opens the store in a directory, or makes a new one there.
    ///
    /// # Errors
    /// Each says what to do about it.
    pub fn open(parts: StoreParts) -> Result<Self, OpenError> {
        let dir = Arc::new(parts.dir);
        // Before anything is left in a directory that is someone else's.
        layout::inspect(&dir)?;
        let lock = layout::lock(&dir)?;
        parts.faults.at("open").map_err(layout::open_error)?;
        let found = layout::inspect(&dir)?;
        layout::prepare_database(&dir, &found)?;
        let database = Database::new(dir.clone(), parts.vfs);
        let mut connection = database.writer().map_err(database::open_error)?;
        schema::migrate(&mut connection, schema::MIGRATIONS)?;
        let runtime_id = schema::identity(
            &connection,
            found.identity.as_ref().unwrap_or(&parts.new_runtime_id),
        )?;
        match &found.identity {
            Some(id) if *id != runtime_id => {
                return Err(OpenError::Damaged("identity.json is not the one of state.db"));
            }
            Some(_) => {}
            None => layout::write_identity(&dir, &runtime_id, &*parts.faults)?,
        }
        let reading = |error: StoreError| match error {
            StoreError::Full => OpenError::Full,
            StoreError::Damaged { .. } => OpenError::Damaged("state.db is damaged"),
            error => OpenError::Io(Box::new(error)),
        };
        let connected = read::worker::connected(&connection).map_err(reading)?;
        let last_number = read::worker::last_number(&connection).map_err(reading)?;
        let writing = Arc::new(WriterContext {
            database: database.clone(),
            queue: WriteQueue::default(),
            rings: Arc::new(Rings::default()),
            faults: parts.faults.clone(),
            components: Arc::new(ComponentFiles::new(dir.clone(), parts.faults)),
            defaults: Mutex::new(Limits::default()),
        });
        let checkpointer = database.checkpointer().map_err(database::open_error)?;
        let writer = Writer::start(writing.clone(), connection, checkpointer, parts.now);
        let store = OpenStore {
            dir,
            lock: Mutex::new(Some(lock)),
            runtime_id,
            readers: Arc::new(Readers::new(database)),
            writing,
            writer: writer.map_err(layout::open_error)?,
            next_number: AtomicI64::new(last_number + 1),
            connected: connected.into_iter().map(|(id, number)| (number, id)).collect(),
            noticed: NoticedDiagnostics::new(parts.now),
        };
        if found.foreign > 0 {
            let message =
                format!("{} names in the store's directory are not its own", found.foreign);
            store.noticed.notice(DiagnosticCode::ForeignFile, None, message);
        }
        Ok(Self(Arc::new(store)))
    }

    /// The id of the runtime whose store this is.
    pub fn runtime_id(&self) -> &RuntimeId {
        &self.0.runtime_id
    }

    /// The limits that apply where a worker's spec does not change them. What the store itself
    /// enforces: `transcript_bytes`, `idempotency_keys` and `idempotency_ms`. To be called before
    /// anything is submitted.
    pub fn set_default_limits(&self, limits: &Limits) {
        *self.0.writing.defaults.lock().unwrap_or_else(PoisonError::into_inner) = *limits;
    }

    /// Hands a transaction to the writer. Never blocks; those of one worker are committed in order,
    /// and go on if the answer is dropped.
    pub fn submit(&self, transaction: Transaction) -> Commit {
        self.push(transaction, None)
    }

    /// As [`Self::submit`], with something that the writer's own thread does as soon as the
    /// transaction is on disk, before the answer: who waits for it is spared a thread's waking. It
    /// is not called where the transaction fails, and must neither wait nor panic; everybody's next
    /// commit waits for it.
    pub fn submit_then(
        &self,
        transaction: Transaction,
        then: impl FnOnce(&Receipt) + Send + 'static,
    ) -> Commit {
        self.push(transaction, Some(Box::new(then)))
    }

    fn push(&self, transaction: Transaction, then: Option<AfterCommit>) -> Commit {
        let work = Work::Worker(transaction.writes);
        let (job, commit) = WriteJob::new(transaction.worker, work, then);
        self.0.writing.queue.push(job);
        commit
    }

    /// As [`Self::submit`], for what belongs to no single worker. These are in order among
    /// themselves.
    pub fn submit_shared(&self, write: SharedWrite) -> Commit {
        let (job, commit) = WriteJob::new(SHARED, Work::Shared(write), None);
        self.0.writing.queue.push(job);
        commit
    }

    /// Bytes that wait for the writer.
    pub fn queued_bytes(&self) -> usize {
        self.0.writing.queue.bytes()
    }

    /// A number for a new worker.
    pub fn next_number(&self) -> WorkerNumber {
        WorkerNumber(self.0.next_number.fetch_add(1, Ordering::Relaxed))
    }

    /// Follows a worker's transcript.
    pub fn watch(&self, worker: WorkerNumber) -> Feed {
        self.0.writing.rings.watch(worker, self.0.readers.clone())
    }

    /// Whether the worker had a live instance when the store was last left.
    pub fn was_connected(&self, worker: WorkerNumber) -> bool {
        self.0.connected.contains_key(&worker)
    }

    /// The workers that had one.
    pub fn lost_execution(&self) -> Vec<WorkerId> {
        self.0.connected.values().copied().collect()
    }

    /// Does a few milliseconds of what can wait: rows and files of removed workers, transcripts
    /// past their bound, keys past their time, free pages. Whether there is more to do. Blocks on
    /// the disk.
    ///
    /// # Errors
    /// As a transaction's. The next step tries again.
    pub fn janitor_step(&self) -> Result<bool, StoreError> {
        janitor::step(&self.0.dir, &self.0.readers, &self.0.writing)
    }

    /// Commits what waits and closes the database. What is submitted or read later is refused.
    pub fn close(self) {
        self.0.close();
    }
}

impl OpenStore {
    fn close(&self) {
        self.writing.queue.close();
        self.writer.join();
        self.writing.rings.close_all();
        self.readers.close();
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for OpenStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
