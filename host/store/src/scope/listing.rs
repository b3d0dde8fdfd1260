//! A directory read a batch at a time.
//!
//! A guest chooses how many entries a directory has, and how many listings it leaves half read. So
//! a listing holds one batch, not the directory. Sorting needs all names at once and has a bound.

use std::os::fd::{AsFd, OwnedFd};

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::{NodeKind, ScopeError};

/// Entries held at most by one listing, or sorted at most.
const BATCH: usize = 1_000;
const SORTABLE: usize = 100_000;

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
pub struct Entry {
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
pub struct Listing {
    source: Source,
}

enum Source {
    Stored { dir: rustix::fs::Dir, device: u64 },
    Sorted { entries: std::vec::IntoIter<Entry> },
}

impl Listing {
    pub(super) fn open(dir: &Dir, order: Order) -> Result<Self, ScopeError> {
        // Reading through a handle of its own, two listings do not share a position.
        let dir = readable(dir)?;
        let device = rustix::fs::fstat(&dir)?.st_dev;
        let dir = rustix::fs::Dir::new(dir)?;
        let mut stored = Self { source: Source::Stored { dir, device } };
        if order == Order::Stored {
            return Ok(stored);
        }
        let mut all = Vec::new();
        loop {
            let batch = stored.next_batch()?;
            if batch.is_empty() {
                break;
            }
            all.extend(batch);
            if all.len() > SORTABLE {
                return Err(ScopeError::TooManyToSort);
            }
        }
        all.sort_unstable_by(|a: &Entry, b| a.name.cmp(&b.name));
        Ok(Self { source: Source::Sorted { entries: all.into_iter() } })
    }

    /// The next entries, at most 1,000; none at the end.
    ///
    /// Names that are not UTF-8, which no guest can have made or could open, are left out.
    pub fn next_batch(&mut self) -> Result<Vec<Entry>, ScopeError> {
        match &mut self.source {
            Source::Sorted { entries } => Ok(entries.take(BATCH).collect()),
            Source::Stored { dir, device } => {
                let mut batch = Vec::new();
                while batch.len() < BATCH {
                    let Some(entry) = dir.read().transpose()? else { break };
                    let Ok(name) = entry.file_name().to_str() else { continue };
                    if name == "." || name == ".." {
                        continue;
                    }
                    let mut kind = NodeKind::from(entry.file_type());
                    if kind == NodeKind::Unknown
                        && let Ok(stat) = rustix::fs::statat(
                            dir.fd()?,
                            entry.file_name(),
                            AtFlags::SYMLINK_NOFOLLOW,
                        )
                    {
                        kind = FileType::from_raw_mode(stat.st_mode).into();
                    }
                    batch.push(Entry {
                        name: name.to_owned(),
                        kind,
                        device: *device,
                        inode: entry.ino(),
                    });
                }
                Ok(batch)
            }
        }
    }
}

impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listing").finish_non_exhaustive()
    }
}

/// A second handle on a directory that can be read and synced, which a path-only one cannot.
pub(super) fn readable(dir: &Dir) -> Result<OwnedFd, ScopeError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir.as_fd(), c".", flags, Mode::empty())?)
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
