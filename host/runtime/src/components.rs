//! Components: each is stored once and compiled once.
//!
//! Compilation can take minutes and does not depend on its waiters: the request that stores the
//! component waits for a limited time, turns wait for as long as it takes.

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

use skep_sandbox::Profile;
use skep_sandbox::Shortage;
use skep_sandbox::{CompileError, Ended};
use skep_sandbox::{CompileOutcome, Loaded};
use skep_sandbox::{LoadError, Sandbox};

/// The components that the workers of a runtime run.
pub(crate) struct Components {
    store: Store,
    sandbox: Sandbox,
    loaded: Mutex<LoadedCache>,
    /// Allows one compilation at a time; each takes the memory and cores of several workers.
    compiling: Semaphore,
    /// Allows a few loads of compiled components at a time, so that they do not queue behind a
    /// compilation.
    loading: Semaphore,
    /// Preparations started by [`Components::prepare`] that have not finished.
    pending: Mutex<HashMap<ComponentDigest, watch::Receiver<Option<Prepared>>>>,
    /// Serializes uploads, so that exactly one of two concurrent uploads of a component creates it.
    pub(crate) storing: Arc<tokio::sync::Mutex<()>>,
}

/// Components loaded at once.
const CONCURRENT_LOADS: usize = 4;

/// Loaded components kept beyond those of live instances. Each holds a descriptor, and memory that
/// grows with its functions and names. Loading one again takes a millisecond.
const MAX_CACHED: usize = 256;

/// The most recently used components.
#[derive(Default)]
struct LoadedCache {
    components: HashMap<(Profile, ComponentDigest), CachedComponent>,
    /// Number of uses so far.
    uses: u64,
}

struct CachedComponent {
    loaded: Arc<Loaded>,
    /// The value of `uses` at its last use.
    last: u64,
}

impl LoadedCache {
    fn find(&mut self, digest: ComponentDigest, profile: Profile) -> Option<Arc<Loaded>> {
        let used = self.components.get_mut(&(profile, digest))?;
        self.uses += 1;
        used.last = self.uses;
        Some(used.loaded.clone())
    }

    fn insert(&mut self, loaded: &Arc<Loaded>) {
        self.uses += 1;
        let used = CachedComponent { loaded: loaded.clone(), last: self.uses };
        self.components.insert((loaded.profile, loaded.shape.digest), used);
        if self.components.len() > MAX_CACHED
            && let Some((&oldest, _)) = self.components.iter().min_by_key(|(_, used)| used.last)
        {
            self.components.remove(&oldest);
        }
    }

    fn forget(&mut self, digest: &ComponentDigest) {
        self.components.retain(|(_, kept), _| kept != digest);
    }
}

/// The reason why a component cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("the component's file is not in the store")]
    Missing,
    #[error("failed to read the component's file")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the thread that loaded the component panicked")]
    Panicked,
}

/// The result of preparing a component.
#[derive(Clone, Debug)]
pub(crate) enum Prepared {
    Ready,
    Failed(Error),
    /// The upload that provided the bytes ended before the compilation began.
    Abandoned,
}

impl Components {
    pub(crate) fn new(store: Store, sandbox: Sandbox) -> Self {
        Self {
            store,
            sandbox,
            loaded: Mutex::default(),
            compiling: Semaphore::new(1),
            loading: Semaphore::new(CONCURRENT_LOADS),
            pending: Mutex::default(),
            storing: Arc::default(),
        }
    }

    /// Returns the compilation profile of a worker with these limits.
    pub(crate) fn profile(limits: &Limits) -> Profile {
        match limits.get(LimitName::fuel) {
            skep_protocol::limits::OFF => Profile::Default,
            _ => Profile::Deterministic,
        }
    }

    /// Returns the component, compiled and linked.
    pub(crate) async fn load(
        &self,
        digest: ComponentDigest,
        profile: Profile,
    ) -> Result<Arc<Loaded>, NotReady> {
        self.load_from(digest, profile, Weak::new()).await
    }

