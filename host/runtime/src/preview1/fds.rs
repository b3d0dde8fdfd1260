//! The guest's descriptor table: numbers, and what they stand for.

use skep_store::scope::{OpenDirectory, OpenFile};

use super::abi::types::{self, Errno, Error};
use super::listing::Cursor;
use crate::world::World;
use crate::world::descriptors::Permit;

/// The descriptors of one instance. Filled at the first call, since a component never needs it.
#[derive(Default)]
pub(crate) struct Preview1 {
    table: Vec<Option<Fd>>,
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
        cursor: Option<Cursor>,
        _permit: Option<Permit>,
    },
}

pub(crate) struct OpenedFile {
    pub(super) file: OpenFile,
    pub(super) position: u64,
    pub(super) append: bool,
    pub(super) _permit: Permit,
}

impl World {
    /// The table, with the standard streams and the mounts in it.
    pub(super) fn preview1(&mut self) -> &mut Preview1 {
        let table = &mut self.preview1.table;
        if table.is_empty() {
            table.extend([Some(Fd::Stdin), Some(Fd::Stdout), Some(Fd::Stderr)]);
            table.extend(self.mounts.iter().map(|mount| {
                Some(Fd::Directory {
                    directory: mount.scope.open(),
                    preopened: Some(mount.guest.clone()),
                    cursor: None,
                    _permit: None,
                })
            }));
        }
        &mut self.preview1
    }
}

impl Preview1 {
    pub(super) fn get(&self, fd: types::Fd) -> Result<&Fd, Error> {
        self.table.get(index(fd)).and_then(Option::as_ref).ok_or_else(|| Errno::Badf.into())
    }

    pub(super) fn get_mut(&mut self, fd: types::Fd) -> Result<&mut Fd, Error> {
        self.table.get_mut(index(fd)).and_then(Option::as_mut).ok_or_else(|| Errno::Badf.into())
    }

    pub(super) fn file(&self, fd: types::Fd) -> Result<&OpenedFile, Error> {
        match self.get(fd)? {
            Fd::File(file) => Ok(file),
            Fd::Directory { .. } => Err(Errno::Isdir.into()),
            Fd::Stdin | Fd::Stdout | Fd::Stderr => Err(Errno::Badf.into()),
        }
    }

    pub(super) fn file_mut(&mut self, fd: types::Fd) -> Result<&mut OpenedFile, Error> {
        match self.get_mut(fd)? {
            Fd::File(file) => Ok(file),
            _ => Err(Errno::Badf.into()),
        }
    }

    /// As [`Preview1::file`], for calls that need a position.
    pub(super) fn seekable(&self, fd: types::Fd) -> Result<&OpenedFile, Error> {
        match self.get(fd)? {
            Fd::File(file) => Ok(file),
            Fd::Stdin | Fd::Stdout | Fd::Stderr => Err(Errno::Spipe.into()),
            Fd::Directory { .. } => Err(Errno::Isdir.into()),
        }
    }

    pub(super) fn directory(&self, fd: types::Fd) -> Result<OpenDirectory, Error> {
        match self.get(fd)? {
            Fd::Directory { directory, .. } => Ok(directory.clone()),
            _ => Err(Errno::Notdir.into()),
        }
    }

    /// Puts a descriptor at the lowest free number. How many there can be is the permits' affair.
    pub(super) fn insert(&mut self, opened: Fd) -> Result<types::Fd, Error> {
        let free = self.table.iter().position(Option::is_none).unwrap_or(self.table.len());
        let number = u32::try_from(free)?;
        match self.table.get_mut(free) {
            Some(slot) => *slot = Some(opened),
            None => self.table.push(Some(opened)),
        }
        Ok(number.into())
    }

    pub(super) fn remove(&mut self, fd: types::Fd) -> Result<Fd, Error> {
        self.table.get_mut(index(fd)).and_then(Option::take).ok_or_else(|| Errno::Badf.into())
    }

    /// Moves one descriptor over another, which is closed.
    pub(super) fn renumber(&mut self, from: types::Fd, to: types::Fd) -> Result<(), Error> {
        self.get(to)?;
        let moved = self.remove(from)?;
        *self.get_mut_or_hole(to) = Some(moved);
        Ok(())
    }

    fn get_mut_or_hole(&mut self, fd: types::Fd) -> &mut Option<Fd> {
        // `renumber` has looked it up: only the number's entry, not its presence, matters here.
        &mut self.table[index(fd)]
    }
}

fn index(fd: types::Fd) -> usize {
    u32::from(fd) as usize
}
