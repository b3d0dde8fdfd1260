//! The recent past of resource usage, as samples kept in memory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Samples of a worker's usage, oldest first. Empty if it did nothing lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerHistory {
    /// Shortest distance of two samples. There is none while the worker does nothing.
    pub interval_ms: u64,
    /// The samples.
    pub items: Vec<WorkerSample>,
}

/// A worker's usage at some time. Turns and times count from the worker's creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerSample {
    /// Time of the sample.
    pub at: Timestamp,
    /// Turns, however they ended.
    pub turns: u64,
    /// Time on a CPU, in microseconds.
    pub cpu_us: u64,
    /// Time of turns from start to end, in microseconds.
    pub wall_us: u64,
    /// Peak memory of the last turn in bytes.
    pub memory_bytes: u64,
    /// Bytes in its directory.
    pub disk_bytes: u64,
    /// Bytes of its transcript.
    pub transcript_bytes: u64,
    /// Inputs without an outcome.
    pub queued_inputs: u64,
}

/// Samples of a runtime's load, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeHistory {
    /// Distance of two samples.
    pub interval_ms: u64,
    /// The samples.
    pub items: Vec<RuntimeSample>,
}

/// A runtime's load at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeSample {
    /// Time of the sample.
    pub at: Timestamp,
    /// Workers.
    pub workers: u64,
    /// Live instances.
    pub connected: u64,
    /// Memory reserved for live instances, in bytes.
    pub memory_bytes: u64,
    /// Turns since the runtime started.
    pub turns: u64,
    /// Inputs without an outcome, of the workers in use.
    pub queued_inputs: u64,
}
