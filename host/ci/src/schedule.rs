//! The scheduler: runs the steps of a plan, each when those before it have ended, a bounded number
//! at a time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crate::action_run::ActionRunner;
use crate::digest::BlobDigest;
use crate::file::Condition;
use crate::live::LiveRecord;
use crate::plan::{Plan, PlannedProgram, PlannedStdin, PlannedStep};
use crate::prepare::Surroundings;
use crate::records::RunRecord;
use crate::result::{RunOutcome, RunResult, StepOutcome, StepResult};
use crate::sources::Sources;
use crate::step_run::StepRunner;
use crate::store::Store;
use crate::toolbox::Toolbox;

/// Watches a run. Its calls come from the threads of the steps.
pub trait Observer: Sync {
    /// A step starts.
    fn started(&self, _step: &PlannedStep) {}

    /// A step ended.
    fn finished(&self, _step: &PlannedStep, _result: &StepResult) {}
}

/// Stops a run: no further step starts.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// Stops the run. The executor must end its guests itself.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Returns true if the run was stopped.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The parts of a run.
pub struct RunParts<'a> {
    /// Plan.
    pub plan: &'a Plan,
    /// Programs.
    pub tools: &'a Toolbox,
    /// Files of the project.
    pub sources: &'a Sources,
    /// Cache.
    pub store: &'a Store,
    /// Runs the actions of the steps.
    pub actions: &'a dyn ActionRunner,
    /// Record of the run.
    pub record: &'a RunRecord,
    /// Name of the project in the cache.
    pub project: &'a str,
    /// Digest of the pipeline file.
    pub pipeline: BlobDigest,
    /// Maximum number of steps at a time.
    pub jobs: usize,
    /// Stops the run.
    pub cancel: &'a Cancel,
    /// Watches the run.
    pub observer: &'a dyn Observer,
}

/// The state that the threads of a run share.
struct Shared {
    /// Steps that can start.
    ready: BTreeSet<usize>,
    /// Number of needs of each step that have not ended.
    waiting: Vec<usize>,
    /// The time at which each step could start.
    since: Vec<Instant>,
    left: usize,
}

