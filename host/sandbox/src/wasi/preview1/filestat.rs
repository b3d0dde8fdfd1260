//! The attributes of files and directories.

use std::time::Duration;

use skep_scope::{NewTime, Stat};

use super::abi::types::{self, Errno, Error, Rights};
use super::clock::timestamp;
use super::fds::{Fd, OpenedFile};
use crate::wasi::world::World;

impl World {
    pub(super) async fn stat(&mut self, fd: types::Fd) -> Result<types::Filestat, Error> {
        let stat = match self.fds().get(fd, Rights::FD_FILESTAT_GET)? {
            Fd::File(OpenedFile { file, .. }) => {
                let file = file.clone();
                self.on_disk(move || file.stat()).await?
            }
            Fd::Directory { directory, .. } => {
                let directory = directory.clone();
                self.on_disk(move || directory.stat()).await?
            }
            Fd::Stdin | Fd::Stdout | Fd::Stderr => {
                return Ok(types::Filestat {
                    dev: 0,
                    ino: 0,
                    filetype: types::Filetype::Unknown,
                    nlink: 0,
                    size: 0,
                    atim: 0,
                    mtim: 0,
                    ctim: 0,
                });
            }
        };
        self.filestat(&stat)
    }

    pub(super) async fn set_times(
        &mut self,
        fd: types::Fd,
        accessed: types::Timestamp,
        modified: types::Timestamp,
        flags: types::Fstflags,
    ) -> Result<(), Error> {
        let (accessed, modified) = new_times(accessed, modified, flags)?;
        match self.fds().get(fd, Rights::FD_FILESTAT_SET_TIMES)? {
            Fd::File(OpenedFile { file, .. }) => {
                let file = file.clone();
                Ok(self.on_disk(move || file.set_times(accessed, modified)).await?)
            }
            Fd::Directory { directory, .. } => {
                let directory = directory.clone();
                let call = move || directory.set_times(accessed, modified);
                Ok(self.on_disk(call).await?)
            }
            _ => Err(Errno::Badf.into()),
        }
    }

    pub(super) fn filestat(&mut self, stat: &Stat) -> Result<types::Filestat, Error> {
        let ino = self.descriptors.number(stat.device, stat.inode);
        let stat = self.descriptors.present(*stat);
        Ok(types::Filestat {
            dev: 1,
            ino,
            filetype: stat.kind.into(),
            nlink: stat.links,
            size: stat.size,
            atim: timestamp(stat.accessed)?,
            mtim: timestamp(stat.modified)?,
            ctim: timestamp(stat.changed)?,
        })
    }
}

pub(super) fn new_times(
    accessed: types::Timestamp,
    modified: types::Timestamp,
    flags: types::Fstflags,
) -> Result<(NewTime, NewTime), Error> {
    use types::Fstflags;
    let pick = |at: Fstflags, now: Fstflags, value| match (flags.contains(at), flags.contains(now))
    {
        (true, true) => Err(Error::from(Errno::Inval)),
        (true, false) => Ok(NewTime::At(Duration::from_nanos(value))),
        (false, true) => Ok(NewTime::Now),
        (false, false) => Ok(NewTime::Keep),
    };
    Ok((
        pick(Fstflags::ATIM, Fstflags::ATIM_NOW, accessed)?,
        pick(Fstflags::MTIM, Fstflags::MTIM_NOW, modified)?,
    ))
}
