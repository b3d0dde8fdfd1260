//! A registry's view of its runtimes, tokens and roles.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Diagnostic, DisplayRef, HostId, HttpGrant, Rights, Role, RuntimeId, ScopeName, SecretName,
    Timestamp, TokenId, WorkerId, WorkerView,
};

/// The source of a runtime in a registry.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The runtime in the same process.
    Embedded,
    /// A runtime in another process, reached over the network.
    Remote,
    /// A runtime that made itself known, reached by way of its fleet.
    Fleet,
    /// The foreground runs on this machine, read-only.
    Local,
}

impl Source {
    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Remote => "remote",
            Self::Fleet => "fleet",
            Self::Local => "local",
        }
    }
}

/// The availability of a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The runtime answers.
    Available,
    /// The runtime answers, but is restoring, or was slow or missed a deadline a moment ago.
    Degraded,
    /// The runtime does not answer.
    Unavailable,
}

impl Status {
    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Degraded => "degraded",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The operations that a runtime's workers support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capabilities {
    /// Workers can be created, fed, stopped, changed and removed.
    pub mutate: bool,
    /// Transcripts can be read and followed.
    pub transcripts: bool,
    /// Files of workers can be read and written.
    pub files: bool,
}

/// The public view of a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeSummary {
    /// Authoritative id of the runtime.
    pub runtime_id: RuntimeId,
    /// Display name.
    pub display_name: DisplayRef,
    /// Source of the runtime.
    pub source: Source,
    /// Availability of the runtime.
    pub status: Status,
    /// Start of the outage, if the runtime is unavailable.
    pub unavailable_since: Option<Timestamp>,
    /// Host of the runtime, if known.
    pub host_id: Option<HostId>,
    /// Supported operations.
    pub capabilities: Capabilities,
    /// Software version, if known.
    pub version: Option<String>,
    /// Number of workers, if known.
    pub workers: Option<u64>,
    /// Number of live instances, if known.
    pub connected: Option<u64>,
}

/// A host, derived from the runtimes known to run on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostView {
    /// Id of the host.
    pub host_id: HostId,
    /// Runtimes on the host.
    pub runtimes: Vec<RuntimeId>,
    /// Best status of any of its runtimes.
    pub status: Status,
}

/// A worker in a list over all runtimes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerEntry {
    /// The worker.
    #[serde(flatten)]
    pub worker: WorkerView,
    /// Source of its runtime.
    pub source: Source,
}

/// A change of a registry's runtimes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetChange {
    /// Cursor to resume after this change.
    pub cursor: String,
    /// New state of what changed.
    #[serde(flatten)]
    pub what: Changed,
}

/// The subject of a change. In JSON `{"kind": "runtime", "runtime": {…}}`, `{"kind":
/// "runtime_removed", "runtime_id"}` or `{"kind": "worker", "runtime_id", "worker_id", "worker":
/// {…} or null}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Changed {
    /// A runtime was added, or its availability changed.
    Runtime {
        /// New state of the runtime.
        runtime: Box<RuntimeSummary>,
    },
    /// A runtime was removed from the registry, and its workers with it.
    RuntimeRemoved {
        /// Id of the runtime.
        runtime_id: RuntimeId,
    },
    /// A worker changed.
    Worker {
        /// Runtime of the worker.
        runtime_id: RuntimeId,
        /// Worker within that runtime.
        worker_id: WorkerId,
        /// New state, or `None` if it was removed.
        worker: Option<Box<WorkerView>>,
    },
}

/// A page of a list over all runtimes, with diagnostics for missing items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ListingOf{T}")]
pub struct Listing<T> {
    /// The items.
    pub items: Vec<T>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
    /// Diagnostics about this list.
    pub diagnostics: Vec<Diagnostic>,
}

/// A request for a session cookie, with a token or a single-use code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// A token.
    Token(String),
    /// Code of a login link.
    Code(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Code(_) => "Code(…)",
        })
    }
}

/// The identity of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Me {
    /// Token of the caller; none for the local operator.
    pub token_id: Option<TokenId>,
    /// Role of the caller.
    pub role: Role,
    /// Runtimes that the caller is limited to; all if absent.
    pub runtimes: Option<Vec<RuntimeId>>,
}

/// The grants that the caller may give workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Grantable {
    /// Role of the caller.
    pub role: Role,
    /// Scopes; all that the runtime offers if absent.
    pub scopes: Option<Vec<GrantableScope>>,
    /// HTTP grants that others must be within; any if absent.
    pub http: Option<Vec<HttpGrant>>,
    /// Secrets; all that the runtime offers if absent.
    pub secrets: Option<Vec<SecretName>>,
}

/// A scope that the caller may grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantableScope {
    /// Name of the scope.
    pub name: ScopeName,
    /// The most rights that the caller may grant. The runtime may offer less.
    pub rights: Rights,
}
