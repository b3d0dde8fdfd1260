//! The audit log of changes: the caller, the action, the time and the outcome.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::step::StepSpec;
use crate::{
    BlobDigest, CiRunId, Error, Grants, Labels, LimitChanges, Role, RouteAuth, RoutePrefix,
    RuntimeId, SessionId, SiteName, Timestamp, TokenId, TokenName, WorkerId, text,
};

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
    /// A worker's file or directory got another name.
    FileRename,
    /// An archive was imported into a worker's directory.
    FilesImport,
    /// A step of a pipeline was begun.
    StepRun,
    /// A token was created.
    TokenCreate,
    /// A token was revoked.
    TokenRevoke,
    /// A remote was added.
    RemoteAdd,
    /// A remote was removed.
    RemoteRemove,
    /// A route to an HTTP worker was added.
    RouteAdd,
    /// A route to an HTTP worker was removed.
    RouteRemove,
    /// A user logged in.
    Login,
    /// A user logged out.
    Logout,
    /// A session was ended by an admin, or by its user from another one.
    SessionEnd,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 25] = [
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
        Self::FileRename,
        Self::FilesImport,
        Self::StepRun,
        Self::TokenCreate,
        Self::TokenRevoke,
        Self::RemoteAdd,
        Self::RemoteRemove,
        Self::RouteAdd,
        Self::RouteRemove,
        Self::Login,
        Self::Logout,
        Self::SessionEnd,
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
            Self::FileRename => "file.rename",
            Self::FilesImport => "files.import",
            Self::StepRun => "step.run",
            Self::TokenCreate => "token.create",
            Self::TokenRevoke => "token.revoke",
            Self::RemoteAdd => "remote.add",
            Self::RemoteRemove => "remote.remove",
            Self::RouteAdd => "route.add",
            Self::RouteRemove => "route.remove",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::SessionEnd => "session.end",
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
    /// State before the change, of what the change names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<AuditedState>,
    /// State that the change asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AuditedState>,
}

/// The audited parts of a state. Absent parts are not part of the change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditedState {
    /// Grants of the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Grants>,
    /// Limits of the worker that differ from the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitChanges>,
    /// Labels of the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// The token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<AuditedToken>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The step of a pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<AuditedStep>,
    /// The route to the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<AuditedRoute>,
}

/// The audited properties of a route. Its worker is that of the entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditedRoute {
    /// Its site; none if the request names none and the host has not exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteName>,
    /// Its host and path.
    pub prefix: RoutePrefix,
    /// Right that its requests need, if the request says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<RouteAuth>,
}

/// The audited properties of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditedStep {
    /// Run that it belongs to.
    pub run: CiRunId,
    /// Id in the run: the step's name and its combination, cut after 200 characters.
    pub id: String,
    /// Program.
    pub component: BlobDigest,
}

impl AuditedStep {
    /// Maximum characters of an id. The audit is kept for ever.
    const MOST_ID: usize = 200;

    /// Returns what the audit tells of a step.
    pub fn of(run: &CiRunId, step: &StepSpec) -> Self {
        let id = text::brief(&step.id, Self::MOST_ID).into_owned();
        Self { run: run.clone(), id, component: step.component }
    }
}

/// The audited properties of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditedToken {
    /// Public id of the token.
    pub token_id: TokenId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TokenName>,
    /// Its role.
    pub role: Role,
    /// Runtimes that it is limited to; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtimes: Option<Vec<RuntimeId>>,
}

/// A filter for audit entries. An entry must match every given part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListAudit {
    /// Cursor of the previous page.
    pub cursor: Option<String>,
    /// Token of the caller, or `local` for the local operator.
    pub actor: Option<TokenId>,
    /// Action name.
    pub action: Option<String>,
    /// Runtime that was changed.
    pub runtime_id: Option<RuntimeId>,
    /// Worker that was changed.
    pub worker_id: Option<WorkerId>,
    /// Outcome.
    pub outcome: Option<String>,
    /// Earliest time.
    pub since: Option<Timestamp>,
    /// Latest time.
    pub until: Option<Timestamp>,
}

impl ListAudit {
    /// The word for the local operator, who has no token.
    pub const LOCAL: &str = "local";

    /// Returns true if an entry matches.
    pub fn has(&self, entry: &AuditEntry) -> bool {
        let by = entry.token_id.as_ref().map_or(Self::LOCAL, TokenId::as_str);
        self.actor.as_ref().is_none_or(|actor| actor.as_str() == by)
            && self.action.as_ref().is_none_or(|action| *action == entry.action)
            && self.runtime_id.as_ref().is_none_or(|id| Some(id) == entry.runtime_id.as_ref())
            && self.worker_id.is_none_or(|id| Some(id) == entry.worker_id)
            && self.outcome.as_ref().is_none_or(|outcome| *outcome == entry.outcome)
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at <= until)
    }
}

/// Returns the audit log's word for a result.
pub fn audit_word(error: Option<&Error>) -> &'static str {
    match error {
        None => "ok",
        Some(Error::WorkerNotVisible(_)) => "worker_not_visible",
        Some(error) => error.code(),
    }
}
