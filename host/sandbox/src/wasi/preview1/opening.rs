//! `path_open`, the only call that creates a descriptor.

use skep_scope::{OpenHow, OpenNode};

use super::abi::types::{self, Errno, Error, Fdflags, Oflags, Rights};
use super::fds::{Fd, FdEntry, OpenedFile};
use super::rights::RightsPair;
use crate::wasi::world::World;

/// The arguments of a call.
pub(super) struct Opening {
    pub(super) path: String,
    pub(super) follow: bool,
    pub(super) open: Oflags,
    pub(super) rights: RightsPair,
    pub(super) flags: Fdflags,
}

impl Opening {
    /// Returns the rights that the call needs for the directory.
    fn needed(&self) -> Rights {
        let mut needed = Rights::PATH_OPEN;
        needed.set(Rights::PATH_CREATE_FILE, self.open.contains(Oflags::CREAT));
        needed.set(Rights::PATH_FILESTAT_SET_SIZE, self.open.contains(Oflags::TRUNC));
        needed
    }

    /// Returns the rights that the call requests for the opened object.
    fn wanted(&self) -> Rights {
        let mut wanted = self.rights.base | self.rights.inheriting;
        if self.flags.contains(Fdflags::DSYNC) {
            wanted |= Rights::FD_DATASYNC;
        }
        if self.flags.intersects(Fdflags::SYNC | Fdflags::RSYNC) {
            wanted |= Rights::FD_SYNC;
        }
        wanted
    }

    fn how(&self) -> OpenHow {
        OpenHow {
            read: self.rights.base.contains(Rights::FD_READ),
            write: self.rights.base.contains(Rights::FD_WRITE),
            create: self.open.contains(Oflags::CREAT),
            exclusive: self.open.contains(Oflags::EXCL),
            truncate: self.open.contains(Oflags::TRUNC),
            directory: self.open.contains(Oflags::DIRECTORY),
            follow: self.follow,
            sync: self.flags.intersects(Fdflags::SYNC | Fdflags::DSYNC | Fdflags::RSYNC),
        }
    }
}

impl World {
    pub(super) async fn open_at(
        &mut self,
        fd: types::Fd,
        opening: Opening,
    ) -> Result<types::Fd, Error> {
        let directory = self.fds().directory(fd, opening.needed())?;
        let given_up = self.fds().entry(fd)?.given_up.inheriting;
        if given_up.intersects(opening.wanted()) {
            return Err(Errno::Notcapable.into());
        }
        let permit = self.descriptors.open().ok_or(Errno::Mfile)?;
        let (how, flags) = (opening.how(), opening.flags);
        let opened = self.on_disk(move || directory.open(&opening.path, how)).await?;
        let fd = match opened {
            OpenNode::File(file) => {
                Fd::File(OpenedFile { file, position: 0, flags, _permit: permit })
            }
            OpenNode::Directory(directory) => {
                Fd::Directory { directory, preopened: None, cursor: None, _permit: Some(permit) }
            }
        };
        let given_up = RightsPair { base: given_up, inheriting: given_up };
        self.fds().insert(FdEntry { fd, given_up })
    }
}
