//! The embedded runtime: workers over a store, in this process.
//!
//! ```text
//! caller --RuntimeHandle--> handle.rs --admit / command--> worker.rs (shared, locked)
//!                                                              |  wake
//!                                            driver.rs (one task per worker in use)
//!                                              |            |            |
//!                                        machine.rs     Instance      log.rs --> Store
//!                                        (decides)      (the guest)   (one turn's record)
//! ```
//!
//! Workers cannot run in any other way; in particular, none exists in memory only.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use skep_protocol::{Desired, HostId, ScopeName, SecretName, WorkerId};
use skep_store::{Lookup, Store, StoreError};

use skep_sandbox::KillReason;
use skep_sandbox::OperatorSecret;
use skep_sandbox::OutOfProcess;
use skep_sandbox::Sandbox;

use crate::driver;
use crate::options::Options;
use crate::roster::core::{Core, CoreParts, OperatorScope};
use crate::sweeper::Sweeper;

/// Time for cancelled turns to be recorded at shutdown.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// Maximum time that one worker's reconnection holds a reconnect permit.
const RECONNECT_WAIT: Duration = Duration::from_secs(30);

/// The parts of an embedded runtime.
pub struct EmbeddedParts {
    /// The store of its workers.
    pub store: Store,
    /// The sandbox that runs its workers.
    pub sandbox: Sandbox,
    /// Operator directories that workers may be granted.
    pub scopes: BTreeMap<ScopeName, OperatorScope>,
    /// Runs commands out of process; without it all guests run in this process.
    pub out_of_process: Option<OutOfProcess>,
    /// Secrets that workers may be granted.
    pub secrets: BTreeMap<SecretName, OperatorSecret>,
    /// The settings of the runtime.
    pub options: Options,
    /// The id of this host process.
    pub host_id: HostId,
}

impl EmbeddedParts {
    /// Creates the parts of a runtime with the default options, without scopes or secrets, whose
    /// guests all run in this process.
    pub fn new(store: Store, sandbox: Sandbox, host_id: HostId) -> Self {
        Self {
            store,
            sandbox,
            scopes: BTreeMap::new(),
            out_of_process: None,
            secrets: BTreeMap::new(),
            options: Options::default(),
            host_id,
        }
    }
}

/// A runtime in this process. Cheap to clone; used through [`skep_protocol::RuntimeHandle`].
///
/// Dropping the last clone stops admission without waiting for running turns; accepted inputs are
/// on disk. [`Embedded::shutdown`] drains running turns first.
#[derive(Clone)]
pub struct Embedded(pub(crate) Arc<Opened>);

/// State shared by all clones of a handle.
pub(crate) struct Opened {
    pub(crate) core: Arc<Core>,
    /// Stops when the last clone is dropped.
    _sweeper: Sweeper,
}

impl Deref for Opened {
    type Target = Arc<Core>;

    fn deref(&self) -> &Arc<Core> {
        &self.core
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl Embedded {
    /// Opens a runtime and starts to reconnect, in the background, the workers that have unfinished
    /// inputs. All workers are unconnected until then. Must be called within a tokio runtime, which
    /// serves timers and responses; guests run on threads of their own.
    ///
    /// # Errors
    /// If the store cannot be read, or the system cannot start a thread.
    pub fn open(parts: EmbeddedParts) -> Result<Self, StoreError> {
        let EmbeddedParts { store, sandbox, scopes, secrets, out_of_process, options, host_id } =
            parts;
        let unfinished = store.unfinished()?;
        let parts = CoreParts { store, sandbox, scopes, secrets, out_of_process, options, host_id };
        let core = Core::new(parts, driver::start);
        let sweeper = Sweeper::start(Arc::downgrade(&core))?;
        tokio::spawn(core.commit_delay.clone().serve());
        tokio::spawn(recover(core.clone(), unfinished.into_iter().map(|(id, _)| id).collect()));
        Ok(Self(Arc::new(Opened { core, _sweeper: sweeper })))
    }

    /// Returns true if the workers with unfinished inputs have been reconnected.
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::SeqCst)
    }

    /// Stops admission, drains running turns for up to `grace`, records the remaining turns as
    /// interrupted and closes the store. Interrupted inputs run again after the next start.
    pub async fn shutdown(self, grace: Duration) {
        let core = self.0.core.clone();
        core.close();
        if !drained(&core, grace).await {
            for worker in core.all_in_use() {
                let state = worker.state();
                if let Some(turn) = &state.running {
                    turn.kill.throw(KillReason::Cancelled);
                }
                for lanes in state.all_lanes() {
                    lanes.cancel();
                }
            }
            if !drained(&core, KILL_GRACE).await {
                tracing::error!("turns did not end in time; closing the store anyway");
            }
        }
        core.store_all_usage();
        let store = core.store.clone();
        drop(core);
        // Closing joins the writer's thread.
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        if closed.is_err() {
            tracing::error!("closing the store panicked");
        }
    }
}

/// The interval at which a shutdown looks for requests in flight.
const LANES_INTERVAL: Duration = Duration::from_millis(10);

/// Waits until no driver and no request runs. Returns false if the timeout passes first.
async fn drained(core: &Core, timeout: Duration) -> bool {
    let until = Instant::now() + timeout;
    for worker in core.all_in_use() {
        let is_busy = || worker.state().all_lanes().any(|lanes| lanes.is_busy());
        while is_busy() || !core.requests.is_empty() {
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LANES_INTERVAL).await;
        }
        loop {
            let ended = worker.driver_ended.notified();
            if !worker.state().driving {
                break;
            }
            if tokio::time::timeout_at(until.into(), ended).await.is_err() {
                return false;
            }
        }
    }
    true
}

/// Reconnects the workers that have accepted, unfinished inputs and are meant to run.
async fn recover(core: Arc<Core>, unfinished: Vec<WorkerId>) {
    let bounded = Arc::new(tokio::sync::Semaphore::new(core.options.reconnects));
    let count = unfinished.len();
    for id in unfinished {
        let Ok(permit) = bounded.clone().acquire_owned().await else { break };
        if core.is_closing() {
            return;
        }
        let core = core.clone();
        tokio::spawn(async move {
            reconnect(&core, id).await;
            drop(permit);
        });
    }
    // Each task holds a permit until the first turn of its worker begins.
    let all = u32::try_from(core.options.reconnects).unwrap_or(u32::MAX);
    drop(bounded.acquire_many(all).await);
    core.ready.store(true, Ordering::SeqCst);
    tracing::info!(reconnected = count, "reconnected workers with unfinished inputs");
    let store = core.store.clone();
    drop(core);
    let listed = tokio::task::spawn_blocking(move || store.notice_strays()).await;
    if let Ok(Err(error)) = listed {
        tracing::warn!(%error, "failed to list the workers' directories");
    }
}

async fn reconnect(core: &Arc<Core>, id: WorkerId) {
    let wanted = match core.store.worker(&id) {
        Ok(Lookup::Found(record)) => record.desired == Desired::Running,
        Ok(Lookup::Removed | Lookup::Unknown) => false,
        Err(error) => {
            core.fault(error);
            false
        }
    };
    if !wanted {
        return;
    }
    let Ok(worker) = core.worker(id) else { return };
    core.drive(&worker);
    // Holds the permit until the first turn of this worker begins.
    let until = Instant::now() + RECONNECT_WAIT;
    let begun = || worker.state().machine.is_begun();
    while Instant::now() < until && !begun() && worker.state().may_run() && worker.state().driving {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
