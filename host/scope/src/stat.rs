//! What is known of a file or directory.

use std::fs::File;
use std::time::{Duration, SystemTime};

use cap_std::fs::{FileTypeExt, Metadata, MetadataExt};

use super::inode::Inode;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe; seen in listings, never opened.
    Fifo,
    /// A socket; seen in listings, never opened.
    Socket,
    /// A character device; seen in listings, never opened.
    CharacterDevice,
    /// A block device; seen in listings, never opened.
    BlockDevice,
    /// The file system does not say.
    Unknown,
}

/// Metadata of one file or directory. Times are since 1970, earlier ones are 1970.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// What it is.
    pub kind: NodeKind,
    /// How many names it has.
    pub links: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Last read.
    pub accessed: Duration,
    /// Last write.
    pub modified: Duration,
    /// Last change of its metadata.
    pub changed: Duration,
    /// The host's device number: for telling two files apart, not for showing.
    pub device: u64,
    /// The host's inode number: likewise.
    pub inode: u64,
}

impl Stat {
    pub(super) fn of(file: &File) -> std::io::Result<Self> {
        Ok(Self::from(&Metadata::from_just_metadata(file.metadata()?)))
    }

    pub(super) fn identity(&self) -> Inode {
        Inode { device: self.device, number: self.inode }
    }
}

impl From<&Metadata> for Stat {
    fn from(meta: &Metadata) -> Self {
        let kind = meta.file_type();
        Self {
            kind: match () {
                () if kind.is_file() => NodeKind::File,
                () if kind.is_dir() => NodeKind::Directory,
                () if kind.is_symlink() => NodeKind::Symlink,
                () if kind.is_fifo() => NodeKind::Fifo,
                () if kind.is_socket() => NodeKind::Socket,
                () if kind.is_char_device() => NodeKind::CharacterDevice,
                () if kind.is_block_device() => NodeKind::BlockDevice,
                () => NodeKind::Unknown,
            },
            links: meta.nlink(),
            size: meta.len(),
            accessed: since_epoch(meta.atime(), meta.atime_nsec()),
            modified: since_epoch(meta.mtime(), meta.mtime_nsec()),
            changed: since_epoch(meta.ctime(), meta.ctime_nsec()),
            device: meta.dev(),
            inode: meta.ino(),
        }
    }
}

fn since_epoch(seconds: i64, nanos: i64) -> Duration {
    match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(seconds), Ok(nanos)) => Duration::new(seconds, nanos),
        _ => Duration::ZERO,
    }
}

/// A time stamp to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewTime {
    /// Leave it as it is.
    Keep,
    /// The host's present time.
    Now,
    /// This long after 1970.
    At(Duration),
}

impl NewTime {
    /// The absolute time that it stands for, or `None` to leave it.
    ///
    /// A time beyond what the host can represent is an error.
    pub(super) fn resolve(self) -> std::io::Result<Option<SystemTime>> {
        match self {
            Self::Keep => Ok(None),
            Self::Now => Ok(Some(SystemTime::now())),
            Self::At(since) => SystemTime::UNIX_EPOCH
                .checked_add(since)
                .map(Some)
                .ok_or_else(|| std::io::ErrorKind::InvalidInput.into()),
        }
    }
}
