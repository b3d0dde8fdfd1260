//! A runtime's store, open.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;
use skep_protocol::{
    ComponentDigest, ConfigDigest, Cursor, Diagnostic, DiagnosticCode, Entry, EntryPage,
    IdempotencyKey, InputId, Limits, Outcome, RuntimeId, Timestamp, Usage, WorkerId,
};
use skep_scope::tree;

use crate::commit::Then;
use crate::component_file::ComponentFiles;
use crate::database::{self, Database};
use crate::feed::Rings;
use crate::reader::Readers;
use crate::writer::queue::{Job, Queue, SHARED, Work};
use crate::writer::{self, Writer};
use crate::{
    Commit, ComponentRecord, ConfigRecord, Faults, Feed, InputRecord, OpenError, Receipt,
    SharedEvent, StoreError, Transaction, WorkerNumber, WorkerRecord, janitor, layout, read,
    schema,
};

/// Diagnostics that are not written down.
const NOTICED: usize = 1_000;

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
pub struct Store(Arc<Shared>);

struct Shared {
    dir: Arc<Dir>,
    /// Let go of last: whoever waits for it finds the database closed.
    lock: Mutex<Option<File>>,
    runtime_id: RuntimeId,
    opened_at: Timestamp,
    readers: Arc<Readers>,
    writing: Arc<writer::Shared>,
    writer: Writer,
    next_number: AtomicI64,
    connected: HashMap<WorkerNumber, WorkerId>,
    /// What was found while opening and reading, which is not written down.
    noticed: Mutex<BTreeMap<Option<WorkerId>, Diagnostic>>,
}

/// What an id is found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// A worker.
    Found(Box<WorkerRecord>),
    /// One that was.
    Removed,
    /// Nothing.
    Unknown,
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
        let writing = Arc::new(writer::Shared {
            database: database.clone(),
            queue: Queue::default(),
            rings: Arc::new(Rings::default()),
            faults: parts.faults.clone(),
            components: Arc::new(ComponentFiles::new(dir.clone(), parts.faults)),
            defaults: Mutex::new(Limits::default()),
        });
        let checkpointer = database.checkpointer().map_err(database::open_error)?;
        let writer = Writer::start(writing.clone(), connection, checkpointer, parts.now);
        let store = Shared {
            dir,
            lock: Mutex::new(Some(lock)),
            runtime_id,
            opened_at: parts.now,
            readers: Arc::new(Readers::new(database)),
            writing,
            writer: writer.map_err(layout::open_error)?,
            next_number: AtomicI64::new(last_number + 1),
            connected: connected.into_iter().map(|(id, number)| (number, id)).collect(),
            noticed: Mutex::default(),
        };
        if found.foreign > 0 {
            let message =
                format!("{} names in the store's directory are not its own", found.foreign);
            store.notice(DiagnosticCode::ForeignFile, None, message);
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

    fn push(&self, transaction: Transaction, then: Option<Then>) -> Commit {
        let work = Work::Worker(transaction.events);
        let (job, commit) = Job::new(transaction.worker, work, then);
        self.0.writing.queue.push(job);
        commit
    }

    /// As [`Self::submit`], for what belongs to no single worker. These are in order among
    /// themselves.
    pub fn submit_shared(&self, event: SharedEvent) -> Commit {
        let (job, commit) = Job::new(SHARED, Work::Shared(event), None);
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

/// Files. All of these block on the disk.
impl Store {
    /// A component's bytes, which have that digest.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where they no longer do.
    pub fn component_bytes(&self, digest: &ComponentDigest) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.writing.components.read(digest)
    }

    /// Puts a component's bytes in place, durably. [`SharedEvent::PutComponent`] comes after.
    ///
    /// # Errors
    /// Where the disk fails. Nothing is left in the file's place then.
    pub fn write_component(&self, wasm: &[u8]) -> Result<ComponentDigest, StoreError> {
        Ok(self.0.writing.components.write(wasm)?)
    }

    /// The directory of compiled components.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn compiled_dir(&self) -> Result<Dir, StoreError> {
        Ok(layout::private_dir(&self.0.dir, layout::COMPILED)?)
    }

    /// A worker's own directory, made where it is missing, durably.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn worker_dir(&self, id: &WorkerId) -> Result<Dir, StoreError> {
        if let Some(dir) = self.existing_worker_dir(id)? {
            return Ok(dir);
        }
        self.0.writing.faults.at("directory.create")?;
        let workers = layout::private_dir(&self.0.dir, layout::WORKERS)?;
        let own = layout::private_dir(&workers, &id.to_string())?;
        Ok(layout::private_dir(&own, layout::DATA)?)
    }

    /// A worker's own directory, if there is one.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn existing_worker_dir(&self, id: &WorkerId) -> Result<Option<Dir>, StoreError> {
        let path = format!("{}/{id}/{}", layout::WORKERS, layout::DATA);
        match self.0.dir.open_dir_nofollow(path) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Files that are written for a worker from outside. These block on the disk as well.
