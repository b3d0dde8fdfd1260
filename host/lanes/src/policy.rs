//! The policy of a worker's HTTP instances.

use skep_protocol::{HttpInstances, HttpSpec, Limits};

/// The policy of a worker's HTTP instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpPolicy {
    /// The lifetime of an instance.
    pub instances: HttpInstances,
    /// Requests that an instance handles at most, unless it is fresh. Each instance draws a number
    /// between half of it and all of it, so that instances that began together are not replaced
    /// together.
    pub reuse: u32,
    /// Memory by which an instance may grow after its first request before it is replaced, in bytes.
    pub growth_bytes: u64,
    /// Requests that run at once.
    pub at_once: u32,
    /// Requests that wait for one of those to end. Further ones are refused.
    pub queue: u32,
}

/// Growth beyond which an instance is replaced.
const GROWTH_BYTES: u64 = 32 << 20;

impl HttpPolicy {
    /// Returns the policy of a spec under these limits.
    pub fn new(spec: HttpSpec, limits: &Limits) -> Self {
        let count = |limit: u64| u32::try_from(limit).unwrap_or(u32::MAX);
        Self {
            instances: spec.instances,
            reuse: spec.reuse.unwrap_or(HttpSpec::REUSE).max(1),
            growth_bytes: GROWTH_BYTES,
            at_once: count(limits.http_at_once).max(1),
            queue: count(limits.http_queue),
        }
    }

    /// Returns the reason that a component cannot have these instances, if it cannot.
    /// `handles_several` tells whether it can handle several requests at once.
    pub const fn refusal(instances: HttpInstances, handles_several: bool) -> Option<&'static str> {
        match instances {
            HttpInstances::Concurrent if !handles_several => Some(
                "its instances cannot be concurrent: it does not export wasi:http/handler@0.3, which \
                 can handle several requests at once; use fresh or serial",
            ),
            _ => None,
        }
    }

    /// Returns true if requests may write the worker's state: each sees what the one before it wrote.
    pub fn may_write_state(&self) -> bool {
        self.instances == HttpInstances::Serial && self.at_once == 1
    }
}
