//! The responses of a runtime: descriptions, pages and streams.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Entry, Error, HostId, RuntimeId};

/// A stream of bytes.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// A worker's entries from a cursor on. Ends when the worker is removed or the runtime shuts down.
/// An entry of kind `gap` replaces trimmed ones.
pub type EntryStream = Pin<Box<dyn Stream<Item = Result<Arc<Entry>, Error>> + Send>>;

/// A runtime's description of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeView {
    /// Authoritative id of the runtime.
    pub runtime_id: RuntimeId,
    /// Process that it runs in.
    pub host_id: HostId,
    /// Software version.
    pub version: String,
    /// Number of workers.
    pub workers: u64,
    /// Number of live instances.
    pub connected: u64,
    /// True if all workers with unfinished inputs have been reconnected since the last start.
    pub ready: bool,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// An item stored under a given name or digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<T> {
    /// Stored item.
    pub item: T,
    /// True if this request created it.
    pub created: bool,
}
