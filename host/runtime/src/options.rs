//! The numbers an operator sets for one runtime.

use std::time::Duration;

/// Numbers of a runtime, as opposed to those of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Live instances at once. The sandbox must have room for as many.
    pub instances: usize,
    /// Memory of all instances together, in bytes: beyond it the longest idle are let go, then turns
    /// wait for each other, then inputs are refused as [`skep_protocol::Error::Busy`].
    pub memory_bytes: u64,
    /// Memory of instances that rest, in bytes: beyond it the longest idle are let go.
    pub idle_bytes: u64,
    /// How long an instance may rest.
    pub idle: Duration,
    /// Turns in flight at once.
    pub turns: usize,
    /// How long a running turn may go on after its worker was stopped.
    pub stop_grace: Duration,
    /// Workers reconnected at once after a restart.
    pub reconnects: usize,
    /// How long storing a component waits for it to be compiled.
    pub compile_wait: Duration,
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
        }
    }
}
