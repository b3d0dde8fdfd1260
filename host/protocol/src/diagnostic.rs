//! Things an operator should know that are nobody's answer.

use serde::{Deserialize, Serialize};

use crate::{Timestamp, WorkerId};

/// What was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Something lies in the store that does not belong there.
    ForeignFile,
    /// Removing a worker's files did not finish; it is tried again.
    RemovalDelayed,
}

impl DiagnosticCode {
    /// Every code.
    pub const ALL: [Self; 8] = [
        Self::ExecutionNotRestored,
        Self::Quarantined,
        Self::DirectoryMissing,
        Self::CrashLoop,
        Self::Uninstantiable,
        Self::HostCallStuck,
        Self::ForeignFile,
        Self::RemovalDelayed,
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
            Self::ForeignFile => "foreign_file",
            Self::RemovalDelayed => "removal_delayed",
        }
    }

    /// How bad that is.
    pub const fn severity(self) -> Severity {
        match self {
            Self::ExecutionNotRestored => Severity::Info,
            Self::ForeignFile | Self::RemovalDelayed | Self::DirectoryMissing => Severity::Warning,
            Self::Quarantined | Self::CrashLoop | Self::Uninstantiable | Self::HostCallStuck => {
                Severity::Error
            }
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// What.
    pub code: DiagnosticCode,
    /// How bad.
    pub severity: Severity,
    /// One sentence for the operator. It names no path.
    pub message: String,
    /// The worker that it is about, if it is about one.
    pub subject: Option<WorkerId>,
    /// When it was noticed.
    pub at: Timestamp,
}
