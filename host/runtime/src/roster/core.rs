//! The state that the parts of an embedded runtime share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use skep_protocol::text::neutral;
use skep_protocol::{
    Diagnostic, DiagnosticCode, Error, HostId, InputId, Rights, RuntimeEvent, RuntimeId,
    RuntimeSample, ScopeName, SecretName, Timestamp, WorkerId,
};
use skep_scope::Quota;
use skep_store::record::{SharedWrite, Transaction, WorkerWrite};
use skep_store::{Lookup, Store, StoreError, StoreRefusal};
use tokio::sync::{Semaphore, broadcast};

use skep_sandbox::OperatorSecret;
use skep_sandbox::OutOfProcess;
use skep_sandbox::Sandbox;

use super::changes::ChangeLog;
use super::directory::MeteredDirectory;
use super::history::UsageSamples;
use super::index::WorkerIndex;
use super::open_records::OpenRecords;
use super::worker::{Worker, WorkerState};
use crate::clock::now;
use crate::components::Components;
use crate::memory::residency::{Residency, ResidencyLimits};
use crate::options::Options;
use crate::turn::commit_delay::CommitDelay;

/// Maximum number of notices that wait for a follower. One that is slower misses the oldest.
const NOTICES: usize = 256;

/// Maximum number of diagnostics of one kind in a response.
const DIAGNOSTICS: usize = 1_000;

/// Maximum number of concurrent searches of transcripts. The store has four connections for reading,
/// and turns need them too.
const SEARCHES: usize = 2;

/// An operator directory that workers may be granted.
#[derive(Debug)]
pub struct OperatorScope {
    /// The directory.
    pub dir: Dir,
    /// The most rights that may be granted.
    pub rights: Rights,
}

/// Spawns the driver of a worker that has none. A function pointer, because drivers depend on the
/// roster and not the other way round.
pub(crate) type StartDriver = fn(Arc<Core>, Arc<Worker>);

/// The shared state of one runtime.
pub(crate) struct Core {
    pub(crate) runtime_id: RuntimeId,
    pub(crate) store: Store,
    pub(crate) sandbox: Sandbox,
    pub(crate) components: Arc<Components>,
    pub(crate) scopes: BTreeMap<ScopeName, OperatorScope>,
    pub(crate) out_of_process: Option<Arc<OutOfProcess>>,
    pub(crate) secrets: BTreeMap<SecretName, OperatorSecret>,
    pub(crate) options: Options,
    pub(crate) host_id: HostId,
    pub(crate) residency: Arc<Residency>,
    pub(crate) turns: Semaphore,
    pub(crate) searches: Semaphore,
    pub(crate) commit_delay: Arc<CommitDelay>,
    /// Requests whose last entries are being stored.
    pub(crate) requests: OpenRecords,
    pub(crate) changes: ChangeLog,
    pub(crate) samples: UsageSamples,
    pub(super) index: WorkerIndex,
    /// Notices of what no worker's state shows, for those who follow the runtime.
    pub(crate) notices: broadcast::Sender<RuntimeEvent>,
    /// The host's own threads, as opposed to the guests'.
    pub(crate) host: tokio::runtime::Handle,
    /// Spawns the driver of a worker.
    pub(super) start_driver: StartDriver,
    pub(crate) ready: AtomicBool,
    closing: AtomicBool,
    workers: Mutex<HashMap<WorkerId, Arc<Worker>>>,
    /// Number of purges. A record read before the latest purge may be outdated.
    purges: AtomicU64,
    /// Ids of copies whose files are not in their place yet.
    forking: Mutex<BTreeSet<WorkerId>>,
    /// Workers that were connected when the host went down and have not reconnected since.
    lost: Mutex<BTreeSet<WorkerId>>,
    opened_at: Timestamp,
}

/// A copy that is being made.
pub(crate) struct Forking {
    core: Arc<Core>,
    id: WorkerId,
}

impl Drop for Forking {
    fn drop(&mut self) {
        self.core.forking().remove(&self.id);
    }
}

/// The parts of a [`Core`].
pub(crate) struct CoreParts {
    pub(crate) store: Store,
    pub(crate) sandbox: Sandbox,
    pub(crate) scopes: BTreeMap<ScopeName, OperatorScope>,
    pub(crate) out_of_process: Option<OutOfProcess>,
    pub(crate) secrets: BTreeMap<SecretName, OperatorSecret>,
    pub(crate) options: Options,
    pub(crate) host_id: HostId,
}