    /// Loads the component from `wasm` if the bytes are still alive when a permit is granted, and
    /// otherwise from the store.
    async fn load_from(
        &self,
        digest: ComponentDigest,
        profile: Profile,
        wasm: Weak<Vec<u8>>,
    ) -> Result<Arc<Loaded>, NotReady> {
        if let Some(loaded) = self.find(digest, profile) {
            return Ok(loaded);
        }
        let permits = match self.sandbox.is_compiled(&digest, profile) {
            true => &self.loading,
            false => &self.compiling,
        };
        let _permit = permits.acquire().await;
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
            if let CompileOutcome::Miss { kept: Err(error), .. } = outcome {
                tracing::warn!(%error, component = %digest, "failed to cache the compiled code");
            }
            Ok::<_, NotReady>(loaded)
        });
        let loaded = load.await.map_err(|_| NotReady::Panicked)??;
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).insert(&loaded);
        Ok(loaded)
    }

    /// Starts to prepare a component in the background and returns a receiver of the result. Joins
    /// a preparation that is already running.
    pub(crate) fn prepare(
        self: &Arc<Self>,
        digest: ComponentDigest,
        wasm: &Arc<Vec<u8>>,
    ) -> watch::Receiver<Option<Prepared>> {
        let mut pending = self.pending();
        if let Some(prepared) = pending.get(&digest) {
            return prepared.clone();
        }
        let (sender, prepared) = watch::channel(None);
        pending.insert(digest, prepared.clone());
        drop(pending);
        let (components, wasm) = (self.clone(), Arc::downgrade(wasm));
        tokio::spawn(async move {
            let prepared = match components.load_from(digest, Profile::Default, wasm).await {
                Ok(_) => Prepared::Ready,
                Err(NotReady::Missing) => Prepared::Abandoned,
                Err(error) => {
                    tracing::warn!(%error, component = %digest, "failed to prepare a component");
                    Prepared::Failed(caller_error(&error))
                }
            };
            // The entry goes after the component is in the cache, so that a lookup always finds one
            // of them.
            components.pending().remove(&digest);
            sender.send_replace(Some(prepared));
        });
        prepared
    }

    /// Refuses a component that no host could run. Returns `Ok` if this host cannot tell now.
    pub(crate) async fn examine(&self, wasm: Arc<Vec<u8>>) -> Result<(), Error> {
        let sandbox = self.sandbox.clone();
        let examined = tokio::task::spawn_blocking(move || sandbox.examine(&wasm)).await;
        match examined.map_err(|_| Error::Internal)? {
            Err(error @ (LoadError::Refused(_) | LoadError::Compile(_))) => {
                let error = NotReady::Load(error);
                match error.transient_reason() {
                    None => Err(caller_error(&error)),
                    Some(_) => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Adds source lines to the crash of a guest, if its component has them.
    pub(crate) async fn place(&self, loaded: &Loaded, ended: Ended) -> Ended {
        if !loaded.shape.has_lines || ended.crash().is_none() {
            return ended;
        }
        let (store, sandbox) = (self.store.clone(), self.sandbox.clone());
        let (digest, mut placed) = (loaded.shape.digest, ended.clone());
        let placing = tokio::task::spawn_blocking(move || {
            if let Ok(Some(wasm)) = store.component_bytes(&digest) {
                sandbox.place(&wasm, &mut placed);
            }
            placed
        });
        // The lines are an extra.
        placing.await.unwrap_or(ended)
    }

    /// Returns the compilation status of a stored component.
    pub(crate) fn compiled(&self, digest: &ComponentDigest, kind: ComponentKind) -> Compiled {
        let profile = Profile::Default;
        if kind == ComponentKind::Http {
            Compiled::None
        } else if self.find(*digest, profile).is_some() {
            Compiled::Ready
        } else if self.pending().contains_key(digest) {
            Compiled::Pending
        } else if self.sandbox.is_compiled(digest, profile) {
            Compiled::Ready
        } else {
            Compiled::None
        }
    }

    /// Returns the public view of a stored component.
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
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).find(digest, profile)
    }

    /// Drops a removed component from the cache.
    pub(crate) fn forget(&self, digest: &ComponentDigest) {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).forget(digest);
    }

    fn pending(
        &self,
    ) -> MutexGuard<'_, HashMap<ComponentDigest, watch::Receiver<Option<Prepared>>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Maximum length of a refusal reason, in characters.
const MAX_REASON_CHARS: usize = 4_000;

impl NotReady {
    /// Returns the reason if a later attempt may succeed: the host lacks a resource, or the
    /// compilation ran out of time.
    pub(crate) fn transient_reason(&self) -> Option<String> {
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

/// Delay after which a caller may try again when the host lacks a resource.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Maps a failure to load a component to the error that the caller sees.
fn caller_error(error: &NotReady) -> Error {
    match error {
        NotReady::Load(LoadError::Refused(error)) => refused(error),
        NotReady::Load(LoadError::Compile(error)) => match error {
            CompileError::Limit { name, limit } => {
                Error::LimitExceeded { name: *name, limit: *limit }
            }
            CompileError::Invalid(_)
            | CompileError::Unoffered(_)
            | CompileError::Misfit(_)
            | CompileError::Crashed(_) => refused(error),
            CompileError::Shortage(shortage) => shortage_error(*shortage),
            CompileError::Io(_) => Error::Internal,
        },
        NotReady::Load(LoadError::Shortage(shortage)) => shortage_error(*shortage),
        NotReady::Load(LoadError::Engine(_))
        | NotReady::Missing
        | NotReady::Store(_)
        | NotReady::Panicked => Error::Internal,
    }
}

/// Hides from callers which resource the host lacks; the log names it.
fn shortage_error(shortage: Shortage) -> Error {
    match shortage {
        Shortage::Disk => Error::StorageFull,
        _ => Error::Busy { retry_after: RETRY_AFTER },
    }
}

pub(crate) fn refused(error: &dyn std::fmt::Display) -> Error {
    let reason = neutral(&brief(&error.to_string(), MAX_REASON_CHARS)).to_string();
    Error::ComponentRefused { reason }
}
