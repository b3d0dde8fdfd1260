//! Components: stored once, and made ready once each.
//!
//! Compiling one can take minutes. It goes on by itself, whoever waits for it: the request that
//! stores the component for a while, turns for as long as it takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use skep_protocol::text::{brief, neutral};
use skep_protocol::{
    Compiled, ComponentDigest, ComponentKind, ComponentView, Error, LimitName, Limits,
};
use skep_store::record::ComponentRecord;
use skep_store::{Store, StoreError};
use tokio::sync::{Semaphore, watch};

use skep_sandbox::CompileError;
use skep_sandbox::Profile;
use skep_sandbox::Shortage;
use skep_sandbox::{CompileOutcome, Loaded};
use skep_sandbox::{LoadError, Sandbox};

/// The components that workers of a runtime run.
pub(crate) struct Components {
    store: Store,
    sandbox: Sandbox,
    ready: Mutex<Ready>,
    /// One is compiled at a time: that takes the memory and the cores of several workers.
    compiling: Semaphore,
    /// A few that are compiled already are loaded at a time; they do not wait for a compiler.
    loading: Semaphore,
    /// Those that are on their way without a turn that waits for them.
    under_way: Mutex<HashMap<ComponentDigest, watch::Receiver<Option<Made>>>>,
    /// One is stored at a time, so that of two who store the same one is the first.
    pub(crate) storing: Arc<tokio::sync::Mutex<()>>,
}

/// Components loaded at once.
const LOADING: usize = 4;

/// Components kept ready beyond those that live instances have: each holds a descriptor, and memory
/// by the number of its functions and names. Making one ready again takes a millisecond.
const KEPT: usize = 256;

/// The components that were used last.
#[derive(Default)]
struct Ready {
    kept: HashMap<(Profile, ComponentDigest), Used>,
    /// Uses so far.
    uses: u64,
}

struct Used {
    loaded: Arc<Loaded>,
    /// Which use was its last.
    last: u64,
}

impl Ready {
    fn find(&mut self, digest: ComponentDigest, profile: Profile) -> Option<Arc<Loaded>> {
        let used = self.kept.get_mut(&(profile, digest))?;
        self.uses += 1;
        used.last = self.uses;
        Some(used.loaded.clone())
    }

    fn keep(&mut self, loaded: &Arc<Loaded>) {
        self.uses += 1;
        let used = Used { loaded: loaded.clone(), last: self.uses };
        self.kept.insert((loaded.profile, loaded.shape.digest), used);
        if self.kept.len() > KEPT
            && let Some((&oldest, _)) = self.kept.iter().min_by_key(|(_, used)| used.last)
        {
            self.kept.remove(&oldest);
        }
    }

    fn forget(&mut self, digest: &ComponentDigest) {
        self.kept.retain(|(_, kept), _| kept != digest);
    }
}

/// Why a component is not ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("its file is not in the store")]
    Missing,
    #[error("its file cannot be read")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the thread that made it ready panicked")]
    Panicked,
}

/// What became of a component that was on its way.
#[derive(Clone, Debug)]
pub(crate) enum Made {
    Ready,
    Not(Error),
    /// Whoever brought it went away before it was its turn.
    Dropped,
}

impl Components {
    pub(crate) fn new(store: Store, sandbox: Sandbox) -> Self {
        Self {
            store,
            sandbox,
            ready: Mutex::default(),
            compiling: Semaphore::new(1),
            loading: Semaphore::new(LOADING),
            under_way: Mutex::default(),
            storing: Arc::default(),
        }
    }

    /// How a worker with these limits is compiled.
    pub(crate) fn profile(limits: &Limits) -> Profile {
        match limits.get(LimitName::fuel) {
            skep_protocol::limits::OFF => Profile::Default,
            _ => Profile::Deterministic,
        }
    }

    /// The component, compiled and linked.
    pub(crate) async fn ready(
        &self,
        digest: ComponentDigest,
        profile: Profile,
    ) -> Result<Arc<Loaded>, NotReady> {
        self.ready_from(digest, profile, Weak::new()).await
    }

