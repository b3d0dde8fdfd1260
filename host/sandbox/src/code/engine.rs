//! The engine. Each compile profile has one, with its linkers, clock and compatibility hash.

use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use skep_protocol::Limits;
use skep_protocol::limits::OFF;
use wasmtime::component;
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmFeatures,
};

use crate::limits::ticker::Ticker;
use crate::preflight::census::{MEMORY_BYTES, TABLE_ELEMENTS};
use crate::preflight::proposals::{OFFERED, OFFERED_CONCURRENTLY};
use crate::wasi::world::World;

/// A compiler configuration. Each profile has its own engine and cache directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// The fastest code, interrupted by epochs.
    Default,
    /// Also counts fuel, and computes the same results on every machine (canonical NaNs,
    /// deterministic relaxed SIMD).
    Deterministic,
    /// Runs several tasks of a guest side by side, for WASI 0.3 and the async ABI of components. Each call
    /// into a guest costs some microseconds more.
    Concurrent,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 3] = [Self::Default, Self::Deterministic, Self::Concurrent];

    /// Returns the name on the compiler's command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Deterministic => "deterministic",
            Self::Concurrent => "concurrent",
        }
    }

    /// Parses the name from the compiler's command line.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == word)
    }

    /// Returns the WebAssembly proposals that it supports.
    pub(crate) const fn proposals(self) -> WasmFeatures {
        match self {
            Self::Default | Self::Deterministic => OFFERED,
            Self::Concurrent => OFFERED_CONCURRENTLY,
        }
    }
}

/// The source of instances' memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocator {
    /// Slots that are reserved when the engine starts. Instantiation takes microseconds.
    Pool {
        /// The number of workers that it has room for.
        workers: u32,
    },
    /// Memory that is mapped for each instance.
    OnDemand,
}

/// A wasmtime engine with its linkers and clock.
pub(crate) struct Engine {
    pub(crate) wasmtime: wasmtime::Engine,
    profile: Profile,
    pub(crate) allocator: Allocator,
    pub(crate) ticker: Ticker,
    components: OnceLock<component::Linker<World>>,
    modules: OnceLock<wasmtime::Linker<World>>,
}

impl Engine {
    /// Starts an engine with a pool for `workers`, or without a pool if there is no address space
    /// for it, or if a guest within `limits` may be too large for one.
    pub(crate) fn start(profile: Profile, workers: u32, limits: &Limits) -> wasmtime::Result<Self> {
        // A guest with many tasks needs many stacks. From a pool, it would take those of its neighbours.
        let without_pool = profile == Profile::Concurrent || exceed_pool(limits);
        let (wasmtime, allocator, why) = match without_pool {
            true => {
                let allocator = Allocator::OnDemand;
                (wasmtime::Engine::new(&config(profile, allocator))?, allocator, None)
            }
            false => choose(profile, workers)?,
        };
        if let Some(error) = why {
            tracing::warn!(
                error,
                "no address space for the instance pool; instances are allocated one by one"
            );
        }
        tracing::debug!(profile = profile.as_str(), ?allocator, "engine started");
        let engine = Self::of(wasmtime, profile, allocator);
        engine.start_clock()?;
        Ok(engine)
    }

    /// Creates an engine for one guest, without a pool. It has no thread until its clock is
    /// started.
    pub(crate) fn without_clock(profile: Profile) -> wasmtime::Result<Self> {
        let allocator = Allocator::OnDemand;
        Ok(Self::of(wasmtime::Engine::new(&config(profile, allocator))?, profile, allocator))
    }

    fn of(wasmtime: wasmtime::Engine, profile: Profile, allocator: Allocator) -> Self {
        let (ticker, components, modules) = (Ticker::stopped(), OnceLock::new(), OnceLock::new());
        Self { wasmtime, profile, allocator, ticker, components, modules }
    }

    /// Starts the thread that advances the epoch. Without it, computing guests cannot be
    /// interrupted.
    pub(crate) fn start_clock(&self) -> std::io::Result<()> {
        self.ticker.start(self.wasmtime.weak())
    }

