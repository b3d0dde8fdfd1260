//! The rights and the ledger that all handles of one scope share.

use std::sync::atomic::{AtomicBool, Ordering};

use skep_protocol::Rights;

use super::{Disk, ScopeError};

/// The access that a scope grants. Two handles belong to the same scope if they share one of these.
#[derive(Debug)]
pub(super) struct ScopeAccess {
    pub(super) rights: Rights,
    pub(super) disk: Disk,
    /// True if a change was refused because the scope is read-only.
    refused: AtomicBool,
}

impl ScopeAccess {
    pub(super) fn new(rights: Rights, disk: Disk) -> Self {
        Self { rights, disk, refused: AtomicBool::new(false) }
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

    /// Returns true if a change was refused since the last call.
    pub(super) fn take_refused(&self) -> bool {
        self.refused.swap(false, Ordering::Relaxed)
    }
}
