//! Scopes: directories that a guest may use, with rights and a quota.
//!
//! A scope is made from a directory handle, never from a path, and nothing it returns reveals a
//! host path. Three rules hold for every operation, whichever system interface the guest uses:
//!
//! - No path leads out of the scope. cap-std resolves every name beneath the handle. Only calls
//!   that   never follow the last component get it verbatim (`resolved_name.rs`).
//! - The [`Disk`] ledger admits growth before it happens.
//! - Only regular files and directories are opened. Opening a FIFO would block the thread until its
//!   other end is opened, so opens never block, and special files are refused.
//!
//! Calls block on the disk; the caller chooses the thread.

mod access;
mod directory;
mod draft;
mod error;
mod file;
pub mod files;
mod glob;
mod inode;
mod ledger;
mod listing;
mod quota;
mod resolved_name;
mod scope;
mod stat;
pub mod tree;
mod usage_scan;

pub use directory::{OpenDirectory, OpenHow, OpenNode};
pub use draft::Draft;
pub use error::ScopeError;
pub use file::OpenFile;
pub use glob::{Glob, GlobError};
pub use ledger::Disk;
pub use listing::{DirectoryEntry, DirectoryListing, Order};
pub use quota::{DiskUsage, Quota};
pub use scope::Scope;
pub use stat::{NewTime, NodeKind, Stat};

#[cfg(test)]
mod tests;
