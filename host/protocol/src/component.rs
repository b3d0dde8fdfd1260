//! What is known of a stored component.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ComponentDigest, ComponentKind, Timestamp};

/// A stored component. Names in it are the component's own, control characters made visible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentView {
    /// Its name.
    pub digest: ComponentDigest,
    /// What it is run as.
    pub kind: ComponentKind,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Interfaces that it imports, with their versions.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// Whether its machine code is made already.
    pub compiled: Compiled,
}

/// Whether a component's machine code is made already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compiled {
    /// It is.
    Ready,
    /// It is being made; a worker's first input waits for it.
    Pending,
    /// It cannot be made, or was not asked for: `http` components do not run yet.
    None,
}
