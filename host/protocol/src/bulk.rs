//! One action on many workers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ComponentDigest, ComponentKind, Desired, Diagnostic, Execution, LabelFilter, Labels,
    ObservedState, Problem, RuntimeId, SearchText, WorkerFilter, WorkerId,
};

/// A request for an action on many workers: those named, or those that match a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    /// The action.
    pub action: BulkAction,
    /// The workers, if they are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<Vec<BulkWorker>>,
    /// The workers' properties, if they are not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<BulkFilter>,
    /// For `label`: the labels to add or replace. Other labels of a worker stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// True to only count the workers.
    #[serde(default)]
    pub preview: bool,
}

/// An action on many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    /// Start stopped and failed workers.
    Start,
    /// Stop workers.
    Stop,
    /// Stop workers and remove them with all their data.
    Remove,
    /// Add or replace labels.
    Label,
}

/// A worker of a bulk request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkWorker {
    /// Runtime of the worker.
    pub runtime_id: RuntimeId,
    /// Worker within that runtime.
    pub worker_id: WorkerId,
}

/// A filter for workers of all runtimes or of one. Each field that is present must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BulkFilter {
    /// Runtime of the workers.
    pub runtime_id: Option<RuntimeId>,
    /// Text in the id, the display name, or a label's key or value, in any case of letters.
    pub q: Option<SearchText>,
    /// Label that workers must have: `key=value`.
    pub label: Option<LabelFilter>,
    /// Kind of the component.
    pub kind: Option<ComponentKind>,
    /// Component that workers run.
    pub component: Option<ComponentDigest>,
    /// State that a person wants workers to be in.
    pub desired: Option<Desired>,
    /// Existence of a live instance.
    pub execution: Option<Execution>,
    /// State that workers are in.
    pub state: Option<ObservedState>,
}

impl BulkFilter {
    /// Splits off the runtime.
    pub fn into_parts(self) -> (Option<RuntimeId>, WorkerFilter) {
        let Self { runtime_id, q, label, kind, component, desired, execution, state } = self;
        (runtime_id, WorkerFilter { q, label, kind, component, desired, execution, state })
    }
}

/// The answer to a preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkPreview {
    /// Number of workers.
    pub count: u64,
    /// Diagnostics for runtimes that did not answer; their workers are not counted.
    pub diagnostics: Vec<Diagnostic>,
}

/// The result for one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkResult {
    /// Runtime of the worker.
    pub runtime_id: RuntimeId,
    /// Worker within that runtime.
    pub worker_id: WorkerId,
    /// True if the action succeeded.
    pub ok: bool,
    /// The reason if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}
