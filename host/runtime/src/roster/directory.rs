//! A worker's own directory while the worker is in use: one ledger for its guest and for whoever
//! writes files from outside.
//!
//! It is counted when it is first needed, and the count is kept for as long as anyone uses the
//! worker. Nobody makes the directory of a worker that is being removed: it would be made anew after
//! the store has taken it away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skep_protocol::{Rights, WorkerId};
use skep_scope::{Disk, DiskUsage, Quota, Scope};
use skep_store::{Store, StoreError, StoreRefusal};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    slot: Arc<Mutex<Slot>>,
    /// Whoever opens it, or takes it away.
    opening: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
enum Slot {
    /// Nobody has needed it yet.
    #[default]
    Closed,
    Open(Open),
    /// The worker is being removed.
    Gone,
}

/// An open one.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    disk: Disk,
    pub(crate) scope: Scope,
}

/// Keeps anyone from opening it.
#[derive(Debug)]
pub(crate) struct Taken {
    before: Slot,
    _opening: tokio::sync::OwnedMutexGuard<()>,
}

impl Directory {
    /// What lies in it, if it is open.
    pub(crate) fn usage(&self) -> Option<DiskUsage> {
        match &*self.slot() {
            Slot::Open(open) => Some(open.disk.usage()),
            Slot::Closed | Slot::Gone => None,
        }
    }

    /// Takes it away from whoever comes later.
    pub(crate) async fn take(&self) -> Taken {
        let opening = self.opening.clone().lock_owned().await;
        let before = std::mem::replace(&mut *self.slot(), Slot::Gone);
        Taken { before, _opening: opening }
    }

    /// The worker was not removed after all.
    pub(crate) fn give_back(&self, taken: Taken) {
        *self.slot() = taken.before;
    }

    /// Opens a worker's own directory, and makes it if it is missing. The driver records that it was
    /// made, with whatever it records next. Returns true beside it if the worker `had` one and it was
    /// gone.
    ///
    /// # Errors
    /// The store's; [`StoreRefusal::WorkerRemoved`] if the worker is being removed.
    pub(crate) async fn open(
        &self,
        store: &Store,
        id: WorkerId,
        had: bool,
        quota: Quota,
    ) -> Result<(Open, bool), StoreError> {
        if let Some(open) = self.opened()? {
            return Ok((open, false));
        }
        let opening = self.opening.clone().lock_owned().await;
        if let Some(open) = self.opened()? {
            return Ok((open, false));
        }
        let (store, slot) = (store.clone(), self.slot.clone());
        // The task takes the lock along: it finishes even if its caller is dropped.
        let task = tokio::task::spawn_blocking(move || {
            let _opening = opening;
            let missing = had && store.existing_worker_dir(&id)?.is_none();
            let dir = store.worker_dir(&id)?;
            store.sweep_incoming(&id)?;
            let disk = Disk::counted(quota, &dir)?;
            let scope = Scope::new(dir, Rights::ReadWrite, disk.clone());
            let open = Open { disk, scope };
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Slot::Open(open.clone());
            Ok::<_, StoreError>((open, missing))
        });
        task.await.map_err(|_| StoreError::Closed)?
    }

    fn opened(&self) -> Result<Option<Open>, StoreError> {
        match &*self.slot() {
            Slot::Closed => Ok(None),
            Slot::Open(open) => Ok(Some(open.clone())),
            Slot::Gone => Err(StoreRefusal::WorkerRemoved.into()),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
