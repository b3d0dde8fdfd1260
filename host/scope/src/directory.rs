//! An open directory: creates, removes and looks up names.

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

/// Options for opening a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenHow {
    /// Open for reading.
    pub read: bool,
    /// Open for writing.
    pub write: bool,
    /// Create the file if it does not exist.
    pub create: bool,
    /// With `create`: fail if the name exists.
    pub exclusive: bool,
    /// Truncate the file to zero bytes.
    pub truncate: bool,
    /// Fail unless the name is a directory.
    pub directory: bool,
    /// Follow a symbolic link in the last component.
    pub follow: bool,
    /// Make each write wait for the disk.
    pub sync: bool,
}

/// A file or directory that was opened.
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

    /// Returns true if names can be created and removed in it.
    pub fn is_writable(&self) -> bool {
        self.access.rights.can_write()
    }

    /// Opens a file or directory.
    ///
    /// With `create`, the name is first created exclusively, and opened as an existing one only if
    /// that fails, because the ledger must know which of the two happened. As a consequence,
    /// nothing is ever created through a dangling link.
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
        // The lock keeps other calls from removing or resizing the file before the ledger knows it.
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
            // An existing file may still be opened when the quota is used up.
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

    /// Returns the metadata of the directory itself.
    pub fn stat(&self) -> Result<Stat, ScopeError> {
        Ok(Stat::from(&self.dir.dir_metadata()?))
    }

    /// Returns the metadata of a name in the directory.
    pub fn stat_at(&self, path: &str, follow: bool) -> Result<Stat, ScopeError> {
        let meta = match follow || names_a_directory(path) {
            true => self.dir.metadata(path)?,
            false => self.dir.symlink_metadata(path)?,
        };
        Ok(Stat::from(&meta))
    }

    /// Sets the times of the directory itself.
    pub fn set_times(&self, accessed: NewTime, modified: NewTime) -> Result<(), ScopeError> {
        self.access.writable()?;
        let handle = File::from(super::listing::readable(&self.dir)?);
        Ok(super::file::set_times(&handle, accessed, modified)?)
    }

    /// Sets the times of a name in the directory.
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
        // cap-std's own call would block on a FIFO until its other end is opened, so open the name
        // first.
        let how = OpenHow { read: true, follow, ..OpenHow::default() };
        match self.open(path, how)? {
            OpenNode::File(file) => file.set_times(accessed, modified),
            OpenNode::Directory(directory) => directory.set_times(accessed, modified),
        }
    }

    /// Creates a directory.
    pub fn create_directory(&self, path: &str) -> Result<(), ScopeError> {
        self.access.can_create_directory(path)?;
        self.name(path, |name| name.create_directory())
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, path: &str) -> Result<(), ScopeError> {
        self.remove(path, |name| name.remove_directory())
    }

    /// Removes a name that is not a directory. A link is not followed: the link itself is removed.
    pub fn unlink(&self, path: &str) -> Result<(), ScopeError> {
        self.remove(path, |name| name.unlink())
    }

    /// Renames within the scope, replacing `new_path` as `rename(2)` does.
    pub fn rename(&self, path: &str, to: &Self, new_path: &str) -> Result<(), ScopeError> {
        self.both_writable(to)?;
        let mut ledger = self.access.disk.ledger();
        let (from, to) = (ResolvedName::of(&self.dir, path)?, ResolvedName::of(&to.dir, new_path)?);
        let (moved, replaced) = (from.stat(), to.stat());
        from.rename(&to)?;
        // If both names belong to the same file, rename leaves both in place.
        if let (Ok(moved), Ok(replaced)) = (moved, replaced)
            && moved.identity() != replaced.identity()
        {
            ledger.unnamed(replaced.identity(), replaced.freed());
        }
        Ok(())
    }

    /// Moves a name out of the scope, into a directory on the same file system that no guest sees. The
    /// ledger keeps what it had: [`crate::Scope::recount`] counts again.
    pub(super) fn move_out(&self, name: &str, to: &Dir, new: &str) -> Result<(), ScopeError> {
        self.access.writable()?;
        let _ledger = self.access.disk.ledger();
        Ok(self.dir.rename(name, to, new)?)
    }

    /// Gives a file a second name within the scope. A link in the last component is not followed.
    pub fn link(&self, path: &str, to: &Self, new_path: &str) -> Result<(), ScopeError> {
        self.both_writable(to)?;
        let from = ResolvedName::to_link(&self.dir, path)?;
        to.name(new_path, |name| from.link(name))
    }

    /// Creates a symbolic link. An absolute target is refused. Any other target is resolved, and
    /// confined to the scope, only when the link is used.
    pub fn symlink(&self, target: &str, path: &str) -> Result<(), ScopeError> {
        self.name(path, |name| name.symlink(target))
    }

    /// Creates a name and charges it to the ledger.
    fn name(
        &self,
        path: &str,
        make: impl FnOnce(&ResolvedName<'_>) -> io::Result<()>,
    ) -> Result<(), ScopeError> {
        self.access.writable()?;
        let mut ledger = self.access.disk.ledger();
        ledger.admit_entry()?;
        let name = ResolvedName::of(&self.dir, path)?;
        make(&name)?;
        if let Ok(stat) = name.stat() {
            ledger.named(stat.identity());
        }
        Ok(())
    }

    /// Removes a name and credits its cost to the ledger.
    fn remove(
        &self,
        path: &str,
        remove: impl FnOnce(&ResolvedName<'_>) -> io::Result<()>,
    ) -> Result<(), ScopeError> {
        self.access.writable()?;
        let mut ledger = self.access.disk.ledger();
        let name = ResolvedName::of(&self.dir, path)?;
        let before = name.stat();
        remove(&name)?;
        if let Ok(before) = before {
            ledger.unnamed(before.identity(), before.freed());
        }
        Ok(())
    }

    /// Returns the target of a symbolic link. An absolute target is refused: only the host can have
    /// created it, and it would reveal a host path.
    pub fn read_link(&self, path: &str) -> Result<String, ScopeError> {
        let target = self.dir.read_link(path)?;
        target.into_os_string().into_string().map_err(|_| Errno::ILSEQ.into())
    }

    /// Lists the entries.
    pub fn list(&self, order: Order) -> Result<DirectoryListing, ScopeError> {
        DirectoryListing::open(&self.dir, order)
    }

    /// Waits until the directory itself is on disk.
    pub fn sync(&self) -> Result<(), ScopeError> {
        Ok(rustix::fs::fsync(super::listing::readable(&self.dir)?)?)
    }

    /// Waits until all writes to its file system, by any process, are on disk.
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
    /// Returns the bytes that are freed with the last name; `None` while there is another name.
    ///
    /// A directory always has one name: its link count includes its subdirectories.
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
