//! Copying a worker between two of its turns.

use std::sync::Arc;

use skep_protocol::{
    Conflict, Desired, Error, ForkWorker, LimitName, Limits, Rights, Usage, WorkerId,
};
use skep_scope::files::{ArchiveExport, ArchiveImport, FileError};
use skep_scope::{Disk, DiskUsage, Quota, Scope};
use skep_store::record::{Standing, Transaction, WorkerRecord, WorkerWrite};
use skep_store::{Store, StoreError, StoreRefusal};

use super::task::Driver;
use crate::clock::now;
use crate::roster::core::Core;

impl Driver {
    /// Copies the worker to a new one: first the files, aside; then, in one commit, the worker with
    /// its state; then the files to their place. Until then the new worker cannot be used.
    ///
    /// The worker takes no turn meanwhile: only so do files and state belong together.
    pub(super) async fn fork(&mut self, id: WorkerId, request: &ForkWorker) -> Result<(), Error> {
        let core = &self.core.clone();
        let (origin, before) = {
            let state = self.worker.state();
            (state.record.clone(), state.usage)
        };
        let Some(_forking) = core.begin_fork(id) else { return Err(core.busy()) };
        let spec = request.spec(&origin.spec);
        let limits = spec.limits.over(&Limits::default());
        let store = core.store.clone();
        let aside = tokio::task::spawn_blocking(move || {
            let quota = Quota { bytes: limits.disk_bytes, entries: limits.disk_entries };
            let files = copy_files(&store, origin.id, id, quota)?;
            Ok::<_, CopyError>((files, store.state(origin.number)?))
        });
        let aside = aside.await.map_err(|_| Error::Internal)?;
        let (files, state) = match aside {
            Ok(aside) => aside,
            Err(error) => {
                abandon(core, id).await;
                return Err(copy_error(core, error, &limits));
            }
        };
        let at = now();
        let number = core.store.next_number();
        let record = WorkerRecord {
            number,
            id,
            kind: origin.kind,
            created_as: spec.clone(),
            spec,
            previous: None,
            desired: Desired::Running,
            standing: Standing::Idle,
            has_directory: files.is_some(),
            created_at: at,
            updated_at: at,
        };
        let files = files.unwrap_or_default();
        let usage = Usage {
            state_bytes: before.state_bytes,
            disk_bytes: files.bytes,
            disk_entries: files.entries,
            ..Usage::default()
        };
        let has_files = record.has_directory;
        let (record, origin) = (Box::new(record), origin.id.to_string());
        let mut writes = vec![WorkerWrite::Fork { record, origin }, WorkerWrite::Usage(usage)];
        writes.extend(state.into_iter().map(|(key, value)| WorkerWrite::SetState { key, value }));
        if let Err(error) = core.store.submit(Transaction { worker: number, writes }).await {
            abandon(core, id).await;
            return Err(match error {
                StoreError::Refused(StoreRefusal::WorkerExists) => Conflict::Worker.into(),
                StoreError::Refused(StoreRefusal::WorkerRemoved) => Error::WorkerRemoved,
                error => core.fault(error),
            });
        }
        if has_files {
            let store = core.store.clone();
            let placed = tokio::task::spawn_blocking(move || store.finish_fork(&id)).await;
            // Opening the store again puts them in their place.
            placed.map_err(|_| Error::Internal)?.map_err(|error| core.fault(error))?;
        }
        core.changes.note(id);
        Ok(())
    }
}

/// Deletes the files of a copy that was not committed.
async fn abandon(core: &Core, id: WorkerId) {
    let store = core.store.clone();
    let gone = tokio::task::spawn_blocking(move || store.abandon_fork(&id)).await;
    if let Ok(Err(error)) = gone {
        core.fault(error);
    }
}

fn copy_error(core: &Core, error: CopyError, limits: &Limits) -> Error {
    match error {
        CopyError::Store(StoreError::Refused(StoreRefusal::WorkerExists)) => {
            Conflict::Worker.into()
        }
        CopyError::Store(error) => core.fault(error),
        CopyError::Files(FileError::Quota(name)) => over(name, limits),
        CopyError::Files(FileError::Io(error)) => core.fault(StoreError::from(error)),
        // Nothing else writes to the copy.
        CopyError::Files(
            FileError::Unknown
            | FileError::NotAFile
            | FileError::Archive
            | FileError::Changed
            | FileError::Taken,
        ) => Error::Internal,
    }
}

fn over(name: LimitName, limits: &Limits) -> Error {
    Error::LimitExceeded { name, limit: limits.get(name) }
}

/// A copy that failed.
enum CopyError {
    Store(StoreError),
    Files(FileError),
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<FileError> for CopyError {
    fn from(error: FileError) -> Self {
        Self::Files(error)
    }
}

/// Copies the files that an export has. Returns none if the worker has no directory.
fn copy_files(
    store: &Store,
    origin: WorkerId,
    id: WorkerId,
    quota: Quota,
) -> Result<Option<DiskUsage>, CopyError> {
    let Some(from) = store.existing_worker_dir(&origin)? else { return Ok(None) };
    let from = Scope::new(from, Rights::ReadOnly, Disk::new(Quota { bytes: 0, entries: 0 }));
    let dirs = store.begin_fork(&id)?;
    let disk = Disk::new(quota);
    let to = Scope::new(dirs.data, Rights::ReadWrite, disk.clone());
    let mut export = ArchiveExport::new(&from);
    let mut import = ArchiveImport::new(&to, Arc::new(dirs.incoming));
    while let Some(piece) = export.next_piece()? {
        import.push(&piece)?;
    }
    import.finish()?;
    Ok(Some(disk.usage()))
}
