//! An open store.

mod files;
mod forks;
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
    Commit, Faults, Feed, NoFaults, OpenError, Receipt, SharedWrite, StoreError, Transaction,
    WorkerNumber, fork_dirs, janitor, layout, read, schema,
};

/// The parameters for opening a store.
pub struct StoreParts {
    /// Its directory. If it is empty, a new store is created in it.
    pub dir: Dir,
    /// The current time, for diagnostics found while opening.
    pub now: Timestamp,
    /// The runtime's id if the store is new.
    pub new_runtime_id: RuntimeId,
    /// A test's hook for injecting faults; otherwise [`crate::NoFaults`].
    pub faults: Arc<dyn Faults>,
    /// The name of an SQLite VFS to use instead of the default.
    pub vfs: Option<String>,
}

impl StoreParts {
    /// Creates the parts of a store without injected faults, on SQLite's default VFS.
    pub fn new(dir: Dir, now: Timestamp, new_runtime_id: RuntimeId) -> Self {
        Self { dir, now, new_runtime_id, faults: Arc::new(NoFaults), vfs: None }
    }
}

/// A runtime's store. Clones refer to the same store, which is closed when the last one is dropped.
#[derive(Clone)]
pub struct Store(Arc<OpenStore>);

struct OpenStore {
    dir: Arc<Dir>,
    /// Released last, so that the next process to take the lock finds the database closed.
    lock: Mutex<Option<File>>,
    runtime_id: RuntimeId,
    readers: Arc<Readers>,
    writing: Arc<WriterContext>,
    writer: Writer,
    next_number: AtomicI64,
    connected: HashMap<WorkerNumber, WorkerId>,
    /// Diagnostics that are not written to disk.
    noticed: NoticedDiagnostics,
}

impl Store {
    /// Opens the store in a directory, or creates a new one there.
    ///
    /// # Errors
    /// Each error message contains the next step.
    pub fn open(parts: StoreParts) -> Result<Self, OpenError> {
        let dir = Arc::new(parts.dir);
        // Check before the lock file is created, in case the directory is not a store.
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
                return Err(OpenError::Damaged(
                    "identity.json and state.db belong to different runtimes",
                ));
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
        fork_dirs::settle(&dir, |id| Ok(read::worker::number(&connection, id)?.is_some()))
            .map_err(reading)?;
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
            let message = format!(
                "files in the store's directory that do not belong there: {}",
                found.foreign
            );
            store.noticed.notice(DiagnosticCode::ForeignFile, None, message);
        }
        Ok(Self(Arc::new(store)))
    }

    /// Returns the id of the runtime that the store belongs to.
    pub fn runtime_id(&self) -> &RuntimeId {
        &self.0.runtime_id
    }

    /// Sets the limits that apply unless a worker's spec overrides them. The store itself enforces
    /// `transcript_bytes`, `idempotency_keys` and `idempotency_ms`. Must be called before anything
    /// is submitted.
    pub fn set_default_limits(&self, limits: &Limits) {
        *self.0.writing.defaults.lock().unwrap_or_else(PoisonError::into_inner) = *limits;
    }

    /// Queues a transaction without blocking. Transactions of one worker are committed in order,
    /// even if the returned future is dropped.
    pub fn submit(&self, transaction: Transaction) -> Commit {
        self.push(transaction, None)
    }

    /// Like [`Self::submit`], with a callback that runs on the writer's thread as soon as the
    /// transaction is on disk, before it is acknowledged. That saves its receiver the wake-up of
    /// another thread. The callback is not called if the transaction fails. It must neither block
    /// nor panic, because it delays the next commit of every worker.
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

    /// Like [`Self::submit`], for records that belong to no single worker. These writes are
    /// committed in order among themselves.
    pub fn submit_shared(&self, write: SharedWrite) -> Commit {
        let (job, commit) = WriteJob::new(SHARED, Work::Shared(write), None);
        self.0.writing.queue.push(job);
        commit
    }

    /// Returns the number of bytes in the writer's queue.
    pub fn queued_bytes(&self) -> usize {
        self.0.writing.queue.bytes()
    }

    /// Returns a number for a new worker.
    pub fn next_number(&self) -> WorkerNumber {
        WorkerNumber(self.0.next_number.fetch_add(1, Ordering::Relaxed))
    }

    /// Follows a worker's transcript.
    pub fn watch(&self, worker: WorkerNumber) -> Feed {
        self.0.writing.rings.watch(worker, self.0.readers.clone())
    }

    /// Returns true if the worker had a live instance when the store was last closed or the process
    /// died.
    pub fn was_connected(&self, worker: WorkerNumber) -> bool {
        self.0.connected.contains_key(&worker)
    }

    /// Returns the workers that had one.
    pub fn lost_execution(&self) -> Vec<WorkerId> {
        self.0.connected.values().copied().collect()
    }

    /// Spends a few milliseconds on deferred work: rows and files of removed workers, transcripts
    /// over their bound, expired keys, and free pages. Returns true if there is more to do. Blocks
    /// on the disk.
    ///
    /// # Errors
    /// Same as a transaction's. The next step retries.
    pub fn janitor_step(&self) -> Result<bool, StoreError> {
        janitor::step(&self.0.dir, &self.0.readers, &self.0.writing)
    }

    /// Commits the queued transactions and closes the database. Later calls are refused.
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
