//! What a runtime keeps on disk.
//!
//! Everything here works through directory handles that were opened elsewhere: this crate cannot
//! turn a host path into access, because it never calls `ambient_authority()`.

pub mod compiled;
pub mod scope;
pub mod tree;

pub use compiled::{CompiledCache, CompiledFile, PendingCompiled};
pub use scope::{Disk, Scope, ScopeError};