impl Core {
    pub(crate) fn new(parts: CoreParts, start_driver: StartDriver) -> Arc<Self> {
        let options = parts.options;
        let lost = parts.store.lost_execution().into_iter().collect();
        let notices = broadcast::Sender::new(NOTICES);
        Arc::new(Self {
            runtime_id: parts.store.runtime_id().clone(),
            components: Arc::new(Components::new(
                parts.store.clone(),
                parts.sandbox.clone(),
                options.compile_retry,
                notices.clone(),
            )),
            store: parts.store,
            sandbox: parts.sandbox,
            scopes: parts.scopes,
            out_of_process: parts.out_of_process.map(Arc::new),
            secrets: parts.secrets,
            residency: Residency::new(ResidencyLimits {
                instances: options.instances,
                memory_bytes: options.memory_bytes,
                idle_bytes: options.idle_bytes,
            }),
            turns: Semaphore::new(options.turns),
            searches: Semaphore::new(SEARCHES),
            options,
            host_id: parts.host_id,
            commit_delay: Arc::default(),
            requests: OpenRecords::default(),
            // Microseconds: no run makes more changes than microseconds pass until the next start.
            changes: ChangeLog::new(now().as_millis() * 1_000),
            samples: UsageSamples::default(),
            index: WorkerIndex::default(),
            notices,
            host: tokio::runtime::Handle::current(),
            start_driver,
            ready: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            workers: Mutex::default(),
            purges: AtomicU64::new(0),
            forking: Mutex::default(),
            lost: Mutex::new(lost),
            opened_at: now(),
        })
    }

    /// Returns the worker, loading it from the store if it is not in use.
    pub(crate) fn worker(&self, id: WorkerId) -> Result<Arc<Worker>, Error> {
        if self.forking().contains(&id) {
            return Err(self.busy());
        }
        loop {
            let purges = self.purges.load(Ordering::SeqCst);
            if let Some(worker) = self.in_use(id) {
                return match worker.state().removed {
                    true => Err(Error::WorkerRemoved),
                    false => Ok(worker.clone()),
                };
            }
            let record = match self.store.worker(&id).map_err(|error| self.fault(error))? {
                Lookup::Found(record) => record,
                Lookup::Removed => return Err(Error::WorkerRemoved),
                Lookup::Unknown => return Err(Error::UnknownWorker(id)),
            };
            let queue = self.store.queue(record.number).map_err(|error| self.fault(error))?;
            let usage = self.store.usage(record.number).map_err(|error| self.fault(error))?;
            let mut workers = self.workers();
            if self.is_closing() {
                return Err(self.busy());
            }
            // Another caller may have loaded, changed and released the worker meanwhile.
            if self.purges.load(Ordering::SeqCst) == purges {
                let worker =
                    workers.entry(id).or_insert_with(|| Worker::new(*record, queue, usage));
                return Ok(worker.clone());
            }
        }
    }

    /// Keeps a worker from being used until its files are in their place. Returns none if another
    /// copy with this id is being made.
    pub(crate) fn begin_fork(self: &Arc<Self>, id: WorkerId) -> Option<Forking> {
        self.forking().insert(id).then(|| Forking { core: self.clone(), id })
    }

    fn forking(&self) -> MutexGuard<'_, BTreeSet<WorkerId>> {
        self.forking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the worker if it is in use.
    pub(crate) fn in_use(&self, id: WorkerId) -> Option<Arc<Worker>> {
        self.workers().get(&id).cloned()
    }

    /// Returns all workers in use.
    pub(crate) fn all_in_use(&self) -> Vec<Arc<Worker>> {
        self.workers().values().cloned().collect()
    }

    /// Opens a worker's own directory. Reports a diagnostic if it was missing.
    ///
    /// # Errors
    /// As [`super::directory::Directory::open`].
    pub(crate) async fn directory(&self, worker: &Worker) -> Result<MeteredDirectory, StoreError> {
        let (had, quota) = {
            let state = worker.state();
            let (bytes, entries) = (state.limits.disk_bytes, state.limits.disk_entries);
            (state.record.has_directory, Quota { bytes, entries })
        };
        let opened = worker.directory.open(&self.store, worker.id, had, quota).await;
        let (open, missing) = opened?;
        if missing {
            let message = "the worker's directory was missing; a new, empty one was created";
            self.diagnose(DiagnosticCode::DirectoryMissing, message, Some(worker.id));
        }
        Ok(open)
    }

    /// Records a sample of the load, if one is due.
    pub(crate) fn sample_load(&self) {
        self.samples.note_load(now(), |turns| {
            let queued = |worker: Arc<Worker>| worker.state().inputs.len() as u64;
            let workers = self.store.worker_count().inspect_err(|error| drop(self.fault(error)));
            Some(RuntimeSample {
                at: now(),
                workers: workers.ok()?,
                connected: self.residency.connected() as u64,
                memory_bytes: self.residency.memory_bytes(),
                turns,
                queued_inputs: self.all_in_use().into_iter().map(queued).sum(),
            })
        });
    }

    /// Drops the workers that are no longer in use. Their state is on disk.
    pub(crate) fn purge(&self) {
        self.index.drop_unused();
        let mut workers = self.workers();
        let before = workers.len();
        workers.retain(|_, worker| {
            let mut state = worker.state();
            self.store_usage(worker, &mut state);
            if state.all_lanes().any(|lanes| lanes.is_recent()) {
                return true;
            }
            // New references are only handed out under the lock on the map.
            Arc::strong_count(worker) > 1 || state.driving || !state.commands.is_empty()
        });
        if workers.len() < before {
            self.purges.fetch_add(1, Ordering::SeqCst);
            workers.shrink_to_fit();
        }
    }

