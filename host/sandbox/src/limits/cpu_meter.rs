//! The CPU time of a guest, which can be read while the guest computes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::limits::cpu_time;

/// Counts the CPU time of one instance.
///
/// Only the thread that polls the guest uses it. It is atomic because the type has to be `Sync`.
#[derive(Debug, Default)]
pub(crate) struct CpuMeter {
    /// Time that was counted and not taken, in nanoseconds.
    used: AtomicU64,
    /// The clock of the thread at the last reading.
    mark: AtomicU64,
}

impl CpuMeter {
    /// Begins a poll of the guest.
    pub(crate) fn resume(&self) {
        self.mark.store(clock(), Ordering::Relaxed);
    }

    /// Counts the time since the last reading, within a poll or at its end, and returns it.
    pub(crate) fn lap(&self) -> Duration {
        let now = clock();
        let lap = now.saturating_sub(self.mark.swap(now, Ordering::Relaxed));
        self.used.fetch_add(lap, Ordering::Relaxed);
        Duration::from_nanos(lap)
    }

    /// Returns the time that was counted since the last call.
    pub(crate) fn take(&self) -> Duration {
        Duration::from_nanos(self.used.swap(0, Ordering::Relaxed))
    }
}

fn clock() -> u64 {
    u64::try_from(cpu_time::of_this_thread().as_nanos()).unwrap_or(u64::MAX)
}
