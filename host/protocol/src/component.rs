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
