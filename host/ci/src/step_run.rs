//! One step of a run: from the results before it to its own, through the cache or the executor.

use std::sync::Arc;
use std::time::Instant;

use crate::action::{self, ActionKey};
use crate::digest::BlobDigest;
use crate::entry;
use crate::executor::{Executed, Executor, StepJob, StreamOutput};
use crate::junit;
use crate::log::LogWriter;
use crate::plan::PlannedStep;
use crate::prepare::{self, PrepareError, Surroundings};
use crate::records::{LastAction, RunRecord, write_last};
use crate::result::{OutputResult, OutputsResult, StepOutcome, StepResult, StreamResult};
use crate::tree::{FileTree, TreeNode};

/// Use of the cache by a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CachePolicy {
    /// Results are reused and kept.
    #[default]
    Use,
    /// Steps run, and their results replace those that are kept.
    Refresh,
    /// Steps run, and nothing is kept.
    Off,
}

/// The parts of a run that a step needs.
pub(crate) struct StepRunner<'a> {
    pub(crate) around: Surroundings<'a>,
    pub(crate) executor: &'a dyn Executor,
    pub(crate) policy: CachePolicy,
    pub(crate) record: Option<&'a RunRecord>,
    pub(crate) project: &'a str,
    pub(crate) salt: &'a str,
}

