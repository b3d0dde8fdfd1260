//! Reads of the store's records.

use skep_protocol::{
    ComponentDigest, ConfigDigest, Cursor, Diagnostic, DiagnosticCode, Entry, EntryPage,
    IdempotencyKey, InputId, Outcome, Timestamp, Usage, WorkerId,
};

use super::Store;
use crate::{
    ComponentRecord, ConfigRecord, InputRecord, Lookup, StoreError, WorkerNumber, WorkerRecord,
    read,
};

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
            self.0.noticed.notice(DiagnosticCode::Quarantined, id, message);
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

    /// What was noticed about a worker, or about all; newest first.
    pub fn diagnostics(&self, worker: Option<&WorkerId>) -> Result<Vec<Diagnostic>, StoreError> {
        let stored = self.read(|connection| read::shared::diagnostics(connection, worker))?;
        Ok(self.0.noticed.merge(worker, stored))
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.0.readers.with(read)
    }
}
