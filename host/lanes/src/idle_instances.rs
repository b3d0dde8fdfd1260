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
    is_closed: bool,
}

impl<H> Default for IdleInstances<H> {
    fn default() -> Self {
        Self(Mutex::new(IdleList { all: Vec::new(), next: 0, is_closed: false }))
    }
}

impl<H> IdleInstances<H> {
    /// Takes an instance.
    pub(crate) fn take(&self) -> Option<LanedInstance<H>> {
        self.list().all.pop().map(|(_, instance)| instance)
    }

    /// Takes an instance back. `park` gets the key by which it can be evicted. Drops the instance after
    /// [`close`](Self::close).
    pub(crate) fn put(&self, mut instance: LanedInstance<H>, park: impl FnOnce(&mut H, u64)) {
        let mut list = self.list();
        if !list.is_closed {
            let key = list.next;
            list.next += 1;
            park(&mut instance.hold, key);
            list.all.push((key, instance));
            return;
        }
        drop(list);
        drop(instance);
    }

    /// Drops an idle instance, if it is still idle.
    pub(crate) fn evict(&self, key: u64) {
        let mut list = self.list();
        let found = list.all.iter().position(|(known, _)| *known == key);
        let evicted = found.map(|at| list.all.remove(at));
        drop(list);
        drop(evicted);
    }

    /// Drops all idle instances, and from now on those that come back.
    pub(crate) fn close(&self) {
        let mut list = self.list();
        list.is_closed = true;
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
