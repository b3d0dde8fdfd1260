//! Streams of changes: of a runtime's workers, and of a registry's runtimes.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use futures_core::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ComponentDigest, ComponentKind, Cursor, Desired, Diagnostic, DisplayRef, Entry, Error,
    Execution, FleetChange, Invalid, Labels, Observed, Preview, Problem, RuntimeId, Timestamp,
    WorkerId, WorkerView,
};

/// The start of a stream of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowChanges {
    /// Cursor of the last change that the reader has, if it resumes.
    pub after: Option<String>,
    /// True if the reader wants no snapshot: the stream starts with the next change, and also goes
    /// on with the next change after it lost some.
    pub from_now: bool,
}

/// Events of a runtime from a cursor on.
pub type ChangeStream = Pin<Box<dyn Stream<Item = Result<RuntimeEvent, Error>> + Send>>;

/// An event of a runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// A worker changed.
    Change(Change),
    /// The snapshot is complete. Sent once per snapshot, or at the start of a stream without one.
    Ready(ReadyEvent),
    /// The reader must forget all workers, because changes were lost. A snapshot follows, unless the
    /// reader wants none.
    Reset,
    /// A component has been compiled.
    Compiled(CompiledEvent),
    /// A condition was noticed.
    Diagnostic(Box<Diagnostic>),
}

/// A change of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Cursor to resume after this change.
    pub cursor: String,
    /// The worker that changed.
    pub worker_id: WorkerId,
    /// New state, or `None` if the worker was removed.
    pub worker: Option<Box<WorkerView>>,
}

/// The end of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadyEvent {
    /// Cursor to resume at this point.
    pub cursor: String,
}

/// The end of a component's compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompiledEvent {
    /// The component.
    pub digest: ComponentDigest,
    /// True if it compiled; false if it failed.
    pub compiled: bool,
}

/// The start of a stream of a registry's events, and its contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowFleet {
    /// Runtimes and workers to follow.
    pub changes: FollowChanges,
    /// Interval within which several changes of one worker become the last of them.
    pub interval: Option<Duration>,
    /// Workers whose transcripts are part of the stream.
    pub watched: Vec<WatchedWorker>,
    /// Length at which bodies of those transcripts are cut.
    pub preview: Option<Preview>,
}

/// A worker whose transcript is part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedWorker {
    /// Runtime of the worker.
    pub runtime_id: RuntimeId,
    /// Worker within that runtime.
    pub worker_id: WorkerId,
    /// Entry to start after; the newest if absent.
    pub after: Option<Cursor>,
}

impl fmt::Display for WatchedWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.runtime_id, self.worker_id)?;
        self.after.map_or(Ok(()), |after| write!(f, "@{after}"))
    }
}

impl FromStr for WatchedWorker {
    type Err = Invalid;

    /// Parses `RUNTIME/WORKER` or `RUNTIME/WORKER@AFTER`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (runtime, worker) = text.split_once('/').ok_or(Invalid::Query)?;
        let (worker, after) = match worker.split_once('@') {
            Some((worker, after)) => {
                let digits = after.bytes().all(|c| c.is_ascii_digit());
                let after = after.parse().ok().filter(|_| digits);
                (worker, Some(after.ok_or(Invalid::Query)?))
            }
            None => (worker, None),
        };
        let runtime_id = runtime.parse().map_err(|_| Invalid::Query)?;
        let worker_id = worker.parse().map_err(|_| Invalid::Query)?;
        Ok(Self { runtime_id, worker_id, after })
    }
}

/// Events of a registry's runtimes and their workers, from some cursor on.
pub type FleetStream = Pin<Box<dyn Stream<Item = Result<FleetEvent, Error>> + Send>>;

/// An event of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FleetEvent {
    /// A runtime or a worker changed.
    Change(FleetChange),
    /// The snapshots of all runtimes that answer are complete. Sent once.
    Ready(ReadyEvent),
    /// The reader must forget a runtime's workers.
    Reset(ResetEvent),
    /// A watched worker has an entry.
    Entry(WatchedEntry),
    /// A watched worker's entries end.
    EntryProblem(WatchedProblem),
    /// A component has been compiled.
    Compiled(FleetCompiledEvent),
    /// A condition was noticed.
    Diagnostic(FleetDiagnostic),
}

