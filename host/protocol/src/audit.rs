//! The audit of changes: who, what, when, and with which outcome.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, RuntimeId, Timestamp, TokenId, WorkerId};

/// What somebody did or wanted to do. What only reads is none, and neither is an input, which the
/// worker's transcript has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A worker was made.
    WorkerCreate,
    /// A worker was changed.
    WorkerUpdate,
    /// A worker got its last version back.
    WorkerRollback,
    /// A worker was removed.
    WorkerRemove,
    /// A worker was started.
    WorkerStart,
    /// A worker was stopped.
    WorkerStop,
    /// A component was stored.
    ComponentPut,
    /// A component was removed.
    ComponentRemove,
    /// A config bundle was stored.
    ConfigPut,
    /// A config bundle was removed.
    ConfigRemove,
    /// A worker's file was written.
    FileWrite,
    /// A worker's file was removed.
    FileRemove,
    /// An archive was unpacked into a worker's directory.
    FilesImport,
    /// A token was made.
    TokenCreate,
    /// A token was revoked.
    TokenRevoke,
    /// A remote was added.
    RemoteAdd,
    /// A remote was removed.
    RemoteRemove,
    /// Somebody logged in.
    Login,
    /// Somebody logged out.
    Logout,
}

impl Action {
    /// Every one.
    pub const ALL: [Self; 19] = [
        Self::WorkerCreate,
        Self::WorkerUpdate,
        Self::WorkerRollback,
        Self::WorkerRemove,
        Self::WorkerStart,
        Self::WorkerStop,
        Self::ComponentPut,
        Self::ComponentRemove,
        Self::ConfigPut,
        Self::ConfigRemove,
        Self::FileWrite,
        Self::FileRemove,
        Self::FilesImport,
        Self::TokenCreate,
        Self::TokenRevoke,
        Self::RemoteAdd,
        Self::RemoteRemove,
        Self::Login,
        Self::Logout,
    ];

    /// The word for it in the audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorkerCreate => "worker.create",
            Self::WorkerUpdate => "worker.update",
            Self::WorkerRollback => "worker.rollback",
            Self::WorkerRemove => "worker.remove",
            Self::WorkerStart => "worker.start",
            Self::WorkerStop => "worker.stop",
            Self::ComponentPut => "component.put",
            Self::ComponentRemove => "component.remove",
            Self::ConfigPut => "config.put",
            Self::ConfigRemove => "config.remove",
            Self::FileWrite => "file.write",
            Self::FileRemove => "file.remove",
            Self::FilesImport => "files.import",
            Self::TokenCreate => "token.create",
            Self::TokenRevoke => "token.revoke",
            Self::RemoteAdd => "remote.add",
            Self::RemoteRemove => "remote.remove",
            Self::Login => "login",
            Self::Logout => "logout",
        }
    }
}

/// A change that somebody made or was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Its place in the log, from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Whose token it was made with; none for the operator at the machine.
    pub token_id: Option<TokenId>,
    /// What was done: `worker.create`, `token.revoke`, `login`.
    pub action: String,
    /// On which runtime, if on one.
    pub runtime_id: Option<RuntimeId>,
    /// With which worker, if with one.
    pub worker_id: Option<WorkerId>,
    /// `ok`, or the code of the error; `worker_not_visible` where that was the reason.
    pub outcome: String,
}

/// The word that an audit has for a result.
pub fn audit_word(error: Option<&Error>) -> &'static str {
    match error {
        None => "ok",
        Some(Error::WorkerNotVisible(_)) => "worker_not_visible",
        Some(error) => error.code(),
    }
}
