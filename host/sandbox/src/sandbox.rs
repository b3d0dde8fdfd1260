//! The sandbox: engines, compiler and cache. It turns bytes into instances.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::code::compiled::{CompiledCache, CompiledFile, CompiledSize, FreshCode};
use cap_std::fs::Dir;
use skep_protocol::{ComponentDigest, ComponentKind, Limits};

use crate::code::compile::{CompileBounds, CompileError, CompileJob, Compiler};
use crate::code::compile_lock::TakenLock;
use crate::code::engine::{Allocator, Engine, Profile, compatibility_hash};
use crate::code::function_cache::{FunctionCache, Incremental};
use crate::code::functions::FunctionFiles;
use crate::code::loaded::{CompileOutcome, LinkError, Loaded, Unkept, link};
use crate::code::places;
use crate::code::shortage::Shortage;
use crate::egress::Outbound;
use crate::guest::turn::Turn;
use crate::instance::{Done, Instance};
use crate::limits::kill::KillSwitch;
use crate::limits::slots::{CpuSlots, Share};
use crate::outcome::Ended;
use crate::preflight::interfaces::Wasi03;
use crate::preflight::shape::{Refusal, Shape};
use crate::wasi::spec::GuestSpec;

/// The parts that a sandbox is built from.
pub struct SandboxParts {
    /// Maximum guests that compute concurrently.
    pub cores: usize,
    /// The expected number of live instances.
    pub workers: u32,
    /// The compiler.
    pub compiler: Arc<dyn Compiler>,
    /// The cache of native code, a directory that only the host can write to. Without a usable
    /// cache, every load compiles, unless the component is in use.
    pub cache: Option<Dir>,
    /// The use of compiled functions of other components.
    pub incremental: Incremental,
    /// The limits on components and their compilation. A component's initial sizes are checked
    /// against them, not against a worker's own limits; see [`Limits::for_any_worker`].
    pub limits: Limits,
    /// Sends the requests of guests.
    pub outbound: Outbound,
    /// The use of WASI 0.3.
    pub wasi_0_3: Wasi03,
}

/// Runs guests. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox(Arc<SandboxState>);

struct SandboxState {
    parts: SandboxParts,
    slots: Arc<CpuSlots>,
    engines: [OnceLock<Arc<Engine>>; Profile::ALL.len()],
    /// The components in use. References are weak, because each component holds a descriptor and
    /// memory.
    loaded: Mutex<HashMap<(Profile, ComponentDigest), Weak<Loaded>>>,
    guests: tokio::runtime::Handle,
    /// Taken in `drop`, which may run on one of the runtime's own threads.
    owned: Option<tokio::runtime::Runtime>,
}

impl Drop for SandboxState {
    fn drop(&mut self) {
        if let Some(guests) = self.owned.take() {
            guests.shutdown_background();
        }
    }
}

/// The reason that a component cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot run here.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The compilation failed or exceeded a limit.
    #[error(transparent)]
    Compile(CompileError),
    /// A shortage on the host.
    #[error(transparent)]
    Shortage(Shortage),
    /// The engine cannot be started, or did not take native code that was compiled for it.
    #[error("the engine failed: {0}")]
    Engine(String),
}

impl From<CompileError> for LoadError {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Shortage(shortage) => Self::Shortage(shortage),
            error => Self::Compile(error),
        }
    }
}

impl From<LinkError> for LoadError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Refused(refusal) => Self::Refused(refusal),
            LinkError::Engine(why) => Self::Engine(why),
            LinkError::Shortage(shortage) => Self::Shortage(shortage),
        }
    }
}

impl SandboxParts {
    /// Creates the parts of a sandbox with the default limits that uses all cores, keeps no native
    /// code and has room for 64 instances.
    pub fn new(compiler: Arc<dyn Compiler>) -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            workers: 64,
            compiler,
            cache: None,
            incremental: Incremental::Off,
            limits: Limits::default(),
            outbound: Outbound::default(),
            wasi_0_3: Wasi03::Off,
        }
    }
}

impl Sandbox {
    /// Starts the threads that guests run on: one for each core, and one more that serves timers
    /// and wake-ups while all cores compute.
    pub fn start(parts: SandboxParts) -> std::io::Result<Self> {
        let guests = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(parts.cores + 1)
            .thread_name("skep-guest")
            .enable_time()
            .build()?;
        let slots = CpuSlots::new(parts.cores);
        let (engines, loaded) = Default::default();
        let (handle, owned) = (guests.handle().clone(), Some(guests));
        Ok(Self(Arc::new(SandboxState { parts, slots, engines, loaded, guests: handle, owned })))
    }

    /// Returns a share of the CPU slots for a guest outside this process.
    pub fn share(&self) -> Share {
        self.0.slots.share()
    }

    /// Returns the tokio runtime that guests run on.
    pub fn guests(&self) -> &tokio::runtime::Handle {
        &self.0.guests
    }

