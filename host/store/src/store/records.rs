//! Reads of the store's records.

use skep_protocol::{
    ComponentDigest, ConfigDigest, Cursor, Diagnostic, DiagnosticCode, Entry, EntryPage,
    IdempotencyKey, InputId, ListEntries, Outcome, StateItem, Timestamp, Usage, WorkerId,
};

use super::Store;
use crate::{
    ComponentRecord, ConfigRecord, InputPage, InputRecord, Lookup, StoreError, WorkerNumber,
    WorkerOutline, WorkerRecord, read,
};

/// Records. These methods block on the disk, and each sees one snapshot of the database.
///
/// [`StoreError::Damaged`] names the worker that the damaged record belongs to, so that it can be
/// quarantined. All other errors come from the disk.
#[expect(clippy::missing_errors_doc, reason = "documented once, above")]
impl Store {
    /// Looks up a worker by its id.
    pub fn worker(&self, id: &WorkerId) -> Result<Lookup, StoreError> {
        self.read(|connection| read::worker::lookup(connection, id))
    }

    /// Returns a worker's number, even if its row is damaged, so that the worker can be removed.
    pub fn number(&self, id: &WorkerId) -> Result<Option<WorkerNumber>, StoreError> {
        self.read(|connection| read::worker::number(connection, id))
    }

    /// Returns workers in the order of their ids, optionally only those with a label. Damaged ones
    /// are left out and reported as diagnostics.
    pub fn workers(
        &self,
        after: Option<&WorkerId>,
        label: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<WorkerRecord>, StoreError> {
        let damaged = |id| self.notice_damage(id);
        self.read(|connection| read::worker::list(connection, after, label, limit, damaged))
    }

    /// Passes what lists filter and sort by to `take`, for all workers, in no order. Damaged ones
    /// are left out and reported as diagnostics.
    pub fn outlines(&self, take: impl FnMut(WorkerOutline)) -> Result<(), StoreError> {
        let damaged = |id| self.notice_damage(id);
        self.read(|connection| read::worker::outlines(connection, take, damaged))
    }

    /// Returns the number of inputs without an outcome, of each worker that has some.
    pub fn queue_lengths(&self) -> Result<Vec<(WorkerNumber, u64)>, StoreError> {
        self.read(read::worker::queue_lengths)
    }

    fn notice_damage(&self, worker: Option<WorkerId>) {
        let message = "the worker's record is damaged; the worker can only be removed".into();
        self.0.noticed.notice(DiagnosticCode::Quarantined, worker, message);
    }

    /// Returns the number of workers.
    pub fn worker_count(&self) -> Result<u64, StoreError> {
        self.read(read::worker::count)
    }

    /// Returns the workers that have inputs without an outcome.
    pub fn unfinished(&self) -> Result<Vec<(WorkerId, WorkerNumber)>, StoreError> {
        self.read(read::worker::unfinished)
    }

    /// Returns a worker's inputs that have no outcome, in order.
    pub fn queue(&self, worker: WorkerNumber) -> Result<Vec<InputRecord>, StoreError> {
        self.read(|connection| read::input::queue(connection, worker))
    }

    /// Returns one input.
    pub fn input(
        &self,
        worker: WorkerNumber,
        id: &InputId,
    ) -> Result<Option<InputRecord>, StoreError> {
        let row = self.read(|connection| read::input::by_id(connection, worker, id))?;
        Ok(row.map(|row| row.record))
    }

    /// Returns at most `limit` inputs accepted before a position, newest first. An input is listed for
    /// as long as its entry is in the transcript and its record is kept. A page may be shorter and
    /// still have a successor.
    pub fn recent_inputs(
        &self,
        worker: WorkerNumber,
        before: Cursor,
        limit: usize,
    ) -> Result<InputPage, StoreError> {
        self.read(|connection| read::recent::page(connection, worker, before, limit))
    }

    /// Returns the input that an idempotency key belongs to, if it has no outcome or was accepted
    /// less than `remembered_ms` ago.
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

    /// Returns one entry, or `None` if it does not exist yet or was trimmed.
    pub fn entry(&self, worker: WorkerNumber, seq: Cursor) -> Result<Option<Entry>, StoreError> {
        let stored = self.read(|connection| read::entry::one_at(connection, worker, seq))?;
        Ok(stored.map(|stored| stored.entry))
    }

    /// Returns the outcome in an entry of kind `output` or `failure`, or `None` if it was trimmed.
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

    /// Returns entries after a position: at most `limit`, and about 4 MiB. If entries after it were
    /// trimmed, the first is a `gap` in the position of the last trimmed one.
    pub fn entries(
        &self,
        worker: WorkerNumber,
        after: Cursor,
        limit: usize,
    ) -> Result<EntryPage, StoreError> {
        self.list_entries(worker, &ListEntries::after(after, limit))
    }

    /// Returns a page of entries: about 4 MiB, and not more than [`ListEntries::limit`]. A page for
    /// which many entries or bytes were looked at ends early. In place of what was trimmed there is a
    /// `gap` at the position of the last trimmed entry, if the filter lets it pass.
    pub fn list_entries(
        &self,
        worker: WorkerNumber,
        query: &ListEntries,
    ) -> Result<EntryPage, StoreError> {
        self.read(|connection| read::page::page(connection, worker, query))
    }

    /// Returns the position of the newest entry.
    pub fn last_seq(&self, worker: WorkerNumber) -> Result<Cursor, StoreError> {
        self.read(|connection| read::worker::last_seq(connection, worker))
    }

    /// Returns the value of a key of a worker's state.
    pub fn state_get(
        &self,
        worker: WorkerNumber,
        key: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|connection| read::state::get(connection, worker, key))
    }

