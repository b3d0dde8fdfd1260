//! One action on many workers.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use skep_protocol::{
    BulkAction, BulkRequest, BulkResult, BulkWorker, Diagnostic, Error, Invalid, Labels,
    ListWorkers, Problem, Role, RuntimeHandle, WorkerChange, WorkerId,
};

use crate::{Caller, Registry};

/// Maximum number of workers in one request.
pub const BULK: usize = 10_000;

/// Maximum number of workers that are changed at the same time. More would only queue behind the
/// commits of their runtimes.
const TOGETHER: usize = 16;

/// Number of workers per page while they are looked up.
const PAGE: usize = 1_000;

/// The workers of a bulk request.
#[derive(Debug)]
pub struct BulkWorkers {
    /// The workers; more than [`BULK`] if there are too many.
    pub workers: Vec<BulkWorker>,
    /// Diagnostics for runtimes that did not answer.
    pub diagnostics: Vec<Diagnostic>,
}

/// The results of a bulk request, as the workers finish.
pub type BulkStream = Pin<Box<dyn Stream<Item = BulkResult> + Send>>;

impl Registry {
    /// Finds the workers of a bulk request. Stops when there are more than [`BULK`].
    ///
    /// # Errors
    /// [`Error::Forbidden`] for viewers; [`Invalid::Body`] if the request names workers and has a
    /// filter, or neither.
    pub async fn bulk_workers(
        &self,
        caller: &Caller,
        request: &BulkRequest,
    ) -> Result<BulkWorkers, Error> {
        self.may(caller, Role::Operator)?;
        if (request.action == BulkAction::Label) != request.labels.is_some() {
            return Err(Invalid::Body.into());
        }
        let (runtime, filter) = match (&request.workers, &request.filter) {
            (Some(workers), None) => {
                let all: BTreeSet<_> = workers.iter().cloned().collect();
                let workers = all.into_iter().collect();
                return Ok(BulkWorkers { workers, diagnostics: Vec::new() });
            }
            (None, Some(filter)) => filter.clone().into_parts(),
            _ => return Err(Invalid::Body.into()),
        };
        let mut found = BulkWorkers { workers: Vec::new(), diagnostics: Vec::new() };
        let mut query = ListWorkers { limit: PAGE, filter, ..ListWorkers::default() };
        loop {
            let page = self.workers_of(caller, runtime.as_ref(), query.clone()).await?;
            found.workers.extend(page.items.into_iter().map(|entry| BulkWorker {
                runtime_id: entry.worker.runtime_id,
                worker_id: entry.worker.worker_id,
            }));
            found.diagnostics.extend(page.diagnostics);
            query.cursor = page.next_cursor;
            if query.cursor.is_none() || found.workers.len() > BULK {
                return Ok(found);
            }
        }
    }

    /// Carries out an action on workers, a few at a time. Dropping the stream stops it; workers that
    /// are being changed then are finished.
    pub fn bulk(
        &self,
        caller: &Caller,
        action: BulkAction,
        labels: Option<Labels>,
        workers: Vec<BulkWorker>,
    ) -> BulkStream {
        let (registry, caller) = (self.clone(), caller.clone());
        let work = move |BulkWorker { runtime_id, worker_id }: BulkWorker| {
            let runtime = registry.handle(&caller, &runtime_id);
            let labels = labels.clone();
            async move {
                let done = match runtime {
                    Ok(runtime) => act(&*runtime, worker_id, action, labels).await,
                    Err(error) => Err(error),
                };
                let problem = done.err().map(|error| Problem::from(&error));
                BulkResult { runtime_id, worker_id, ok: problem.is_none(), problem }
            }
        };
        stream::iter(workers).map(work).buffer_unordered(TOGETHER).boxed()
    }
}

async fn act(
    runtime: &dyn RuntimeHandle,
    worker: WorkerId,
    action: BulkAction,
    labels: Option<Labels>,
) -> Result<(), Error> {
    match action {
        BulkAction::Start => runtime.start(worker).await.map(drop),
        BulkAction::Stop => runtime.stop(worker).await.map(drop),
        BulkAction::Remove => runtime.remove(worker).await,
        BulkAction::Label => {
            let before = runtime.get(worker).await?.spec.labels;
            let mut all: BTreeMap<String, String> = before.into();
            all.extend(BTreeMap::from(labels.unwrap_or_default()));
            let labels = Some(Labels::try_from(all)?);
            runtime
                .update(worker, WorkerChange { labels, ..WorkerChange::default() })
                .await
                .map(drop)
        }
    }
}
