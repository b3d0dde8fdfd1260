//! An open directory: where names are made, removed and looked up.

use std::fs::File;
use std::io;
use std::sync::Arc;

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, SystemTimeSpec};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::access::ScopeAccess;
use super::resolved_name::{ResolvedName, names_a_directory};
use super::{DirectoryListing, NewTime, NodeKind, OpenFile, Order, ScopeError, Stat};

/// How to open a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenHow {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Make the file if it is not there.
    pub create: bool,
    /// Together with `create`: refuse if it is there.
    pub exclusive: bool,
    /// Cut the file to nothing.
    pub truncate: bool,
    /// Refuse anything but a directory.
    pub directory: bool,
    /// Follow a symbolic link in the last place.
    pub follow: bool,
    /// Each write waits for the disk.
    pub sync: bool,
}

/// What was opened.
#[derive(Debug)]
pub enum OpenNode {
    /// A regular file.
    File(OpenFile),
    /// A directory.
    Directory(OpenDirectory),
}

/// A guest's handle on a directory. Clones share the handle.
#[derive(Clone, Debug)]
pub struct OpenDirectory {
    pub(super) access: Arc<ScopeAccess>,
    pub(super) dir: Arc<Dir>,
}

impl OpenDirectory {
    pub(super) fn new(access: Arc<ScopeAccess>, dir: Arc<Dir>) -> Self {
        Self { access, dir }
    }

    /// Whether names can be changed in it.
    pub fn is_writable(&self) -> bool {
        self.access.rights.can_write()
    }

    /// Opens a file or directory.
    ///
    /// A new name is made exclusively first and opened as an existing one only when that fails,
    /// so that it is known which of the two happened. A dangling link is therefore never created
    /// through.
    pub fn open(&self, path: &str, how: OpenHow) -> Result<OpenNode, ScopeError> {
        if how.write || how.create || how.truncate {
            self.access.writable()?;
        }
        if how.create && how.directory {
            return Err(Errno::INVAL.into());
        }
        if how.create {
            match self.create(path, how) {
                Err(ScopeError::Io(error))
                    if error.kind() == io::ErrorKind::AlreadyExists && !how.exclusive => {}
                result => return result,
            }
        }
        let mut options = Self::options(how);
        options.write(how.write || how.truncate);
        if how.directory {
            options.custom_flags((OFlags::DIRECTORY | OFlags::NONBLOCK).bits().cast_signed());
        }
        // Between the open and its being known, no other call may remove or resize the file.
        let mut ledger = self.access.disk.ledger();
        let file = self.dir.open_with(path, &options)?.into_std();
        let stat = Stat::of(&file)?;
        match stat.kind {
            NodeKind::Directory if how.create => Err(Errno::ISDIR.into()),
            NodeKind::Directory => {
                let dir = Arc::new(Dir::from_std_file(file));
                Ok(OpenNode::Directory(Self::new(self.access.clone(), dir)))
            }
            NodeKind::File => {
                let write = how.write || how.truncate;
                ledger.opened(stat.identity(), stat.size);
                drop(ledger);
                let file = OpenFile::new(self.access.clone(), file, &stat, how.read, write);
                if how.truncate {
                    file.set_len(0)?;
                }
                Ok(OpenNode::File(file))
            }
            _ => Err(ScopeError::SpecialFile),
        }
    }

    fn create(&self, path: &str, how: OpenHow) -> Result<OpenNode, ScopeError> {
        let mut ledger = self.access.disk.ledger();
        let refused = ledger.admit_entry();
        if refused.is_err() {
            // What is there already may still be opened with the quota used up.
            return match self.dir.symlink_metadata(path) {
                Ok(_) => Err(io::Error::from(io::ErrorKind::AlreadyExists).into()),
                Err(_) => refused.map(|()| unreachable!("checked above")),
            };
        }
        let mut options = Self::options(how);
        options.write(true).create_new(true);
        let file = self.dir.open_with(path, &options)?.into_std();
        let stat = Stat::of(&file)?;
        ledger.named(stat.identity());
        ledger.opened(stat.identity(), stat.size);
        drop(ledger);
        Ok(OpenNode::File(OpenFile::new(self.access.clone(), file, &stat, how.read, how.write)))
    }

