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
    /// Idempotency key, chosen by the caller, which makes resending harmless.
    pub key: Option<IdempotencyKey>,
    /// Time to wait for the outcome before answering without one.
    pub wait: Option<Duration>,
    /// Token that the input was sent with, for the transcript; none for the local operator.
    pub sender: Option<TokenId>,
}

/// The arguments, environment and standard input of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// Arguments after the program's name.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment variables. The command sees no others.
    #[serde(default)]
    pub env: std::collections::BTreeMap<String, String>,
    /// Standard input, as text.
    #[serde(default)]
    pub stdin: Option<String>,
    /// Standard input, as base64.
    #[serde(default)]
    pub stdin_base64: Option<String>,
}

/// The answer to a [`NewInput`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Sent {
    /// The input was handled; its outcome is on disk.
    Done {
        /// Id of the input.
        input_id: InputId,
        /// Outcome of the turn.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The input is on disk and will be handled.
    Accepted {
        /// Id of the input.
        input_id: InputId,
        /// Sequence number in the transcript.
        seq: Cursor,
    },
}

impl Sent {
    /// Returns the input's id.
    pub fn input_id(&self) -> InputId {
        match self {
            Self::Accepted { input_id, .. } | Self::Done { input_id, .. } => *input_id,
        }
    }
}

/// The progress of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputState {
    /// Waiting for its turn.
    Queued,
    /// Being handled, or was when the host went down.
    Running,
    /// The outcome is known.
    Done,
}

/// The public view of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputView {
    /// Id of the input.
    pub input_id: InputId,
    /// Sequence number in the transcript.
    pub seq: Cursor,
    /// Progress of the input.
    pub state: InputState,
    /// Attempts started, from 1; 0 while queued.
    pub attempt: u32,
    /// Outcome, once there is one.
    #[serde(flatten)]
    pub outcome: Option<Outcome>,
}

/// A request for a page of a worker's inputs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListInputs {
    /// Maximum number of items; 0 for the default of 100.
    pub limit: usize,
    /// Cursor of the previous page.
    pub cursor: Option<String>,
}

/// One input in a list: sender, times and ending, without bodies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputSummary {
    /// Id of the input.
    pub input_id: InputId,
    /// Sequence number in the transcript.
    pub seq: Cursor,
    /// Progress of the input.
    pub state: InputState,
    /// Attempts started, from 1; 0 while queued.
    pub attempt: u32,
    /// Token that the input was sent with; none for the local operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<TokenId>,
    /// Time of acceptance.
    pub accepted_at: Timestamp,
    /// Time when the last attempt began. Unknown for inputs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Time of the end, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Ending, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// Media type of the body.
    pub content_type: String,
    /// Length of the body in bytes.
    pub bytes: u64,
}

/// The ending of a turn, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The worker answered, or the command exited, with any exit code.
    Completed,
    /// The worker reported that it could not handle the input.
    Failed,
    /// The worker crashed.
    Trapped,
    /// The turn exceeded its deadline.
    Deadline,
    /// The turn exceeded a limit.
    Limit,
    /// A caller cancelled the turn.
    Cancelled,
    /// The host failed; the worker is not at fault.
    HostFault,
}

impl Ending {
    /// Every ending.
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

/// The outcome of a turn. Stored in one transaction with the input's completion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Ending, in one word.
    #[serde(rename = "outcome")]
    pub ending: Ending,
    /// Output: always present if the turn completed; captured output of a command in any case.
    pub output: Option<Output>,
    /// Error: always present if the turn did not complete.
    pub error: Option<TurnError>,
}

/// The output of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Output {
    /// Output of a command.
    Run(RunOutput),
    /// Answer of a service.
    Message(Payload),
}

/// The captured output of a command.
///
/// In JSON `{"exit_code", "stdout", "stderr", "truncated"}`, with `stdout_base64` or
/// `stderr_base64` if the bytes are not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "WrittenRun", try_from = "WrittenRun")]
pub struct RunOutput {
    /// Exit code, if the command exited.
    pub exit_code: Option<u8>,
    /// Beginning of its standard output.
    pub stdout: Vec<u8>,
    /// Beginning of its standard error.
    pub stderr: Vec<u8>,
    /// True if output was truncated.
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

/// The reason why a turn did not complete. The text may come from the guest: pass it through
/// [`crate::text::neutral`] before showing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnError {
    /// Short stable code: the worker's own if it reported a failure, ours otherwise.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// Limit that was exceeded, if any. A worker that reported a failure had reached it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitName>,
    /// Guest call stack, innermost frame first, if the worker crashed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
    /// Last lines that the turn wrote to standard error, if the worker is a service and crashed or
    /// exited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stderr: Vec<String>,
}
