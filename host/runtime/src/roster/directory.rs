//! The directory of a worker in use, with one disk accounting for its guest and for file requests.
//!
//! The contents are counted on first use, and the count is kept while the worker is in use. Opening
//! fails while the worker is being removed: it would create the directory again after the store has
//! deleted it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skep_protocol::{Rights, WorkerId};
use skep_scope::{Disk, DiskUsage, Quota, Scope};
use skep_store::{Store, StoreError, StoreRefusal};

/// The directory of one worker.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    slot: Arc<Mutex<Slot>>,
    /// Serializes opening and removal.
    opening: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
enum Slot {
    /// Not opened yet.
    #[default]
    Closed,
    Open(MeteredDirectory),
    /// The worker is being removed.
    Gone,
}

/// An open directory and its disk accounting.
#[derive(Clone, Debug)]
pub(crate) struct MeteredDirectory {
    disk: Disk,
    pub(crate) scope: Scope,
}

/// A removal in progress, which blocks opening.
#[derive(Debug)]
pub(crate) struct DirectoryRemoval {
    before: Slot,
    _opening: tokio::sync::OwnedMutexGuard<()>,
}

impl Directory {
    /// Returns the disk usage if the directory is open.
    pub(crate) fn usage(&self) -> Option<DiskUsage> {
        match &*self.slot() {
            Slot::Open(open) => Some(open.disk.usage()),
            Slot::Closed | Slot::Gone => None,
        }
    }

    /// Begins the removal: opening fails from now on.
    pub(crate) async fn begin_removal(&self) -> DirectoryRemoval {
        let opening = self.opening.clone().lock_owned().await;
        let before = std::mem::replace(&mut *self.slot(), Slot::Gone);
        DirectoryRemoval { before, _opening: opening }
    }

    /// Closes the directory, so that the next use opens it with the worker's current quota. Requests
    /// in progress keep the earlier one.
    pub(crate) fn close(&self) {
        let mut slot = self.slot();
        if matches!(*slot, Slot::Open(_)) {
            *slot = Slot::Closed;
        }
    }

    /// Makes the directory available again, if the worker could not be removed.
    pub(crate) fn cancel_removal(&self, removal: DirectoryRemoval) {
        *self.slot() = removal.before;
    }

    /// Opens the directory and creates it if it is missing; the driver records the creation with
    /// its next commit. Also returns true if the worker `had` a directory that is missing now.
    ///
    /// # Errors
    /// Those of the store; [`StoreRefusal::WorkerRemoved`] if the worker is being removed.
    pub(crate) async fn open(
        &self,
        store: &Store,
        id: WorkerId,
        had: bool,
        quota: Quota,
    ) -> Result<(MeteredDirectory, bool), StoreError> {
        if let Some(open) = self.opened()? {
            return Ok((open, false));
        }
        let opening = self.opening.clone().lock_owned().await;
        if let Some(open) = self.opened()? {
            return Ok((open, false));
        }
        let (store, slot) = (store.clone(), self.slot.clone());
        // The task owns the lock, so that it finishes even if its caller is dropped.
        let task = tokio::task::spawn_blocking(move || {
            let _opening = opening;
            let missing = had && store.existing_worker_dir(&id)?.is_none();
            let dir = store.worker_dir(&id)?;
            store.sweep_incoming(&id)?;
            let disk = Disk::counted(quota, &dir)?;
            let scope = Scope::new(dir, Rights::ReadWrite, disk.clone());
            let open = MeteredDirectory { disk, scope };
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Slot::Open(open.clone());
            Ok::<_, StoreError>((open, missing))
        });
        task.await.map_err(|_| StoreError::Closed)?
    }

    fn opened(&self) -> Result<Option<MeteredDirectory>, StoreError> {
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
