//! The guest's descriptor table.

use skep_scope::{OpenDirectory, OpenFile};

use super::abi::types::{self, Errno, Error, Fdflags, Rights};
use super::cursor::ListingCursor;
use super::rights::RightsPair;
use crate::wasi::descriptors::Permit;
use crate::wasi::spec::Mount;

/// The descriptors of one instance. Empty until the first preview1 call, because components do not
/// need it.
#[derive(Default)]
pub(crate) struct FdTable {
    table: Vec<Option<FdEntry>>,
}

/// A descriptor, and the rights to it that the guest has given up.
pub(crate) struct FdEntry {
    pub(super) fd: Fd,
    pub(super) given_up: RightsPair,
}

/// The object behind a descriptor.
pub(crate) enum Fd {
    Stdin,
    Stdout,
    Stderr,
    File(OpenedFile),
    Directory {
        directory: OpenDirectory,
        preopened: Option<String>,
        cursor: Option<ListingCursor>,
        _permit: Option<Permit>,
    },
}

pub(crate) struct OpenedFile {
    pub(super) file: OpenFile,
    pub(super) position: u64,
    /// The flags it was opened with, and later changes to them.
    pub(super) flags: Fdflags,
    pub(super) _permit: Permit,
}

impl FdTable {
    /// Fills the table with the standard streams and the mounts at the first call.
    pub(in crate::wasi) fn filled(&mut self, mounts: &[Mount]) -> &mut Self {
        if self.table.is_empty() {
            let mounts = mounts.iter().map(|mount| Fd::Directory {
                directory: mount.scope.open(),
                preopened: Some(mount.guest.clone()),
                cursor: None,
                _permit: None,
            });
            let fds = [Fd::Stdin, Fd::Stdout, Fd::Stderr].into_iter().chain(mounts);
            self.table.extend(fds.map(|fd| Some(FdEntry { fd, given_up: RightsPair::NONE })));
        }
        self
    }

    /// Returns a descriptor's entry, regardless of its rights.
    pub(super) fn entry(&self, fd: types::Fd) -> Result<&FdEntry, Errno> {
        self.table.get(index(fd)).and_then(Option::as_ref).ok_or(Errno::Badf)
    }

    pub(super) fn entry_mut(&mut self, fd: types::Fd) -> Result<&mut FdEntry, Errno> {
        self.table.get_mut(index(fd)).and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    /// Returns the object behind a descriptor for a call that needs these rights.
    pub(super) fn get(&self, fd: types::Fd, needed: Rights) -> Result<&Fd, Errno> {
        let entry = self.entry(fd)?;
        match entry.given_up.base.intersects(needed) {
            true => Err(Errno::Notcapable),
            false => Ok(&entry.fd),
        }
    }

    pub(super) fn get_mut(&mut self, fd: types::Fd, needed: Rights) -> Result<&mut Fd, Errno> {
        self.get(fd, needed)?;
        Ok(&mut self.entry_mut(fd)?.fd)
    }

    pub(super) fn file(&self, fd: types::Fd, needed: Rights) -> Result<&OpenedFile, Errno> {
        match self.get(fd, needed)? {
            Fd::File(file) => Ok(file),
            Fd::Directory { .. } => Err(Errno::Isdir),
            Fd::Stdin | Fd::Stdout | Fd::Stderr => Err(Errno::Badf),
        }
    }

    /// Like [`FdTable::file`], for calls that need a position.
    pub(super) fn seekable(&self, fd: types::Fd, needed: Rights) -> Result<&OpenedFile, Errno> {
        match self.get(fd, needed)? {
            Fd::File(file) => Ok(file),
            Fd::Stdin | Fd::Stdout | Fd::Stderr => Err(Errno::Spipe),
            Fd::Directory { .. } => Err(Errno::Isdir),
        }
    }

    /// Sets the position of a file after a read, write or seek.
    pub(super) fn moved(&mut self, fd: types::Fd, position: u64) -> Result<(), Errno> {
        match &mut self.entry_mut(fd)?.fd {
            Fd::File(file) => file.position = position,
            _ => return Err(Errno::Badf),
        }
        Ok(())
    }

    pub(super) fn directory(&self, fd: types::Fd, needed: Rights) -> Result<OpenDirectory, Errno> {
        match self.get(fd, needed)? {
            Fd::Directory { directory, .. } => Ok(directory.clone()),
            _ => Err(Errno::Notdir),
        }
    }

    /// Inserts a descriptor at the lowest free number. Permits limit the number of descriptors.
    pub(super) fn insert(&mut self, opened: FdEntry) -> Result<types::Fd, Error> {
        let free = self.table.iter().position(Option::is_none).unwrap_or(self.table.len());
        let number = u32::try_from(free)?;
        match self.table.get_mut(free) {
            Some(slot) => *slot = Some(opened),
            None => self.table.push(Some(opened)),
        }
        Ok(number.into())
    }

    pub(super) fn remove(&mut self, fd: types::Fd) -> Result<FdEntry, Errno> {
        self.table.get_mut(index(fd)).and_then(Option::take).ok_or(Errno::Badf)
    }

    /// Moves a descriptor over another, which is closed.
    pub(super) fn renumber(&mut self, from: types::Fd, to: types::Fd) -> Result<(), Errno> {
        self.entry(to)?;
        let moved = self.remove(from)?;
        // `to` was checked above, so the index is valid even if it is the slot that was just
        // emptied.
        self.table[index(to)] = Some(moved);
        Ok(())
    }
}

fn index(fd: types::Fd) -> usize {
    u32::from(fd) as usize
}
