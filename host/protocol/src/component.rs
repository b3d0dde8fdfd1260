//! The description of a stored component.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ComponentDigest, ComponentKind, Error, Timestamp};

/// A stored component. Names come from the component itself, with control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentView {
    /// Digest of the component.
    pub digest: ComponentDigest,
    /// Kind of worker that runs it.
    pub kind: ComponentKind,
    /// File size in bytes.
    pub bytes: u64,
    /// Imported interfaces, with their versions.
    pub imports: Vec<String>,
    /// Exported interfaces.
    pub exports: Vec<String>,
    /// Time of the first upload.
    pub created_at: Timestamp,
    /// State of its compilation.
    pub compiled: Compiled,
    /// Bytes of its machine code, if there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiled_bytes: Option<u64>,
    /// Milliseconds that its compilation took, or that the one in progress has taken so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_ms: Option<u64>,
}

/// The state of a component's compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compiled {
    /// The machine code exists.
    Ready,
    /// Compilation is in progress; a worker's first input waits for it.
    Pending,
    /// Compilation failed or was not requested: `http` components do not run yet.
    None,
}

/// What a host finds in a component that it does not store. Names come from the component itself, with
/// control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentCheck {
    /// Digest of the bytes.
    pub digest: ComponentDigest,
    /// Kind of worker that would run it; none if it exports nothing that Skep calls.
    pub kind: Option<ComponentKind>,
    /// File size in bytes.
    pub bytes: u64,
    /// Imports, in the file's order.
    pub imports: Vec<ImportCheck>,
    /// Exported interfaces.
    pub exports: Vec<String>,
    /// Kinds of grants that its imports could use.
    pub grants: Vec<GrantKind>,
    /// The reason why the host would refuse it, if it would.
    pub refusal: Option<ComponentRefusal>,
}

/// One import of a component, and whether the host offers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportCheck {
    /// Interface with its version. For a module: `wasi_snapshot_preview1.function`.
    pub name: String,
    /// Whether the host offers it.
    pub status: ImportStatus,
    /// Version that the host offers, if it offers the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub have: Option<String>,
}

/// The word of an import's status, as `skep inspect` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// Every worker has it.
    Offered,
    /// Offered, and its calls are denied without a grant.
    NotGranted,
    /// The host has another version.
    OtherVersion,
    /// The host does not know it.
    Unknown,
}

/// A kind of grant.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum GrantKind {
    /// Directories beside the worker's own.
    Scopes,
    /// HTTP requests, and the secrets that they may carry.
    Http,
}

/// The reason why a host would refuse a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentRefusal {
    /// Code of the error that storing it would answer.
    pub code: String,
    /// The sentence of that error.
    pub detail: String,
}

impl From<&Error> for ComponentRefusal {
    fn from(error: &Error) -> Self {
        Self { code: error.code().to_owned(), detail: error.to_string() }
    }
}

/// The wait of a turn for its component's machine code: the body of a `compiled` entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompileRecord {
    /// The component.
    pub component: ComponentDigest,
    /// Milliseconds that the turn waited.
    pub wait_ms: u64,
    /// Milliseconds that the compilation took, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_ms: Option<u64>,
    /// Bytes of the machine code.
    pub compiled_bytes: u64,
    /// True if the turn did not compile the component itself: the code was in the cache, or another
    /// turn or an upload compiled it meanwhile.
    pub cached: bool,
}
