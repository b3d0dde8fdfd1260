//! Steps of pipelines that a runtime runs: commands over directories that are named by content.
//!
//! A step is no worker. It has no identity, mailbox or transcript: it is a function of its request,
//! so a caller that loses it, or a host that was killed, asks again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ci::{LogRecord, StepOutcome, StepResult};
use crate::{BlobDigest, CiRunId, HttpGrant, LimitChanges, SecretName, StepKey};

/// Maximum number of digests in one question for missing blobs.
pub const MOST_BLOBS: usize = 5_000;

/// Deadline of a step that sets none, in milliseconds. Any operator may give a step this much.
pub const STEP_DEADLINE_MS: u64 = 60_000;

/// Blobs that a caller asks for, or that are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlobList {
    /// The blobs, [`MOST_BLOBS`] at most.
    pub blobs: Vec<BlobDigest>,
}

/// A request to run one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepRequest {
    /// Run that it belongs to.
    pub run: CiRunId,
    /// Text that separates the caches of those who do not trust each other.
    #[serde(default)]
    pub salt: String,
    /// Use of the runtime's cache.
    #[serde(default)]
    pub cache: StepCache,
    /// The step.
    pub step: StepSpec,
}

/// Use of the runtime's cache by a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepCache {
    /// Its result is taken from the cache, and kept.
    #[default]
    Use,
    /// It runs, and its result replaces the one that is kept.
    Refresh,
    /// It runs, and its result is not kept.
    Off,
}

/// A step: a program, all that it can observe, and what is made of its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    /// Id: the step's name and its combination.
    pub id: String,
    /// Name of the program for people.
    pub tool: String,
    /// Program: a command. It must already be stored, as must the other blobs.
    pub component: BlobDigest,
    /// True if it must run in a process of its own.
    #[serde(default)]
    pub isolated: bool,
    /// Arguments; the first is the program's own name.
    pub argv: Vec<String>,
    /// Environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<BlobDigest>,
    /// Read-only directories by their path in the guest. Each is the `Directory` message of the
    /// Remote Execution API.
    #[serde(default)]
    pub trees: BTreeMap<String, BlobDigest>,
    /// Directory that the guest gets a writable copy of. Its outputs are taken from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<CopiedTree>,
    /// Patterns of the outputs to keep.
    #[serde(default)]
    pub out: Vec<String>,
    /// Limits other than the defaults.
    #[serde(default)]
    pub limits: LimitChanges,
    /// Bytes of standard output and standard error to keep.
    pub log_bytes: u64,
    /// Seed of a virtual clock; the real one without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// True if instructions are counted.
    #[serde(default)]
    pub deterministic: bool,
    /// Requests that it may send.
    #[serde(default)]
    pub http: Vec<HttpGrant>,
    /// Secrets of the runtime's operator that it gets stand-ins for.
    #[serde(default)]
    pub secrets: BTreeSet<SecretName>,
    /// Ends that count as success.
    pub expected: ExpectedEnds,
    /// Repetition after a failure.
    #[serde(default)]
    pub retries: StepRetries,
    /// Number of runs whose results must be equal.
    pub verify: u32,
    /// Output that is a JUnit report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub junit: Option<String>,
    /// True if its result depends on this alone, so that it may be cached.
    #[serde(default)]
    pub cacheable: bool,
}

/// A directory that the guest gets a writable copy of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopiedTree {
    /// Path in the guest.
    pub guest: String,
    /// Directory.
    pub tree: BlobDigest,
}

/// The ends that count as success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedEnds {
    /// Ends.
    pub outcomes: Vec<StepOutcome>,
    /// Exit codes of a program that exits; all without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exits: Option<Vec<u8>>,
}

/// Repetition after a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepRetries {
    /// Maximum number of repetitions.
    pub most: u32,
    /// Ends after which it is repeated.
    pub on: Vec<StepOutcome>,
}

/// A question for what became of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepProgress {
    /// Only records of the log after this one.
    pub after: u64,
    /// Time to wait for news, if there are none.
    pub wait: Option<Duration>,
}

/// The state of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// It waits for its turn.
    Queued,
    /// It runs.
    Running,
    /// It has ended.
    Ended,
}

/// A step as its caller sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepView {
    /// Name of the step on this runtime.
    pub key: StepKey,
    /// State.
    pub state: StepState,
    /// Records of its log, in order, as many as one answer holds.
    pub log: Vec<LogRecord>,
    /// Result, once it has ended and there are no more records. Its outputs and streams are blobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<StepResult>>,
}
