//! Inputs and their outcomes.

use std::borrow::Cow;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::payload::{Base64Error, from_text, to_text};
use crate::{Cursor, IdempotencyKey, InputId, LimitName, Payload, Timestamp, TokenId};

/// The media type of a command's input: a [`RunRequest`] in JSON.
pub const RUN_REQUEST: &str = "application/json";

/// A message for a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInput {
    /// The message. For a command it is a [`RunRequest`] in JSON.
    pub payload: Payload,
    /// The caller's own name for it, which makes sending it again harmless.
    pub key: Option<IdempotencyKey>,
    /// How long to wait for the outcome before answering without one.
    pub wait: Option<Duration>,
    /// The token that it was sent with, for the transcript; none for whoever is at the machine.
    pub sender: Option<TokenId>,
}

/// What a command is run with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// Arguments after the program's own name.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment variables; there are no others.
    #[serde(default)]
    pub env: std::collections::BTreeMap<String, String>,
    /// Standard input, where it is text.
    #[serde(default)]
    pub stdin: Option<String>,
    /// Standard input as base64, where it is not.
    #[serde(default)]
    pub stdin_base64: Option<String>,
}

/// The answer to a [`NewInput`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Sent {
    /// It has been handled, and that is on disk.
    Done {
        /// Its id.
        input_id: InputId,
        /// How it ended.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// It is on disk and will be handled.
    Accepted {
        /// Its id.
        input_id: InputId,
        /// Its place in the transcript.
        seq: Cursor,
    },
}

impl Sent {
    /// The input's id.
    pub fn input_id(&self) -> InputId {
        match self {
            Self::Accepted { input_id, .. } | Self::Done { input_id, .. } => *input_id,
        }
    }
}

/// How far an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputState {
    /// Waits for its turn.
    Queued,
    /// Is being handled, or was when the host went down.
    Running,
    /// Has an outcome.
    Done,
}

/// What anyone may see of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputView {
    /// Its id.
    pub input_id: InputId,
    /// Its place in the transcript.
    pub seq: Cursor,
    /// How far it is.
    pub state: InputState,
    /// Attempts begun, from 1; 0 while it is queued.
    pub attempt: u32,
    /// How it ended, once it has.
    #[serde(flatten)]
    pub outcome: Option<Outcome>,
}

/// Which of a worker's inputs are listed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListInputs {
    /// The most items of the page; 0 for the default of 100.
    pub limit: usize,
    /// The cursor of the page before.
    pub cursor: Option<String>,
}

/// One input in a list: its sender, its times and its ending, without bodies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputSummary {
    /// Its id.
    pub input_id: InputId,
    /// Its place in the transcript.
    pub seq: Cursor,
    /// How far it is.
    pub state: InputState,
    /// Attempts begun, from 1; 0 while it is queued.
    pub attempt: u32,
    /// The token it was sent with; none for the operator at the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<TokenId>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it ended, once it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How it ended, once it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// The media type of its body.
    pub content_type: String,
    /// The length of its body.
    pub bytes: u64,
}

/// How a turn ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The worker answered, or the command ended by itself with whatever exit code.
    Completed,
    /// The worker said that it could not handle the input.
    Failed,
    /// It crashed.
    Trapped,
    /// Its deadline passed.
    Deadline,
    /// It was held to a limit and did not get over it.
    Limit,
    /// Someone cancelled it.
    Cancelled,
    /// We failed; the worker did nothing wrong.
    HostFault,
}

impl Ending {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Completed,
        Self::Failed,
        Self::Trapped,
        Self::Deadline,
        Self::Limit,
        Self::Cancelled,
        Self::HostFault,
    ];

    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Trapped => "trapped",
            Self::Deadline => "deadline",
            Self::Limit => "limit",
            Self::Cancelled => "cancelled",
            Self::HostFault => "host_fault",
        }
    }
}

/// How a turn ended. Stored with the input's completion, in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// In one word.
    #[serde(rename = "outcome")]
    pub ending: Ending,
    /// What it gave: always where it completed; a command's captured output also otherwise.
    pub output: Option<Output>,
    /// What went wrong: always where it did not complete.
    pub error: Option<TurnError>,
}

/// What a turn gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Output {
    /// A command's run.
    Run(RunOutput),
    /// A service's answer.
    Message(Payload),
}

/// What a command wrote, as far as it was kept.
///
/// In JSON `{"exit_code", "stdout", "stderr", "truncated"}`, with `stdout_base64` or `stderr_base64`
/// where it wrote something else than UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "WrittenRun", try_from = "WrittenRun")]
pub struct RunOutput {
    /// Its exit code, if it lived to give one.
    pub exit_code: Option<u8>,
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// Whether it wrote more than was kept.
    pub truncated: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct WrittenRun {
    exit_code: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stdout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stdout_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stderr: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stderr_base64: Option<String>,
    truncated: bool,
}

fn written(bytes: &[u8]) -> (Option<String>, Option<String>) {
    let (text, base64) = to_text(bytes);
    (text.map(Cow::into_owned), base64.map(Cow::into_owned))
}

impl From<RunOutput> for WrittenRun {
    fn from(run: RunOutput) -> Self {
        let RunOutput { exit_code, truncated, stdout, stderr } = run;
        let (stdout, stdout_base64) = written(&stdout);
        let (stderr, stderr_base64) = written(&stderr);
        Self { exit_code, stdout, stdout_base64, stderr, stderr_base64, truncated }
    }
}

impl TryFrom<WrittenRun> for RunOutput {
    type Error = Base64Error;

    fn try_from(run: WrittenRun) -> Result<Self, Base64Error> {
        Ok(Self {
            exit_code: run.exit_code,
            stdout: from_text(run.stdout, run.stdout_base64)?,
            stderr: from_text(run.stderr, run.stderr_base64)?,
            truncated: run.truncated,
        })
    }
}

/// Why a turn did not complete. The text may be the guest's: neutralise it before showing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnError {
    /// A short stable word: the worker's own for a failure, ours otherwise.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// The limit that it was held to, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitName>,
    /// The guest's call stack, innermost first, if it crashed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
}