    fn options(how: OpenHow) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(how.read || !how.write);
        let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        if how.sync {
            flags |= OFlags::SYNC;
        }
        options.custom_flags(flags.bits().cast_signed());
        options.follow(if how.follow { FollowSymlinks::Yes } else { FollowSymlinks::No });
        options
    }

    /// Its own metadata.
    pub fn stat(&self) -> Result<Stat, ScopeError> {
        Ok(Stat::from(&self.dir.dir_metadata()?))
    }

    /// The metadata of a name in it.
    pub fn stat_at(&self, path: &str, follow: bool) -> Result<Stat, ScopeError> {
        let meta = match follow || names_a_directory(path) {
            true => self.dir.metadata(path)?,
            false => self.dir.symlink_metadata(path)?,
        };
        Ok(Stat::from(&meta))
    }

    /// Sets its own times.
    pub fn set_times(&self, accessed: NewTime, modified: NewTime) -> Result<(), ScopeError> {
        self.access.writable()?;
        let handle = File::from(super::listing::readable(&self.dir)?);
        Ok(super::file::set_times(&handle, accessed, modified)?)
    }

    /// Sets the times of a name in it.
    pub fn set_times_at(
        &self,
        path: &str,
        follow: bool,
        accessed: NewTime,
        modified: NewTime,
    ) -> Result<(), ScopeError> {
        self.access.writable()?;
        if !follow {
            let (accessed, modified) = (time_spec(accessed)?, time_spec(modified)?);
            return Ok(self.dir.set_symlink_times(path, accessed, modified)?);
        }
        // OpenNode as everything else is: cap-std's own waits for the other end of a FIFO.
        let how = OpenHow { read: true, follow, ..OpenHow::default() };
        match self.open(path, how)? {
            OpenNode::File(file) => file.set_times(accessed, modified),
            OpenNode::Directory(directory) => directory.set_times(accessed, modified),
        }
    }

    /// Makes a directory.
    pub fn create_directory(&self, path: &str) -> Result<(), ScopeError> {
        self.name(path, |place| place.create_directory())
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, path: &str) -> Result<(), ScopeError> {
        self.remove(path, |place| place.remove_directory())
    }

    /// Removes a name that is not a directory. A link is removed itself, not followed.
    pub fn unlink(&self, path: &str) -> Result<(), ScopeError> {
        self.remove(path, |place| place.unlink())
    }

    /// Renames within the scope, replacing what `new_path` names as `rename(2)` does.
    pub fn rename(&self, path: &str, to: &Self, new_path: &str) -> Result<(), ScopeError> {
        self.both_writable(to)?;
        let mut ledger = self.access.disk.ledger();
        let (from, to) = (ResolvedName::of(&self.dir, path)?, ResolvedName::of(&to.dir, new_path)?);
        let (moved, replaced) = (from.stat(), to.stat());
        from.rename(&to)?;
        // Two names of one file: rename leaves both.
        if let (Ok(moved), Ok(replaced)) = (moved, replaced)
            && moved.identity() != replaced.identity()
        {
            ledger.unnamed(replaced.identity(), replaced.freed());
        }
        Ok(())
    }

    /// Gives a file a second name within the scope. A link in the last place is not followed.
    pub fn link(&self, path: &str, to: &Self, new_path: &str) -> Result<(), ScopeError> {
        self.both_writable(to)?;
        let from = ResolvedName::to_link(&self.dir, path)?;
        to.name(new_path, |place| from.link(place))
    }

    /// Makes a symbolic link. What it points to is resolved, and held within the scope, only when
    /// it is used; an absolute target is refused here.
    pub fn symlink(&self, target: &str, path: &str) -> Result<(), ScopeError> {
        self.name(path, |place| place.symlink(target))
    }

    /// Gives something a name, which counts.
    fn name(
        &self,
        path: &str,
        make: impl FnOnce(&ResolvedName<'_>) -> io::Result<()>,
    ) -> Result<(), ScopeError> {
        self.access.writable()?;
        let mut ledger = self.access.disk.ledger();
        ledger.admit_entry()?;
        let place = ResolvedName::of(&self.dir, path)?;
        make(&place)?;
        if let Ok(stat) = place.stat() {
            ledger.named(stat.identity());
        }
        Ok(())
    }

    /// Takes a name away, and what it has cost.
    fn remove(
        &self,
        path: &str,
        remove: impl FnOnce(&ResolvedName<'_>) -> io::Result<()>,
    ) -> Result<(), ScopeError> {
        self.access.writable()?;
        let mut ledger = self.access.disk.ledger();
        let place = ResolvedName::of(&self.dir, path)?;
        let before = place.stat();
        remove(&place)?;
        if let Ok(before) = before {
            ledger.unnamed(before.identity(), before.freed());
        }
        Ok(())
    }

    /// What a symbolic link says. An absolute target, which only the host can have made, is
    /// refused: it would be a host path.
    pub fn read_link(&self, path: &str) -> Result<String, ScopeError> {
        let target = self.dir.read_link(path)?;
        target.into_os_string().into_string().map_err(|_| Errno::ILSEQ.into())
    }

    /// Lists its entries.
    pub fn list(&self, order: Order) -> Result<DirectoryListing, ScopeError> {
        DirectoryListing::open(&self.dir, order)
    }

    /// Waits until the directory itself is on disk.
    pub fn sync(&self) -> Result<(), ScopeError> {
        Ok(rustix::fs::fsync(super::listing::readable(&self.dir)?)?)
    }

    /// Waits until all that was written to its file system, by anyone, is on disk.
    pub fn sync_file_system(&self) -> Result<(), ScopeError> {
        Ok(rustix::fs::syncfs(super::listing::readable(&self.dir)?)?)
    }

    fn both_writable(&self, other: &Self) -> Result<(), ScopeError> {
        self.access.writable()?;
        other.access.writable()?;
        match Arc::ptr_eq(&self.access, &other.access) {
            true => Ok(()),
            false => Err(ScopeError::CrossScope),
        }
    }
}

impl Stat {
    /// The bytes that go with its last name; `None` while it has another.
    ///
    /// A directory has one name, whatever its link count (which counts its subdirectories).
    pub(super) fn freed(&self) -> Option<u64> {
        match self.kind {
            NodeKind::Directory => Some(0),
            _ if self.links > 1 => None,
            NodeKind::File => Some(self.size),
            _ => Some(0),
        }
    }
}

fn time_spec(time: NewTime) -> io::Result<Option<SystemTimeSpec>> {
    Ok(match time {
        NewTime::Now => Some(SystemTimeSpec::SymbolicNow),
        other => other
            .resolve()?
            .map(|at| SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(at))),
    })
}