    /// Returns the use of WASI 0.3.
    pub fn wasi_0_3(&self) -> Wasi03 {
        self.0.parts.wasi_0_3
    }

    /// Loads a component: reads it, refuses what cannot run, and compiles it if necessary. Blocks
    /// until it is done. A component that needs WASI 0.3 gets [`Profile::Concurrent`] instead of the
    /// default.
    pub fn load(
        &self,
        wasm: &[u8],
        profile: Profile,
    ) -> Result<(Arc<Loaded>, CompileOutcome), LoadError> {
        self.load_known(wasm, None, profile)
    }

    /// Does the same for a component whose digest may be known. A known one is not hashed.
    ///
    /// # Errors
    /// Those of [`Sandbox::load`].
    pub fn load_known(
        &self,
        wasm: &[u8],
        digest: Option<ComponentDigest>,
        profile: Profile,
    ) -> Result<(Arc<Loaded>, CompileOutcome), LoadError> {
        let limits = &self.0.parts.limits;
        let shape = Shape::read_known(wasm, digest, limits)?;
        let kind = shape.check(limits, self.0.parts.wasi_0_3)?;
        let profile = fitting(profile, &shape)?;
        let key = (profile, shape.digest);
        if let Some(loaded) = self.loaded().get(&key).and_then(Weak::upgrade) {
            return Ok((loaded, CompileOutcome::Hit));
        }
        let engine = self.engine(profile)?;
        let (native, outcome) = self.native(&engine, wasm, &shape, profile)?;
        let code = link(&engine, shape.abi, kind, native.file())?;
        let compiled = native.size();
        let native = Some(native).filter(|_| kind == ComponentKind::Command);
        let loaded = Arc::new(Loaded { shape, kind, profile, compiled, code, native });
        let mut all = self.loaded();
        all.retain(|_, loaded| loaded.strong_count() > 0);
        all.insert(key, Arc::downgrade(&loaded));
        Ok((loaded, outcome))
    }

    /// Returns the native code of a component, from the cache or freshly compiled.
    fn native(
        &self,
        engine: &Engine,
        wasm: &[u8],
        shape: &Shape,
        profile: Profile,
    ) -> Result<(CompiledFile, CompileOutcome), LoadError> {
        let found = self.cache(engine).and_then(|cache| Ok((cache.get(&shape.digest)?, cache)));
        let cache = match found {
            Ok((Some(native), _)) => return Ok((native, CompileOutcome::Hit)),
            Ok((None, cache)) => Ok(cache),
            Err(unkept) => Err(unkept),
        };
        let began = Instant::now();
        let lock = cache.as_ref().map_or(TakenLock::None, |it| self.lock(it, &shape.digest));
        let waited = began.elapsed();
        if let TakenLock::Done(native) = lock {
            return Ok((native, CompileOutcome::Shared { waited }));
        }
        let began = Instant::now();
        let code = self.compile(engine, wasm, shape, profile)?;
        let took = began.elapsed();
        let kept = cache.as_ref().ok().map(|cache| cache.keep(&shape.digest, &code, took));
        drop(lock);
        let seal = || code.seal(took).map_err(CompileError::from);
        let (native, kept) = match kept {
            Some(Ok(native)) => (native, Ok(())),
            Some(Err(error)) => (seal()?, Err(error.into())),
            None => (seal()?, cache.map(drop)),
        };
        Ok((native, CompileOutcome::Miss { waited, took, kept }))
    }

