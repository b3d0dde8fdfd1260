//! What a descriptor is, how it was opened, and what its guest may still do with it.
//!
//! A guest has all rights that make sense for what it has open: userlands refuse to open below a
//! directory that does not say so, and what may be changed is the scope's to decide. A guest can give
//! rights up, for a descriptor and for what will be opened below it. It does not get them back.

use wasmtime_wasi::cli::IsTerminal;

use super::abi::types::{self, Errno, Error, Fdflags, Filetype, Rights};
use super::fds::{Fd, FdEntry};
use super::rights::RightsPair;
use crate::wasi::world::World;

/// How a file was opened, which cannot be changed afterwards.
const SYNC: Fdflags = Fdflags::DSYNC.union(Fdflags::RSYNC).union(Fdflags::SYNC);

/// What nobody can do with a directory.
const OF_FILES: Rights =
    Rights::FD_SEEK.union(Rights::FD_WRITE).union(Rights::FD_FILESTAT_SET_SIZE);

impl Fd {
    /// What can be done with it at all.
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
    /// What the guest may do with it.
    fn rights(&self) -> RightsPair {
        self.fd.rights().without(self.given_up)
    }

    /// Gives up all rights but these. More than there are cannot be kept.
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
