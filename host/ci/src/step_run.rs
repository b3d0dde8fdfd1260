//! One step of a run: from the results before it to its own.

use std::sync::Arc;
use std::time::Instant;

use crate::action::{self, ActionKey};
use crate::action_run::ActionRunner;
use crate::executor::StepJob;
use crate::log::LogWriter;
use crate::plan::PlannedStep;
use crate::prepare::{self, PrepareError, Surroundings};
use crate::records::{LastAction, RunRecord, write_last};
use crate::result::{StepOutcome, StepResult, StepTiming};

/// The parts of a run that a step needs.
pub(crate) struct StepRunner<'a> {
    pub(crate) around: Surroundings<'a>,
    pub(crate) actions: &'a dyn ActionRunner,
    pub(crate) record: &'a RunRecord,
    pub(crate) project: &'a str,
    pub(crate) salt: &'a str,
}

/// Makes the job of a step and its key.
pub(crate) fn prepare<'r>(
    around: &Surroundings<'_>,
    step: &PlannedStep,
    results: &dyn Fn(&str) -> Vec<&'r StepResult>,
    salt: &str,
    log: Arc<LogWriter>,
) -> Result<(StepJob, ActionKey), PrepareError> {
    let job = prepare::job(around, step, results, log)?;
    let key = action::key(around.store, &job, salt)?;
    Ok((job, key))
}

impl StepRunner<'_> {
    /// Runs a step, or takes its result from the cache.
    pub(crate) fn run<'r>(
        &self,
        step: &PlannedStep,
        results: &dyn Fn(&str) -> Vec<&'r StepResult>,
    ) -> StepResult {
        let began = Instant::now();
        let log = Arc::new(self.record.log(&step.id, step.bounds.log_bytes));
        let prepared = prepare(&self.around, step, results, self.salt, log.clone());
        let mut result = match prepared {
            Err(error) => {
                let outcome = match error.is_of_pipeline() {
                    true => StepOutcome::Refused,
                    false => StepOutcome::HostFault,
                };
                let mut result = StepResult::new(&step.id, &step.name, outcome);
                result.message = Some(error.to_string());
                result
            }
            Ok((job, key)) => {
                let stage_ms = millis(began);
                let last = LastAction::new(&self.record.run_id, &key.action);
                // Only `explain` reads it.
                drop(write_last(self.around.store, self.project, &step.id, last));
                let mut result = self.actions.run(&job, &key);
                result.tool.clone_from(&job.tool);
                result.component = Some(job.component.text());
                result.action = Some(key.action.text());
                result.input_root = Some(key.input_root.text());
                result.timing.stage_ms = stage_ms;
                if result.cached.is_some() {
                    result.timing = StepTiming { stage_ms, ..Default::default() };
                }
                result
            }
        };
        log.finish();
        result.id.clone_from(&step.id);
        result.name.clone_from(&step.name);
        result.matrix.clone_from(&step.matrix);
        result.allowed_to_fail = step.allow_fail;
        result
    }
}

fn millis(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}
