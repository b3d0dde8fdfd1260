//! Limits on a guest's memories, tables and instances, summed over its store.
//!
//! wasmtime's own `StoreLimits` limits each memory and table separately, so a component with thirty
//! memories would get thirty times the limit.

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

    /// Resets the peak and the denials of the previous turn.
    pub(crate) fn begin_turn(&mut self) {
        for gauge in [&mut self.memory, &mut self.table] {
            gauge.peak = gauge.used;
            gauge.denied = false;
        }
    }

    /// Returns the memory in use, in bytes.
    pub(crate) fn memory_used(&self) -> u64 {
        self.memory.used as u64
    }

    /// Returns this turn's peak memory, in bytes.
    pub(crate) fn memory_peak(&self) -> u64 {
        self.memory.peak as u64
    }

    /// True if a memory was not allowed to grow in this turn.
    pub(crate) fn memory_denied(&self) -> bool {
        self.memory.denied
    }

    /// True if a table was not allowed to grow in this turn.
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
            // This is the guest's own maximum. The engine refuses the growth, and it does not count
            // as a denial.
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
        let reserved = growth == 0 || self.admission.reserve(growth).await;
        if !reserved {
            self.memory.undo();
        }
        Ok(reserved)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        // The engine also reports growth that this meter or the guest's own maximum refused.
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
        // Nothing is released: the engine also reports growth that overflows the index type, which
        // it did not ask about. Undoing here would undo the growth before that.
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
