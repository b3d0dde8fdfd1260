//! The number of a guest's open descriptors, and the numbering of its files.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use skep_scope::{Order, Stat};

use crate::guest::clocks::VIRTUAL_EPOCH;

/// Counts open files, directories and listings, and numbers inodes.
pub(crate) struct Descriptors {
    open: Arc<AtomicU64>,
    limit: u64,
    refused: AtomicBool,
    numbers: Numbers,
}

/// One open descriptor. Clones share the count, which ends with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Permit(#[expect(dead_code, reason = "its drop lowers the count")] Arc<OpenCount>);

#[derive(Debug)]
struct OpenCount(Arc<AtomicU64>);

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The inode numbers that a guest sees.
enum Numbers {
    /// A hash of the host's numbers, which is equal for the same file.
    Hashed,
    /// Numbers in order of first use, which is the same in every deterministic run.
    FirstSeen(HashMap<(u64, u64), u64>),
}

impl Descriptors {
    pub(crate) fn new(limit: u64, deterministic: bool) -> Self {
        let numbers =
            if deterministic { Numbers::FirstSeen(HashMap::new()) } else { Numbers::Hashed };
        Self { open: Arc::default(), limit, refused: AtomicBool::default(), numbers }
    }

    /// Counts one more open descriptor. Returns `None` at the limit.
    pub(crate) fn open(&self) -> Option<Permit> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.refused.store(true, Ordering::Relaxed);
            return None;
        }
        Some(Permit(Arc::new(OpenCount(self.open.clone()))))
    }

    /// Returns true if a descriptor was refused.
    pub(crate) fn were_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Returns the order of directory listings.
    pub(crate) fn order(&self) -> Order {
        match self.numbers {
            Numbers::Hashed => Order::Stored,
            Numbers::FirstSeen(_) => Order::Sorted,
        }
    }

    /// Returns the inode number that the guest sees.
    pub(crate) fn number(&mut self, device: u64, inode: u64) -> u64 {
        match &mut self.numbers {
            Numbers::Hashed => {
                let mut hash = Sha256::new();
                hash.update(device.to_le_bytes());
                hash.update(inode.to_le_bytes());
                let hash = hash.finalize();
                u64::from_le_bytes(std::array::from_fn(|i| hash[i]))
            }
            Numbers::FirstSeen(seen) => {
                let next = seen.len() as u64 + 1;
                *seen.entry((device, inode)).or_insert(next)
            }
        }
    }

    /// Replaces metadata that the guest must not see: in a deterministic run, all times are fixed.
    pub(crate) fn present(&self, mut stat: Stat) -> Stat {
        if let Numbers::FirstSeen(_) = self.numbers {
            stat.accessed = VIRTUAL_EPOCH;
            stat.modified = VIRTUAL_EPOCH;
            stat.changed = VIRTUAL_EPOCH;
        }
        stat
    }
}
