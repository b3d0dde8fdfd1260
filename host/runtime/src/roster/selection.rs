//! The selection of a page of workers, over an index that is built or brought up to date for it.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Instant;

use skep_protocol::{Execution, ListWorkers, WorkerId};
use skep_store::{Lookup, StoreError};

use super::core::Core;
use super::index::{BuiltIndex, IndexRow, LiveState, SelectedIds};
use super::worker::{Worker, observed};

impl Core {
    /// Selects a page of workers. Blocks on the disk.
    pub(crate) fn select(
        &self,
        query: &ListWorkers,
        limit: usize,
    ) -> Result<Result<SelectedIds, skep_protocol::Invalid>, StoreError> {
        let mut index = self.index.0.lock().unwrap_or_else(PoisonError::into_inner);
        let built = match index.take() {
            Some(built) => self.caught_up(built)?,
            None => None,
        };
        let mut built = match built {
            Some(built) => built,
            None => self.build_index()?,
        };
        built.used_at = Instant::now();
        let selected = query.select(built.rows.values(), limit).map(|selected| SelectedIds {
            ids: selected.workers.iter().map(|row| row.id).collect(),
            next_cursor: selected.next_cursor,
            counts: selected.counts,
        });
        *index = Some(built);
        Ok(selected)
    }

    fn build_index(&self) -> Result<BuiltIndex, StoreError> {
        // The position is taken first: changes during the reading are read again.
        let position = self.changes.newest();
        let queued: HashMap<_, _> = self.store.queue_lengths()?.into_iter().collect();
        let mut rows = HashMap::new();
        self.store.outlines(|outline| {
            let live = LiveState {
                state: observed(outline.standing).state(),
                execution: Execution::Unconnected,
                queued_inputs: queued.get(&outline.number).copied().unwrap_or_default(),
            };
            rows.insert(outline.id, IndexRow::new(outline, &live));
        })?;
        let built = BuiltIndex { rows, position, used_at: Instant::now() };
        // If more changes than the log keeps were made meanwhile, the rows are still those of some
        // moment after the list began, and the next list builds a new index.
        Ok(self.with_live_state(built))
    }

    /// Applies the changes since the last list. Returns `None` if they are no longer known.
    fn caught_up(&self, mut built: BuiltIndex) -> Result<Option<BuiltIndex>, StoreError> {
        let Some(changed) = self.changes.since(built.position, usize::MAX) else { return Ok(None) };
        for (position, id) in changed {
            built.position = position;
            match self.row(id)? {
                Some(row) => built.rows.insert(id, row),
                None => built.rows.remove(&id),
            };
        }
        Ok(Some(self.with_live_state(built)))
    }

    /// Refreshes the rows of workers in use. A sender may have an outcome before the log has the
    /// change.
    fn with_live_state(&self, mut built: BuiltIndex) -> BuiltIndex {
        for worker in self.all_in_use() {
            if let Some(row) = built.rows.get_mut(&worker.id) {
                row.set(&live(&worker));
            }
        }
        built
    }

    fn row(&self, id: WorkerId) -> Result<Option<IndexRow>, StoreError> {
        if let Some(worker) = self.in_use(id) {
            let live = live(&worker);
            let state = worker.state();
            return Ok((!state.removed).then(|| IndexRow::new((&state.record).into(), &live)));
        }
        let record = match self.store.worker(&id) {
            Ok(Lookup::Found(record)) => record,
            Ok(Lookup::Removed | Lookup::Unknown) | Err(StoreError::Damaged { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let live = LiveState {
            state: observed(record.standing).state(),
            execution: Execution::Unconnected,
            queued_inputs: self.store.queue(record.number)?.len() as u64,
        };
        Ok(Some(IndexRow::new((&*record).into(), &live)))
    }
}

fn live(worker: &Worker) -> LiveState {
    let state = worker.state();
    LiveState {
        state: state.observed().state(),
        execution: state.execution(),
        queued_inputs: state.machine.len() as u64,
    }
}
