//! What a runtime answers with: descriptions, pages, streams.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Entry, Error, HostId, RuntimeId, WorkerId, WorkerView};

/// Bytes that come as they come.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// A worker's entries from some place on. Ends when the worker is removed or the runtime shuts
/// down; an entry of kind `gap` stands for what was trimmed.
pub type EntryStream = Pin<Box<dyn Stream<Item = Result<Arc<Entry>, Error>> + Send>>;

/// Changes of a runtime's workers from some place on.
pub type ChangeStream = Pin<Box<dyn Stream<Item = Result<Change, Error>> + Send>>;

/// What a runtime says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeView {
    /// Its authority id.
    pub runtime_id: RuntimeId,
    /// The process that it runs in.
    pub host_id: HostId,
    /// Its software's version.
    pub version: String,
    /// Workers that exist.
    pub workers: u64,
    /// Live instances.
    pub connected: u64,
    /// Whether the workers with unfinished inputs have been reconnected after the last start.
    pub ready: bool,
}

/// Which workers are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListWorkers {
    /// At most so many; 0 for as many as a page holds.
    pub limit: usize,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// Only those with this label.
    pub label: Option<(String, String)>,
}

/// Some items of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to read on, if there is more.
    pub next_cursor: Option<String>,
}

/// A thing that was asked for by name, and whether it is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<T> {
    /// The thing.
    pub item: T,
    /// Whether this request made it.
    pub created: bool,
}

/// Something about a worker changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Pass this to read on after this change.
    pub cursor: String,
    /// The worker that changed.
    pub worker_id: WorkerId,
    /// What it is now, or `None` if it was removed.
    pub worker: Option<Box<WorkerView>>,
}
