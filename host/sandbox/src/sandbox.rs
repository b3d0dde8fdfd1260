//! The sandbox: engines, compiler and cache together. Bytes go in, instances come out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use crate::code::compiled::{CompiledCache, CompiledFile, FreshCode};
use cap_std::fs::Dir;
use skep_protocol::{ComponentDigest, ComponentKind, Limits};

use crate::code::compile::{CompileBounds, CompileError, CompileJob, Compiler};
use crate::code::engine::{Allocator, Engine, Profile, compatibility_hash};
use crate::code::loaded::{CompileOutcome, LinkError, Loaded, Unkept, link};
use crate::code::shortage::Shortage;
use crate::egress::Outbound;
use crate::guest::turn::Turn;
use crate::instance::{Done, Instance};
use crate::limits::kill::KillSwitch;
use crate::limits::slots::{CpuSlots, Share};
use crate::outcome::Ended;
use crate::preflight::shape::{Refusal, Shape};
use crate::wasi::spec::GuestSpec;

/// What a sandbox is made of.
pub struct SandboxParts {
    /// How many guests may compute at once.
    pub cores: usize,
    /// How many instances are to live at once.
    pub workers: u32,
    /// Who compiles.
    pub compiler: Arc<dyn Compiler>,
    /// Where native code is kept: a directory that only we can write to. Without one, and where it
    /// cannot be used, each load of a component that is not in use compiles it.
    pub cache: Option<Dir>,
    /// The limits on components and their compilation. Of those that a worker may have of its own,
    /// what a component has at its start is held to these; see [`Limits::for_any_worker`].
    pub limits: Limits,
    /// What sends the requests of guests.
    pub outbound: Outbound,
}

/// Runs guests. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox(Arc<SandboxState>);

struct SandboxState {
    parts: SandboxParts,
    slots: Arc<CpuSlots>,
    engines: [OnceLock<Arc<Engine>>; 2],
    /// Those that someone has. Each holds a descriptor and some memory, so this keeps none.
    loaded: Mutex<HashMap<(Profile, ComponentDigest), Weak<Loaded>>>,
    guests: tokio::runtime::Handle,
    /// Taken when the sandbox is dropped, which may happen on one of its own threads.
    owned: Option<tokio::runtime::Runtime>,
}

impl Drop for SandboxState {
    fn drop(&mut self) {
        if let Some(guests) = self.owned.take() {
            guests.shutdown_background();
        }
    }
}

/// Why a component could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not one that runs here.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It does not compile within its limits, or at all.
    #[error(transparent)]
    Compile(CompileError),
    /// The host has not what it takes.
    #[error(transparent)]
    Shortage(Shortage),
    /// The engine does not start.
    #[error("failed to start the engine: {0}")]
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
            LinkError::Shortage(shortage) => Self::Shortage(shortage),
        }
    }
}

impl Sandbox {
    /// Starts the threads that guests run on: one for each core that may compute, and one more,
    /// so that timers and wake-ups are served while all of those are busy.
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

    /// A part in the cores, for a guest that runs elsewhere.
    pub fn share(&self) -> Share {
        self.0.slots.share()
    }

    /// The tokio runtime that guests run on.
    pub fn guests(&self) -> &tokio::runtime::Handle {
        &self.0.guests
    }

    /// Makes a component ready: reads it, refuses what cannot run, compiles what has not been
    /// compiled. Blocks for as long as that takes.
    pub fn load(
        &self,
        wasm: &[u8],
        profile: Profile,
    ) -> Result<(Arc<Loaded>, CompileOutcome), LoadError> {
        let limits = &self.0.parts.limits;
        let shape = Shape::read(wasm, limits)?;
        let kind = shape.check(limits)?;
        let key = (profile, shape.digest);
        if let Some(loaded) = self.loaded().get(&key).and_then(Weak::upgrade) {
            return Ok((loaded, CompileOutcome::Hit));
        }
        let engine = self.engine(profile)?;
        let (native, outcome) = self.native(&engine, wasm, &shape, profile)?;
        let code = link(&engine, shape.abi, kind, native.file())?;
        let native = Some(native).filter(|_| kind == ComponentKind::Command);
        let loaded = Arc::new(Loaded { shape, kind, profile, code, native });
        let mut all = self.loaded();
        all.retain(|_, loaded| loaded.strong_count() > 0);
        all.insert(key, Arc::downgrade(&loaded));
        Ok((loaded, outcome))
    }

    /// The native code of a component: as it was kept, or as it is compiled now.
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
        let code = self.compile(wasm, shape, profile)?;
        let took = began.elapsed();
        let (native, kept) = match cache.and_then(|cache| Ok(cache.keep(&shape.digest, &code)?)) {
            Ok(native) => (native, Ok(())),
            Err(unkept) => (code.seal().map_err(CompileError::from)?, Err(unkept)),
        };
        Ok((native, CompileOutcome::Miss { took, kept }))
    }

    fn compile(
        &self,
        wasm: &[u8],
        shape: &Shape,
        profile: Profile,
    ) -> Result<FreshCode, CompileError> {
        let code = FreshCode::new()?;
        self.0.parts.compiler.compile(CompileJob {
            wasm,
            abi: shape.abi,
            profile,
            bounds: CompileBounds::of(&self.0.parts.limits, shape.code_bytes),
            out: Some(code.writer()?),
        })?;
        Ok(code)
    }

    fn cache(&self, engine: &Engine) -> Result<CompiledCache, Unkept> {
        let dir = self.0.parts.cache.as_ref().ok_or(Unkept::NoCache)?;
        Ok(CompiledCache::open(dir, &compatibility_hash(&engine.wasmtime))?)
    }

    /// Whether there is native code for a component. Damage to it is found when it is loaded.
    pub fn is_compiled(&self, digest: &ComponentDigest, profile: Profile) -> bool {
        if self.loaded().get(&(profile, *digest)).is_some_and(|loaded| loaded.strong_count() > 0) {
            return true;
        }
        let Ok(engine) = self.engine(profile) else { return false };
        self.cache(&engine).is_ok_and(|cache| cache.has(digest))
    }

    /// Instantiates a component, with the record and the kill switch of its first turn.
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

    /// Where instances of a profile get their memory from.
    pub fn allocator(&self, profile: Profile) -> Result<Allocator, LoadError> {
        Ok(self.engine(profile)?.allocator)
    }

    fn engine(&self, profile: Profile) -> Result<Arc<Engine>, LoadError> {
        let slot = &self.0.engines[profile as usize];
        if let Some(engine) = slot.get() {
            return Ok(engine.clone());
        }
        let engine = Engine::start(profile, self.0.parts.workers).map_err(|error| {
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