/// Runs a plan to its end, and writes its record while it runs and at its end.
///
/// # Errors
/// If the record cannot be written.
pub fn run(parts: &RunParts<'_>) -> std::io::Result<RunResult> {
    let planned = (parts.plan, &parts.pipeline);
    let live = LiveRecord::begin(parts.record, parts.project, planned, parts.actions.facts())?;
    let began = Instant::now();
    let steps = &parts.plan.steps;
    let results: Vec<OnceLock<Arc<StepResult>>> = steps.iter().map(|_| OnceLock::new()).collect();
    let mut dependents = vec![Vec::new(); steps.len()];
    for (at, step) in steps.iter().enumerate() {
        step.needs.iter().for_each(|&need| dependents[need].push(at));
    }
    let waiting: Vec<_> = steps.iter().map(|step| step.needs.len()).collect();
    let ready = (0..steps.len()).filter(|&at| waiting[at] == 0).collect();
    let since = vec![began; steps.len()];
    let shared = Mutex::new(Shared { ready, waiting, since, left: steps.len() });
    let changed = Condvar::new();
    let runner = StepRunner {
        around: Surroundings { store: parts.store, sources: parts.sources, tools: parts.tools },
        actions: parts.actions,
        record: parts.record,
        project: parts.project,
        salt: &parts.plan.salt,
    };
    let worker = || {
        let lock =
            || -> MutexGuard<'_, Shared> { shared.lock().unwrap_or_else(PoisonError::into_inner) };
        let mut state = lock();
        while state.left > 0 {
            let Some(at) = state.ready.pop_first() else {
                state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let queued = state.since[at].elapsed();
            drop(state);
            let step = &steps[at];
            let mut result = one(parts, &runner, at, &results, &live);
            result.timing.queue_ms = (queued.as_secs_f64() * 1e6).round() / 1e3;
            result.needs = step.needs.iter().map(|&need| steps[need].id.clone()).collect();
            live.finished(at, &result);
            parts.observer.finished(step, &result);
            drop(results[at].set(Arc::new(result)));
            state = lock();
            state.left -= 1;
            for &dependent in &dependents[at] {
                state.waiting[dependent] -= 1;
                if state.waiting[dependent] == 0 {
                    state.since[dependent] = Instant::now();
                    state.ready.insert(dependent);
                }
            }
            if state.left == 0 || !dependents[at].is_empty() {
                changed.notify_all();
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| live.keep_written());
        let _ends = live.ends_with_this();
        for _ in 1..parts.jobs.clamp(1, steps.len().max(1)) {
            scope.spawn(worker);
        }
        worker();
    });
    let steps: Vec<_> = results.iter().filter_map(|it| it.get().map(|it| (**it).clone())).collect();
    let outcome = match parts.cancel.is_cancelled() {
        true => RunOutcome::Cancelled,
        false if steps.iter().any(StepResult::fails_run) => RunOutcome::Failed,
        false => RunOutcome::Passed,
    };
    let result = live.finish(outcome, steps)?;
    // What it costs to forget is time.
    drop(parts.sources.remember());
    Ok(result)
}

/// Runs or skips one step.
fn one(
    parts: &RunParts<'_>,
    runner: &StepRunner<'_>,
    at: usize,
    results: &[OnceLock<Arc<StepResult>>],
    live: &LiveRecord<'_>,
) -> StepResult {
    let all = &parts.plan.steps;
    let step = &all[at];
    let ended = |at: usize| results[at].get().map(|it| &**it);
    let skip = |outcome, as_expected, message: String| {
        let mut result = StepResult::new(&step.id, &step.name, outcome);
        result.matrix.clone_from(&step.matrix);
        result.tool = step.program.tool().unwrap_or_default().to_owned();
        result.as_expected = as_expected;
        result.allowed_to_fail = step.allow_fail;
        result.message = Some(message);
        result
    };
    if parts.cancel.is_cancelled() {
        return skip(StepOutcome::Cancelled, false, "the run was stopped".into());
    }
    if step.unchanged {
        let message = "nothing that its `paths` name has changed";
        return skip(StepOutcome::Skipped, true, message.into());
    }
    let needs: Vec<_> = step.needs.iter().filter_map(|&at| ended(at)).collect();
    let failed = needs.iter().find(|need| !need.as_expected);
    let message = match (step.condition, failed) {
        (Condition::Success, Some(failed)) => Some(format!("{} failed", failed.id)),
        (Condition::Failure, None) => Some("nothing that it needs failed".into()),
        _ => missing(step, &needs),
    };
    if let Some(message) = message {
        // A step for failures that did not happen is as expected.
        let expected = step.condition == Condition::Failure;
        return skip(StepOutcome::Skipped, expected, message);
    }
    live.started(at);
    parts.observer.started(step);
    let by_name = |name: &str| {
        let found = step.needs.iter().filter(|&&at| all[at].name == name);
        found.filter_map(|&at| ended(at)).collect()
    };
    let mut result = runner.run(step, &by_name);
    if parts.cancel.is_cancelled() && !result.as_expected && result.cached.is_none() {
        result.outcome = StepOutcome::Cancelled;
        result.message = Some("the run was stopped".into());
    }
    result
}

/// Returns the reason if a step that has to exist for this one was skipped.
fn missing(step: &PlannedStep, needs: &[&StepResult]) -> Option<String> {
    if step.condition != Condition::Success {
        return None;
    }
    let uses = |name: &str| {
        let input = step.inputs.values().any(|input| input.step == name);
        let program = matches!(&step.program, PlannedProgram::Made(file) if file.step == name);
        let stdin = matches!(&step.stdin, Some(PlannedStdin::Made(file)) if file.step == name);
        input || program || stdin
    };
    let skipped = needs.iter().find(|it| it.outcome == StepOutcome::Skipped && uses(&it.name));
    skipped.map(|it| format!("{} was skipped", it.id))
}
