//! A file that is written outside the scope and then renamed into it.
//!
//! The draft lies in another directory of the same file system, which no guest can see. Its bytes
//! count from the first one. A guest sees either no file or the complete one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;

use super::access::ScopeAccess;
use super::inode::Inode;
use super::{NodeKind, OpenDirectory, OpenFile, ScopeError, Stat};

/// A file that has no name in its scope yet. Dropping it deletes the file.
#[derive(Debug)]
pub struct Draft {
    access: Arc<ScopeAccess>,
    aside: Arc<Dir>,
    name: String,
    inode: Inode,
    file: OpenFile,
    placed: bool,
}

impl OpenDirectory {
    /// Creates a file in `aside`, which must be on the same file system and outside the scope.
    pub fn draft(&self, aside: &Arc<Dir>) -> Result<Draft, ScopeError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        self.access.writable()?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let (name, file) = loop {
            let name = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
            match aside.open_with(&name, &options) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => break (name, opened?.into_std()),
            }
        };
        let stat = Stat::of(&file)?;
        let inode = stat.identity();
        self.access.disk.ledger().drafted(inode);
        let file = OpenFile::new(self.access.clone(), file, &stat, false, true);
        let (access, aside) = (self.access.clone(), aside.clone());
        Ok(Draft { access, aside, name, inode, file, placed: false })
    }

    /// Renames a draft to `name`, replacing the file of that name. Returns true if the name is new.
    ///
    /// # Errors
    /// [`ScopeError::SpecialFile`] if the name belongs to anything but a regular file.
    pub fn place(&self, mut draft: Draft, name: &str) -> Result<bool, ScopeError> {
        self.access.writable()?;
        if !Arc::ptr_eq(&self.access, &draft.access) {
            return Err(ScopeError::CrossScope);
        }
        let mut ledger = self.access.disk.ledger();
        let replaced = match self.stat_at(name, false) {
            Ok(stat) if stat.kind == NodeKind::File => Some(stat),
            Ok(_) => return Err(ScopeError::SpecialFile),
            Err(ScopeError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                ledger.admit_entry()?;
                None
            }
            Err(error) => return Err(error),
        };
        draft.aside.rename(&draft.name, &self.dir, name)?;
        draft.placed = true;
        ledger.named(draft.inode);
        if let Some(replaced) = &replaced {
            ledger.unnamed(replaced.identity(), replaced.freed());
        }
        drop(ledger);
        Ok(replaced.is_none())
    }
}

impl Draft {
    /// Returns the open file.
    pub fn file(&self) -> &OpenFile {
        &self.file
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.placed {
            // If this fails, the file is deleted when the directory is next opened.
            drop(self.aside.remove_file(&self.name));
        }
    }
}