impl Store {
    /// Where they lie until they are whole: beside the worker's directory, which has to be there, and
    /// out of its guest's sight.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn incoming_dir(&self, id: &WorkerId) -> Result<Dir, StoreError> {
        let own = self.0.dir.open_dir_nofollow(format!("{}/{id}", layout::WORKERS))?;
        Ok(layout::private_dir(&own, layout::INCOMING)?)
    }

    /// Removes what a crash has left there. To be called while nobody writes for the worker.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn sweep_incoming(&self, id: &WorkerId) -> Result<(), StoreError> {
        let own = self.0.dir.open_dir_nofollow(format!("{}/{id}", layout::WORKERS));
        match own.and_then(|own| tree::remove_tree(&own, layout::INCOMING)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Records. All of these block on the disk, and each sees the database as it is at one moment.
///
/// Their errors: [`StoreError::Damaged`] names the worker whose record it is, so that it can be
/// quarantined; the others are the disk's.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Store {
    /// A worker by its id.
    pub fn worker(&self, id: &WorkerId) -> Result<Lookup, StoreError> {
        self.read(|connection| read::worker::lookup(connection, id))
    }

    /// A worker's number, even if its row is damaged: so that it can be removed.
    pub fn number(&self, id: &WorkerId) -> Result<Option<WorkerNumber>, StoreError> {
        self.read(|connection| read::worker::number(connection, id))
    }

    /// Workers in the order of their ids, only those with a label if one is given. Damaged ones
    /// are left out and become a diagnostic.
    pub fn workers(
        &self,
        after: Option<&WorkerId>,
        label: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<WorkerRecord>, StoreError> {
        let damaged = |id| {
            let message = "the worker's record is damaged; it can only be removed".into();
            self.0.notice(DiagnosticCode::Quarantined, id, message);
        };
        self.read(|connection| read::worker::list(connection, after, label, limit, damaged))
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> Result<u64, StoreError> {
        self.read(read::worker::count)
    }

    /// Workers with inputs that have no outcome.
    pub fn unfinished(&self) -> Result<Vec<(WorkerId, WorkerNumber)>, StoreError> {
        self.read(read::worker::unfinished)
    }

    /// A worker's inputs that have no outcome, in order.
    pub fn queue(&self, worker: WorkerNumber) -> Result<Vec<InputRecord>, StoreError> {
        self.read(|connection| read::input::queue(connection, worker))
    }

    /// One input.
    pub fn input(
        &self,
        worker: WorkerNumber,
        id: &InputId,
    ) -> Result<Option<InputRecord>, StoreError> {
        let row = self.read(|connection| read::input::by_id(connection, worker, id))?;
        Ok(row.map(|row| row.record))
    }

    /// The input that a key names, if it has no outcome or was accepted less than `remembered_ms`
    /// ago.
    pub fn input_by_key(
        &self,
        worker: WorkerNumber,
        key: &IdempotencyKey,
        now: Timestamp,
        remembered_ms: u64,
    ) -> Result<Option<InputRecord>, StoreError> {
        let row = self
            .read(|connection| read::input::by_key(connection, worker, key, now, remembered_ms))?;
        Ok(row.map(|row| row.record))
    }

    /// One entry. None where there is none yet, or it was trimmed.
    pub fn entry(&self, worker: WorkerNumber, seq: Cursor) -> Result<Option<Entry>, StoreError> {
        let stored = self.read(|connection| read::entry::one_at(connection, worker, seq))?;
        Ok(stored.map(|stored| stored.entry))
    }

    /// The outcome that an entry of kind `output` or `failure` holds. None where it was trimmed.
    pub fn outcome(
        &self,
        worker: WorkerNumber,
        seq: Cursor,
    ) -> Result<Option<Outcome>, StoreError> {
        self.read(|connection| {
            let Some(stored) = read::entry::one_at(connection, worker, seq)? else {
                return Ok(None);
            };
            let outcome = stored.into_outcome();
            let damaged = || read::worker::damage(connection, worker, "entry");
            outcome.map(Some).ok_or_else(damaged)
        })
    }

    /// At most `limit` entries, and about 4 MiB, after a place. Where entries after it were
    /// trimmed, the first is a `gap` in the last one's place.
    pub fn entries(
        &self,
        worker: WorkerNumber,
        after: Cursor,
        limit: usize,
    ) -> Result<EntryPage, StoreError> {
        self.read(|connection| read::entry::page(connection, worker, after, limit))
    }

    /// The newest entry's place.
    pub fn last_seq(&self, worker: WorkerNumber) -> Result<Cursor, StoreError> {
        self.read(|connection| read::worker::last_seq(connection, worker))
    }

    /// The value of a key of a worker's state.
    pub fn state_get(
        &self,
        worker: WorkerNumber,
        key: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|connection| read::state::get(connection, worker, key))
    }

    /// Keys of a worker's state that begin so and come after `after`, in order.
    pub fn state_list(
        &self,
        worker: WorkerNumber,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.read(|connection| read::state::list(connection, worker, prefix, after, limit))
    }

    /// What a worker has used.
    pub fn usage(&self, worker: WorkerNumber) -> Result<Usage, StoreError> {
        self.read(|connection| read::worker::usage(connection, worker))
    }

    /// A stored component.
    pub fn component(
        &self,
        digest: &ComponentDigest,
    ) -> Result<Option<ComponentRecord>, StoreError> {
        self.read(|connection| read::shared::component(connection, digest))
    }

    /// Stored components in the order of their digests.
    pub fn components(
        &self,
        after: Option<&ComponentDigest>,
        limit: usize,
    ) -> Result<Vec<ComponentRecord>, StoreError> {
        self.read(|connection| read::shared::components(connection, after, limit))
    }

    /// Whether a worker uses a component, now or for rollback.
    pub fn component_in_use(&self, digest: &ComponentDigest) -> Result<bool, StoreError> {
        self.read(|connection| read::shared::component_in_use(connection, digest))
    }

    /// A config bundle.
    pub fn config(&self, digest: &ConfigDigest) -> Result<Option<ConfigRecord>, StoreError> {
        self.read(|connection| read::shared::config(connection, digest))
    }

    /// Config bundles in the order of their digests.
    pub fn configs(
        &self,
        after: Option<&ConfigDigest>,
        limit: usize,
    ) -> Result<Vec<ConfigRecord>, StoreError> {
        self.read(|connection| read::shared::configs(connection, after, limit))
    }

    /// Notices what lies among the workers' directories and belongs to no worker. It is left where
    /// it is. Reads the whole list; blocks on the disk.
    ///
    /// # Errors
    /// Where the directory or the database cannot be read.
    pub fn notice_strays(&self) -> Result<(), StoreError> {
        let workers = match self.0.dir.open_dir(layout::WORKERS) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let mut nameless = 0_u64;
        for entry in workers.entries()? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<WorkerId>().ok()) else {
                nameless += 1;
                continue;
            };
            // One that was removed is on its way to the trash.
            if matches!(self.worker(&id), Ok(Lookup::Unknown)) {
                let message = "there is a directory of this id and no such worker; restore the \
                               database that knew it, or move the directory away";
                self.0.notice(DiagnosticCode::ForeignFile, Some(id), message.into());
            }
        }
        if nameless > 0 {
            let message = format!("{nameless} names among the workers' directories are no ids");
            self.0.notice(DiagnosticCode::ForeignFile, None, message);
        }
        Ok(())
    }

    /// What was noticed about a worker, or about all; newest first.
    pub fn diagnostics(&self, worker: Option<&WorkerId>) -> Result<Vec<Diagnostic>, StoreError> {
        let stored = self.read(|connection| read::shared::diagnostics(connection, worker))?;
        let noticed = self.0.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = noticed
            .values()
            .filter(|one| worker.is_none() || one.worker().as_ref() == worker)
            .filter(|one| !stored.iter().any(|s| (s.code, &s.subject) == (one.code, &one.subject)))
            .cloned()
            .collect();
        all.extend(stored);
        Ok(all)
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.0.readers.with(read)
    }
}

impl Shared {
    /// Keeps a diagnostic for as long as the store is open.
    fn notice(&self, code: DiagnosticCode, subject: Option<WorkerId>, message: String) {
        let diagnostic = Diagnostic::new(code, message, subject.map(Into::into), self.opened_at);
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.len() < NOTICED {
            noticed.entry(subject).or_insert(diagnostic);
        }
    }

    fn close(&self) {
        self.writing.queue.close();
        self.writer.join();
        self.writing.rings.close_all();
        self.readers.close();
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Shared {
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
