//! A runtime's store, open.

use std::fmt;
use std::sync::Arc;

use cap_std::fs::Dir;
use skep_protocol::{
    ComponentDigest, ConfigDigest, Cursor, Diagnostic, Entry, EntryPage, IdempotencyKey, InputId,
    Limits, Outcome, RuntimeId, Timestamp, Usage, WorkerId,
};

use crate::{
    Commit, ComponentRecord, ConfigRecord, Faults, Feed, InputRecord, OpenError, SharedEvent,
    StoreError, Transaction, WorkerNumber, WorkerRecord,
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
pub struct Store(Arc<Shared>);

struct Shared {}

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

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a directory, or makes a new one there.
    ///
    /// # Errors
    /// Each says what to do about it.
    pub fn open(_parts: StoreParts) -> Result<Self, OpenError> {
        todo!()
    }

    /// The id of the runtime whose store this is.
    pub fn runtime_id(&self) -> &RuntimeId {
        todo!()
    }

    /// The limits that apply where a worker's spec does not change them. What the store itself
    /// enforces: `transcript_bytes`, `idempotency_keys` and `idempotency_ms`.
    pub fn set_default_limits(&self, _limits: &Limits) {
        todo!()
    }

    /// Hands a transaction to the writer. Never blocks; those of one worker are committed in order.
    pub fn submit(&self, _transaction: Transaction) -> Commit {
        todo!()
    }

    /// As [`Self::submit`], for what belongs to no single worker.
    pub fn submit_shared(&self, _event: SharedEvent) -> Commit {
        todo!()
    }

    /// Bytes that wait for the writer.
    pub fn queued_bytes(&self) -> usize {
        todo!()
    }

    /// A worker by its id.
    pub fn worker(&self, _id: &WorkerId) -> Result<Lookup, StoreError> {
        todo!()
    }

    /// A worker's number, even if its row is damaged: so that it can be removed.
    pub fn number(&self, _id: &WorkerId) -> Result<Option<WorkerNumber>, StoreError> {
        todo!()
    }

    /// Workers in the order of their ids, those with a label alone if one is given. Damaged ones
    /// are left out and become a diagnostic.
    pub fn workers(
        &self,
        _after: Option<&WorkerId>,
        _label: Option<(&str, &str)>,
        _limit: usize,
    ) -> Result<Vec<WorkerRecord>, StoreError> {
        todo!()
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> Result<u64, StoreError> {
        todo!()
    }

    /// A number for a new worker.
    pub fn next_number(&self) -> WorkerNumber {
        todo!()
    }

    /// Workers with inputs that have no outcome.
    pub fn unfinished(&self) -> Result<Vec<(WorkerId, WorkerNumber)>, StoreError> {
        todo!()
    }

    /// A worker's inputs that have no outcome, in order.
    pub fn queue(&self, _worker: WorkerNumber) -> Result<Vec<InputRecord>, StoreError> {
        todo!()
    }

    /// One input.
    pub fn input(
        &self,
        _worker: WorkerNumber,
        _id: &InputId,
    ) -> Result<Option<InputRecord>, StoreError> {
        todo!()
    }

    /// The input that a key names, if it was accepted less than `remembered_ms` ago.
    pub fn input_by_key(
        &self,
        _worker: WorkerNumber,
        _key: &IdempotencyKey,
        _now: Timestamp,
        _remembered_ms: u64,
    ) -> Result<Option<InputRecord>, StoreError> {
        todo!()
    }

    /// One entry.
    pub fn entry(&self, _worker: WorkerNumber, _seq: Cursor) -> Result<Option<Entry>, StoreError> {
        todo!()
    }

    /// The outcome that an entry of kind `output` or `failure` holds. None where it was trimmed.
    pub fn outcome(
        &self,
        _worker: WorkerNumber,
        _seq: Cursor,
    ) -> Result<Option<Outcome>, StoreError> {
        todo!()
    }

    /// At most `limit` entries and 4 MiB after a place. Where entries after it were trimmed, the
    /// first is a `gap` in the last one's place.
    pub fn entries(
        &self,
        _worker: WorkerNumber,
        _after: Cursor,
        _limit: usize,
    ) -> Result<EntryPage, StoreError> {
        todo!()
    }

    /// The newest entry's place.
    pub fn last_seq(&self, _worker: WorkerNumber) -> Result<Cursor, StoreError> {
        todo!()
    }

    /// The value of a key of a worker's state.
    pub fn state_get(
        &self,
        _worker: WorkerNumber,
        _key: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        todo!()
    }

    /// Keys of a worker's state that begin so and come after `after`, in order.
    pub fn state_list(
        &self,
        _worker: WorkerNumber,
        _prefix: &str,
        _after: Option<&str>,
        _limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        todo!()
    }

    /// What a worker has used.
    pub fn usage(&self, _worker: WorkerNumber) -> Result<Usage, StoreError> {
        todo!()
    }

    /// A stored component.
    pub fn component(
        &self,
        _digest: &ComponentDigest,
    ) -> Result<Option<ComponentRecord>, StoreError> {
        todo!()
    }

    /// Stored components in the order of their digests.
    pub fn components(
        &self,
        _after: Option<&ComponentDigest>,
        _limit: usize,
    ) -> Result<Vec<ComponentRecord>, StoreError> {
        todo!()
    }

    /// A component's bytes, which have that digest.
    pub fn component_bytes(
        &self,
        _digest: &ComponentDigest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        todo!()
    }

    /// Puts a component's bytes in place, durably. [`SharedEvent::PutComponent`] comes after.
    pub fn write_component(&self, _wasm: &[u8]) -> Result<ComponentDigest, StoreError> {
        todo!()
    }

    /// Whether a worker uses a component, now or for rollback.
    pub fn component_in_use(&self, _digest: &ComponentDigest) -> Result<bool, StoreError> {
        todo!()
    }

    /// A config bundle.
    pub fn config(&self, _digest: &ConfigDigest) -> Result<Option<ConfigRecord>, StoreError> {
        todo!()
    }

    /// Config bundles in the order of their digests.
    pub fn configs(
        &self,
        _after: Option<&ConfigDigest>,
        _limit: usize,
    ) -> Result<Vec<ConfigRecord>, StoreError> {
        todo!()
    }

    /// What was noticed about a worker, or about all; newest first.
    pub fn diagnostics(&self, _worker: Option<&WorkerId>) -> Result<Vec<Diagnostic>, StoreError> {
        todo!()
    }

    /// Whether the worker had a live instance when the store was last left.
    pub fn was_connected(&self, _worker: WorkerNumber) -> bool {
        todo!()
    }

    /// The workers that had one.
    pub fn lost_execution(&self) -> Vec<WorkerId> {
        todo!()
    }

    /// The directory of compiled components.
    pub fn compiled_dir(&self) -> Result<Dir, StoreError> {
        todo!()
    }

    /// A worker's own directory, made where it is missing.
    pub fn worker_dir(&self, _id: &WorkerId) -> Result<Dir, StoreError> {
        todo!()
    }

    /// A worker's own directory, if there is one.
    pub fn existing_worker_dir(&self, _id: &WorkerId) -> Result<Option<Dir>, StoreError> {
        todo!()
    }

    /// Follows a worker's transcript.
    pub fn watch(&self, _worker: WorkerNumber) -> Feed {
        todo!()
    }

    /// Does a few milliseconds of what can wait: rows and files of removed workers, transcripts
    /// past their bound, keys past their time. Whether there is more to do. Blocks on the disk.
    pub fn janitor_step(&self) -> Result<bool, StoreError> {
        todo!()
    }

    /// Commits what waits and closes the database. What is submitted later is refused.
    pub fn close(self) {
        todo!()
    }
}
