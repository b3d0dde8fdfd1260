//! Components: each is stored once and compiled once.
//!
//! Compilation can take minutes and does not depend on its waiters: the request that stores the
//! component waits for a limited time, turns wait for as long as it takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use skep_protocol::text::{brief, neutral};
use skep_protocol::{
    CompileRecord, Compiled, CompiledEvent, ComponentDigest, ComponentView, Error, LimitName,
    Limits, RuntimeEvent,
};
use skep_store::Store;
use skep_store::record::ComponentRecord;
use tokio::sync::{Semaphore, broadcast, watch};

use skep_sandbox::Profile;
use skep_sandbox::Shortage;
use skep_sandbox::{CompileError, Ended};
use skep_sandbox::{CompileOutcome, Loaded};
use skep_sandbox::{LoadError, Sandbox, Wasi03};

use crate::compile_retries::{CompileRetries, Key};
use crate::not_ready::NotReady;

/// The components that the workers of a runtime run.
pub(crate) struct Components {
    store: Store,
    sandbox: Sandbox,
    /// Takes finished compilations, for those who follow the runtime.
    notices: broadcast::Sender<RuntimeEvent>,
    loaded: Mutex<LoadedCache>,
    /// Allows one compilation at a time; each takes the memory and cores of several workers.
    compiling: Arc<Semaphore>,
    /// Allows one examination at a time, beside a compilation. It takes seconds.
    examining: Arc<Semaphore>,
    /// Allows a few loads of compiled components at a time, so that they do not queue behind a
    /// compilation.
    loading: Arc<Semaphore>,
    /// Compilations in progress, with the time of their start.
    under_way: Arc<Mutex<HashMap<Key, Instant>>>,
    retries: CompileRetries,
    /// Preparations started by [`Components::prepare`] that have not finished.
    pending: Mutex<HashMap<ComponentDigest, watch::Receiver<Option<Prepared>>>>,
    /// Serializes uploads, so that exactly one of two concurrent uploads of a component creates it.
    pub(crate) storing: Arc<tokio::sync::Mutex<()>>,
}

/// Components loaded at once.
const CONCURRENT_LOADS: usize = 4;

/// Attempts of one turn to load a component, while the host lacks a resource or its compiler dies.
const ATTEMPTS: u32 = 3;

