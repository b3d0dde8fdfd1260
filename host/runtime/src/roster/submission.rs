//! Submission of inputs to the store, and the wake-up of drivers.

use std::sync::Arc;

use skep_protocol::InputId;
use skep_store::record::{Transaction, WorkerWrite};

use super::core::Core;
use super::worker::{Worker, WorkerState};

impl Core {
    /// Wakes the driver of a worker, and starts one if none is running.
    pub(crate) fn drive(self: &Arc<Self>, worker: &Arc<Worker>) {
        let start = {
            let mut state = worker.state();
            !std::mem::replace(&mut state.driving, true)
        };
        worker.wake.notify_one();
        if start {
            (self.start_driver)(self.clone(), worker.clone());
        }
    }

    /// Submits an input's acceptance. Called under the worker's lock, so that the order on disk is
    /// the order of the queue.
    pub(crate) fn submit(self: &Arc<Self>, worker: &Arc<Worker>, id: InputId, accept: WorkerWrite) {
        let transaction = Transaction { worker: worker.number, writes: vec![accept] };
        let commit = self.store.submit(transaction);
        let (core, worker) = (self.clone(), worker.clone());
        self.host.spawn(async move {
            let result = commit.await;
            let seq = result.map(|receipt| receipt.seqs.first().copied().unwrap_or_default());
            worker.accepted(id, seq.map_err(|error| core.fault(error)));
            core.drive(&worker);
            core.changes.note(worker.id);
        });
    }

    /// Submits the first input if its turn was to begin at once and could not.
    pub(crate) fn submit_held(self: &Arc<Self>, worker: &Arc<Worker>, state: &mut WorkerState) {
        if let Some(id) = state.machine.submit_held()
            && let Some(accept) = state.inputs.get(&id).map(|pending| pending.acceptance(id, 1))
        {
            self.submit(worker, id, accept);
        }
    }

    /// Submits the inputs that waited behind a held input.
    pub(crate) fn submit_behind(self: &Arc<Self>, worker: &Arc<Worker>) {
        let mut state = worker.state();
        for (id, accept) in std::mem::take(&mut state.behind) {
            self.submit(worker, id, accept);
        }
    }
}
