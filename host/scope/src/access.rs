//! The rights and the ledger that all handles of one scope share.

use std::sync::atomic::{AtomicBool, Ordering};

use skep_protocol::Rights;

use super::{Disk, ScopeError};

/// The directory in which Python keeps compiled modules.
const BYTECODE: &str = "__pycache__";

/// The access that a scope grants. Two handles belong to the same scope if they share one of these.
#[derive(Debug)]
pub(super) struct ScopeAccess {
    pub(super) rights: Rights,
    pub(super) disk: Disk,
    /// True if a change was refused because the scope is read-only.
    refused: AtomicBool,
    /// True if the refused change was Python's attempt to keep bytecode.
    refused_bytecode: AtomicBool,
}

impl ScopeAccess {
    pub(super) fn new(rights: Rights, disk: Disk) -> Self {
        Self {
            rights,
            disk,
            refused: AtomicBool::default(),
            refused_bytecode: AtomicBool::default(),
        }
    }

    /// Fails, and records the refusal, unless the scope is writable.
    pub(super) fn writable(&self) -> Result<(), ScopeError> {
        match self.rights {
            Rights::ReadWrite => Ok(()),
            Rights::ReadOnly => {
                self.refused.store(true, Ordering::Relaxed);
                Err(ScopeError::ReadOnly)
            }
        }
    }

    /// Like [`Self::writable`], for the creation of a directory. Python creates `__pycache__` beside
    /// each module that it imports, and goes on without. Such a refusal is recorded as one of its own,
    /// so that the operator does not look for a fault in it.
    pub(super) fn can_create_directory(&self, path: &str) -> Result<(), ScopeError> {
        let is_bytecode = path.trim_end_matches('/').rsplit('/').next() == Some(BYTECODE);
        if self.rights == Rights::ReadOnly && is_bytecode {
            self.refused_bytecode.store(true, Ordering::Relaxed);
            return Err(ScopeError::ReadOnly);
        }
        self.writable()
    }

    /// Returns true if bytecode was refused since the last call.
    pub(super) fn take_refused_bytecode(&self) -> bool {
        self.refused_bytecode.swap(false, Ordering::Relaxed)
    }

    /// Returns true if a change was refused since the last call.
    pub(super) fn take_refused(&self) -> bool {
        self.refused.swap(false, Ordering::Relaxed)
    }
}
