//! A scope: a directory that a guest may use, with rights and a quota.
//!
//! A scope is made of a handle, never of a path, and nothing it returns can name the host's side.
//! Three rules hold for every operation below it, whichever system interface the guest speaks:
//!
//! - no path leads out of it: cap-std finds the way to every name, beneath the handle, and the name's
//!   last part goes past it only to calls that do not follow it (`place.rs`);
//! - what would grow it is admitted by the [`Disk`] ledger first;
//! - only regular files and directories are opened. Opening a FIFO blocks a thread for as long as
//!   nobody opens its other end, so opens never block and what else they find is refused.
//!
//! Calls block on the disk; the caller chooses the thread.

mod access;
mod directory;
mod draft;
mod error;
mod file;
pub mod files;
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
pub use ledger::Disk;
pub use listing::{DirectoryEntry, DirectoryListing, Order};
pub use quota::{DiskUsage, Quota};
pub use scope::Scope;
pub use stat::{NewTime, NodeKind, Stat};

#[cfg(test)]
mod tests;