    /// Takes the lock on a compilation, or waits for another process that compiles the same.
    fn lock<'a>(
        &self,
        cache: &'a CompiledCache,
        digest: &ComponentDigest,
    ) -> TakenLock<'a, CompiledFile> {
        let patience = Duration::from_millis(self.0.parts.limits.compile_wall_ms);
        cache.lock(digest, patience).unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot lock a compilation");
            TakenLock::None
        })
    }

    fn compile(
        &self,
        engine: &Engine,
        wasm: &[u8],
        shape: &Shape,
        profile: Profile,
    ) -> Result<FreshCode, CompileError> {
        let code = FreshCode::new()?;
        let engine = compatibility_hash(&engine.wasmtime);
        let cache = self.0.parts.incremental.cache(&engine);
        let functions = cache.as_ref().and_then(FunctionCache::files);
        let added = functions.as_ref().and_then(FunctionFiles::added);
        self.0.parts.compiler.compile(CompileJob {
            wasm,
            abi: shape.abi,
            profile,
            bounds: CompileBounds::of(&self.0.parts.limits, shape.code_bytes),
            out: Some(code.writer()?),
            functions,
        })?;
        if let (Some(cache), Some(added)) = (cache, added) {
            cache.keep(&added);
        }
        Ok(code)
    }

    /// Validates a component without compiling it. Takes a twentieth of the time or less.
    ///
    /// # Errors
    /// Those of [`Sandbox::load`] that the bytes cause.
    pub fn examine(&self, wasm: &[u8]) -> Result<(), LoadError> {
        let limits = &self.0.parts.limits;
        let shape = Shape::read(wasm, limits)?;
        shape.check(limits, self.0.parts.wasi_0_3)?;
        let bounds = CompileBounds::of(limits, shape.code_bytes);
        let (abi, profile) = (shape.abi, fitting(Profile::Default, &shape)?);
        self.0.parts.compiler.compile(CompileJob {
            wasm,
            abi,
            profile,
            bounds,
            functions: None,
            out: None,
        })?;
        Ok(())
    }

    /// Adds the source lines to the frames of a crash, as far as the component's DWARF tells them.
    /// `wasm` is the component's file. Blocks for some seconds at most.
    pub fn place(&self, wasm: &[u8], ended: &mut Ended) {
        let Some(crash) = ended.crash_mut() else { return };
        let positions = places::positions(crash);
        let found = self.0.parts.compiler.places(wasm, &positions);
        places::place(crash, found);
    }

    fn cache(&self, engine: &Engine) -> Result<CompiledCache, Unkept> {
        let dir = self.0.parts.cache.as_ref().ok_or(Unkept::NoCache)?;
        Ok(CompiledCache::open(dir, &compatibility_hash(&engine.wasmtime))?)
    }

    /// Returns true if there is native code for a component. Damage is detected when it is loaded.
    pub fn is_compiled(&self, digest: &ComponentDigest, profile: Profile) -> bool {
        self.stands_for(profile).any(|profile| self.is_compiled_for(digest, profile))
    }

    /// Returns the profiles that [`Sandbox::load`] may choose instead of this one, and itself.
    fn stands_for(&self, profile: Profile) -> impl Iterator<Item = Profile> + use<> {
        let is_on = profile == Profile::Default && self.0.parts.wasi_0_3 == Wasi03::On;
        std::iter::once(profile).chain(is_on.then_some(Profile::Concurrent))
    }

    fn is_compiled_for(&self, digest: &ComponentDigest, profile: Profile) -> bool {
        if self.loaded().get(&(profile, *digest)).is_some_and(|loaded| loaded.strong_count() > 0) {
            return true;
        }
        let Ok(engine) = self.engine(profile) else { return false };
        self.cache(&engine).is_ok_and(|cache| cache.has(digest))
    }

    /// Returns the size of a component's native code and the time that it took, if there is any.
    pub fn compiled_size(
        &self,
        digest: &ComponentDigest,
        profile: Profile,
    ) -> Option<CompiledSize> {
        self.stands_for(profile).find_map(|profile| self.size_for(digest, profile))
    }

    fn size_for(&self, digest: &ComponentDigest, profile: Profile) -> Option<CompiledSize> {
        let in_use = self.loaded().get(&(profile, *digest)).and_then(Weak::upgrade);
        if let Some(loaded) = in_use {
            return Some(loaded.compiled);
        }
        let engine = self.engine(profile).ok()?;
        self.cache(&engine).ok()?.size(digest)
    }

    /// Instantiates a component with the record and the kill switch of its first turn.
    pub async fn connect(
        &self,
        loaded: &Loaded,
        spec: GuestSpec,
        turn: Box<dyn Turn>,
        kill: Arc<KillSwitch>,
    ) -> Result<Instance, Done> {
        let engine =
            self.engine(loaded.profile).map_err(|error| Ended::HostFault(error.to_string()))?;
        let code = (loaded.profile, &loaded.code);
        let (slots, outbound) = (self.0.slots.clone(), self.0.parts.outbound.clone());
        Instance::connect(engine, slots, outbound, code, spec, turn, kill).await
    }

    /// Returns the allocator of a profile's instances.
    pub fn allocator(&self, profile: Profile) -> Result<Allocator, LoadError> {
        Ok(self.engine(profile)?.allocator)
    }

    fn engine(&self, profile: Profile) -> Result<Arc<Engine>, LoadError> {
        let slot = &self.0.engines[profile as usize];
        if let Some(engine) = slot.get() {
            return Ok(engine.clone());
        }
        let SandboxParts { workers, limits, .. } = &self.0.parts;
        let engine = Engine::start(profile, *workers, limits).map_err(|error| {
            Shortage::of_engine(&error)
                .map_or_else(|| LoadError::Engine(format!("{error:#}")), LoadError::Shortage)
        })?;
        Ok(slot.get_or_init(|| Arc::new(engine)).clone())
    }

    fn loaded(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<(Profile, ComponentDigest), Weak<Loaded>>> {
        self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the profile of a component for which this one is wanted.
fn fitting(wanted: Profile, shape: &Shape) -> Result<Profile, Refusal> {
    match (shape.needs_wasi_0_3(), wanted) {
        (None, wanted) => Ok(wanted),
        (Some(what), Profile::Deterministic) => Err(Refusal::Wasi03Repeatable(what)),
        (Some(_), Profile::Default | Profile::Concurrent) => Ok(Profile::Concurrent),
    }
}
