//! How an HTTP worker's instances are used.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{HttpEntries, Invalid};

/// The lifetime of an HTTP worker's instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HttpInstances {
    /// Each request has an instance of its own.
    #[default]
    Fresh,
    /// An instance handles one request after the other.
    Serial,
    /// An instance handles several requests at once. Only for handlers of WASI 0.3.
    Concurrent,
}

impl HttpInstances {
    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Serial => "serial",
            Self::Concurrent => "concurrent",
        }
    }
}

impl fmt::Display for HttpInstances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for HttpInstances {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut all = [Self::Fresh, Self::Serial, Self::Concurrent].into_iter();
        all.find(|instances| instances.as_str() == text).ok_or(Invalid::Query)
    }
}

/// How an HTTP worker's instances are used. Other kinds of workers ignore it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSpec {
    /// Lifetime of an instance. With `serial` and the limit `http_at_once` at 1, requests may write the
    /// worker's state. `concurrent` needs a component that exports `wasi:http/handler@0.3`.
    #[serde(default)]
    pub instances: HttpInstances,
    /// Requests that a serial or concurrent instance handles at most, 128 by default. Each instance
    /// draws a number between half of it and all of it, so that they are not all replaced at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<u32>,
    /// Requests that have an entry in the transcript: `failures`, `all`, or `every` so-many-th.
    #[serde(default, skip_serializing_if = "HttpEntries::is_default")]
    pub entries: HttpEntries,
}

impl HttpSpec {
    /// Requests that an instance handles at most if it is used again, unless the spec says otherwise.
    pub const REUSE: u32 = 128;

    /// Returns true if this is the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
