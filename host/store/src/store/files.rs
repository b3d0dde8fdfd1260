//! Files and directories of the store.

use std::io;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;
use skep_protocol::{ComponentDigest, DiagnosticCode, WorkerId};
use skep_scope::tree;

use super::Store;
use crate::{Lookup, StoreError, layout};

/// Files. All of these block on the disk.
impl Store {
    /// A component's bytes, which have that digest.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where they no longer do.
    pub fn component_bytes(&self, digest: &ComponentDigest) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.writing.components.read(digest)
    }

    /// Puts a component's bytes in place, durably. [`SharedWrite::PutComponent`] comes after.
    ///
    /// # Errors
    /// Where the disk fails. Nothing is left in the file's place then.
    pub fn write_component(&self, wasm: &[u8]) -> Result<ComponentDigest, StoreError> {
        Ok(self.0.writing.components.write(wasm)?)
    }

    /// The directory of compiled components.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn compiled_dir(&self) -> Result<Dir, StoreError> {
        Ok(layout::private_dir(&self.0.dir, layout::COMPILED)?)
    }

    /// A worker's own directory, made where it is missing, durably.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn worker_dir(&self, id: &WorkerId) -> Result<Dir, StoreError> {
        if let Some(dir) = self.existing_worker_dir(id)? {
            return Ok(dir);
        }
        self.0.writing.faults.at("directory.create")?;
        let workers = layout::private_dir(&self.0.dir, layout::WORKERS)?;
        let own = layout::private_dir(&workers, &id.to_string())?;
        Ok(layout::private_dir(&own, layout::DATA)?)
    }

    /// A worker's own directory, if there is one.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn existing_worker_dir(&self, id: &WorkerId) -> Result<Option<Dir>, StoreError> {
        let path = format!("{}/{id}/{}", layout::WORKERS, layout::DATA);
        match self.0.dir.open_dir_nofollow(path) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Files that are written for a worker from outside. These block on the disk as well.
impl Store {
    /// Where they lie until they are whole: beside the worker's directory, which has to be there, and
    /// out of its guest's sight.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn incoming_dir(&self, id: &WorkerId) -> Result<Dir, StoreError> {
        let own = self.0.dir.open_dir_nofollow(format!("{}/{id}", layout::WORKERS))?;
        Ok(layout::private_dir(&own, layout::INCOMING)?)
    }

    /// Removes what a crash has left there. To be called while nobody writes for the worker.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn sweep_incoming(&self, id: &WorkerId) -> Result<(), StoreError> {
        let own = self.0.dir.open_dir_nofollow(format!("{}/{id}", layout::WORKERS));
        match own.and_then(|own| tree::remove_tree(&own, layout::INCOMING)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Notices what lies among the workers' directories and belongs to no worker. It is left where
    /// it is. Reads the whole list; blocks on the disk.
    ///
    /// # Errors
    /// Where the directory or the database cannot be read.
    pub fn notice_strays(&self) -> Result<(), StoreError> {
        let workers = match self.0.dir.open_dir(layout::WORKERS) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let mut nameless = 0_u64;
        for entry in workers.entries()? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<WorkerId>().ok()) else {
                nameless += 1;
                continue;
            };
            // One that was removed is on its way to the trash.
            if matches!(self.worker(&id), Ok(Lookup::Unknown)) {
                let message = "there is a directory of this id and no such worker; restore the \
                               database that knew it, or move the directory away";
                self.0.noticed.notice(DiagnosticCode::ForeignFile, Some(id), message.into());
            }
        }
        if nameless > 0 {
            let message = format!("{nameless} names among the workers' directories are no ids");
            self.0.noticed.notice(DiagnosticCode::ForeignFile, None, message);
        }
        Ok(())
    }
}
