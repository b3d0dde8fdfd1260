//! What a registry shows of its runtimes, and who may do what there.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Diagnostic, DisplayRef, HostId, RuntimeId, Timestamp, TokenId, WorkerId, WorkerView};

/// Where a registry has a runtime from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// It is part of the same process.
    Embedded,
    /// It is another process, reached over the network.
    Remote,
    /// It is the foreground runs on this machine, to look at only.
    Local,
}

impl Source {
    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Remote => "remote",
            Self::Local => "local",
        }
    }
}

/// Whether a runtime answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It does.
    Available,
    /// It does, but is restoring, or answered slowly or not at all a moment ago.
    Degraded,
    /// It does not.
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

/// What can be done with a runtime's workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capabilities {
    /// Workers can be created, fed, stopped, changed and removed.
    pub mutate: bool,
    /// Transcripts can be read and followed.
    pub transcripts: bool,
    /// Files of workers can be read and written.
    pub files: bool,
}

/// What anyone may see of a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeSummary {
    /// Its authority id.
    pub runtime_id: RuntimeId,
    /// What people call it.
    pub display_name: DisplayRef,
    /// Where the registry has it from.
    pub source: Source,
    /// Whether it answers.
    pub status: Status,
    /// Since when it does not, if it does not.
    pub unavailable_since: Option<Timestamp>,
    /// Where it runs, as far as is known.
    pub host_id: Option<HostId>,
    /// What can be done there.
    pub capabilities: Capabilities,
    /// Its software's version, as far as is known.
    pub version: Option<String>,
    /// Its workers, as far as is known.
    pub workers: Option<u64>,
    /// Its live instances, as far as is known.
    pub connected: Option<u64>,
}

/// A host, by the runtimes that are known to run on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostView {
    /// Which.
    pub host_id: HostId,
    /// Its runtimes.
    pub runtimes: Vec<RuntimeId>,
    /// The best status of one of them.
    pub status: Status,
}

/// A worker in a list over runtimes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerEntry {
    /// The worker.
    #[serde(flatten)]
    pub worker: WorkerView,
    /// Where the registry has its runtime from.
    pub source: Source,
}

/// Something changed in a registry's runtimes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetChange {
    /// Pass this to read on after this change.
    pub cursor: String,
    /// What changed, as it is now.
    #[serde(flatten)]
    pub what: Changed,
}

/// What changed. In JSON `{"kind": "runtime", "runtime": {…}}`, `{"kind": "runtime_removed",
/// "runtime_id"}` or `{"kind": "worker", "runtime_id", "worker_id", "worker": {…} or null}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Changed {
    /// A runtime: it is new, or answers no longer, or again.
    Runtime {
        /// What it is now.
        runtime: Box<RuntimeSummary>,
    },
    /// A runtime is no longer in the registry, nor are its workers.
    RuntimeRemoved {
        /// Which.
        runtime_id: RuntimeId,
    },
    /// A worker.
    Worker {
        /// Whose it is.
        runtime_id: RuntimeId,
        /// Which it is there.
        worker_id: WorkerId,
        /// What it is now, or `None` if it was removed.
        worker: Option<Box<WorkerView>>,
    },
}

/// Some items of a list over runtimes, with what kept others from being there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ListingOf{T}")]
pub struct Listing<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to read on, if there is more.
    pub next_cursor: Option<String>,
    /// What the reader should know of this list.
    pub diagnostics: Vec<Diagnostic>,
}

/// What a token's holder may do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read.
    Viewer,
    /// That, and work with workers within the operator's ceilings.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word used in every API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// A request to be known by a cookie from now on: with a token, or with a code that is good once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// A token.
    Token(String),
    /// The code of a login link.
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

/// Who the caller is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Me {
    /// The token that the caller came with; none for the operator at the machine.
    pub token_id: Option<TokenId>,
    /// What the caller may do.
    pub role: Role,
    /// Where, if not on every runtime.
    pub runtimes: Option<Vec<RuntimeId>>,
}

/// What anyone may see of a token. The token itself is shown once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenView {
    /// Its public name.
    pub token_id: TokenId,
    /// What it lets its holder do.
    pub role: Role,
    /// Where, if not on every runtime.
    pub runtimes: Option<Vec<RuntimeId>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}
