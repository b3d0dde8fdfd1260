//! The scope itself, as its owner holds it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use cap_std::fs::Dir;
use skep_protocol::{LimitSet, Rights};

use super::access::ScopeAccess;
use super::{Disk, OpenDirectory};

/// A directory handle with rights and a share in a disk ledger.
#[derive(Clone, Debug)]
pub struct Scope {
    access: Arc<ScopeAccess>,
    root: Arc<Dir>,
}

impl Scope {
    /// Makes a scope of an open directory. Everything written below it counts in `disk`. Several
    /// scopes of one worker may share a ledger made with [`Disk::new`], but a ledger made with
    /// [`Disk::counted`] belongs to one directory.
    pub fn new(dir: Dir, rights: Rights, disk: Disk) -> Self {
        Self { access: Arc::new(ScopeAccess::new(rights, disk)), root: Arc::new(dir) }
    }

    /// Returns the rights that hold below the directory.
    pub fn rights(&self) -> Rights {
        self.access.rights
    }

    /// Returns true if a change was refused for lack of rights since the last call.
    pub fn take_refused(&self) -> bool {
        self.access.take_refused()
    }

    /// Returns true if Python was refused to keep its bytecode since the last call. It goes on
    /// without.
    pub fn take_refused_bytecode(&self) -> bool {
        self.access.take_refused_bytecode()
    }

    /// Returns the quotas of its ledger that refused an operation.
    pub fn limits_met(&self) -> LimitSet {
        self.access.disk.refused()
    }

    /// Returns the directory's descriptor, to be passed to a process that keeps its own ledger.
    pub fn handle(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Counts the whole tree again after another process has changed it without this ledger. Only
    /// for a ledger made with [`Disk::counted`]. Writers wait until the count is done.
    pub fn recount(&self) -> io::Result<()> {
        self.access.disk.recount(&self.root)
    }

    /// Opens the directory itself as a guest's handle.
    pub fn open(&self) -> OpenDirectory {
        OpenDirectory::new(self.access.clone(), self.root.clone())
    }
}
