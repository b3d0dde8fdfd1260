//! Things an operator should know that are nobody's answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Denial, RuntimeId, Timestamp, WorkerId};

/// What was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosticCode {
    /// The worker was connected when the host went down, and has not been since.
    ExecutionNotRestored,
    /// A row or file of the worker is damaged.
    Quarantined,
    /// The worker's directory is not there although it had one.
    DirectoryMissing,
    /// The host went down in each attempt at one input.
    CrashLoop,
    /// The component could not be made ready.
    Uninstantiable,
    /// A file call of an ended turn does not come back.
    HostCallStuck,
    /// The worker asked for something that it was not granted. There is one of these for each of the
    /// last few things, and none for what it was granted since.
    Denied,
    /// Files or directories of the worker have names that cannot be shown, and are left out of a list
    /// or an archive.
    NamesNotShown,
    /// Something lies in the store that does not belong there.
    ForeignFile,
    /// Removing a worker's files did not finish; it is tried again.
    RemovalDelayed,
    /// A runtime does not answer; what it has is missing here.
    RuntimeUnavailable,
    /// A runtime did not answer in time; what it has is missing here.
    RuntimeSlow,
    /// A remote entry answers with another runtime's id than it is pinned to, or with one that is
    /// taken.
    RuntimeMismatch,
    /// A foreground run's record whose process is gone.
    StaleRecord,
    /// A foreground run's record that cannot be read.
    InvalidRecord,
}

impl DiagnosticCode {
    /// Every code.
    pub const ALL: [Self; 15] = [
        Self::ExecutionNotRestored,
        Self::Quarantined,
        Self::DirectoryMissing,
        Self::CrashLoop,
        Self::Uninstantiable,
        Self::HostCallStuck,
        Self::Denied,
        Self::NamesNotShown,
        Self::ForeignFile,
        Self::RemovalDelayed,
        Self::RuntimeUnavailable,
        Self::RuntimeSlow,
        Self::RuntimeMismatch,
        Self::StaleRecord,
        Self::InvalidRecord,
    ];

    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExecutionNotRestored => "execution_not_restored",
            Self::Quarantined => "quarantined",
            Self::DirectoryMissing => "directory_missing",
            Self::CrashLoop => "crash_loop",
            Self::Uninstantiable => "uninstantiable",
            Self::HostCallStuck => "host_call_stuck",
            Self::Denied => "denied",
            Self::NamesNotShown => "names_not_shown",
            Self::ForeignFile => "foreign_file",
            Self::RemovalDelayed => "removal_delayed",
            Self::RuntimeUnavailable => "runtime_unavailable",
            Self::RuntimeSlow => "runtime_slow",
            Self::RuntimeMismatch => "runtime_mismatch",
            Self::StaleRecord => "stale_record",
            Self::InvalidRecord => "invalid_record",
        }
    }

    /// How bad that is.
    pub const fn severity(self) -> Severity {
        match self {
            Self::ExecutionNotRestored | Self::Denied | Self::StaleRecord => Severity::Info,
            Self::NamesNotShown
            | Self::ForeignFile
            | Self::RemovalDelayed
            | Self::DirectoryMissing
            | Self::RuntimeSlow
            | Self::InvalidRecord => Severity::Warning,
            Self::Quarantined
            | Self::CrashLoop
            | Self::Uninstantiable
            | Self::HostCallStuck
            | Self::RuntimeUnavailable
            | Self::RuntimeMismatch => Severity::Error,
        }
    }
}

/// What a diagnostic is about: a worker or a runtime, written as its id.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(untagged)]
pub enum Subject {
    /// A worker.
    Worker(WorkerId),
    /// A runtime. One that is called as only a worker can be is not told apart.
    Runtime(RuntimeId),
}

impl From<WorkerId> for Subject {
    fn from(id: WorkerId) -> Self {
        Self::Worker(id)
    }
}

impl From<RuntimeId> for Subject {
    fn from(id: RuntimeId) -> Self {
        Self::Runtime(id)
    }
}

impl Diagnostic {
    /// Something that was noticed.
    pub fn new(
        code: DiagnosticCode,
        message: impl Into<String>,
        subject: Option<Subject>,
        at: Timestamp,
    ) -> Self {
        let (severity, message) = (code.severity(), message.into());
        Self { code, severity, message, subject, at, denial: None }
    }

    /// The worker that it is about, if it is about one.
    pub fn worker(&self) -> Option<WorkerId> {
        match self.subject {
            Some(Subject::Worker(id)) => Some(id),
            Some(Subject::Runtime(_)) | None => None,
        }
    }
}

/// How bad it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something may be wrong.
    Warning,
    /// Something is wrong.
    Error,
}

/// One thing that was noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// What.
    pub code: DiagnosticCode,
    /// How bad.
    pub severity: Severity,
    /// One sentence for the operator. It names no path.
    pub message: String,
    /// What it is about, if it is about one thing.
    pub subject: Option<Subject>,
    /// When it was noticed.
    pub at: Timestamp,
    /// What was denied, and what would allow it, where that is what was noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denial: Option<Box<Denial>>,
}
