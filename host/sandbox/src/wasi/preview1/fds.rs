//! The guest's descriptor table: numbers, and what they stand for.

use skep_scope::{OpenDirectory, OpenFile};

use super::abi::types::{self, Errno, Error, Fdflags, Rights};
use super::cursor::ListingCursor;
use super::rights::RightsPair;
use crate::wasi::descriptors::Permit;
use crate::wasi::spec::Mount;

/// The descriptors of one instance. Filled at the first call, since a component never needs it.
#[derive(Default)]
pub(crate) struct FdTable {
    table: Vec<Option<FdEntry>>,
}

/// A descriptor, and the rights to it that its guest has given up.
pub(crate) struct FdEntry {
    pub(super) fd: Fd,
    pub(super) given_up: RightsPair,
}

/// What a number stands for.
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
    /// As it was opened, and as far as they can be changed since.
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

    /// What has a number, whatever its rights.
    pub(super) fn entry(&self, fd: types::Fd) -> Result<&FdEntry, Errno> {
        self.table.get(index(fd)).and_then(Option::as_ref).ok_or(Errno::Badf)
    }

    pub(super) fn entry_mut(&mut self, fd: types::Fd) -> Result<&mut FdEntry, Errno> {
        self.table.get_mut(index(fd)).and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    /// What has a number, for a call that needs these rights to it.
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

    /// As [`FdTable::file`], for calls that need a position.
    pub(super) fn seekable(&self, fd: types::Fd, needed: Rights) -> Result<&OpenedFile, Errno> {
        match self.get(fd, needed)? {
            Fd::File(file) => Ok(file),
            Fd::Stdin | Fd::Stdout | Fd::Stderr => Err(Errno::Spipe),
            Fd::Directory { .. } => Err(Errno::Isdir),
        }
    }

    /// Moves the position of a file that a call has read, written or sought.
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

    /// Puts a descriptor at the lowest free number. How many there can be is the permits' affair.
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

    /// Moves one descriptor over another, which is closed.
    pub(super) fn renumber(&mut self, from: types::Fd, to: types::Fd) -> Result<(), Errno> {
        self.entry(to)?;
        let moved = self.remove(from)?;
        // It has been looked up: only the number's entry, not its presence, matters here.
        self.table[index(to)] = Some(moved);
        Ok(())
    }
}

fn index(fd: types::Fd) -> usize {
    u32::from(fd) as usize
}
