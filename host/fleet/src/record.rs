//! What a runtime says of itself in a fleet.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use skep_protocol::{HostId, RuntimeId};

/// What a runtime is. Stored when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeRecord {
    /// Its id.
    pub runtime_id: RuntimeId,
    /// The host that it runs on.
    pub host_id: HostId,
    /// Its pool.
    pub pool: String,
    /// The version of its software.
    pub version: String,
    /// The name of its process. Two processes at a time must not be the same runtime.
    pub process: String,
}

/// A sign of life. It repeats the record, which another runtime can spoil where it is stored: it can have a
/// server's acknowledgement sent there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The runtime's record.
    #[serde(flatten)]
    pub record: RuntimeRecord,
    /// The number of its workers.
    pub workers: u64,
    /// The number of its live instances.
    pub connected: u64,
}

impl RuntimeRecord {
    pub(crate) fn to_json(&self) -> Bytes {
        json(self)
    }

    pub(crate) fn from_json(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }
}

impl Heartbeat {
    pub(crate) fn to_json(&self) -> Bytes {
        json(self)
    }

    pub(crate) fn from_json(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("a record is JSON").into()
}
