//! Conditions that an operator should know of and that no response reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Denial, RuntimeId, Timestamp, WorkerId};

/// A kind of condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosticCode {
    /// The worker had a live instance when the host went down, and has had none since.
    ExecutionNotRestored,
    /// A row or file of the worker is damaged.
    Quarantined,
    /// The worker's directory is missing.
    DirectoryMissing,
    /// The host went down in every attempt at one input.
    CrashLoop,
    /// The component could not be instantiated.
    Uninstantiable,
    /// A file call of an ended turn has not returned.
    HostCallStuck,
    /// The worker tried something that it has no grant for. The last few denials have one
    /// diagnostic each; granting what was denied removes it.
    Denied,
    /// Files or directories of the worker have names that cannot be shown. Lists and archives omit
    /// them.
    NamesNotShown,
    /// The store contains a file that does not belong there.
    ForeignFile,
    /// Removing a worker's files did not finish and will be retried.
    RemovalDelayed,
    /// A runtime does not answer; its items are missing from this list.
    RuntimeUnavailable,
    /// A runtime did not answer before the deadline; its items are missing from this list.
    RuntimeSlow,
    /// A remote answers with an id that differs from the configured one, or that another runtime
    /// has.
    RuntimeMismatch,
    /// The record of a foreground run whose process is gone.
    StaleRecord,
    /// The record of a foreground run that cannot be read.
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

    /// Returns the severity of this condition.
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

/// The subject of a diagnostic: a worker or a runtime, serialized as its id.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(untagged)]
pub enum Subject {
    /// A worker.
    Worker(WorkerId),
    /// A runtime. A runtime id that looks like a worker id deserializes as a worker.
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
    /// Creates a diagnostic with the severity of its code.
    pub fn new(
        code: DiagnosticCode,
        message: impl Into<String>,
        subject: Option<Subject>,
        at: Timestamp,
    ) -> Self {
        let (severity, message) = (code.severity(), message.into());
        Self { code, severity, message, subject, at, denial: None }
    }

    /// Returns the worker that this diagnostic is about, if any.
    pub fn worker(&self) -> Option<WorkerId> {
        match self.subject {
            Some(Subject::Worker(id)) => Some(id),
            Some(Subject::Runtime(_)) | None => None,
        }
    }
}

/// The severity of a diagnostic.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For information only.
    Info,
    /// Something may be wrong.
    Warning,
    /// Something is wrong.
    Error,
}

/// A condition that the operator should know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// Kind of condition.
    pub code: DiagnosticCode,
    /// Severity of the condition.
    pub severity: Severity,
    /// One sentence for the operator. It contains no path.
    pub message: String,
    /// Worker or runtime concerned, if there is one.
    pub subject: Option<Subject>,
    /// Time of detection.
    pub at: Timestamp,
    /// For `denied`: the denied access, and the grant that would allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denial: Option<Box<Denial>>,
}
