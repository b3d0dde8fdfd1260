//! Copies of workers' directories: see [`crate::fork_dirs`].

use std::io;

use skep_protocol::WorkerId;

use super::Store;
use crate::fork_dirs::{self, ForkDirs};
use crate::{StoreError, StoreRefusal, layout};
use skep_scope::tree;

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
        Ok(fork_dirs::place(&self.0.dir, &forks, &id.to_string())?)
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
