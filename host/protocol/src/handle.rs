//! The verbs of a runtime, grouped by noun.
//!
//! A runtime is embedded in this process or runs in another one; a caller with a [`RuntimeHandle`]
//! cannot tell which, and one suite of tests holds both to the same behaviour.
//!
//! A [`Layer`] is a runtime in front of another one: it checks roles, keeps a circuit, or makes calls
//! fail in a test. It implements one method for all verbs, so a new verb changes no layer.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::answer::Answer;
use crate::step::{BlobList, StepProgress, StepRequest, StepView};
use crate::verbs::verbs;
use crate::{
    Action, BlobHash, ByteStream, ChangeStream, ComponentCheck, ComponentDigest, ComponentView,
    ConfigDigest, ConfigValues, ConfigView, CreateWorker, Cursor, Diagnostic, Entry, EntryPage,
    EntryStream, Error, FileCondition, FileListing, FileName, FileRange, FileView, FollowChanges,
    ForkWorker, HttpAnswer, HttpRequest, Imported, InputId, InputSummary, InputView, ListEntries,
    ListFiles, ListInputs, ListState, ListWorkers, Listing, NewInput, Page, Preview, RemoveFile,
    RenameFile, Role, RuntimeHistory, RuntimeView, Sent, StateItem, StepKey, Stored, Usage,
    WorkerChange, WorkerHistory, WorkerId, WorkerPage, WorkerView,
};

/// A runtime: all of its nouns.
pub trait RuntimeHandle: Overview + Workers + Turns + Http + Artifacts + Files + Steps {}

impl<R: Overview + Workers + Turns + Http + Artifacts + Files + Steps + ?Sized> RuntimeHandle
    for R
{
}

/// The effect of a verb on a runtime. It decides which role may use the verb and which log records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Read,
    /// It gives a worker or the host something to do, and changes nothing by itself. A transcript
    /// records what a worker does.
    Act,
    /// It changes the runtime. The audit records it as this action.
    Change(Action),
}

/// A runtime that passes verbs on to another one.
///
/// Every layer implements [`RuntimeHandle`].
pub trait Layer: Send + Sync {
    /// Answers a verb, usually by [`Invocation::forward`] to the runtime behind.
    fn pass<A: Send + 'static, T: Answer>(
        &self,
        invocation: Invocation<A, T>,
    ) -> impl Future<Output = Result<T, Error>> + Send;
}

/// A verb with its arguments `A`, answered with a `T`.
pub struct Invocation<A, T> {
    arguments: A,
    verb: fn(&mut A) -> Verb<'_>,
    call: fn(A, Arc<dyn RuntimeHandle>) -> Reply<T>,
}

/// The future of an answer.
type Reply<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

impl<A, T> Invocation<A, T> {
    pub(crate) fn new(
        arguments: A,
        verb: fn(&mut A) -> Verb<'_>,
        call: fn(A, Arc<dyn RuntimeHandle>) -> Reply<T>,
    ) -> Self {
        Self { arguments, verb, call }
    }

    /// The verb. A layer may change its arguments before it forwards it.
    pub fn verb(&mut self) -> Verb<'_> {
        (self.verb)(&mut self.arguments)
    }

    /// Calls the verb on a runtime.
    pub fn forward(self, runtime: Arc<dyn RuntimeHandle>) -> Reply<T> {
        (self.call)(self.arguments, runtime)
    }
}

/// The worker among a verb's arguments.
fn named_worker(arguments: &[&dyn Any]) -> Option<WorkerId> {
    arguments.iter().find_map(|argument| {
        let created = argument.downcast_ref::<CreateWorker>().and_then(|new| new.worker_id);
        argument.downcast_ref::<WorkerId>().copied().or(created)
    })
}

