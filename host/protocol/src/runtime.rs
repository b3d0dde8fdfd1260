//! A runtime, seen from outside: embedded in this process, or remote.
//!
//! Whoever holds a [`RuntimeHandle`] cannot tell which of the two it is; one suite of tests holds
//! both to the same behaviour.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ComponentDigest, ComponentView, ConfigDigest, ConfigValues, ConfigView, CreateWorker, Cursor,
    Diagnostic, Entry, EntryPage, Error, FileName, FileRange, FileView, HostId, Imported, InputId,
    InputView, ListFiles, Listing, NewInput, Role, RuntimeId, Sent, Usage, WorkerChange, WorkerId,
    WorkerView,
};

/// Bytes that come as they come.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// A worker's entries from some place on. Ends when the worker is removed or the runtime shuts
/// down; an entry of kind `gap` stands for what was trimmed.
pub type EntryStream = Pin<Box<dyn Stream<Item = Result<Entry, Error>> + Send>>;

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

/// A runtime.
#[async_trait]
pub trait RuntimeHandle: Send + Sync {
    /// What it says of itself.
    async fn describe(&self) -> Result<RuntimeView, Error>;

    /// Makes a worker. The same id with the same spec again is the same worker; with another spec
    /// it is a [`crate::Conflict::Worker`], and a removed id is [`Error::WorkerRemoved`].
    async fn create(&self, request: CreateWorker) -> Result<Stored<WorkerView>, Error>;

    /// Lists workers in the order of their ids.
    async fn list(&self, query: ListWorkers) -> Result<Page<WorkerView>, Error>;

    /// One worker.
    async fn get(&self, worker: WorkerId) -> Result<WorkerView, Error>;

    /// Changes a worker; another component or config takes effect between two turns.
    async fn update(&self, worker: WorkerId, change: WorkerChange) -> Result<WorkerView, Error>;

    /// Brings back the component and config from before the last update.
    async fn rollback(&self, worker: WorkerId) -> Result<WorkerView, Error>;

    /// Stops and removes a worker with all that it has. Its id is never used again.
    async fn remove(&self, worker: WorkerId) -> Result<(), Error>;

    /// Lets a stopped or failed worker run again.
    async fn start(&self, worker: WorkerId) -> Result<WorkerView, Error>;

    /// Ends the running turn, after a grace time, and begins none until `start`. What is queued
    /// stays queued.
    async fn stop(&self, worker: WorkerId) -> Result<WorkerView, Error>;

    /// Gives a worker an input. Answers when it is on disk or, with `wait`, when it has ended.
    async fn send(&self, worker: WorkerId, input: NewInput) -> Result<Sent, Error>;

    /// Ends an input that is queued or running, as cancelled. [`crate::Conflict::Ended`] where it
    /// ended by itself before.
    async fn cancel(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error>;

    /// One input.
    async fn input(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error>;

    /// At most `limit` entries after a place, in order.
    async fn transcript(
        &self,
        worker: WorkerId,
        after: Cursor,
        limit: usize,
    ) -> Result<EntryPage, Error>;

    /// Follows the transcript from a place on, or from its end: no entry twice, none left out.
    async fn subscribe(
        &self,
        worker: WorkerId,
        after: Option<Cursor>,
    ) -> Result<EntryStream, Error>;

    /// Follows the workers: first each as it is, then each that changes. With the cursor of an
    /// earlier change, from there.
    async fn changes(&self, cursor: Option<String>) -> Result<ChangeStream, Error>;

    /// Stores a component that somebody with this role has brought. What no admin has brought is
    /// run with more between it and the host, where there is a choice.
    async fn put_component(
        &self,
        wasm: ByteStream,
        by: Role,
    ) -> Result<Stored<ComponentView>, Error>;

    /// One component.
    async fn component(&self, digest: ComponentDigest) -> Result<ComponentView, Error>;

    /// Lists components in the order of their digests.
    async fn components(&self, cursor: Option<String>) -> Result<Page<ComponentView>, Error>;

    /// Removes a component that no worker uses.
    async fn remove_component(&self, digest: ComponentDigest) -> Result<(), Error>;

    /// Lists the regular files of a worker's directory in the order of their names. Where some have
    /// names that cannot be shown, a diagnostic says how many.
    async fn files(&self, worker: WorkerId, query: ListFiles) -> Result<Listing<FileView>, Error>;

    /// A file, or a part of it. The view is of the whole file.
    async fn read_file(
        &self,
        worker: WorkerId,
        name: FileName,
        range: Option<FileRange>,
    ) -> Result<(FileView, ByteStream), Error>;

    /// Writes a file in one step: it is there as a whole or as it was before. Directories on the way
    /// are made. The worker's quota holds.
    async fn write_file(
        &self,
        worker: WorkerId,
        name: FileName,
        bytes: ByteStream,
    ) -> Result<Stored<FileView>, Error>;

    /// Removes a file.
    async fn remove_file(&self, worker: WorkerId, name: FileName) -> Result<(), Error>;

    /// The regular files and directories of a worker's directory as a tar archive.
    async fn export(&self, worker: WorkerId) -> Result<ByteStream, Error>;

    /// Unpacks a tar archive into a worker's directory. An entry that is neither a plain file nor a
    /// directory, or whose name is not a [`FileName`], ends it with [`crate::Invalid::Archive`];
    /// what came before it stays.
    async fn import(&self, worker: WorkerId, tar: ByteStream) -> Result<Imported, Error>;

    /// Stores a config bundle.
    async fn put_config(&self, values: ConfigValues) -> Result<Stored<ConfigView>, Error>;

    /// One config bundle.
    async fn config(&self, digest: ConfigDigest) -> Result<ConfigView, Error>;

    /// Lists config bundles in the order of their digests.
    async fn configs(&self, cursor: Option<String>) -> Result<Page<ConfigView>, Error>;

    /// Removes a config bundle that no worker uses.
    async fn remove_config(&self, digest: ConfigDigest) -> Result<(), Error>;

    /// What was noticed about a worker, or about all of the runtime; newest first.
    async fn diagnostics(&self, worker: Option<WorkerId>) -> Result<Vec<Diagnostic>, Error>;

    /// What a worker has used.
    async fn usage(&self, worker: WorkerId) -> Result<Usage, Error>;
}
