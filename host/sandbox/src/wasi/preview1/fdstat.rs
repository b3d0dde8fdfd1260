//! The type, flags and rights of descriptors.
//!
//! A guest has all rights that make sense for an object, because some programs refuse to open files
//! in a directory that does not have them. The scope decides about actual changes. A guest can give
//! up rights, for a descriptor and for those opened from it, and cannot get them back.

use wasmtime_wasi::cli::IsTerminal;

use super::abi::types::{self, Errno, Error, Fdflags, Filetype, Rights};
use super::fds::{Fd, FdEntry};
use super::rights::RightsPair;
use crate::wasi::world::World;

/// Flags that cannot change after opening.
const SYNC: Fdflags = Fdflags::DSYNC.union(Fdflags::RSYNC).union(Fdflags::SYNC);

/// Rights that make no sense for a directory.
const OF_FILES: Rights =
    Rights::FD_SEEK.union(Rights::FD_WRITE).union(Rights::FD_FILESTAT_SET_SIZE);

impl Fd {
    /// Returns all rights that make sense for the object.
    fn rights(&self) -> RightsPair {
        let stream =
            |right| RightsPair { base: right | Rights::POLL_FD_READWRITE, inheriting: right };
        match self {
            Self::Stdin => stream(Rights::FD_READ),
            Self::Stdout | Self::Stderr => stream(Rights::FD_WRITE),
            Self::Directory { .. } => {
                RightsPair { base: Rights::all() & !OF_FILES, inheriting: Rights::all() }
            }
            Self::File(file) => {
                let mut rights = Rights::all();
                rights.set(Rights::FD_READ, file.file.is_readable());
                rights.set(Rights::FD_WRITE, file.file.is_writable());
                RightsPair { base: rights, inheriting: rights }
            }
        }
    }
}

impl FdEntry {
    /// Returns the rights that the guest still has.
    fn rights(&self) -> RightsPair {
        self.fd.rights().without(self.given_up)
    }

    /// Gives up all rights other than `kept`. Fails if `kept` includes a right that the guest does
    /// not have.
    fn keep(&mut self, kept: RightsPair) -> Result<(), Errno> {
        if !self.rights().contains(kept) {
            return Err(Errno::Notcapable);
        }
        self.given_up = self.fd.rights().without(kept);
        Ok(())
    }
}

impl World {
    pub(super) fn fdstat(&mut self, fd: types::Fd) -> Result<types::Fdstat, Error> {
        let (stdin, stdout) = (self.stdin.is_terminal(), self.stdout.is_terminal());
        let stderr = self.stderr.is_terminal();
        let stream = |terminal: bool| match terminal {
            true => (Filetype::CharacterDevice, Fdflags::empty()),
            false => (Filetype::Unknown, Fdflags::empty()),
        };
        let entry = self.fds().entry(fd)?;
        let (fs_filetype, fs_flags) = match &entry.fd {
            Fd::Stdin => stream(stdin),
            Fd::Stdout => stream(stdout),
            Fd::Stderr => stream(stderr),
            Fd::Directory { .. } => (Filetype::Directory, Fdflags::empty()),
            Fd::File(file) => (Filetype::RegularFile, file.flags),
        };
        let RightsPair { base, inheriting } = entry.rights();
        Ok(types::Fdstat {
            fs_filetype,
            fs_flags,
            fs_rights_base: base,
            fs_rights_inheriting: inheriting,
        })
    }

    pub(super) fn set_flags(&mut self, fd: types::Fd, flags: Fdflags) -> Result<(), Error> {
        let (now, file) = match self.fds().get_mut(fd, Rights::FD_FDSTAT_SET_FLAGS)? {
            Fd::File(file) => (file.flags, Some(file)),
            Fd::Stdin | Fd::Stdout | Fd::Stderr => (Fdflags::empty(), None),
            Fd::Directory { .. } => return Err(Errno::Badf.into()),
        };
        if (now ^ flags).intersects(SYNC) {
            return Err(Errno::Notsup.into());
        }
        if let Some(file) = file {
            file.flags = flags;
        }
        Ok(())
    }

    pub(super) fn set_rights(&mut self, fd: types::Fd, kept: RightsPair) -> Result<(), Error> {
        Ok(self.fds().entry_mut(fd)?.keep(kept)?)
    }
}
