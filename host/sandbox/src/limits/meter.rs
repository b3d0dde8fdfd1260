//! The limits on what a guest may hold: memories, tables and instances, summed over its store.
//!
//! wasmtime's own `StoreLimits` bounds each memory and table by itself, so a component of thirty
//! memories would have thirty times the limit.

use std::sync::Arc;

use skep_protocol::Limits;
use wasmtime::ResourceLimiterAsync;

use crate::limits::admission::MemoryAdmission;

/// Counts a store's memories and tables against its limits.
#[derive(Debug)]
pub(crate) struct Meter {
    memory: Gauge,
    table: Gauge,
    instances: usize,
    memories: usize,
    tables: usize,
    admission: Arc<dyn MemoryAdmission>,
}

#[derive(Debug)]
struct Gauge {
    limit: usize,
    used: usize,
    peak: usize,
    last: usize,
    denied: bool,
}

impl Meter {
    pub(crate) fn new(limits: &Limits, admission: Arc<dyn MemoryAdmission>) -> Self {
        Self {
            memory: Gauge::new(limits.memory_bytes),
            table: Gauge::new(limits.table_elements),
            instances: clamp(limits.core_instances),
            memories: clamp(limits.memories),
            tables: clamp(limits.tables),
            admission,
        }
    }

    /// Forgets what an earlier turn did: its peak, and what it was refused.
    pub(crate) fn begin_turn(&mut self) {
        for gauge in [&mut self.memory, &mut self.table] {
            gauge.peak = gauge.used;
            gauge.denied = false;
        }
    }

    /// The memory in use, in bytes.
    pub(crate) fn memory_used(&self) -> u64 {
        self.memory.used as u64
    }

    /// The most memory that was in use at once in this turn, in bytes.
    pub(crate) fn memory_peak(&self) -> u64 {
        self.memory.peak as u64
    }

    /// Whether growing a memory was refused in this turn.
    pub(crate) fn memory_denied(&self) -> bool {
        self.memory.denied
    }

    /// Whether growing a table was refused in this turn.
    pub(crate) fn table_denied(&self) -> bool {
        self.table.denied
    }
}

impl Gauge {
    fn new(limit: u64) -> Self {
        Self { limit: clamp(limit), used: 0, peak: 0, last: 0, denied: false }
    }

    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        let growth = desired.saturating_sub(current);
        self.last = 0;
        if growth > self.limit.saturating_sub(self.used) {
            self.denied = true;
            return false;
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The guest's own bound: the engine refuses by itself, and it is no denial of ours.
            return false;
        }
        self.used += growth;
        self.last = growth;
        self.peak = self.peak.max(self.used);
        true
    }

    fn undo(&mut self) {
        self.used -= std::mem::take(&mut self.last);
        self.denied = true;
    }
}

#[async_trait::async_trait]
impl ResourceLimiterAsync for Meter {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if !self.memory.grow(current, desired, maximum) {
            return Ok(false);
        }
        let growth = self.memory.last as u64;
        let lent = growth == 0 || self.admission.reserve(growth).await;
        if !lent {
            self.memory.undo();
        }
        Ok(lent)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        // One of ours, or of the guest's own bound, is called failed as well.
        let last = self.memory.last as u64;
        if last > 0 {
            self.admission.release(last);
        }
        self.memory.undo();
        Ok(())
    }

    async fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table.grow(current, desired, maximum))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        // Nothing is credited: the engine says this of a growth by more than there are numbers too,
        // which it did not ask about, and which would undo the one before.
        self.table.denied = true;
        Ok(())
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

fn clamp(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