    /// Returns the linker of everything that components can import.
    pub(crate) fn components(&self) -> wasmtime::Result<&component::Linker<World>> {
        if let Some(linker) = self.components.get() {
            return Ok(linker);
        }
        let mut linker = crate::wasi::linker::component_linker(&self.wasmtime)?;
        if self.profile == Profile::Concurrent {
            crate::wasi::preview3::add_to_linker(&mut linker)?;
        }
        Ok(self.components.get_or_init(|| linker))
    }

    /// Returns the linker of everything that preview1 modules can import.
    pub(crate) fn modules(&self) -> wasmtime::Result<&wasmtime::Linker<World>> {
        if let Some(linker) = self.modules.get() {
            return Ok(linker);
        }
        let mut linker = wasmtime::Linker::new(&self.wasmtime);
        crate::wasi::preview1::add_to_linker(&mut linker)?;
        Ok(self.modules.get_or_init(|| linker))
    }
}

/// Creates an engine with a pool for `workers`. Falls back to one without a pool, and returns the
/// reason.
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
    /// Returns the allocator that a host for `workers` would use on this machine, and the reason if
    /// it is not the pool.
    ///
    /// # Errors
    /// If no engine can be started.
    pub fn here(workers: u32) -> Result<(Self, Option<String>), String> {
        let chosen = choose(Profile::Default, workers).map_err(|error| format!("{error:#}"))?;
        Ok((chosen.1, chosen.2))
    }
}

/// Returns a hash of everything besides the component that compiled code depends on: compiler
/// version, processor features, settings. It does not depend on the allocator.
pub(crate) fn compatibility_hash(engine: &wasmtime::Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The standard library's hasher may change between releases. Cache directories must not.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the whole digest is used")
    }
}

/// Returns the settings of an engine. The compiler child uses them without the pool, which cannot
/// start under an address-space limit.
pub(crate) fn config(profile: Profile, allocator: Allocator) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // This process never reads a guest's DWARF, see `places`, whatever its environment says.
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable)
        .max_wasm_stack(Limits::default().wasm_stack_bytes as usize)
        // Host functions run on the guest's stack too, below the part that wasm may use.
        .async_stack_size(2 << 20)
        // Without it, a call into a guest is a plain call on a fiber.
        .concurrency_support(profile == Profile::Concurrent)
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(profile.proposals(), true);
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

/// Returns true if limits allow more than one guest can get from a pool. Limits that are off are those of
/// a host, where each worker has its own.
fn exceed_pool(limits: &Limits) -> bool {
    let defaults = Limits::default();
    [
        (limits.core_instances, defaults.core_instances),
        (limits.memories, defaults.memories),
        (limits.tables, defaults.tables),
        (limits.table_elements, TABLE_ELEMENTS),
        (limits.memory_bytes, MEMORY_BYTES),
    ]
    .into_iter()
    .any(|(limit, most)| limit != OFF && limit > most)
}

/// Bytes of a linear memory, and of a table, that stay in place when its slot is free. They are reset by
/// writing, which costs less than giving pages back to the kernel and faulting them in again: other cores
/// are not interrupted. It is about what a small guest touches.
const KEPT_RESIDENT: usize = 128 << 10;

/// Free memories that keep their pages and their image for the next instance of the same code. With
/// [`KEPT_RESIDENT`] it bounds what a host holds for guests that are gone: 4 MiB.
const WARM_SLOTS: u32 = 32;

/// Returns a pool configuration for real programs. A Rust component has 3 or 4 core instances and
/// about 3 tables, a Python component 14. Yosys needs a core instance of several MiB, and clang a
/// table of 37,000 elements.
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
        .table_elements(TABLE_ELEMENTS as usize)
        // The kernel says which pages were written, so only those are reset.
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(WARM_SLOTS)
        .linear_memory_keep_resident(KEPT_RESIDENT)
        .table_keep_resident(KEPT_RESIDENT);
    pool
}
