//! The ledger of the disk that a worker uses.
//!
//! Bytes are file sizes, counted once per inode: a hard link is free, and a hole costs as much as
//! data. Entries are names. A file without a name keeps its bytes until its last handle is closed.
//!
//! The two kinds of ledger differ in how they treat files that existed before:
//!
//! - [`Disk::new`], for an operator's directories, counts only what is added through the ledger.
//!   Deleting or truncating older files gives no credit; otherwise a guest could trade an
//!   operator's   files for room. To tell them apart, the ledger remembers each inode that was
//!   added to, at about   100 bytes each.
//! - [`Disk::counted`], for a worker's own directory, counts the whole tree, so the cost of a file
//!   can   be read from the disk. The ledger holds two sums and the open files, whatever the size
//!   of the   tree.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use skep_protocol::{LimitName, LimitSet};

use super::inode::Inode;
use super::{DiskUsage, Quota, ScopeError, usage_scan};

/// A ledger behind one lock, shared by the scopes of one worker.
///
/// The lock is held across the system call that changes a size, so that the charge matches the
/// change. Only calls of the same worker wait for it.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<Ledger>>);

impl Disk {
    /// Creates a ledger that counts additions from now on, for an operator's directories.
    pub fn new(quota: Quota) -> Self {
        Self(Arc::new(Mutex::new(Ledger {
            quota,
            used: DiskUsage::default(),
            counts: Counts::Added,
            charges: HashMap::new(),
            refused: LimitSet::default(),
        })))
    }

    /// Creates a ledger that starts with the whole content of a worker's own directory, and credits
    /// deletions from it.
    ///
    /// A tree that is over the quota already is not an error. Its files can be read, rewritten,
    /// renamed and deleted; growth is refused until there is room again.
    ///
    /// Reads the whole tree with one `stat` per name, follows no links, and handles any depth.
    /// Fails only if a directory cannot be read. From the start of the count on, nothing else may
    /// change the tree: a file added without the ledger would give credit when it is deleted. For
    /// the same reason, no other directory may use this ledger.
    pub fn counted(quota: Quota, dir: &Dir) -> io::Result<Self> {
        Ok(Self::counted_before(quota, usage_scan::measure(dir)?))
    }

    /// Like [`Self::counted`], for a tree that another process has counted. That process must not
    /// change the tree any more.
    pub fn counted_before(quota: Quota, used: DiskUsage) -> Self {
        Self(Arc::new(Mutex::new(Ledger {
            quota,
            used,
            counts: Counts::Everything,
            charges: HashMap::new(),
            refused: LimitSet::default(),
        })))
    }

    /// Counts the tree again. Drafts, which have no name in the tree yet, keep counting.
    pub(super) fn recount(&self, dir: &Dir) -> io::Result<()> {
        let mut ledger = self.ledger();
        let found = usage_scan::measure(dir)?;
        let nameless = ledger.charges.values().filter(|charge| charge.nameless);
        let drafts: u64 = nameless.map(|charge| charge.bytes).sum();
        ledger.used = DiskUsage { bytes: found.bytes + drafts, ..found };
        Ok(())
    }

    /// Returns the current usage.
    pub fn usage(&self) -> DiskUsage {
        self.ledger().used
    }

    /// Returns the quotas that refused an operation.
    pub fn refused(&self) -> LimitSet {
        self.ledger().refused
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // No method leaves the ledger half updated, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes and names that a ledger counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    /// Only additions. Every inode that was added to is in the ledger.
    Added,
    /// The whole tree. Only open files are in the ledger; any other file costs its size.
    Everything,
}

/// The cost of one inode.
#[derive(Debug, Default)]
struct Charge {
    bytes: u64,
    names: u64,
    handles: u64,
    nameless: bool,
}

#[derive(Debug)]
pub(super) struct Ledger {
    quota: Quota,
    used: DiskUsage,
    counts: Counts,
    charges: HashMap<Inode, Charge>,
    refused: LimitSet,
}

impl Ledger {
    /// Returns the part of `wanted` more bytes that may be added: all, or the rest of the quota.
    pub(super) fn admit_some(&mut self, wanted: u64) -> Result<u64, ScopeError> {
        let room = self.quota.bytes.saturating_sub(self.used.bytes);
        if wanted > room {
            self.refused.insert(LimitName::disk_bytes);
        }
        if wanted > 0 && room == 0 {
            return Err(ScopeError::Quota(LimitName::disk_bytes));
        }
        Ok(wanted.min(room))
    }

    /// Admits `wanted` more bytes, or fails.
    pub(super) fn admit_all(&mut self, wanted: u64) -> Result<(), ScopeError> {
        match self.admit_some(wanted)? {
            admitted if admitted == wanted => Ok(()),
            _ => Err(ScopeError::Quota(LimitName::disk_bytes)),
        }
    }

    /// Admits one more name.
    pub(super) fn admit_entry(&mut self) -> Result<(), ScopeError> {
        if self.used.entries >= self.quota.entries {
            self.refused.insert(LimitName::disk_entries);
            return Err(ScopeError::Quota(LimitName::disk_entries));
        }
        Ok(())
    }

    /// Records that a name was added.
    pub(super) fn named(&mut self, inode: Inode) {
        match self.counts {
            Counts::Added => {
                let charge = self.charges.entry(inode).or_default();
                charge.names += 1;
                charge.nameless = false;
            }
            Counts::Everything => {
                if let Some(charge) = self.charges.get_mut(&inode) {
                    charge.nameless = false;
                }
            }
        }
        self.used.entries += 1;
    }

