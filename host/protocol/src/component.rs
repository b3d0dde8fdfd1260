//! The description of a stored component.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ComponentDigest, ComponentKind, Timestamp};

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
