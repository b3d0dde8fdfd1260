//! The filter of a list of workers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::listed::ListedWorker;
use super::search::{LabelFilter, SearchText};
use crate::{ComponentDigest, ComponentKind, Desired, Execution, ObservedState};

/// A filter for workers. Each field that is present must match.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerFilter {
    /// Text in the id, the display name, or a label's key or value, in any case of letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<SearchText>,
    /// Label that workers must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<LabelFilter>,
    /// Kind of the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ComponentKind>,
    /// Component that workers run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentDigest>,
    /// State that a person wants workers to be in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Desired>,
    /// Existence of a live instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Execution>,
    /// State that workers are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ObservedState>,
}

impl WorkerFilter {
    /// Returns true if a worker matches all of the filter but its state.
    pub(super) fn matches_but_state(&self, worker: &impl ListedWorker) -> bool {
        fn is<T: PartialEq>(wanted: Option<T>, found: impl FnOnce() -> T) -> bool {
            wanted.is_none_or(|wanted| wanted == found())
        }
        let found = |q: &SearchText| {
            worker.contains(q) || (q.may_be_in_id() && q.is_in(&worker.id().to_string()))
        };
        is(self.kind, || worker.kind())
            && is(self.component, || worker.component())
            && is(self.desired, || worker.desired())
            && is(self.execution, || worker.execution())
            && self.label.as_ref().is_none_or(|label| worker.has_label(label))
            && self.q.as_ref().is_none_or(found)
    }

    /// Returns true if a worker matches the filter.
    pub fn matches(&self, worker: &impl ListedWorker) -> bool {
        self.state.is_none_or(|state| state == worker.state()) && self.matches_but_state(worker)
    }
}
