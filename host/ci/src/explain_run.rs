//! The reason that a step of a recorded run ran: its action against that of the run before.
//!
//! Unlike [`crate::explain()`], this needs no project, only records: a console has no project.

use crate::digest::BlobDigest;
use crate::explain::{StepExplanation, changes};
use crate::records::{project_of, read_run, runs};
use crate::result::StepResult;
use crate::store::Store;

/// Number of earlier runs of the project that are looked at.
const LOOK_BACK: usize = 100;

/// Explains a step of a run by the last run of the same project before it that had the step.
pub(crate) fn explain_run(store: &Store, run_id: &str, step: &StepResult) -> StepExplanation {
    let mut explained = StepExplanation::new(&step.id);
    explained.action.clone_from(&step.action);
    explained.cached = step.cached.is_some();
    let Some(action) = &step.action else {
        let why = step.message.clone();
        explained.note = Some(why.unwrap_or_else(|| "its action is not known yet".into()));
        return explained;
    };
    let Some((before_run, before)) = before(store, run_id, &step.id) else {
        explained.note = Some("no run before had this step".into());
        return explained;
    };
    explained.last_run = Some(before_run);
    if before.action.as_ref() == Some(action) {
        explained.note = match (explained.cached, before.as_expected) {
            (true, _) => None,
            (false, false) => Some("it failed before, and failures are not kept".into()),
            (false, true) => Some("its result was not in the cache, or was not to be used".into()),
        };
        return explained;
    }
    let of = |text: &Option<String>| -> Option<BlobDigest> {
        store.find(text.as_deref()?.strip_prefix("sha256:")?)
    };
    let compared = match (of(&before.action), of(&step.action)) {
        (Some(old), Some(new)) => changes(store, &old, &new).ok(),
        _ => None,
    };
    match compared {
        Some(changes) => explained.changes = changes,
        None => explained.note = Some("what it was before is not in the cache any more".into()),
    }
    explained
}

/// Returns the last run of the same project before this one in which the step has an action.
fn before(store: &Store, run_id: &str, step: &str) -> Option<(String, StepResult)> {
    let project = project_of(store, run_id)?;
    let names = runs(store).ok()?;
    let earlier = names.iter().rev().filter(|name| name.as_str() < run_id);
    let same = earlier.filter(|name| project_of(store, name).as_ref() == Some(&project));
    same.take(LOOK_BACK).find_map(|name| {
        let run = read_run(store, name).ok()?;
        let found = run.steps.into_iter().find(|it| it.id == step && it.action.is_some())?;
        Some((name.clone(), found))
    })
}
