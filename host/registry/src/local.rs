//! The local source: the foreground runs on this machine, read-only. Each is a record in a
//! directory; the run itself is not contacted.

mod record;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cap_std::fs::Dir;
use futures_util::{StreamExt, stream};
use skep_protocol::*;

use self::record::RecordLookup;
pub use self::record::{LocalRun, RunRecord};
use crate::remotes::LOCAL;

/// Maximum number of records read.
const RECORDS: usize = 10_000;
/// Default number of workers per page.
const PAGE: usize = 100;
/// Interval between reads of the directory for followers.
const LOOK: Duration = Duration::from_secs(1);
/// Cursor of every change: a client that resumes gets everything again.
const CURSOR: &str = "local";

/// The foreground runs, as a runtime.
#[derive(Clone)]
pub(crate) struct LocalRuntime {
    dir: Arc<Dir>,
    runtime_id: RuntimeId,
    now: fn() -> Timestamp,
}

/// A snapshot of the directory.
#[derive(Default)]
struct Runs {
    workers: BTreeMap<WorkerId, WorkerView>,
    diagnostics: Vec<Diagnostic>,
}

impl LocalRuntime {
    pub(crate) fn new(dir: Dir, now: fn() -> Timestamp) -> Self {
        let runtime_id = LOCAL.parse().expect("that is a runtime's id");
        Self { dir: Arc::new(dir), runtime_id, now }
    }

    /// Reads the directory on a blocking thread.
    async fn runs(&self) -> Result<Runs, Error> {
        let local = self.clone();
        let look = tokio::task::spawn_blocking(move || local.look());
        look.await.map_err(|_| Error::Internal)?
    }

    fn look(&self) -> Result<Runs, Error> {
        let failed = |error: std::io::Error| {
            tracing::warn!(kind = %error.kind(), "the directory of foreground runs cannot be read");
            Error::Internal
        };
        let mut runs = Runs::default();
        for entry in self.dir.entries().map_err(failed)?.take(RECORDS) {
            let name = entry.map_err(failed)?.file_name();
            // A record that is being written.
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            match name.to_str().map_or(RecordLookup::Invalid, |name| record::read(&self.dir, name))
            {
                RecordLookup::Running(record) => {
                    runs.workers.insert(record.worker_id, self.view(record));
                }
                RecordLookup::Stale(record) => runs.diagnostics.push(self.stale(&record)),
                RecordLookup::Invalid => runs.diagnostics.push(self.diagnostic(
                    DiagnosticCode::InvalidRecord,
                    "a file beside the records of foreground runs is not a record".into(),
                    self.runtime_id.clone().into(),
                )),
                RecordLookup::Gone => {}
            }
        }
        runs.diagnostics.sort_by(|a, b| a.subject.cmp(&b.subject));
        Ok(runs)
    }

    fn view(&self, record: RunRecord) -> WorkerView {
        let mut spec = WorkerSpec::new(record.component);
        spec.display_ref = record.display_ref;
        WorkerView {
            runtime_id: self.runtime_id.clone(),
            worker_id: record.worker_id,
            kind: record.kind,
            spec,
            previous: None,
            desired: Desired::Running,
            observed: Observed::Busy,
            execution: Execution::Connected,
            queued_inputs: 0,
            created_at: record.started_at,
            updated_at: record.started_at,
        }
    }

    fn stale(&self, record: &RunRecord) -> Diagnostic {
        let message = format!(
            "the foreground run started at {} is gone and has left its record",
            record.started_at
        );
        self.diagnostic(DiagnosticCode::StaleRecord, message, record.worker_id.into())
    }

    fn diagnostic(&self, code: DiagnosticCode, message: String, subject: Subject) -> Diagnostic {
        Diagnostic::new(code, message, Some(subject), (self.now)())
    }
}

/// A follower of the directory.
struct DirectoryFollower {
    local: LocalRuntime,
    seen: BTreeMap<WorkerId, WorkerView>,
    ready: VecDeque<RuntimeEvent>,
}

impl DirectoryFollower {
    async fn next(&mut self) -> Result<RuntimeEvent, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            tokio::time::sleep(LOOK).await;
            let changes = self.look().await?;
            self.ready.extend(changes);
        }
    }

    /// Returns the changes since the last look.
    async fn look(&mut self) -> Result<Vec<RuntimeEvent>, Error> {
        let found = self.local.runs().await?.workers;
        let change = |id: &WorkerId, worker: Option<&WorkerView>| {
            RuntimeEvent::Change(Change {
                cursor: CURSOR.into(),
                worker_id: *id,
                worker: worker.cloned().map(Box::new),
            })
        };
        let gone = self.seen.keys().filter(|id| !found.contains_key(id));
        let new = found.iter().filter(|(id, view)| self.seen.get(id) != Some(view));
        let changes = gone
            .map(|id| change(id, None))
            .chain(new.map(|(id, view)| change(id, Some(view))))
            .collect();
        self.seen = found;
        Ok(changes)
    }
}

#[async_trait]
impl Overview for LocalRuntime {
    async fn describe(&self) -> Result<RuntimeView, Error> {
        let workers = self.runs().await?.workers.len() as u64;
        Ok(RuntimeView {
            runtime_id: self.runtime_id.clone(),
            // The runs are separate processes that share this machine, or at least its store.
            host_id: LOCAL.parse()?,
            version: env!("CARGO_PKG_VERSION").into(),
            workers,
            connected: workers,
            ready: true,
        })
    }

    async fn diagnostics(&self, worker: Option<WorkerId>) -> Result<Vec<Diagnostic>, Error> {
        let mut diagnostics = self.runs().await?.diagnostics;
        if let Some(worker) = worker {
            diagnostics.retain(|diagnostic| diagnostic.worker() == Some(worker));
        }
        Ok(diagnostics)
    }
}

#[async_trait]
impl Workers for LocalRuntime {
    async fn list(&self, query: ListWorkers) -> Result<WorkerPage, Error> {
        let limit = if query.limit == 0 { PAGE } else { query.limit };
        let runs: Vec<_> = self.runs().await?.workers.into_values().collect();
        Ok(query.page(&runs, limit)?)
    }

    async fn get(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.runs().await?.workers.remove(&worker).ok_or(Error::UnknownWorker(worker))
    }

    async fn changes(&self, from: FollowChanges) -> Result<ChangeStream, Error> {
        if from.after.is_some_and(|cursor| cursor != CURSOR) {
            return Err(Invalid::Cursor.into());
        }
        let mut follower = DirectoryFollower {
            local: self.clone(),
            seen: BTreeMap::new(),
            ready: VecDeque::new(),
        };
        let snapshot = follower.look().await?;
        if !from.from_now {
            follower.ready.extend(snapshot);
        }
        follower.ready.push_back(RuntimeEvent::Ready(ReadyEvent { cursor: CURSOR.into() }));
        let step = |mut follower: DirectoryFollower| async move {
            Some((follower.next().await, follower))
        };
        Ok(stream::unfold(follower, step).boxed())
    }
}

/// A foreground run has no turns, artifacts or files that outlive it.
impl Turns for LocalRuntime {}
impl Artifacts for LocalRuntime {}
impl Files for LocalRuntime {}
impl Steps for LocalRuntime {}
impl Http for LocalRuntime {}
