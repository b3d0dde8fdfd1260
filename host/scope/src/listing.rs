//! Directory listings, read in batches.
//!
//! A guest controls the number of entries in a directory and the number of unfinished listings, so
//! a listing holds one batch, never the whole directory. A sorted listing reads the whole directory
//! again for each batch and keeps the names that come next: slow for a huge directory, but bounded.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::{NodeKind, ScopeError};

/// Maximum number of entries held by one listing. A worker may have a thousand listings open, and a
/// name has up to 255 bytes.
const BATCH: usize = 256;

/// The order of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The order of the file system.
    Stored,
    /// By the bytes of the name, which is the same on every host.
    Sorted,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: NodeKind,
    /// The host's device number.
    pub device: u64,
    /// The host's inode number.
    pub inode: u64,
}

/// A listing of a directory, without `.` and `..`. Holds one file descriptor.
pub struct DirectoryListing {
    dir: rustix::fs::Dir,
    device: u64,
    order: Order,
    /// The last name returned, if the listing is sorted.
    last: Option<String>,
    /// Number of names read so far that are not UTF-8.
    not_unicode: u64,
}

impl DirectoryListing {
    pub(super) fn open(dir: &Dir, order: Order) -> Result<Self, ScopeError> {
        // With a handle of its own, a listing does not share its position with another one.
        let dir = readable(dir)?;
        let device = rustix::fs::fstat(&dir)?.st_dev;
        let dir = rustix::fs::Dir::new(dir)?;
        Ok(Self { dir, device, order, last: None, not_unicode: 0 })
    }

    /// Returns the next entries, at most 256, and none at the end.
    ///
    /// Names that are not UTF-8 are left out: no guest can have created or could open them. If
    /// there are any, every call at the end of the listing fails and reports their number. The
    /// guest thus sees the usable entries first, and learns why a directory that looks empty cannot
    /// be removed.
    ///
    /// # Errors
    /// [`ScopeError::NotUnicode`], or a disk error.
    pub fn next_batch(&mut self) -> Result<Vec<DirectoryEntry>, ScopeError> {
        let batch = match self.order {
            Order::Stored => self.next_stored(),
            Order::Sorted => self.next_sorted(),
        }?;
        match self.not_unicode {
            names if names > 0 && batch.is_empty() => Err(ScopeError::NotUnicode(names)),
            _ => Ok(batch),
        }
    }

    fn next_stored(&mut self) -> Result<Vec<DirectoryEntry>, ScopeError> {
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(entry) = self.next_entry()?
        {
            batch.push(entry);
        }
        Ok(batch)
    }

    fn next_sorted(&mut self) -> Result<Vec<DirectoryEntry>, ScopeError> {
        self.dir.rewind();
        self.not_unicode = 0;
        let mut next = BTreeMap::new();
        while let Some(entry) = self.next_entry()? {
            if self.last.as_ref().is_none_or(|last| entry.name > *last) {
                next.insert(entry.name.clone(), entry);
                if next.len() > BATCH {
                    next.pop_last();
                }
            }
        }
        let batch: Vec<_> = next.into_values().collect();
        if let Some(last) = batch.last() {
            self.last = Some(last.name.clone());
        }
        Ok(batch)
    }

    fn next_entry(&mut self) -> Result<Option<DirectoryEntry>, ScopeError> {
        while let Some(entry) = self.dir.read().transpose()? {
            let Ok(name) = entry.file_name().to_str() else {
                self.not_unicode += 1;
                continue;
            };
            if name == "." || name == ".." {
                continue;
            }
            let mut kind = NodeKind::from(entry.file_type());
            if kind == NodeKind::Unknown
                && let Ok(stat) =
                    rustix::fs::statat(self.dir.fd()?, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            {
                kind = FileType::from_raw_mode(stat.st_mode).into();
            }
            let (name, inode) = (name.to_owned(), entry.ino());
            return Ok(Some(DirectoryEntry { name, kind, device: self.device, inode }));
        }
        Ok(None)
    }
}

impl std::fmt::Debug for DirectoryListing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectoryListing").finish_non_exhaustive()
    }
}

/// Opens a second handle on a directory. It can be read and synced, even if `dir` is path-only.
pub(super) fn readable(dir: &Dir) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(dir.as_fd(), c".", flags, Mode::empty())
}

impl From<FileType> for NodeKind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice => Self::CharacterDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Unknown => Self::Unknown,
        }
    }
}