impl StepRunner<'_> {
    fn run_id(&self) -> &str {
        self.record.map_or("", |record| &record.run_id)
    }

    /// Makes the job of a step and its key.
    pub(crate) fn prepare<'r>(
        &self,
        step: &PlannedStep,
        results: &dyn Fn(&str) -> Vec<&'r StepResult>,
        log: Arc<LogWriter>,
    ) -> Result<(StepJob, ActionKey), PrepareError> {
        let job = prepare::job(&self.around, step, results, log)?;
        let key = action::key(self.around.store, step, &job, self.salt)?;
        Ok((job, key))
    }

    /// Finds the result of a step in the cache. Another step may have stored it.
    pub(crate) fn cached(&self, step: &PlannedStep, key: &ActionKey) -> Option<StepResult> {
        let usable = step.cached && self.policy == CachePolicy::Use;
        let found = entry::read(self.around.store, &key.action).filter(|_| usable)?;
        let (id, name, matrix) = (step.id.clone(), step.name.clone(), step.matrix.clone());
        Some(StepResult { id, name, matrix, ..found })
    }

    /// Runs a step, or takes its result from the cache.
    pub(crate) fn run<'r>(
        &self,
        step: &PlannedStep,
        results: &dyn Fn(&str) -> Vec<&'r StepResult>,
    ) -> StepResult {
        let began = Instant::now();
        let log = self.record.and_then(|it| it.log(&step.id, step.bounds.log_bytes).ok());
        let log = Arc::new(log.unwrap_or_else(LogWriter::discard));
        let mut result = match self.prepare(step, results, log.clone()) {
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
                if !self.run_id().is_empty() {
                    let last = LastAction::new(self.run_id(), &key.action);
                    // Only `explain` reads it.
                    drop(write_last(self.around.store, self.project, &step.id, last));
                }
                let mut result = match self.cached(step, &key) {
                    Some(found) => found,
                    None => self.execute(step, &job, &key),
                };
                result.tool.clone_from(&job.tool);
                result.component = Some(job.component.text());
                result.action = Some(key.action.text());
                result.input_root = Some(key.input_root.text());
                result.timing.stage_ms = stage_ms;
                if result.cached.is_some() {
                    result.timing = crate::result::StepTiming { stage_ms, ..Default::default() };
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

    /// Runs a job, again after some failures, and once more for each verification.
    fn execute(&self, step: &PlannedStep, job: &StepJob, key: &ActionKey) -> StepResult {
        let mut attempts = 0;
        let mut flaky = false;
        let mut result = loop {
            attempts += 1;
            job.log.attempt(attempts);
            let result = self.once(step, job);
            let repeat = !result.as_expected
                && attempts <= step.retries.most
                && step.retries.on.contains(&result.outcome);
            if !repeat {
                break result;
            }
            flaky = true;
        };
        for _ in 1..step.verify {
            if !result.as_expected {
                break;
            }
            attempts += 1;
            job.log.attempt(attempts);
            let again = self.once(step, job);
            if let Some(difference) = difference(&result, &again) {
                result.outcome = StepOutcome::NotReproducible;
                result.as_expected = false;
                result.message = Some(format!("two runs differ: {difference}"));
            }
        }
        result.attempts = attempts;
        if flaky && result.as_expected {
            result.tests.get_or_insert_default().flaky += 1;
        }
        if result.as_expected && step.cached && self.policy != CachePolicy::Off {
            let written = entry::write(self.around.store, &key.action, &result, self.run_id());
            if let Err(error) = written {
                result.message = Some(format!("the result is not cached: {error}"));
            }
        }
        result
    }

    fn once(&self, step: &PlannedStep, job: &StepJob) -> StepResult {
        let mut executed = self.executor.execute(job);
        executed.cut_streams(job.log_bytes);
        let mut result = StepResult::new(&step.id, &step.name, executed.outcome);
        match self.fill(&mut result, step, executed) {
            Ok(()) => result,
            Err(error) => {
                result.outcome = StepOutcome::HostFault;
                result.as_expected = false;
                result.message = Some(format!("cannot store the result: {error}"));
                result
            }
        }
    }

    /// Stores what a run left, and judges its end.
    fn fill(
        &self,
        result: &mut StepResult,
        step: &PlannedStep,
        executed: Executed,
    ) -> std::io::Result<()> {
        let store = self.around.store;
        let Executed { exit_code, message, limits_met, outputs, .. } = executed;
        let stream = |stream: StreamOutput| {
            let digest = store.put(&stream.content)?;
            let (digest, kept) = (Some(digest.text()), digest.bytes);
            std::io::Result::Ok(StreamResult { digest, bytes: stream.total, kept })
        };
        result.stdout = stream(executed.stdout)?;
        result.stderr = stream(executed.stderr)?;
        result.exit_code = exit_code;
        result.limits_met = limits_met;
        result.memory_peak_bytes = executed.memory_peak_bytes;
        result.fuel = executed.fuel;
        result.denials = executed.denials;
        result.timing.load_ms = executed.load_ms;
        result.timing.compile_ms = executed.compile_ms;
        result.timing.run_ms = executed.run_ms;
        result.timing.cpu_ms = executed.cpu_ms;
        result.timing.collect_ms = executed.collect_ms;
        let mut tree = FileTree::default();
        let mut files = Vec::new();
        for (path, digest) in &outputs.files {
            tree.add(path, TreeNode::File { digest: *digest, executable: false });
            let (path, bytes, digest) = (path.clone(), digest.bytes, digest.text());
            files.push(OutputResult { path, bytes, digest });
        }
        result.out = OutputsResult {
            tree: Some(tree.store(store)?.text()),
            files,
            absent: outputs.absent,
            dropped: outputs.dropped,
        };
        result.as_expected = step.expected.includes(result.outcome, exit_code);
        result.message = match (result.as_expected, message, exit_code) {
            (true, ..) => None,
            (false, Some(message), _) => Some(message),
            (false, None, Some(code)) => Some(format!("exited with {code}")),
            (false, None, None) => Some(result.outcome.as_str().replace('_', " ")),
        };
        if result.as_expected && !result.out.absent.is_empty() {
            result.as_expected = false;
            let absent = result.out.absent.join(", ");
            result.message = Some(format!("it left no {absent} in /out"));
        }
        if let Some(path) = &step.junit
            && let Some(digest) = outputs.files.get(path)
        {
            self.read_report(result, path, digest);
        }
        Ok(())
    }

    /// Reads the JUnit report of a step. One that cannot be read, or that has failures, fails it.
    fn read_report(&self, result: &mut StepResult, path: &str, digest: &BlobDigest) {
        let content = self.around.store.read_blob(digest, junit::MOST_BYTES);
        let counts = match content {
            Ok(content) => junit::counts(&content).map_err(|error| error.to_string()),
            Err(_) => Err("it is over 10 MiB".to_owned()),
        };
        match counts {
            Ok(counts) => {
                if counts.failed > 0 && result.as_expected {
                    result.as_expected = false;
                    result.message = Some(match counts.failed {
                        1 => "a test failed".to_owned(),
                        failed => format!("{failed} tests failed"),
                    });
                }
                result.tests = Some(counts);
            }
            Err(why) => {
                result.as_expected = false;
                result.message = Some(format!("the report {path} cannot be read: {why}"));
            }
        }
    }
}

/// Returns the first difference between two runs of the same action.
fn difference(a: &StepResult, b: &StepResult) -> Option<String> {
    if (a.outcome, a.exit_code) != (b.outcome, b.exit_code) {
        let end = |it: &StepResult| match it.exit_code {
            Some(code) => format!("{} {code}", it.outcome.as_str()),
            None => it.outcome.as_str().to_owned(),
        };
        return Some(format!("{} and {}", end(a), end(b)));
    }
    let files = |it: &StepResult| -> std::collections::BTreeMap<String, String> {
        it.out.files.iter().map(|file| (file.path.clone(), file.digest.clone())).collect()
    };
    let (first, second) = (files(a), files(b));
    let mut paths: Vec<_> = first.keys().chain(second.keys()).collect();
    paths.sort();
    if let Some(path) = paths.into_iter().find(|path| first.get(*path) != second.get(*path)) {
        return Some(format!("/out/{path}"));
    }
    if a.stdout != b.stdout {
        return Some("standard output".into());
    }
    (a.stderr != b.stderr).then(|| "standard error".into())
}

fn millis(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}
