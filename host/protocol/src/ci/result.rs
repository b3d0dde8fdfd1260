//! The result of a run: `run.json` and `--output json`, one schema for every executor and for the
//! console. No field can hold a host path or a secret.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The result of one run of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResult {
    /// Name of the run: a time and random digits, so that later names sort later.
    pub run_id: String,
    /// Digest of the pipeline file.
    pub pipeline_digest: String,
    /// Milliseconds since the epoch.
    pub started_at_ms: u64,
    /// Time from the first step to the last; while it runs, to the last write of its record.
    pub wall_ms: f64,
    /// End of the run, or the way in which it has none.
    pub outcome: RunOutcome,
    /// The executor.
    pub host: HostFacts,
    /// Steps, each after those that it needs.
    pub steps: Vec<StepResult>,
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// All steps ended as expected, or were allowed to fail, or were skipped.
    Passed,
    /// A step failed.
    Failed,
    /// The run was stopped.
    Cancelled,
    /// It has not ended.
    Running,
    /// Its process ended before the run did.
    Interrupted,
}

impl RunOutcome {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns true if the run came to its end, so that its result is whole.
    pub const fn is_whole(self) -> bool {
        !matches!(self, Self::Running | Self::Interrupted)
    }
}

/// The executor of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostFacts {
    /// Version of Skep.
    pub version: String,
    /// Version of the world that a step observes: part of every key.
    pub world: u32,
    /// Name of the executor: `local`, or the id of a runtime.
    pub executor: String,
}

/// The end of a step.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// The program exited.
    Exited,
    /// It crashed.
    Trapped,
    /// Its deadline passed.
    Deadline,
    /// It reached another limit.
    Limit,
    /// The run was stopped.
    Cancelled,
    /// The program cannot run.
    Refused,
    /// The host failed.
    HostFault,
    /// It did not run.
    Skipped,
    /// Two runs differed.
    NotReproducible,
    /// It has not started; only while its run lasts.
    Waiting,
    /// It has not ended; only while its run lasts.
    Running,
}

impl StepOutcome {
    /// Returns true if the step has ended, or will not start.
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }

    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Trapped => "trapped",
            Self::Deadline => "deadline",
            Self::Limit => "limit",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::HostFault => "host_fault",
            Self::Skipped => "skipped",
            Self::NotReproducible => "not_reproducible",
            Self::Waiting => "waiting",
            Self::Running => "running",
        }
    }
}

/// The result of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepResult {
    /// Id: the step's name and its combination.
    pub id: String,
    /// Name of the step.
    pub name: String,
    /// Combination of the matrix.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub matrix: BTreeMap<String, String>,
    /// Ids of the steps before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Tool, or the step that made the program.
    pub tool: String,
    /// Digest of the program, once it is known.
    pub component: Option<String>,
    /// Digest of the action: the key of the cache.
    pub action: Option<String>,
    /// Digest of the tree of its sources and inputs.
    pub input_root: Option<String>,
    /// End.
    pub outcome: StepOutcome,
    /// Start in milliseconds since the epoch, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// Exit code, if the program exited.
    pub exit_code: Option<u8>,
    /// True if the end is the expected one.
    pub as_expected: bool,
    /// True if a failure does not fail the run.
    #[serde(default)]
    pub allowed_to_fail: bool,
    /// Reason, unless the end is the expected one.
    pub message: Option<String>,
    /// Origin of the result, if it came from the cache.
    pub cached: Option<CachedFrom>,
    /// Number of runs, of which only the last counts.
    pub attempts: u32,
    /// Limits that were reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits_met: Vec<String>,
    /// Times.
    pub timing: StepTiming,
    /// Peak memory.
    pub memory_peak_bytes: u64,
    /// Fuel, if it was counted.
    pub fuel: Option<u64>,
    /// Standard output.
    pub stdout: StreamResult,
    /// Standard error.
    pub stderr: StreamResult,
    /// Outputs.
    pub out: OutputsResult,
    /// Denied accesses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<DenialResult>,
    /// Counts of its JUnit report.
    pub tests: Option<TestCounts>,
}

/// The origin of a cached result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CachedFrom {
    /// Run in which the step ran.
    pub from_run: String,
}

/// The times of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepTiming {
    /// From the end of the last step before it to its start.
    pub queue_ms: f64,
    /// Making its trees and its key.
    pub stage_ms: f64,
    /// Loading its program, compiling included.
    pub load_ms: f64,
    /// Running.
    pub run_ms: f64,
    /// On a CPU.
    pub cpu_ms: f64,
    /// Collecting its outputs.
    pub collect_ms: f64,
    /// Compiling, if its program was compiled.
    pub compile_ms: Option<f64>,
}

/// One stream of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamResult {
    /// Digest of the bytes that were kept.
    pub digest: Option<String>,
    /// Bytes that were written.
    pub bytes: u64,
    /// Bytes that were kept.
    pub kept: u64,
}

/// The outputs of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputsResult {
    /// Digest of their tree.
    pub tree: Option<String>,
    /// Files.
    pub files: Vec<OutputResult>,
    /// Patterns that matched nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// Files that no pattern matched, and links.
    pub dropped: u64,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputResult {
    /// Path below the output directory.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Digest.
    pub digest: String,
}

/// A denied access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DenialResult {
    /// Interface that the program called.
    pub interface: String,
    /// What it wanted.
    pub wanted: Option<String>,
}

/// The counts of a JUnit report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestCounts {
    /// Passed.
    pub passed: u64,
    /// Failed, errors included.
    pub failed: u64,
    /// Passed after a failure.
    pub flaky: u64,
    /// Skipped.
    pub skipped: u64,
    /// The first failures, ten at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<TestFailure>,
}

/// One failed test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestFailure {
    /// Name, with its class.
    pub name: String,
    /// Message.
    pub message: String,
    /// File, if the report names one.
    pub file: Option<String>,
    /// Line.
    pub line: Option<u64>,
}

impl StepResult {
    /// Creates the result of a step that did not run.
    pub fn new(id: &str, name: &str, outcome: StepOutcome) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            matrix: BTreeMap::new(),
            needs: Vec::new(),
            tool: String::new(),
            component: None,
            action: None,
            input_root: None,
            outcome,
            started_at_ms: None,
            exit_code: None,
            as_expected: false,
            allowed_to_fail: false,
            message: None,
            cached: None,
            attempts: 0,
            limits_met: Vec::new(),
            timing: StepTiming::default(),
            memory_peak_bytes: 0,
            fuel: None,
            stdout: StreamResult::default(),
            stderr: StreamResult::default(),
            out: OutputsResult::default(),
            denials: Vec::new(),
            tests: None,
        }
    }

    /// Creates the result of a step that ended so without running.
    pub fn ended(id: &str, outcome: StepOutcome, message: &str) -> Self {
        Self { message: Some(message.to_owned()), ..Self::new(id, id, outcome) }
    }

    /// Returns true if the step fails the run.
    pub fn fails_run(&self) -> bool {
        let ended = self.outcome.is_end() && self.outcome != StepOutcome::Skipped;
        ended && !self.as_expected && !self.allowed_to_fail
    }
}
