//! Copies of workers' directories, for workers that are made from others.
//!
//! A copy is filled in `forks/`, then its worker is committed, then the copy is moved to its place.
//! A crash may come between any two of these steps: opening the store moves the copies of committed
//! workers to their place and the others to the trash.

use std::io;

use cap_std::fs::Dir;
use skep_protocol::WorkerId;

use super::Store;
use crate::{StoreError, StoreRefusal, layout};
use skep_scope::tree;

/// The directories of a copy that is being filled.
#[derive(Debug)]
pub struct ForkDirs {
    /// The new worker's own directory.
    pub data: Dir,
    /// The directory for files until they are complete.
    pub incoming: Dir,
}

/// Copies of directories. These methods block on the disk.
#[expect(clippy::missing_errors_doc, reason = "all fail only if the disk fails, or as they say")]
impl Store {
    /// Begins a copy for a new worker. What an earlier, abandoned copy has left is deleted.
    ///
    /// # Errors
    /// [`StoreRefusal::WorkerExists`] if there is a directory for this id.
    pub fn begin_fork(&self, id: &WorkerId) -> Result<ForkDirs, StoreError> {
        let workers = layout::private_dir(&self.0.dir, layout::WORKERS)?;
        if workers.symlink_metadata(id.to_string()).is_ok() {
            return Err(StoreRefusal::WorkerExists.into());
        }
        self.abandon_fork(id)?;
        let forks = layout::private_dir(&self.0.dir, layout::FORKS)?;
        let own = layout::private_dir(&forks, &id.to_string())?;
        let data = layout::private_dir(&own, layout::DATA)?;
        Ok(ForkDirs { data, incoming: layout::private_dir(&own, layout::INCOMING)? })
    }

    /// Moves a copy to its place. Its worker must be committed.
    pub fn finish_fork(&self, id: &WorkerId) -> Result<(), StoreError> {
        let forks = layout::private_dir(&self.0.dir, layout::FORKS)?;
        Ok(place(&self.0.dir, &forks, &id.to_string())?)
    }

    /// Deletes a copy that no worker was committed for.
    pub fn abandon_fork(&self, id: &WorkerId) -> Result<(), StoreError> {
        let forks = layout::private_dir(&self.0.dir, layout::FORKS)?;
        match tree::remove_tree(&forks, &id.to_string()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn place(dir: &Dir, forks: &Dir, name: &str) -> io::Result<()> {
    let workers = layout::private_dir(dir, layout::WORKERS)?;
    forks.rename(name, &workers, name)?;
    // In this order, a crash leaves the directory in both places rather than in neither.
    layout::sync(&workers)?;
    layout::sync(forks)
}

/// Places or discards the copies that a crash has left. `is_known` tells whether a worker was
/// committed.
pub(super) fn settle(
    dir: &Dir,
    is_known: impl Fn(&WorkerId) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let forks = match dir.open_dir(layout::FORKS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for entry in forks.entries()? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let known = name.parse().ok().map(|id| is_known(&id)).transpose()?.unwrap_or(false);
        if !known || place(dir, &forks, name).is_err() {
            let trash = layout::private_dir(dir, layout::TRASH)?;
            // The trash may have the directory of a worker with this id.
            if forks.rename(name, &trash, name).is_err() {
                tree::remove_tree(&forks, name)?;
            }
        }
    }
    Ok(())
}