    /// The same, of these bytes if they are still there when it is its turn, and of the store's
    /// otherwise.
    async fn ready_from(
        &self,
        digest: ComponentDigest,
        profile: Profile,
        wasm: Weak<Vec<u8>>,
    ) -> Result<Arc<Loaded>, NotReady> {
        if let Some(loaded) = self.find(digest, profile) {
            return Ok(loaded);
        }
        let turns = match self.sandbox.is_compiled(&digest, profile) {
            true => &self.loading,
            false => &self.compiling,
        };
        let _turn = turns.acquire().await;
        if let Some(loaded) = self.find(digest, profile) {
            return Ok(loaded);
        }
        let (store, sandbox) = (self.store.clone(), self.sandbox.clone());
        let load = tokio::task::spawn_blocking(move || {
            let wasm = match wasm.upgrade() {
                Some(wasm) => wasm,
                None => Arc::new(store.component_bytes(&digest)?.ok_or(NotReady::Missing)?),
            };
            drop(store);
            let (loaded, outcome) = sandbox.load(&wasm, profile)?;
            if let CompileOutcome::Miss { kept: Err(unkept), .. } = outcome {
                tracing::warn!(%unkept, component = %digest, "compiled code is not kept");
            }
            Ok::<_, NotReady>(loaded)
        });
        let loaded = load.await.map_err(|_| NotReady::Panicked)??;
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).keep(&loaded);
        Ok(loaded)
    }

    /// Sees to it that a component is made ready, and tells when it is.
    pub(crate) fn make(
        self: &Arc<Self>,
        digest: ComponentDigest,
        wasm: &Arc<Vec<u8>>,
    ) -> watch::Receiver<Option<Made>> {
        let mut under_way = self.under_way();
        if let Some(made) = under_way.get(&digest) {
            return made.clone();
        }
        let (sender, made) = watch::channel(None);
        under_way.insert(digest, made.clone());
        drop(under_way);
        let (components, wasm) = (self.clone(), Arc::downgrade(wasm));
        tokio::spawn(async move {
            let made = match components.ready_from(digest, Profile::Default, wasm).await {
                Ok(_) => Made::Ready,
                Err(NotReady::Missing) => Made::Dropped,
                Err(error) => {
                    tracing::warn!(%error, component = %digest, "a component was not compiled");
                    Made::Not(told(&error))
                }
            };
            // In this order nobody finds it neither ready nor on its way.
            components.under_way().remove(&digest);
            sender.send_replace(Some(made));
        });
        made
    }

    /// Whether a stored component's machine code is made.
    pub(crate) fn compiled(&self, digest: &ComponentDigest, kind: ComponentKind) -> Compiled {
        let profile = Profile::Default;
        if kind == ComponentKind::Http {
            Compiled::None
        } else if self.find(*digest, profile).is_some() {
            Compiled::Ready
        } else if self.under_way().contains_key(digest) {
            Compiled::Pending
        } else if self.sandbox.is_compiled(digest, profile) {
            Compiled::Ready
        } else {
            Compiled::None
        }
    }

    /// What anyone may see of a stored component.
    pub(crate) fn view(&self, record: ComponentRecord) -> ComponentView {
        ComponentView {
            compiled: self.compiled(&record.digest, record.kind),
            digest: record.digest,
            kind: record.kind,
            bytes: record.bytes,
            imports: record.imports,
            exports: record.exports,
            created_at: record.created_at,
        }
    }

    fn find(&self, digest: ComponentDigest, profile: Profile) -> Option<Arc<Loaded>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).find(digest, profile)
    }

    /// Lets go of a component that is no more.
    pub(crate) fn forget(&self, digest: &ComponentDigest) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).forget(digest);
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<ComponentDigest, watch::Receiver<Option<Made>>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Characters of a reason.
const REASON: usize = 4_000;

impl NotReady {
    /// What the host lacks, or took too long for, where it may be otherwise at the next try.
    pub(crate) fn passes(&self) -> Option<String> {
        match self {
            Self::Load(LoadError::Shortage(shortage)) => Some(shortage.to_string()),
            Self::Load(LoadError::Compile(CompileError::Limit {
                name: LimitName::compile_cpu_ms | LimitName::compile_wall_ms,
                ..
            })) => Some(self.to_string()),
            _ => None,
        }
    }
}

/// When a host that lacks something may be asked again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a caller is told of a component that cannot be made ready.
fn told(error: &NotReady) -> Error {
    match error {
        NotReady::Load(LoadError::Refused(error)) => refused(error),
        NotReady::Load(LoadError::Compile(error)) => match error {
            CompileError::Limit { name, limit } => {
                Error::LimitExceeded { name: *name, limit: *limit }
            }
            CompileError::Invalid(_) | CompileError::Unoffered(_) | CompileError::Crashed(_) => {
                refused(error)
            }
            CompileError::Shortage(shortage) => lacking(*shortage),
            CompileError::Io(_) => Error::Internal,
        },
        NotReady::Load(LoadError::Shortage(shortage)) => lacking(*shortage),
        NotReady::Load(LoadError::Engine(_))
        | NotReady::Missing
        | NotReady::Store(_)
        | NotReady::Panicked => Error::Internal,
    }
}

/// Callers are not told what the host is made of. The log says what it lacks.
fn lacking(shortage: Shortage) -> Error {
    match shortage {
        Shortage::Disk => Error::StorageFull,
        _ => Error::Busy { retry_after: RETRY_AFTER },
    }
}

pub(crate) fn refused(error: &dyn std::fmt::Display) -> Error {
    let reason = neutral(&brief(&error.to_string(), REASON)).to_string();
    Error::ComponentRefused { reason }
}
