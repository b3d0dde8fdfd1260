//! The instances of a serial guest that wait for their next request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use skep_sandbox::Instance;

/// An instance that may be used again.
pub(crate) struct LanedInstance<H> {
    pub(crate) instance: Instance,
    pub(crate) hold: H,
    /// Requests that it may still handle.
    pub(crate) uses_left: u32,
    /// Its memory after its first request, in bytes; 0 before.
    pub(crate) first_bytes: u64,
}

/// The idle instances, the one that was used last first: its memory is warm, and the others can be
/// dropped.
pub(crate) struct IdleInstances<H>(Mutex<IdleList<H>>);

struct IdleList<H> {
    all: Vec<(u64, LanedInstance<H>)>,
    next: u64,
    /// Instances of an earlier generation are not taken back.
    generation: u64,
}

impl<H> Default for IdleInstances<H> {
    fn default() -> Self {
        Self(Mutex::new(IdleList { all: Vec::new(), next: 0, generation: 0 }))
    }
}

impl<H> IdleInstances<H> {
    /// Takes an instance, and returns the present generation.
    pub(crate) fn take(&self) -> (Option<LanedInstance<H>>, u64) {
        let mut list = self.list();
        let taken = list.all.pop().map(|(_, instance)| instance);
        (taken, list.generation)
    }

    /// Takes an instance of `generation` back. `park` gets the key by which it can be evicted. Drops the
    /// instance if there was a [`clear`](Self::clear) since.
    pub(crate) fn put(
        &self,
        mut instance: LanedInstance<H>,
        generation: u64,
        park: impl FnOnce(&mut H, u64),
    ) {
        let mut list = self.list();
        if list.generation == generation {
            let key = list.next;
            list.next += 1;
            park(&mut instance.hold, key);
            list.all.push((key, instance));
        }
    }

    /// Drops an idle instance, if it is still idle.
    pub(crate) fn evict(&self, key: u64) {
        let mut list = self.list();
        let found = list.all.iter().position(|(known, _)| *known == key);
        let evicted = found.map(|at| list.all.remove(at));
        drop(list);
        drop(evicted);
    }

    /// Drops all idle instances, and those in use when they come back.
    pub(crate) fn clear(&self) {
        let mut list = self.list();
        list.generation += 1;
        let dropped = std::mem::take(&mut list.all);
        drop(list);
        drop(dropped);
    }

    /// Returns the number of idle instances.
    pub(crate) fn count(&self) -> usize {
        self.list().all.len()
    }

    fn list(&self) -> MutexGuard<'_, IdleList<H>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
