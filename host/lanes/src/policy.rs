//! The policy of a worker's HTTP instances.

use std::str::FromStr;

/// How long an instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// Each request has an instance of its own.
    Fresh,
    /// An instance handles one request at a time, and is used again.
    Serial,
}

impl Instances {
    /// The word in manifests and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Serial => "serial",
        }
    }
}

impl FromStr for Instances {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Fresh, Self::Serial]
            .into_iter()
            .find(|one| one.as_str() == text)
            .ok_or_else(|| format!("{text:?} is neither fresh nor serial"))
    }
}

/// The policy of a worker's HTTP instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpPolicy {
    /// How long an instance lives.
    pub instances: Instances,
    /// Requests that a serial instance handles at most, the lowest and the highest. Each instance draws
    /// its own number, so that instances that began together are not replaced together.
    pub reuse: (u32, u32),
    /// Memory by which a serial instance may grow after its first request before it is replaced, in
    /// bytes.
    pub growth_bytes: u64,
    /// Requests that run at once.
    pub at_once: u32,
    /// Requests that wait for one of those to end. Further ones are refused.
    pub queue: u32,
}

impl Default for HttpPolicy {
    fn default() -> Self {
        Self {
            instances: Instances::Fresh,
            reuse: (64, 128),
            growth_bytes: 32 << 20,
            at_once: 32,
            queue: 64,
        }
    }
}
