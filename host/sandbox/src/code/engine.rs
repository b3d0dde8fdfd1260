//! The engine: one per compile profile, with its linkers, its clock and its compatibility hash.

use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use skep_protocol::Limits;
use wasmtime::component;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig, WasmFeatures};

use crate::limits::ticker::Ticker;
use crate::preflight::census::TABLE_ELEMENTS;
use crate::preflight::proposals::OFFERED;
use crate::wasi::world::World;

/// How code is compiled. Each profile has its own engine and its own place in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// As fast as it goes; interrupted by epochs.
    Default,
    /// Counts fuel besides, and computes the same on every machine (canonical NaNs,
    /// deterministic relaxed SIMD).
    Deterministic,
}

impl Profile {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Default, Self::Deterministic];

    /// The word for it on the compiler's command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Deterministic => "deterministic",
        }
    }

    /// The profile with that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == word)
    }
}

/// Where instances get their memory from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocator {
    /// Slots reserved when the engine starts: instantiation costs microseconds.
    Pool {
        /// How many workers it has room for.
        workers: u32,
    },
    /// Mapped for each instance.
    OnDemand,
}

/// An engine with all that hangs on it.
pub(crate) struct Engine {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) allocator: Allocator,
    pub(crate) ticker: Ticker,
    components: OnceLock<component::Linker<World>>,
    modules: OnceLock<wasmtime::Linker<World>>,
}

impl Engine {
    /// Starts an engine with a pool for `workers`, or without one where the address space for it
    /// is not to be had.
    pub(crate) fn start(profile: Profile, workers: u32) -> wasmtime::Result<Self> {
        let (wasmtime, allocator, why) = choose(profile, workers)?;
        if let Some(error) = why {
            tracing::warn!(
                error,
                "no address space for the instance pool; instances are allocated one by one"
            );
        }
        tracing::debug!(profile = profile.as_str(), ?allocator, "engine started");
        let engine = Self::of(wasmtime, allocator);
        engine.start_clock()?;
        Ok(engine)
    }

    /// An engine for one guest, without a pool, and without a thread until its clock is started.
    pub(crate) fn still(profile: Profile) -> wasmtime::Result<Self> {
        let allocator = Allocator::OnDemand;
        Ok(Self::of(wasmtime::Engine::new(&config(profile, allocator))?, allocator))
    }

    fn of(wasmtime: wasmtime::Engine, allocator: Allocator) -> Self {
        let (ticker, components, modules) = (Ticker::still(), OnceLock::new(), OnceLock::new());
        Self { wasmtime, allocator, ticker, components, modules }
    }

    /// Starts the thread without which no guest looks up.
    pub(crate) fn start_clock(&self) -> std::io::Result<()> {
        self.ticker.start(self.wasmtime.weak())
    }

    /// Everything that components can import.
    pub(crate) fn components(&self) -> wasmtime::Result<&component::Linker<World>> {
        if let Some(linker) = self.components.get() {
            return Ok(linker);
        }
        let linker = crate::wasi::linker::component_linker(&self.wasmtime)?;
        Ok(self.components.get_or_init(|| linker))
    }

    /// Everything that preview1 modules can import.
    pub(crate) fn modules(&self) -> wasmtime::Result<&wasmtime::Linker<World>> {
        if let Some(linker) = self.modules.get() {
            return Ok(linker);
        }
        let mut linker = wasmtime::Linker::new(&self.wasmtime);
        crate::wasi::preview1::add_to_linker(&mut linker)?;
        Ok(self.modules.get_or_init(|| linker))
    }
}

/// An engine with a pool for `workers`; without one where that cannot be had, and why.
fn choose(
    profile: Profile,
    workers: u32,
) -> wasmtime::Result<(wasmtime::Engine, Allocator, Option<String>)> {
    let pool = Allocator::Pool { workers };
    match wasmtime::Engine::new(&config(profile, pool)) {
        Ok(engine) => Ok((engine, pool, None)),
        Err(error) => {
            let on_demand = Allocator::OnDemand;
            let engine = wasmtime::Engine::new(&config(profile, on_demand))?;
            Ok((engine, on_demand, Some(format!("{error:#}"))))
        }
    }
}

impl Allocator {
    /// What a host for `workers` would use here, and why where that is not the pool.
    ///
    /// # Errors
    /// Where no engine starts at all, in words.
    pub fn here(workers: u32) -> Result<(Self, Option<String>), String> {
        let chosen = choose(Profile::Default, workers).map_err(|error| format!("{error:#}"))?;
        Ok((chosen.1, chosen.2))
    }
}

/// The name of everything that compiled code depends on besides the component: compiler version,
/// processor features, settings. The same for a profile whichever allocator is used.
pub(crate) fn compatibility_hash(engine: &wasmtime::Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The standard library's hasher may change between releases; the cache must not.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the whole digest is used, not 64 bits of it")
    }
}

/// The settings of an engine. The compiling child uses the same ones without the pool, which
/// cannot start under an address-space limit.
pub(crate) fn config(profile: Profile, allocator: Allocator) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(Limits::default().wasm_stack_bytes as usize)
        // Host functions run on the guest's stack too, below the part that wasm may use.
        .async_stack_size(2 << 20)
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(OFFERED, true);
    if profile == Profile::Deterministic {
        config
            .consume_fuel(true)
            .cranelift_nan_canonicalization(true)
            .relaxed_simd_deterministic(true);
    }
    if let Allocator::Pool { workers } = allocator {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(workers)));
    }
    config
}

/// A pool for real programs: a Rust component has 3 or 4 core instances and about 3 tables, a
/// Python one 14; yosys needs a core instance of several MiB, and clang a table of 37,000.
fn pool(workers: u32) -> PoolingAllocationConfig {
    let limits = Limits::default();
    let per_worker = |count: u64, usual: u32| {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        count.max(workers.saturating_mul(usual))
    };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(workers.max(64))
        .total_core_instances(per_worker(limits.core_instances, 6))
        .total_memories(per_worker(limits.memories, 2))
        .total_tables(per_worker(limits.tables, 4))
        .total_stacks(workers.max(4))
        .total_gc_heaps(workers.max(1))
        .max_core_instances_per_component(u32::MAX)
        .max_memories_per_component(u32::MAX)
        .max_tables_per_component(u32::MAX)
        .max_core_instance_size(8 << 20)
        .max_component_instance_size(16 << 20)
        .max_memories_per_module(8)
        .max_tables_per_module(8)
        .table_elements(TABLE_ELEMENTS as usize);
    pool
}