    /// Stores the usage of all HTTP workers that requests have changed.
    pub(crate) fn store_all_usage(&self) {
        for worker in self.all_in_use() {
            self.store_usage(&worker, &mut worker.state());
        }
    }

    /// Stores the usage of an HTTP worker, if its requests have changed it.
    fn store_usage(&self, worker: &Worker, state: &mut WorkerState) {
        if std::mem::take(&mut state.usage_changed) {
            let writes = vec![WorkerWrite::Usage(state.usage)];
            // If this is lost, the next request stores it again.
            drop(self.store.submit(Transaction { worker: worker.number, writes }));
        }
    }

    /// Records that a worker reconnected.
    pub(crate) fn restored(&self, id: WorkerId) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Returns diagnostics for the workers that were connected when the host went down.
    pub(crate) fn lost_execution(&self, of: Option<WorkerId>) -> Vec<Diagnostic> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = lost.iter().filter(|id| of.is_none_or(|of| of == **id)).take(DIAGNOSTICS);
        let code = DiagnosticCode::ExecutionNotRestored;
        let message =
            "the host went down while the worker was connected; its next input reconnects it";
        let diagnostic =
            |id: WorkerId| Diagnostic::new(code, message, Some(id.into()), self.opened_at);
        ids.map(|&id| diagnostic(id)).collect()
    }

    /// Stops admission and makes every driver exit after its current turn.
    pub(crate) fn close(&self) {
        let workers = {
            let workers = self.workers();
            self.closing.store(true, Ordering::SeqCst);
            workers.values().cloned().collect::<Vec<_>>()
        };
        for worker in workers {
            let mut state = worker.state();
            state.machine.close();
            let lanes: Vec<_> = state.all_lanes().cloned().collect();
            self.store_usage(&worker, &mut state);
            drop(state);
            // Without the lock: dropping an instance may report a request, which takes it.
            for lanes in lanes {
                lanes.close();
            }
            worker.wake.notify_one();
        }
        // Followers see that the runtime is closing and end.
        self.changes.wake();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Returns the error for callers that arrive during shutdown.
    pub(crate) fn busy(&self) -> Error {
        Error::Busy { retry_after: std::time::Duration::from_secs(1) }
    }

    /// Maps a store failure to the error that the caller sees, and logs the details.
    pub(crate) fn fault(&self, error: impl std::borrow::Borrow<StoreError>) -> Error {
        let error: &StoreError = error.borrow();
        match error {
            StoreError::Full => Error::StorageFull,
            StoreError::Closed => self.busy(),
            StoreError::Refused(StoreRefusal::WorkerRemoved) => Error::WorkerRemoved,
            StoreError::Damaged { worker: Some(worker), .. } => {
                let message = "a row of this worker is damaged; restore the store from a backup, \
                               or remove the worker";
                self.diagnose(DiagnosticCode::Quarantined, message, Some(*worker));
                Error::Internal
            }
            other => {
                tracing::error!(error = %other, source = ?std::error::Error::source(other),
                    "a store operation failed");
                Error::Internal
            }
        }
    }

    /// Logs a diagnostic and stores it for the operator.
    pub(crate) fn diagnose(&self, code: DiagnosticCode, message: &str, subject: Option<WorkerId>) {
        tracing::warn!(
            code = code.as_str(),
            worker_id = subject.map(tracing::field::display),
            "{}",
            neutral(message)
        );
        let diagnostic = Diagnostic::new(code, message, subject.map(Into::into), now());
        // If storing fails, the log still has it.
        self.report(diagnostic);
    }

    /// Stores a diagnostic for the operator, and sends it to those who follow the runtime.
    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        // Without followers there is no receiver.
        drop(self.notices.send(RuntimeEvent::Diagnostic(Box::new(diagnostic.clone()))));
        drop(self.store.submit_shared(SharedWrite::Diagnose(diagnostic)));
    }

    fn workers(&self) -> MutexGuard<'_, HashMap<WorkerId, Arc<Worker>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops a worker that was removed.
    pub(crate) fn forget(&self, id: WorkerId) {
        self.restored(id);
        self.samples.forget(id);
        self.workers().remove(&id);
        self.purges.fetch_add(1, Ordering::SeqCst);
    }
}

/// Returns ten random bytes for an id.
pub(crate) fn random() -> Result<[u8; 10], Error> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system's random number generator failed");
        Error::Internal
    })?;
    Ok(bytes)
}

/// Returns a new input id.
pub(crate) fn new_input_id() -> Result<InputId, Error> {
    Ok(InputId::new(now().as_millis(), random()?))
}