/// A wait for code that was found in a cache, from which on the transcript tells it.
const LONG_WAIT: Duration = Duration::from_millis(250);

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

    /// `profile` is the one that it is asked for. Its own may be another, see [`Sandbox::load`].
    fn insert(&mut self, profile: Profile, loaded: &Arc<Loaded>) {
        self.uses += 1;
        let used = CachedComponent { loaded: loaded.clone(), last: self.uses };
        self.components.insert((profile, loaded.shape.digest), used);
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

/// A component that is ready for a turn.
pub(crate) struct Ready {
    pub(crate) loaded: Arc<Loaded>,
    /// The turn's wait for the code, if it is worth an entry in the transcript.
    pub(crate) wait: Option<CompileRecord>,
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
    /// `retry_delay` is the time before a failed load is tried again for the first time.
    /// Finished compilations are sent to `notices`.
    pub(crate) fn new(
        store: Store,
        sandbox: Sandbox,
        retry_delay: Duration,
        notices: broadcast::Sender<RuntimeEvent>,
    ) -> Self {
        Self {
            store,
            sandbox,
            notices,
            loaded: Mutex::default(),
            compiling: Arc::new(Semaphore::new(1)),
            examining: Arc::new(Semaphore::new(1)),
            loading: Arc::new(Semaphore::new(CONCURRENT_LOADS)),
            under_way: Arc::default(),
            retries: CompileRetries::new(retry_delay),
            pending: Mutex::default(),
            storing: Arc::default(),
        }
    }

    /// Tells those who follow the runtime that a compilation ended.
    fn notify(&self, digest: ComponentDigest, compiled: bool) {
        // Without followers there is no receiver.
        drop(self.notices.send(RuntimeEvent::Compiled(CompiledEvent { digest, compiled })));
    }

    /// Returns the use of WASI 0.3.
    pub(crate) fn wasi_0_3(&self) -> Wasi03 {
        self.sandbox.wasi_0_3()
    }

    /// Returns the compilation profile of a worker with these limits.
    pub(crate) fn profile(limits: &Limits) -> Profile {
        match limits.get(LimitName::fuel) {
            skep_protocol::limits::OFF => Profile::Default,
            _ => Profile::Deterministic,
        }
    }

    /// Returns the component for a turn, compiled and linked. A failure that may pass is tried again:
    /// within this turn if the host lacked a resource or its compiler died, otherwise by the next.
    pub(crate) async fn load(
        &self,
        digest: ComponentDigest,
        profile: Profile,
    ) -> Result<Ready, NotReady> {
        if let Some(loaded) = self.find(digest, profile) {
            return Ok(Ready { loaded, wait: None });
        }
        let (key, began) = ((profile, digest), Instant::now());
        let before = self.retries.count(&key);
        loop {
            self.retries.wait(&key).await;
            if let Some((failures, error)) = self.retries.since(&key, before)
                && (failures >= ATTEMPTS || !error.is_brief())
            {
                return Err(NotReady::Again(error));
            }
            match self.load_from(digest, profile, Weak::new(), Caller::Turn).await {
                Ok(Some((loaded, compiled))) => {
                    self.retries.forget(&digest);
                    if compiled {
                        self.notify(digest, true);
                    }
                    let wait = wait(&loaded, began.elapsed(), compiled);
                    return Ok(Ready { loaded, wait });
                }
                // Another turn failed meanwhile.
                Ok(None) => {}
                Err(error) if error.is_final() => return Err(error),
                Err(error) => {
                    let error = self.retries.failed_again(key, error);
                    tracing::warn!(%error, component = %digest, "failed to load a component");
                    if !error.is_brief() {
                        return Err(NotReady::Again(error));
                    }
                }
            }
            if let Some((failures, error)) = self.retries.since(&key, before)
                && failures >= ATTEMPTS
            {
                return Err(NotReady::Again(error));
            }
        }
    }

    /// Loads the component from `wasm` if the bytes are still alive when a permit is granted, and
    /// otherwise from the store. Also returns true if it was compiled. Returns `None` to a turn that
    /// must wait for the next attempt.
    async fn load_from(
        &self,
        digest: ComponentDigest,
        profile: Profile,
        wasm: Weak<Vec<u8>>,
        caller: Caller,
    ) -> Result<Option<(Arc<Loaded>, bool)>, NotReady> {
        let key = (profile, digest);
        if let Some(loaded) = self.find(digest, profile) {
            return Ok(Some((loaded, false)));
        }
        let is_compiled = self.sandbox.is_compiled(&digest, profile);
        let permits = if is_compiled { &self.loading } else { &self.compiling };
        let permit = permits.clone().acquire_owned().await;
        if let Some(loaded) = self.find(digest, profile) {
            return Ok(Some((loaded, false)));
        }
        if caller == Caller::Turn && self.retries.delay(&key).is_some() {
            return Ok(None);
        }
        let under_way = (!is_compiled).then(|| UnderWay::begin(&self.under_way, key));
        let (store, sandbox) = (self.store.clone(), self.sandbox.clone());
        let load = tokio::task::spawn_blocking(move || {
            // Both end with the compilation, even if no caller waits for it any more.
            let (_permit, _under_way) = (permit, under_way);
            let wasm = match wasm.upgrade() {
                Some(wasm) => wasm,
                None => Arc::new(store.component_bytes(&digest)?.ok_or(NotReady::Missing)?),
            };
            drop(store);
            let (loaded, outcome) = sandbox.load(&wasm, profile)?;
            if let CompileOutcome::Miss { kept: Err(error), .. } = &outcome {
                tracing::warn!(%error, component = %digest, "failed to cache the compiled code");
            }
            Ok::<_, NotReady>((loaded, matches!(outcome, CompileOutcome::Miss { .. })))
        });
        let (loaded, compiled) = load.await.map_err(|_| NotReady::Panicked)??;
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).insert(profile, &loaded);
        Ok(Some((loaded, compiled)))
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
            let loading =
                components.load_from(digest, Profile::Default, wasm, Caller::Upload).await;
            let prepared = match loading {
                Ok(_) => {
                    components.retries.forget(&digest);
                    Prepared::Ready
                }
                Err(NotReady::Missing) => Prepared::Abandoned,
                Err(error) => {
                    tracing::warn!(%error, component = %digest, "failed to prepare a component");
                    Prepared::Failed(caller_error(&error))
                }
            };
            // The entry goes after the component is in the cache, so that a lookup always finds one
            // of them.
            components.pending().remove(&digest);
            match &prepared {
                Prepared::Ready => components.notify(digest, true),
                Prepared::Failed(_) => components.notify(digest, false),
                Prepared::Abandoned => {}
            }
            sender.send_replace(Some(prepared));
        });
        prepared
    }

    /// Validates a component in the compiling child, without compiling it.
    pub(crate) async fn examine(&self, wasm: Arc<Vec<u8>>) -> Result<(), NotReady> {
        let permit = self.examining.clone().acquire_owned().await;
        let sandbox = self.sandbox.clone();
        let examined = tokio::task::spawn_blocking(move || {
            // It is held until the child ends, even if the caller does not wait for it any more.
            let _permit = permit;
            sandbox.examine(&wasm)
        });
        let examined = examined.await.map_err(|_| NotReady::Panicked)?;
        Ok(examined?)
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
    pub(crate) fn compiled(&self, digest: &ComponentDigest) -> Compiled {
        let profile = Profile::Default;
        if self.find(*digest, profile).is_some() {
            Compiled::Ready
        } else if self.pending().contains_key(digest) || self.since(digest).is_some() {
            Compiled::Pending
        } else if self.sandbox.is_compiled(digest, profile) {
            Compiled::Ready
        } else {
            Compiled::None
        }
    }

    /// Returns the public view of a stored component.
    pub(crate) fn view(&self, record: ComponentRecord) -> ComponentView {
        let compiled = self.compiled(&record.digest);
        let size = match compiled {
            Compiled::Ready => self.sandbox.compiled_size(&record.digest, Profile::Default),
            Compiled::Pending | Compiled::None => None,
        };
        let taken = size.and_then(|size| size.took).or_else(|| self.since(&record.digest));
        ComponentView {
            compiled,
            compiled_bytes: size.map(|size| size.bytes),
            compile_ms: taken.map(millis),
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

    /// Returns the time since the start of a component's compilation, if it is under way.
    fn since(&self, digest: &ComponentDigest) -> Option<Duration> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let of = under_way.iter().filter(|((_, component), _)| component == digest);
        of.map(|(_, began)| began.elapsed()).max()
    }

    /// Lets the next turn try a component at once that failed to load.
    pub(crate) fn retry_now(&self, digest: &ComponentDigest) {
        self.retries.forget(digest);
    }

    /// Drops a removed component from the cache.
    pub(crate) fn forget(&self, digest: &ComponentDigest) {
        self.retries.forget(digest);
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

/// The caller that a component is loaded for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// A turn. It waits while a failure is too recent.
    Turn,
    /// An upload, which tries at once.
    Upload,
}

/// A compilation under way. Its entry is removed when this is dropped.
struct UnderWay {
    all: Arc<Mutex<HashMap<Key, Instant>>>,
    key: Key,
}

impl UnderWay {
    fn begin(all: &Arc<Mutex<HashMap<Key, Instant>>>, key: Key) -> Self {
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Instant::now());
        Self { all: all.clone(), key }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Returns the record of a turn's wait for code. Code that was there at once has none.
fn wait(loaded: &Loaded, waited: Duration, compiled: bool) -> Option<CompileRecord> {
    (compiled || waited >= LONG_WAIT).then(|| CompileRecord {
        component: loaded.shape.digest,
        wait_ms: millis(waited),
        compile_ms: loaded.compiled.took.map(millis),
        compiled_bytes: loaded.compiled.bytes,
        cached: !compiled,
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Delay after which a caller may try again when the host lacks a resource.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Maps a failure to load a component to the error that the caller sees.
pub(crate) fn caller_error(error: &NotReady) -> Error {
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
        NotReady::Again(error) => caller_error(error),
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
