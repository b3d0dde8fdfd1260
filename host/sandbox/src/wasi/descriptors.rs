//! What a guest holds open, counted; and how its files are numbered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use skep_scope::{Order, Stat};

use crate::guest::clocks::VIRTUAL_EPOCH;

/// The count of open files, directories and listings, and the numbering of inodes.
pub(crate) struct Descriptors {
    open: Arc<AtomicU64>,
    limit: u64,
    numbers: Numbers,
}

/// One open descriptor. Shared by whatever keeps the descriptor open; counts until the last is
/// gone.
#[derive(Clone, Debug)]
pub(crate) struct Permit(#[expect(dead_code, reason = "counts while it lives")] Arc<OpenCount>);

#[derive(Debug)]
struct OpenCount(Arc<AtomicU64>);

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a guest is told which file is which.
enum Numbers {
    /// A keyed hash of the host's numbers: equal for equal files and telling nothing else.
    Hashed,
    /// In the order of first sight, which is the same in every deterministic run.
    FirstSeen(HashMap<(u64, u64), u64>),
}

impl Descriptors {
    pub(crate) fn new(limit: u64, deterministic: bool) -> Self {
        let numbers =
            if deterministic { Numbers::FirstSeen(HashMap::new()) } else { Numbers::Hashed };
        Self { open: Arc::default(), limit, numbers }
    }

    /// Admits one more open descriptor, or says that there are too many.
    pub(crate) fn open(&self) -> Option<Permit> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit(Arc::new(OpenCount(self.open.clone()))))
    }

    /// In which order the guest sees directories.
    pub(crate) fn order(&self) -> Order {
        match self.numbers {
            Numbers::Hashed => Order::Stored,
            Numbers::FirstSeen(_) => Order::Sorted,
        }
    }

    /// The number a guest knows a file by.
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

    /// Metadata as the guest may see it: with its own numbers, and in a deterministic run with
    /// fixed times.
    pub(crate) fn present(&self, mut stat: Stat) -> Stat {
        if let Numbers::FirstSeen(_) = self.numbers {
            stat.accessed = VIRTUAL_EPOCH;
            stat.modified = VIRTUAL_EPOCH;
            stat.changed = VIRTUAL_EPOCH;
        }
        stat
    }
}
