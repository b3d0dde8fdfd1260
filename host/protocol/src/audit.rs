//! The audit log of changes: the caller, the action, the time and the outcome.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, RuntimeId, Timestamp, TokenId, WorkerId};

/// An audited action. Reads are not audited. Neither are inputs: the worker's transcript records
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A worker was created.
    WorkerCreate,
    /// A worker was copied; the record names the one that was copied.
    WorkerFork,
    /// A worker was changed.
    WorkerUpdate,
    /// A worker was rolled back to its previous version.
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
    /// An archive was imported into a worker's directory.
    FilesImport,
    /// A token was created.
    TokenCreate,
    /// A token was revoked.
    TokenRevoke,
    /// A remote was added.
    RemoteAdd,
    /// A remote was removed.
    RemoteRemove,
    /// A user logged in.
    Login,
    /// A user logged out.
    Logout,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 20] = [
        Self::WorkerCreate,
        Self::WorkerFork,
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

    /// The action's name in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorkerCreate => "worker.create",
            Self::WorkerFork => "worker.fork",
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

/// A change that was made or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Sequence number in the log, from 1.
    pub seq: u64,
    /// Time of the change.
    pub at: Timestamp,
    /// Token of the caller; none for the local operator.
    pub token_id: Option<TokenId>,
    /// Action name: `worker.create`, `token.revoke`, `login`.
    pub action: String,
    /// Runtime that was changed, if any.
    pub runtime_id: Option<RuntimeId>,
    /// Worker that was changed, if any.
    pub worker_id: Option<WorkerId>,
    /// `ok`, or the error's code; `worker_not_visible` if the caller may not see the worker.
    pub outcome: String,
}

/// Returns the audit log's word for a result.
pub fn audit_word(error: Option<&Error>) -> &'static str {
    match error {
        None => "ok",
        Some(Error::WorkerNotVisible(_)) => "worker_not_visible",
        Some(error) => error.code(),
    }
}
