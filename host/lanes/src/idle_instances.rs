//! The instances of a serial guest that wait for their next request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use skep_sandbox::Instance;

/// An instance that may be used again.
pub(crate) struct LanedInstance {
    pub(crate) instance: Instance,
    /// Requests that it may still handle.
    pub(crate) uses_left: u32,
    /// Its memory after its first request, in bytes; 0 before.
    pub(crate) first_bytes: u64,
}

/// The idle instances, the one that was used last first: its memory is warm, and the others can be
/// dropped.
#[derive(Default)]
pub(crate) struct IdleInstances(Mutex<IdleList>);

#[derive(Default)]
struct IdleList {
    all: Vec<LanedInstance>,
    /// Instances of an earlier generation are not taken back.
    generation: u64,
}

impl IdleInstances {
    /// Takes an instance, and returns the present generation.
    pub(crate) fn take(&self) -> (Option<LanedInstance>, u64) {
        let mut list = self.list();
        (list.all.pop(), list.generation)
    }

    /// Takes an instance of `generation` back. Drops it if there was a [`clear`](Self::clear) since.
    pub(crate) fn put(&self, instance: LanedInstance, generation: u64) {
        let mut list = self.list();
        if list.generation == generation {
            list.all.push(instance);
        }
    }

    /// Drops all idle instances, and those in use when they come back. Returns how many were idle.
    pub(crate) fn clear(&self) -> usize {
        let mut list = self.list();
        list.generation += 1;
        let dropped = std::mem::take(&mut list.all);
        drop(list);
        dropped.len()
    }

    /// Returns the number of idle instances.
    pub(crate) fn count(&self) -> usize {
        self.list().all.len()
    }

    fn list(&self) -> MutexGuard<'_, IdleList> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
