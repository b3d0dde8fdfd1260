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

mod census;
mod directory;
mod draft;
mod error;
mod file;
pub mod files;
mod ledger;
mod listing;
mod place;
mod stat;
pub mod tree;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cap_std::fs::Dir;
use skep_protocol::Rights;

pub use directory::{OpenDirectory, OpenHow, Opened};
pub use draft::Draft;
pub use error::ScopeError;
pub use file::OpenFile;
pub use ledger::{Disk, Quota, Usage};
pub use listing::{Entry, Listing, Order};
pub use stat::{NewTime, NodeKind, Stat};

/// A directory handle with rights and a share in a disk ledger.
#[derive(Clone, Debug)]
pub struct Scope {
    shared: Arc<Shared>,
    root: Arc<Dir>,
}

#[derive(Debug)]
struct Shared {
    rights: Rights,
    disk: Disk,
    /// Somebody wanted to change what may only be read.
    refused: AtomicBool,
}

impl Scope {
    /// Makes a scope of an open directory. What is written below it counts in `disk`, which
    /// several scopes of one worker may share, unless it is one of [`Disk::counted`].
    pub fn new(dir: Dir, rights: Rights, disk: Disk) -> Self {
        let refused = AtomicBool::new(false);
        Self { shared: Arc::new(Shared { rights, disk, refused }), root: Arc::new(dir) }
    }

    /// What may be done below it.
    pub fn rights(&self) -> Rights {
        self.shared.rights
    }

    /// Whether a change was refused for want of rights since this was last asked.
    pub fn take_refused(&self) -> bool {
        self.shared.refused.swap(false, Ordering::Relaxed)
    }

    /// The directory itself, to be handed on to a process that has a ledger of its own.
    pub fn handle(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Counts again all that lies in it, which another process has changed past the ledger. For a
    /// ledger of all that a tree holds ([`Disk::counted`]); whoever writes meanwhile waits.
    pub fn recount(&self) -> io::Result<()> {
        self.shared.disk.recount(&self.root)
    }

    /// The directory itself, as a guest's handle.
    pub fn open(&self) -> OpenDirectory {
        OpenDirectory::new(self.shared.clone(), self.root.clone())
    }
}

impl Shared {
    fn writable(&self) -> Result<(), ScopeError> {
        match self.rights {
            Rights::ReadWrite => Ok(()),
            Rights::ReadOnly => {
                self.refused.store(true, Ordering::Relaxed);
                Err(ScopeError::ReadOnly)
            }
        }
    }
}

#[cfg(test)]
mod tests;
