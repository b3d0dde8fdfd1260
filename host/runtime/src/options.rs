//! The settings of one runtime.

use std::time::Duration;

/// Settings of a runtime, as opposed to the limits of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Maximum number of live instances. The sandbox must have room for as many.
    pub instances: usize,
    /// Memory of all instances together, in bytes. Beyond it the runtime evicts the longest idle
    /// instances, then makes turns wait for each other, then refuses inputs with
    /// [`skep_protocol::Error::Busy`].
    pub memory_bytes: u64,
    /// Memory of idle instances, in bytes. Beyond it the longest idle are evicted.
    pub idle_bytes: u64,
    /// Time after which an idle instance is evicted.
    pub idle: Duration,
    /// Maximum number of turns in flight.
    pub turns: usize,
    /// Time that a running turn may continue after its worker was stopped.
    pub stop_grace: Duration,
    /// Number of workers reconnected at once after a restart.
    pub reconnects: usize,
    /// Time that storing a component waits for its compilation.
    pub compile_wait: Duration,
    /// Time before a component that failed to load is tried again, for a reason that may pass. It
    /// doubles with each failure.
    pub compile_retry: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            instances: 1_024,
            memory_bytes: 8 << 30,
            idle_bytes: 1 << 30,
            idle: Duration::from_secs(300),
            turns: 1_024,
            stop_grace: Duration::from_secs(5),
            reconnects: 16,
            compile_wait: Duration::from_secs(10),
            compile_retry: Duration::from_secs(1),
        }
    }
}
