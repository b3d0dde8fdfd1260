//! Files and directories of the store.

use std::io;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;
use skep_protocol::{ComponentDigest, DiagnosticCode, WorkerId};
use skep_scope::tree;

use super::Store;
use crate::{Lookup, StoreError, layout};

/// Components and workers' directories. These methods block on the disk.
impl Store {
    /// Returns the bytes of a component.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if they no longer match the digest.
    pub fn component_bytes(&self, digest: &ComponentDigest) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.writing.components.read(digest)
    }

    /// Writes a component's file and waits until it is on disk. [`crate::SharedWrite::PutComponent`] must
    /// follow.
    ///
    /// # Errors
    /// Fails if the disk fails. No file is left in place then.
    pub fn write_component(&self, wasm: &[u8]) -> Result<ComponentDigest, StoreError> {
        Ok(self.0.writing.components.write(wasm)?)
    }

    /// Opens the directory of compiled components.
    ///
    /// # Errors
    /// Fails if the disk fails.
    pub fn compiled_dir(&self) -> Result<Dir, StoreError> {
        Ok(layout::private_dir(&self.0.dir, layout::COMPILED)?)
    }

    /// Opens a worker's own directory. If it is missing, creates it and waits until it is on disk.
    ///
    /// # Errors
    /// Fails if the disk fails.
    pub fn worker_dir(&self, id: &WorkerId) -> Result<Dir, StoreError> {
        if let Some(dir) = self.existing_worker_dir(id)? {
            return Ok(dir);
        }
        self.0.writing.faults.at("directory.create")?;
        let workers = layout::private_dir(&self.0.dir, layout::WORKERS)?;
        let own = layout::private_dir(&workers, &id.to_string())?;
        Ok(layout::private_dir(&own, layout::DATA)?)
    }

    /// Opens a worker's own directory, if it exists.
    ///
    /// # Errors
    /// Fails if the disk fails.
    pub fn existing_worker_dir(&self, id: &WorkerId) -> Result<Option<Dir>, StoreError> {
        let path = format!("{}/{id}/{}", layout::WORKERS, layout::DATA);
        match self.0.dir.open_dir_nofollow(path) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Uploads to a worker's directory. These methods block on the disk.
impl Store {
    /// Opens the directory that holds uploads until they are complete. It is next to the worker's
    /// own directory, which must exist, and invisible to the guest.
    ///
    /// # Errors
    /// Fails if the disk fails.
    pub fn incoming_dir(&self, id: &WorkerId) -> Result<Dir, StoreError> {
        let own = self.0.dir.open_dir_nofollow(format!("{}/{id}", layout::WORKERS))?;
        Ok(layout::private_dir(&own, layout::INCOMING)?)
    }

    /// Deletes uploads that a crash has interrupted. No upload to the worker may be in progress.
    ///
    /// # Errors
    /// Fails if the disk fails.
    pub fn sweep_incoming(&self, id: &WorkerId) -> Result<(), StoreError> {
        let own = self.0.dir.open_dir_nofollow(format!("{}/{id}", layout::WORKERS));
        match own.and_then(|own| tree::remove_tree(&own, layout::INCOMING)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Adds diagnostics for directories that belong to no worker, and leaves them in place. Reads
    /// the whole list of workers' directories, and blocks on the disk.
    ///
    /// # Errors
    /// Fails if the directory or the database cannot be read.
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
            // The directory of a removed worker will be moved to the trash.
            if matches!(self.worker(&id), Ok(Lookup::Unknown)) {
                let message = "a directory exists for this id, but no worker; restore the \
                               database that contains the worker, or move the directory away";
                self.0.noticed.notice(DiagnosticCode::ForeignFile, Some(id), message.into());
            }
        }
        if nameless > 0 {
            let message =
                format!("names among the workers' directories that are not worker ids: {nameless}");
            self.0.noticed.notice(DiagnosticCode::ForeignFile, None, message);
        }
        Ok(())
    }
}
