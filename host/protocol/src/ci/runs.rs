//! What is read about the runs of a machine's user.

use std::io::Read;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LogPage, OutputResult, RunOutcome, RunResult, StepOutcome};
use crate::{CiRunId, Error, Page};

/// Reads the runs of this machine's user. It changes nothing, and its calls block.
pub trait CiRuns: Send + Sync {
    /// Lists runs, the newest first.
    ///
    /// # Errors
    /// If the runs cannot be read.
    fn list(&self, wanted: &ListCiRuns) -> Result<Page<CiRunSummary>, Error>;

    /// Returns a run, as far as it has come.
    ///
    /// # Errors
    /// [`Error::UnknownRun`], or if it cannot be read.
    fn run(&self, run: &CiRunId) -> Result<RunResult, Error>;

    /// Returns a page of a step's log.
    ///
    /// # Errors
    /// [`Error::UnknownRun`], [`Error::UnknownStep`], or if it cannot be read.
    fn log(&self, run: &CiRunId, step: &str, place: LogPlace) -> Result<LogPage, Error>;

    /// Opens an output of a step.
    ///
    /// # Errors
    /// [`Error::UnknownRun`], [`Error::UnknownStep`], [`Error::UnknownOutput`] also if it was
    /// collected as garbage, or if it cannot be read.
    fn output(&self, run: &CiRunId, step: &str, path: &str) -> Result<OutputContent, Error>;

    /// Returns the reason that a step ran, or did not.
    ///
    /// # Errors
    /// [`Error::UnknownRun`], [`Error::UnknownStep`], or if it cannot be read.
    fn explanation(&self, run: &CiRunId, step: &str) -> Result<StepExplanation, Error>;
}

/// A request for a page of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListCiRuns {
    /// Cursor of the previous page.
    pub cursor: Option<String>,
    /// Maximum number of runs; 0 for the usual number.
    pub limit: usize,
}

/// The place of a page in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPlace {
    /// Number of the last record before it.
    pub after: u64,
    /// Maximum number of records; 0 for the usual number.
    pub limit: usize,
}

/// An output that is open.
pub struct OutputContent {
    /// Name, size and digest.
    pub output: OutputResult,
    /// Its bytes.
    pub content: Box<dyn Read + Send>,
}

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CiRunSummary {
    /// Name of the run.
    pub run_id: CiRunId,
    /// Milliseconds since the epoch.
    pub started_at_ms: u64,
    /// Time from the first step to the last; while it runs, to the last write of its record.
    pub wall_ms: f64,
    /// End of the run, or the way in which it has none.
    pub outcome: RunOutcome,
    /// Name of the executor: `local`, or the id of a runtime.
    pub executor: String,
    /// Its steps, counted.
    pub steps: StepCounts,
}

/// The steps of a run, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepCounts {
    /// All.
    pub total: u64,
    /// Those that have not started.
    pub waiting: u64,
    /// Those that have not ended.
    pub running: u64,
    /// Those that fail the run. One that was stopped with its run does not count.
    pub failed: u64,
    /// Those that did not run.
    pub skipped: u64,
    /// Those whose result came from the cache.
    pub cached: u64,
}

/// The reason that a step runs, or comes from the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepExplanation {
    /// Id.
    pub id: String,
    /// Digest of its action, if it is known.
    pub action: Option<String>,
    /// True if the result of that is in the cache; for a step of a run, if it came from there.
    pub cached: bool,
    /// The run with the last action before.
    pub last_run: Option<String>,
    /// Differences since then.
    pub changes: Vec<String>,
    /// The run with the last action that differed from that of `last_run`.
    pub earlier_run: Option<String>,
    /// Differences between the two: the reason why the step ran then.
    pub earlier_changes: Vec<String>,
    /// Reason without a comparison.
    pub note: Option<String>,
}

impl StepExplanation {
    /// Creates the explanation of a step about which nothing is known yet.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            action: None,
            cached: false,
            last_run: None,
            changes: Vec::new(),
            earlier_run: None,
            earlier_changes: Vec::new(),
            note: None,
        }
    }
}

impl RunResult {
    /// Returns the run as an item of a list.
    ///
    /// # Errors
    /// If its name is not the name of a run.
    pub fn summary(&self) -> Result<CiRunSummary, Error> {
        let mut steps = StepCounts::default();
        for step in &self.steps {
            steps.total += 1;
            let stopped = step.outcome == StepOutcome::Cancelled;
            steps.failed += u64::from(step.fails_run() && !stopped);
            steps.cached += u64::from(step.cached.is_some());
            match step.outcome {
                StepOutcome::Waiting => steps.waiting += 1,
                StepOutcome::Running => steps.running += 1,
                StepOutcome::Skipped => steps.skipped += 1,
                _ => {}
            }
        }
        Ok(CiRunSummary {
            run_id: self.run_id.parse::<CiRunId>()?,
            started_at_ms: self.started_at_ms,
            wall_ms: self.wall_ms,
            outcome: self.outcome,
            executor: self.host.executor.clone(),
            steps,
        })
    }
}
