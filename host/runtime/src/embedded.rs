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
//! There is no other way to run a worker, and none that keeps it in memory only.

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

/// How long turns that were ended may take to be recorded.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// How long a worker that is reconnected holds up the others.
const RECONNECT: Duration = Duration::from_secs(30);

/// What an embedded runtime is made of.
pub struct EmbeddedParts {
    /// Where its workers are kept.
    pub store: Store,
    /// What runs them.
    pub sandbox: Sandbox,
    /// Directories that they may be granted.
    pub scopes: BTreeMap<ScopeName, OperatorScope>,
    /// Runs commands in processes of their own; without it all guests are in this one.
    pub out_of_process: Option<OutOfProcess>,
    /// Secrets that they may be granted.
    pub secrets: BTreeMap<SecretName, OperatorSecret>,
    /// Its numbers.
    pub options: Options,
    /// The process that it runs in.
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
/// The last clone that is dropped takes in no more and lets its workers go as they are: what they
/// had accepted is on disk. [`Embedded::shutdown`] gives them time.
#[derive(Clone)]
pub struct Embedded(pub(crate) Arc<Opened>);

/// What all clones of a handle share.
pub(crate) struct Opened {
    pub(crate) inner: Arc<Core>,
    /// Ends with the last of them.
    _sweeper: Sweeper,
}

impl Deref for Opened {
    type Target = Arc<Core>;

    fn deref(&self) -> &Arc<Core> {
        &self.inner
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.inner.leave();
    }
}

impl Embedded {
    /// Opens a runtime and begins, in the background, to reconnect the workers that have unfinished
    /// inputs. Every worker is unconnected until then. Must be called within a tokio runtime, which
    /// serves timers and answers; guests have one of their own.
    ///
    /// # Errors
    /// Where the store cannot be read, and where the system has no thread left.
    pub fn open(parts: EmbeddedParts) -> Result<Self, StoreError> {
        let EmbeddedParts { store, sandbox, scopes, secrets, out_of_process, options, host_id } =
            parts;
        let unfinished = store.unfinished()?;
        let parts = CoreParts { store, sandbox, scopes, secrets, out_of_process, options, host_id };
        let inner = Core::new(parts, driver::start);
        let sweeper = Sweeper::start(Arc::downgrade(&inner))?;
        tokio::spawn(inner.commit_delay.clone().serve());
        tokio::spawn(recover(inner.clone(), unfinished.into_iter().map(|(id, _)| id).collect()));
        Ok(Self(Arc::new(Opened { inner, _sweeper: sweeper })))
    }

    /// Whether the workers with unfinished inputs have been reconnected.
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::SeqCst)
    }

    /// Takes in no more, lets running turns end for as long as `grace`, records those that did not
    /// as interrupted, and closes the store. They are handled again after the next start.
    pub async fn shutdown(self, grace: Duration) {
        let inner = self.0.inner.clone();
        inner.leave();
        if !drained(&inner, grace).await {
            for worker in inner.all_in_use() {
                if let Some(turn) = &worker.state().running {
                    turn.kill.throw(KillReason::Cancelled);
                }
            }
            if !drained(&inner, LAST_GRACE).await {
                tracing::error!("turns did not end; the store is closed under them");
            }
        }
        let store = inner.store.clone();
        drop(inner);
        // Joins the writer's thread.
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        if closed.is_err() {
            tracing::error!("closing the store panicked");
        }
    }
}

/// Waits until no worker is driven any more. Returns whether that is so.
async fn drained(inner: &Core, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    for worker in inner.all_in_use() {
        loop {
            let left = worker.left.notified();
            if !worker.state().driving {
                break;
            }
            if tokio::time::timeout_at(until.into(), left).await.is_err() {
                return false;
            }
        }
    }
    true
}

/// Reconnects the workers that have accepted, unfinished inputs and are wanted to run.
async fn recover(inner: Arc<Core>, unfinished: Vec<WorkerId>) {
    let bounded = Arc::new(tokio::sync::Semaphore::new(inner.options.reconnects));
    let count = unfinished.len();
    for id in unfinished {
        let Ok(permit) = bounded.clone().acquire_owned().await else { break };
        if inner.is_closing() {
            return;
        }
        let inner = inner.clone();
        tokio::spawn(async move {
            reconnect(&inner, id).await;
            drop(permit);
        });
    }
    // Each holds a permit until its worker has begun.
    let all = u32::try_from(inner.options.reconnects).unwrap_or(u32::MAX);
    drop(bounded.acquire_many(all).await);
    inner.ready.store(true, Ordering::SeqCst);
    tracing::info!(reconnected = count, "workers with unfinished inputs are under way");
    let store = inner.store.clone();
    drop(inner);
    let looked = tokio::task::spawn_blocking(move || store.notice_strays()).await;
    if let Ok(Err(error)) = looked {
        tracing::warn!(%error, "the workers' directories could not be listed");
    }
}

async fn reconnect(inner: &Arc<Core>, id: WorkerId) {
    let wanted = match inner.store.worker(&id) {
        Ok(Lookup::Found(record)) => record.desired == Desired::Running,
        Ok(Lookup::Removed | Lookup::Unknown) => false,
        Err(error) => {
            inner.fault(error);
            false
        }
    };
    if !wanted {
        return;
    }
    let Ok(worker) = inner.worker(id) else { return };
    inner.drive(&worker);
    // The next one begins when this one's first turn has.
    let until = Instant::now() + RECONNECT;
    let begun = || worker.state().machine.is_begun();
    while Instant::now() < until && !begun() && worker.state().may_run() && worker.state().driving {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
