//! Metadata of files and directories.

use std::fs::File;
use std::time::{Duration, SystemTime};

use cap_std::fs::{FileTypeExt, Metadata, MetadataExt};

use super::inode::Inode;

/// The type of a file.
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
    /// Not reported by the file system.
    Unknown,
}

/// Metadata of one file or directory. Times are durations since 1970; an earlier time is zero.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Its type.
    pub kind: NodeKind,
    /// Number of names.
    pub links: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Time of the last read.
    pub accessed: Duration,
    /// Time of the last write.
    pub modified: Duration,
    /// Time of the last change of its metadata.
    pub changed: Duration,
    /// The host's device number. It serves to tell files apart and is not for display.
    pub device: u64,
    /// The host's inode number, for the same use.
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

/// A new value for a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewTime {
    /// Leave it unchanged.
    Keep,
    /// The host's current time.
    Now,
    /// A duration since 1970.
    At(Duration),
}

impl NewTime {
    /// Returns the absolute time, or `None` to leave the timestamp unchanged.
    ///
    /// Fails for a time that the host cannot represent.
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