    /// Returns keys of a worker's state that start with `prefix` and come after `after`, in order.
    pub fn state_list(
        &self,
        worker: WorkerNumber,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.read(|connection| read::state::list(connection, worker, prefix, after, limit))
    }

    /// Returns keys and values like [`Self::state_list`], with values cut to what is shown, and
    /// whether there are more. A page for which many bytes were read ends early.
    pub fn state_page(
        &self,
        worker: WorkerNumber,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<StateItem>, bool), StoreError> {
        self.read(|connection| read::state::page(connection, worker, prefix, after, limit))
    }

    /// Returns the whole state of a worker, in the order of its keys.
    pub fn state(&self, worker: WorkerNumber) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.read(|connection| read::state::all(connection, worker))
    }

    /// Returns a worker's usage.
    pub fn usage(&self, worker: WorkerNumber) -> Result<Usage, StoreError> {
        self.read(|connection| read::worker::usage(connection, worker))
    }

    /// Returns a component.
    pub fn component(
        &self,
        digest: &ComponentDigest,
    ) -> Result<Option<ComponentRecord>, StoreError> {
        self.read(|connection| read::shared::component(connection, digest))
    }

    /// Returns components in the order of their digests.
    pub fn components(
        &self,
        after: Option<&ComponentDigest>,
        limit: usize,
    ) -> Result<Vec<ComponentRecord>, StoreError> {
        self.read(|connection| read::shared::components(connection, after, limit))
    }

    /// Returns true if a worker uses a component or needs it for a rollback.
    pub fn component_in_use(&self, digest: &ComponentDigest) -> Result<bool, StoreError> {
        self.read(|connection| read::shared::component_in_use(connection, digest))
    }

    /// Returns a config bundle.
    pub fn config(&self, digest: &ConfigDigest) -> Result<Option<ConfigRecord>, StoreError> {
        self.read(|connection| read::shared::config(connection, digest))
    }

    /// Returns config bundles in the order of their digests.
    pub fn configs(
        &self,
        after: Option<&ConfigDigest>,
        limit: usize,
    ) -> Result<Vec<ConfigRecord>, StoreError> {
        self.read(|connection| read::shared::configs(connection, after, limit))
    }

    /// Returns the diagnostics of one worker, or all of them, newest first.
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