/// A lost position in a runtime's changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResetEvent {
    /// Runtime whose workers the reader must forget. All of them follow, unless the reader wants no
    /// snapshot.
    pub runtime_id: RuntimeId,
}

/// An entry of a watched worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchedEntry {
    /// Runtime of the worker.
    pub runtime_id: RuntimeId,
    /// Worker within that runtime.
    pub worker_id: WorkerId,
    /// The entry.
    pub entry: Entry,
}

/// The end of a watched worker's entries. The rest of the stream goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchedProblem {
    /// Runtime of the worker.
    pub runtime_id: RuntimeId,
    /// Worker within that runtime.
    pub worker_id: WorkerId,
    /// Reason of the end; `worker_removed` if the worker is gone.
    pub problem: Problem,
}

/// The end of a component's compilation at a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetCompiledEvent {
    /// The runtime.
    pub runtime_id: RuntimeId,
    /// The component and the result.
    #[serde(flatten)]
    pub event: CompiledEvent,
}

/// A diagnostic and the runtime that it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetDiagnostic {
    /// The runtime.
    pub runtime_id: RuntimeId,
    /// The diagnostic.
    #[serde(flatten)]
    pub diagnostic: Diagnostic,
}

/// A change of a worker with only the properties that lists show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename = "worker")]
#[schemars(rename = "SlimChange")]
pub struct SlimChange {
    /// Cursor to resume after this change.
    pub cursor: String,
    /// Runtime of the worker.
    pub runtime_id: RuntimeId,
    /// Worker within that runtime.
    pub worker_id: WorkerId,
    /// New state, or `None` if it was removed.
    pub worker: Option<WorkerRow>,
}

/// The properties of a worker that lists show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerRow {
    /// Runtime of the worker.
    pub runtime_id: RuntimeId,
    /// Worker within that runtime.
    pub worker_id: WorkerId,
    /// Display name.
    pub display_ref: Option<DisplayRef>,
    /// Kind of the component.
    pub kind: ComponentKind,
    /// Component that it runs.
    pub component: ComponentDigest,
    /// State that a person wants it to be in.
    pub desired: Desired,
    /// State that it is in.
    pub observed: Observed,
    /// Existence of a live instance.
    pub execution: Execution,
    /// Inputs accepted and not finished.
    pub queued_inputs: u64,
    /// Time of the last change of spec or desired state.
    pub updated_at: Timestamp,
    /// Labels for finding the worker.
    pub labels: Labels,
}

impl From<WorkerView> for WorkerRow {
    fn from(view: WorkerView) -> Self {
        Self {
            runtime_id: view.runtime_id,
            worker_id: view.worker_id,
            display_ref: view.spec.display_ref,
            kind: view.kind,
            component: view.spec.component,
            desired: view.desired,
            observed: view.observed,
            execution: view.execution,
            queued_inputs: view.queued_inputs,
            updated_at: view.updated_at,
            labels: view.spec.labels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watched_worker_is_written_with_its_position() {
        let id = WorkerId::new(1, [0; 10]);
        for text in [format!("r/{id}"), format!("r/{id}@0"), format!("r/{id}@18446744073709551615")]
        {
            assert_eq!(text.parse::<WatchedWorker>().unwrap().to_string(), text);
        }
        for bad in ["", "/", "r", &format!("r/{id}@"), &format!("r/{id}@+1"), &format!("/{id}")] {
            assert_eq!(bad.parse::<WatchedWorker>(), Err(Invalid::Query), "{bad}");
        }
    }

    #[test]
    fn a_slim_change_says_that_it_is_about_a_worker() {
        let change = SlimChange {
            cursor: "c".into(),
            runtime_id: "r".parse().unwrap(),
            worker_id: WorkerId::new(1, [0; 10]),
            worker: None,
        };
        let json = serde_json::to_value(&change).unwrap();
        assert_eq!(json["kind"], "worker");
        assert_eq!(json["worker"], serde_json::Value::Null);
    }
}
