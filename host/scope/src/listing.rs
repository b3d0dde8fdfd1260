//! A directory read a batch at a time.
//!
//! A guest chooses how many entries a directory has, and how many listings it leaves half read: so
//! a listing holds one batch, never the directory. A sorted one reads the whole directory again for
//! each batch and keeps the names that come next. That is slow for huge directories and bounded for
//! all.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::{NodeKind, ScopeError};

/// Entries held at most by one listing. A worker may hold a thousand listings open, and a name has
/// up to 255 bytes.
const BATCH: usize = 256;

/// In which order a directory is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As the file system has it.
    Stored,
    /// By the bytes of the name: the same on every host.
    Sorted,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// The host's device number.
    pub device: u64,
    /// The host's inode number.
    pub inode: u64,
}

/// A directory being listed, without `.` and `..`. Holds one file descriptor.
pub struct DirectoryListing {
    dir: rustix::fs::Dir,
    device: u64,
    order: Order,
    /// The last name returned, where names are sorted.
    last: Option<String>,
    /// Names in it that are not UTF-8, as far as it was read.
    not_unicode: u64,
}

impl DirectoryListing {
    pub(super) fn open(dir: &Dir, order: Order) -> Result<Self, ScopeError> {
        // Reading through a handle of its own, two listings do not share a position.
        let dir = readable(dir)?;
        let device = rustix::fs::fstat(&dir)?.st_dev;
        let dir = rustix::fs::Dir::new(dir)?;
        Ok(Self { dir, device, order, last: None, not_unicode: 0 })
    }

    /// The next entries, at most 256; none at the end.
    ///
    /// Names that are not UTF-8, which no guest can have made or could open, are left out. That they
    /// are there is said in place of the end, each time that it is come to: what can be used is seen
    /// first, and a directory that looks empty and cannot be removed has its reason.
    ///
    /// # Errors
    /// [`ScopeError::NotUnicode`], or the disk's.
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

/// A second handle on a directory that can be read and synced, which a path-only one cannot.
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