    /// Records that a name was removed. `freed` is the file's size if it was the inode's last name.
    pub(super) fn unnamed(&mut self, inode: Inode, freed: Option<u64>) {
        let charge = self.charges.get_mut(&inode);
        match self.counts {
            Counts::Added => {
                let Some(charge) = charge else { return };
                if charge.names > 0 {
                    charge.names -= 1;
                    self.used.entries -= 1;
                }
                charge.nameless = freed.is_some();
            }
            Counts::Everything => {
                self.used.entries = self.used.entries.saturating_sub(1);
                let Some(charge) = charge else {
                    self.used.bytes = self.used.bytes.saturating_sub(freed.unwrap_or(0));
                    return;
                };
                charge.nameless = freed.is_some();
            }
        }
        self.settle(inode);
    }

    /// Records that a file's size has changed.
    pub(super) fn resized(&mut self, inode: Inode, from: u64, to: u64) {
        if to > from {
            self.charges.entry(inode).or_default().bytes += to - from;
            self.used.bytes += to - from;
        } else if let Some(charge) = self.charges.get_mut(&inode) {
            let credit = (from - to).min(charge.bytes);
            charge.bytes -= credit;
            self.used.bytes = self.used.bytes.saturating_sub(credit);
        }
    }

    /// Records that a handle was opened on a file of this size.
    pub(super) fn opened(&mut self, inode: Inode, size: u64) {
        let bytes = match self.counts {
            Counts::Added => 0,
            Counts::Everything => size,
        };
        let charge = self.charges.entry(inode).or_insert(Charge { bytes, ..Charge::default() });
        charge.handles += 1;
    }

    /// Records a handle on a new file that has no name in the scope yet. If the handle is closed
    /// before the file gets one, its bytes are freed.
    pub(super) fn drafted(&mut self, inode: Inode) {
        let charge = self.charges.entry(inode).or_default();
        charge.handles += 1;
        charge.nameless = true;
    }

    /// Records that a handle on a file was closed.
    pub(super) fn closed(&mut self, inode: Inode) {
        if let Some(charge) = self.charges.get_mut(&inode) {
            charge.handles = charge.handles.saturating_sub(1);
            self.settle(inode);
        }
    }

    /// Returns the number of inodes in the ledger.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.charges.len()
    }

    /// Forgets an inode that costs nothing any more, and frees the bytes of a deleted one.
    fn settle(&mut self, inode: Inode) {
        let Some(charge) = self.charges.get(&inode) else { return };
        if charge.handles > 0 {
            return;
        }
        if charge.nameless {
            self.used.bytes = self.used.bytes.saturating_sub(charge.bytes);
            self.used.entries -= charge.names;
        } else if self.counts == Counts::Added && (charge.bytes > 0 || charge.names > 0) {
            return;
        }
        self.charges.remove(&inode);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Inode = Inode { device: 1, number: 1 };

    fn disk(bytes: u64, entries: u64) -> Disk {
        Disk::new(Quota { bytes, entries })
    }

    #[test]
    fn growth_is_admitted_up_to_the_quota() {
        let disk = disk(100, 1);
        let mut ledger = disk.ledger();
        assert_eq!(ledger.admit_some(60).unwrap(), 60);
        ledger.resized(A, 0, 60);
        assert_eq!(ledger.admit_some(60).unwrap(), 40);
        assert!(ledger.admit_all(41).is_err());
        ledger.resized(A, 60, 100);
        assert!(matches!(ledger.admit_some(1), Err(ScopeError::Quota(LimitName::disk_bytes))));
        assert_eq!(ledger.admit_some(0).unwrap(), 0, "rewriting in place needs no room");
    }

    #[test]
    fn truncating_an_older_file_gives_no_credit() {
        let disk = disk(100, 1);
        let mut ledger = disk.ledger();
        ledger.opened(A, 1000);
        ledger.resized(A, 1000, 1010);
        ledger.resized(A, 1010, 0);
        assert_eq!(ledger.used.bytes, 0);
        assert_eq!(ledger.admit_some(200).unwrap(), 100);
    }

    #[test]
    fn an_unlinked_file_keeps_its_bytes_until_it_is_closed() {
        let disk = disk(100, 2);
        let mut ledger = disk.ledger();
        ledger.named(A);
        ledger.opened(A, 0);
        ledger.resized(A, 0, 70);
        ledger.unnamed(A, Some(70));
        assert_eq!(ledger.used, DiskUsage { bytes: 70, entries: 0 });
        ledger.closed(A);
        assert_eq!(ledger.used, DiskUsage::default());
        assert!(ledger.charges.is_empty());
    }

    #[test]
    fn a_second_name_costs_an_entry_and_no_bytes() {
        let disk = disk(100, 2);
        let mut ledger = disk.ledger();
        ledger.named(A);
        ledger.resized(A, 0, 70);
        ledger.named(A);
        assert_eq!(ledger.used, DiskUsage { bytes: 70, entries: 2 });
        assert!(ledger.admit_entry().is_err());
        ledger.unnamed(A, None);
        assert_eq!(ledger.used, DiskUsage { bytes: 70, entries: 1 });
        ledger.unnamed(A, Some(70));
        assert_eq!(ledger.used, DiskUsage::default());
    }

    #[test]
    fn removing_an_older_name_gives_no_credit() {
        let disk = disk(100, 1);
        let mut ledger = disk.ledger();
        ledger.unnamed(A, Some(70));
        ledger.named(Inode { device: 1, number: 2 });
        ledger.unnamed(A, Some(70));
        assert!(ledger.admit_entry().is_err());
    }
}