verbs! {
    /// The runtime itself.
    trait Overview {
        /// Describes the runtime.
        [read] async fn describe() -> RuntimeView;

        /// Returns samples of the runtime's load.
        [read] async fn load_history() -> RuntimeHistory;

        /// Lists what was noticed about a worker, or about the whole runtime, newest first.
        [read] async fn diagnostics(worker: Option<WorkerId>) -> Vec<Diagnostic>;
    }

    /// Workers: their specs, and whether they run.
    trait Workers {
        /// Creates a worker. The same id with the same spec again is the same worker; with another
        /// spec it is a [`crate::Conflict::Worker`], and a removed id is [`Error::WorkerRemoved`].
        [change(WorkerCreate)] async fn create(request: CreateWorker) -> Stored<WorkerView>;

        /// Copies a worker between two of its turns. The copy has its state, files, config and
        /// limits, and none of its grants. The same id again is the same copy.
        [change(WorkerFork)]
        async fn fork(worker: WorkerId, request: ForkWorker) -> Stored<WorkerView>;

        /// Lists the workers that match a filter, in an order.
        [read] async fn list(query: ListWorkers) -> WorkerPage;

        /// Returns one worker.
        [read] async fn get(worker: WorkerId) -> WorkerView;

        /// Changes a worker. Another component or config takes effect between two turns.
        [change(WorkerUpdate)]
        async fn update(worker: WorkerId, change: WorkerChange) -> WorkerView;

        /// Restores the component and config from before the last update.
        [change(WorkerRollback)] async fn rollback(worker: WorkerId) -> WorkerView;

        /// Stops a worker and removes it with its directory, transcript and state. Its id is never
        /// used again.
        [change(WorkerRemove)] async fn remove(worker: WorkerId) -> ();

        /// Lets a stopped or failed worker run again.
        [change(WorkerStart)] async fn start(worker: WorkerId) -> WorkerView;

        /// Ends the running turn after a grace time and begins no other until `start`. Queued inputs
        /// stay queued.
        [change(WorkerStop)] async fn stop(worker: WorkerId) -> WorkerView;

        /// Lists the keys and values of a worker's state, as of its last turn, in the order of the
        /// keys. Long values are cut.
        [read] async fn state(worker: WorkerId, query: ListState) -> Listing<StateItem>;

        /// Returns what a worker has used.
        [read] async fn usage(worker: WorkerId) -> Usage;

        /// Returns samples of what a worker has used.
        [read] async fn usage_history(worker: WorkerId) -> WorkerHistory;

        /// Follows the workers: first each as it is, then each that changes. With the cursor of an
        /// earlier change, follows from there.
        [read] async fn changes(from: FollowChanges) -> ChangeStream;
    }

    /// Turns: a worker's inputs, and the transcript of what became of them.
    trait Turns {
        /// Gives a worker an input. Answers when it is on disk or, with `wait`, when it has ended.
        [act] async fn send(worker: WorkerId, input: NewInput) -> Sent;

        /// Cancels an input that is queued or running. [`crate::Conflict::Ended`] if it ended by
        /// itself before.
        [act] async fn cancel(worker: WorkerId, input: InputId) -> InputView;

        /// Returns one input.
        [read] async fn input(worker: WorkerId, input: InputId) -> InputView;

        /// Lists a worker's queued and recent inputs, newest first.
        [read] async fn inputs(worker: WorkerId, query: ListInputs) -> Page<InputSummary>;

        /// Returns a page of the transcript.
        [read] async fn transcript(worker: WorkerId, query: ListEntries) -> EntryPage;

        /// Returns one entry of the transcript, whole.
        [read] async fn entry(worker: WorkerId, seq: Cursor) -> Entry;

        /// Follows the transcript after a cursor, or from its end. Yields each entry once and skips
        /// none. With a preview, long bodies are cut.
        [read]
        async fn subscribe(
            worker: WorkerId,
            after: Option<Cursor>,
            preview: Option<Preview>,
        ) -> EntryStream;
    }

    /// HTTP: requests to HTTP workers.
    trait Http {
        /// Passes a request to a worker, and returns the head of its answer. Dropping the body of the
        /// answer ends the worker's handling of it. [`Error::NoAnswer`] if there is no answer;
        /// [`Error::Busy`] if too many requests wait. It is never sent twice.
        [act] async fn http(worker: WorkerId, request: HttpRequest) -> HttpAnswer;
    }

    /// Artifacts: components and config bundles, stored once and named by their digests.
    trait Artifacts {
        /// Stores a component brought by a caller with this role. A component that no admin has
        /// brought runs further from the host where the operator left the choice.
        [change(ComponentPut)]
        async fn put_component(wasm: ByteStream, by: Role) -> Stored<ComponentView>;

        /// Examines a component as [`Artifacts::put_component`] would, and stores nothing.
        [act] async fn check_component(wasm: ByteStream) -> ComponentCheck;

        /// Returns one component.
        [read] async fn component(digest: ComponentDigest) -> ComponentView;

        /// Lists components in the order of their digests.
        [read] async fn components(cursor: Option<String>) -> Page<ComponentView>;

        /// Removes a component that no worker uses.
        [change(ComponentRemove)] async fn remove_component(digest: ComponentDigest) -> ();

        /// Stores a config bundle.
        [change(ConfigPut)] async fn put_config(values: ConfigValues) -> Stored<ConfigView>;

        /// Returns one config bundle.
        [read] async fn config(digest: ConfigDigest) -> ConfigView;

        /// Lists config bundles in the order of their digests.
        [read] async fn configs(cursor: Option<String>) -> Page<ConfigView>;

        /// Removes a config bundle that no worker uses.
        [change(ConfigRemove)] async fn remove_config(digest: ConfigDigest) -> ();
    }

    /// Files: a worker's private directory.
    trait Files {
        /// Lists the regular files of a worker's directory in the order of their names. A diagnostic
        /// counts those whose names cannot be shown.
        [read] async fn files(worker: WorkerId, query: ListFiles) -> FileListing;

        /// Reads a file, or a part of it. The view describes the whole file.
        [read]
        async fn read_file(
            worker: WorkerId,
            name: FileName,
            range: Option<FileRange>,
        ) -> (FileView, ByteStream);

        /// Writes a file in one step: readers see all of it or the file from before. Creates missing
        /// directories. The worker's quota holds. [`Error::PreconditionFailed`] if the file is in
        /// another state than the condition names.
        [change(FileWrite)]
        async fn write_file(
            worker: WorkerId,
            name: FileName,
            bytes: ByteStream,
            condition: FileCondition,
        ) -> Stored<FileView>;

        /// Removes a file, or a directory with everything below it.
        [change(FileRemove)]
        async fn remove_file(worker: WorkerId, name: FileName, how: RemoveFile) -> ();

        /// Gives a file or directory another name, which must be free.
        [change(FileRename)] async fn rename_file(worker: WorkerId, names: RenameFile) -> ();

        /// Returns the regular files and directories of a worker's directory as a tar archive.
        [read] async fn export(worker: WorkerId) -> ByteStream;

        /// Unpacks a tar archive into a worker's directory. An entry that is neither a plain file nor
        /// a directory, or whose name is not a [`FileName`], ends it with
        /// [`crate::Invalid::Archive`]; the entries before it stay.
        [change(FilesImport)] async fn import(worker: WorkerId, tar: ByteStream) -> Imported;
    }

    /// Steps of pipelines, and the blobs that they read and leave.
    trait Steps {
        /// Returns which of some blobs are not stored.
        [act] async fn missing_blobs(list: BlobList) -> BlobList;

        /// Stores a blob. [`crate::Invalid::Blob`] if its bytes have another hash.
        [act] async fn put_blob(hash: BlobHash, bytes: ByteStream) -> ();

        /// Reads a blob.
        [act] async fn read_blob(hash: BlobHash) -> ByteStream;

        /// Runs a step for a caller with this role, or takes its result from the cache. The same
        /// step of the same run again is the same step; with another specification it is a
        /// [`crate::Conflict::Step`].
        [change(StepRun)]
        async fn start_step(request: StepRequest, by: Role) -> StepView;

        /// Returns a step. [`Error::UnknownStep`] if the host was restarted since it began.
        [act] async fn step(key: StepKey, progress: StepProgress) -> StepView;

        /// Ends a step.
        [act] async fn cancel_step(key: StepKey) -> ();
    }
}
