//! [`skep_protocol::RuntimeHandle`] for an embedded runtime, one file per noun. Each method parses
//! its request, asks the worker or the store, and converts the result.

mod admission;
mod artifacts;
mod files;
mod follow;
mod fork;
mod http;
mod state;
mod turns;
mod workers;

use async_trait::async_trait;
use skep_protocol::{
    Diagnostic, Error, Execution, Overview, RuntimeHistory, RuntimeView, Steps, WorkerId,
    WorkerView,
};
use skep_store::record::WorkerRecord;
use skep_store::{Lookup, StoreError};

use crate::embedded::Embedded;
use crate::roster::core::Core;
use crate::roster::history::INTERVAL_MS;
use crate::roster::worker::{observed, view};

/// Default number of items in a page.
const PAGE: usize = 100;

/// Maximum number of items in a page.
const LONGEST_PAGE: usize = 1_000;

/// The composition root adds steps to a runtime.
impl Steps for Embedded {}

#[async_trait]
impl Overview for Embedded {
    async fn describe(&self) -> Result<RuntimeView, Error> {
        let core = &self.0;
        Ok(RuntimeView {
            runtime_id: core.runtime_id.clone(),
            host_id: core.host_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            workers: core.store.worker_count().map_err(|error| core.fault(error))?,
            connected: core.residency.connected() as u64,
            ready: self.is_ready(),
        })
    }

    async fn load_history(&self) -> Result<RuntimeHistory, Error> {
        Ok(RuntimeHistory { interval_ms: INTERVAL_MS, items: self.0.samples.of_runtime() })
    }

    async fn diagnostics(&self, worker: Option<WorkerId>) -> Result<Vec<Diagnostic>, Error> {
        if let Some(worker) = worker {
            self.record(worker)?;
        }
        let mut found = self.0.lost_execution(worker);
        found.extend(self.read(move |store| store.diagnostics(worker.as_ref())).await?);
        Ok(found)
    }
}

impl Embedded {
    /// Reads the store on a blocking thread.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&skep_store::Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let core = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            read(&core.store).map_err(|error| core.fault(error))
        });
        done.await.unwrap_or(Err(Error::Internal))
    }

    pub(crate) fn record(&self, id: WorkerId) -> Result<WorkerRecord, Error> {
        if let Some(worker) = self.0.in_use(id) {
            let state = worker.state();
            return match state.removed {
                true => Err(Error::WorkerRemoved),
                false => Ok(state.record.clone()),
            };
        }
        match self.0.store.worker(&id).map_err(|error| self.0.fault(error))? {
            Lookup::Found(record) => Ok(*record),
            Lookup::Removed => Err(Error::WorkerRemoved),
            Lookup::Unknown => Err(Error::UnknownWorker(id)),
        }
    }
}

impl Core {
    /// Returns the public view of a worker, with live state if it is in use.
    pub(crate) fn view_of(&self, record: WorkerRecord) -> Result<WorkerView, StoreError> {
        if let Some(worker) = self.in_use(record.id) {
            return Ok(worker.state().view(&self.runtime_id));
        }
        let queued = self.store.queue(record.number)?.len() as u64;
        let observed = observed(record.standing);
        Ok(view(&record, &self.runtime_id, observed, Execution::Unconnected, queued))
    }
}

fn page(limit: usize) -> usize {
    match limit {
        0 => PAGE,
        limit => limit.min(LONGEST_PAGE),
    }
}
