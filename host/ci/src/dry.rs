//! A run that is only looked at: the keys of steps, and which results are in the cache.

use std::sync::Arc;

use serde::Serialize;

use crate::action_run::cached;
use crate::draft;
use crate::entry;
use crate::log::LogWriter;
use crate::plan::{Plan, PlannedStep};
use crate::prepare::{PrepareError, Surroundings};
use crate::result::{StepOutcome, StepResult};
use crate::sources::Sources;
use crate::step_run::prepare;
use crate::store::Store;
use crate::toolbox::Toolbox;

/// The prediction for a step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DryState {
    /// Its result is in the cache.
    Hit,
    /// It would run.
    Miss,
    /// It depends on a step that would run, so its key is not known.
    Unknown,
    /// It would be skipped.
    Skipped,
}

impl DryState {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }
}

/// One step of a run that is only looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DryStep {
    /// Id.
    pub id: String,
    /// State.
    pub state: DryState,
    /// Digest of its action, if it is known.
    pub action: Option<String>,
}

/// Returns what a run of the plan would do.
///
/// # Errors
/// If a key cannot be made.
pub fn dry(
    plan: &Plan,
    tools: &Toolbox,
    sources: &Sources,
    store: &Store,
) -> Result<Vec<DryStep>, PrepareError> {
    let around = Surroundings { store, sources, tools };
    let mut results: Vec<Option<StepResult>> = Vec::new();
    let mut steps = Vec::new();
    for step in &plan.steps {
        let known = step.needs.iter().all(|&need| results[need].is_some());
        let (state, action, result) = if step.unchanged {
            let mut skipped = StepResult::new(&step.id, &step.name, StepOutcome::Skipped);
            skipped.as_expected = true;
            (DryState::Skipped, None, Some(skipped))
        } else if !known {
            (DryState::Unknown, None, None)
        } else {
            let by_name = |name: &str| {
                let needs = step.needs.iter().filter(|&&at| plan.steps[at].name == name);
                needs.filter_map(|&at| results[at].as_ref()).collect()
            };
            let log = Arc::new(LogWriter::discard());
            let (job, key) = prepare(&around, step, &by_name, &plan.salt, log)?;
            let found = cached(store, &job, &key).map(|found| of_step(found, step));
            let state = if found.is_some() { DryState::Hit } else { DryState::Miss };
            (state, Some(key.action.text()), found)
        };
        results.push(result);
        steps.push(DryStep { id: step.id.clone(), state, action });
    }
    // It only saves the next run the hashing.
    drop(sources.remember());
    Ok(steps)
}

/// Gives a cached result the name of the step that it is used for.
pub(crate) fn of_step(found: StepResult, step: &PlannedStep) -> StepResult {
    let (id, name, matrix) = (step.id.clone(), step.name.clone(), step.matrix.clone());
    StepResult { id, name, matrix, ..found }
}

/// Returns true if the result of an action is in the cache.
pub(crate) fn is_cached(store: &Store, action: &crate::digest::BlobDigest) -> bool {
    draft::read(&store.root, &entry::name(action)).is_ok_and(|found| found.is_some())
}
