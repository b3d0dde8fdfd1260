//! What a transcript says about a worker's requests to others, and about what it was denied.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Grants, Scheme};

/// One request that a worker sent: the body of an entry of kind `request`, in JSON. It has neither
/// path nor headers, which may carry secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestRecord {
    /// The method.
    pub method: String,
    /// With or without TLS.
    pub scheme: Scheme,
    /// To whom: a name, or an address.
    pub host: String,
    /// At which port.
    pub port: u16,
    /// What was answered, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Bytes of its body.
    pub sent_bytes: u64,
    /// Bytes of the answer's body that came, as far as the worker read on.
    pub received_bytes: u64,
    /// From its begin to the answer's end, in milliseconds.
    pub wall_ms: u64,
    /// Why there was no answer or only part of one: a code of `wasi:http`, such as
    /// `connection-refused`; `turn-ended` where its turn ended first, `abandoned` where the worker
    /// did not wait for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Something that a worker asked for without having a grant: the body of an entry of kind
/// `denied`, in JSON. The entry's label names the interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Denial {
    /// What it asked for, such as `GET https://example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// What would allow it, where anything would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grants>,
}
