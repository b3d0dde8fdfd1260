//! Transcript records of requests to HTTP workers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LimitName;

/// One request to an HTTP worker: the JSON body of an entry of kind `access`. It omits headers and the
/// query, which may carry secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccessRecord {
    /// HTTP method.
    pub method: String,
    /// The path that was asked for, without its query.
    pub target: String,
    /// Status of the answer; 0 if the client left before.
    pub status: u16,
    /// Bytes of the request's body that the worker read.
    pub received_bytes: u64,
    /// Bytes of the answer's body.
    pub sent_bytes: u64,
    /// Time from the request's arrival to the end of its answer, in milliseconds.
    pub wall_ms: u64,
    /// The limit that ended the worker, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitName>,
    /// The trap, if the worker trapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trap: Option<String>,
    /// The failure that the worker returned, or what is wrong with its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Similar requests since the last entry that have none of their own, since they came too fast.
    /// Requests that are no sample do not count.
    pub others: u64,
}
