//! The flags for how an HTTP worker's instances are used.

use clap::Args;
use skep_protocol::{HttpEntries, HttpInstances, HttpSpec};

/// The reuse of an HTTP worker's instances.
#[derive(Args, Clone, Copy)]
pub(super) struct HttpFlags {
    /// Lifetime of an HTTP worker's instances: `fresh` gives each request its own, `serial` uses one
    /// again for requests one after the other, `concurrent` gives it several at once (only handlers
    /// of WASI 0.3) [default: fresh]
    #[arg(long, value_name = "HOW")]
    instances: Option<HttpInstances>,

    /// Requests that an instance handles at most if it is used again; each instance draws a number between half of
    /// it and all of it [default: 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    reuse: Option<u32>,

    /// Requests that have an entry in the transcript: `failures`, `all`, or `every=N` for those and one
    /// in N of the others. There are at most 100 a second [default: failures]
    #[arg(long, value_name = "WHICH")]
    entries: Option<HttpEntries>,
}

impl HttpFlags {
    /// Returns true if no flag was given.
    pub(super) fn is_empty(self) -> bool {
        self.instances.is_none() && self.reuse.is_none() && self.entries.is_none()
    }

    /// Returns a spec with the flags applied, or none if there are none.
    pub(super) fn over(self, spec: HttpSpec) -> Option<HttpSpec> {
        let changed = HttpSpec {
            instances: self.instances.unwrap_or(spec.instances),
            reuse: self.reuse.or(spec.reuse),
            entries: self.entries.unwrap_or(spec.entries),
        };
        (!self.is_empty()).then_some(changed)
    }
}
