//! WASI preview1 for core modules, over scopes.
//!
//! Most real programs on npm and PyPI are still preview1 commands. They run natively: behind the
//! published adapter Go-built ones trap (they assume that they alone grow the memory), exit codes
//! collapse to 0 and 1, and each listing re-reads the directory. wasmtime-wasi's own preview1
//! writes straight to its files, past any quota. So the ABI's description, in `witx/`, is bound to
//! the same [`World`] and the same scopes that components use, and there is one place where
//! directories are counted and refused.
//!
//! Reads and writes move `hostcall_bytes` at most and say so as short counts, which every libc
//! handles; an allocation of the guest's choosing is never made.

mod abi;
mod errno;
mod fds;
mod fdstat;
mod listing;
mod opening;
mod poll;
mod transfer;

use std::time::Duration;

use skep_scope::{NewTime, Stat};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError};
use wiggle::{GuestMemory, GuestPtr};

use crate::wasi::world::World;

use abi::{types, wasi_snapshot_preview1};
pub(crate) use fds::Preview1;
use fds::{Fd, OpenedFile};
use fdstat::RightsPair;
use opening::Opening;
use transfer::{read_path, scatter, sizes, total, write_bytes, write_strings};
use types::{Errno, Error, Rights};

pub(crate) fn add_to_linker(linker: &mut wasmtime::Linker<World>) -> wasmtime::Result<()> {
    wasi_snapshot_preview1::add_to_linker(linker, |world| world)
}

type Memory<'a> = GuestMemory<'a>;

impl wasi_snapshot_preview1::WasiSnapshotPreview1 for World {
    fn args_get(
        &mut self,
        memory: &mut Memory<'_>,
        pointers: GuestPtr<GuestPtr<u8>>,
        buffer: GuestPtr<u8>,
    ) -> Result<(), Error> {
        let args = self.args.iter().map(|arg| arg.as_bytes().to_vec());
        write_strings(memory, args, pointers, buffer)
    }

    fn args_sizes_get(
        &mut self,
        _memory: &mut Memory<'_>,
    ) -> Result<(types::Size, types::Size), Error> {
        sizes(self.args.iter().map(String::len))
    }

    fn environ_get(
        &mut self,
        memory: &mut Memory<'_>,
        pointers: GuestPtr<GuestPtr<u8>>,
        buffer: GuestPtr<u8>,
    ) -> Result<(), Error> {
        let env = self.env.iter().map(|(key, value)| format!("{key}={value}").into_bytes());
        write_strings(memory, env, pointers, buffer)
    }

    fn environ_sizes_get(
        &mut self,
        _memory: &mut Memory<'_>,
    ) -> Result<(types::Size, types::Size), Error> {
        sizes(self.env.iter().map(|(key, value)| key.len() + 1 + value.len()))
    }

    fn clock_res_get(
        &mut self,
        _memory: &mut Memory<'_>,
        id: types::Clockid,
    ) -> Result<types::Timestamp, Error> {
        known_clock(id)?;
        timestamp(self.clocks.resolution())
    }

    fn clock_time_get(
        &mut self,
        _memory: &mut Memory<'_>,
        id: types::Clockid,
        _precision: types::Timestamp,
    ) -> Result<types::Timestamp, Error> {
        known_clock(id)?;
        timestamp(match id {
            types::Clockid::Realtime => self.clocks.wall(),
            _ => self.clocks.monotonic(),
        })
    }

    async fn fd_advise(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        offset: types::Filesize,
        len: types::Filesize,
        advice: types::Advice,
    ) -> Result<(), Error> {
        use rustix::fs::Advice;
        let file = self.preview1().file(fd, Rights::FD_ADVISE)?.file.clone();
        let advice = match advice {
            types::Advice::Normal => Advice::Normal,
            types::Advice::Sequential => Advice::Sequential,
            types::Advice::Random => Advice::Random,
            types::Advice::Willneed => Advice::WillNeed,
            types::Advice::Dontneed => Advice::DontNeed,
            types::Advice::Noreuse => Advice::NoReuse,
        };
        Ok(self.on_disk(move || file.advise(offset, len, advice)).await?)
    }

    async fn fd_allocate(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        offset: types::Filesize,
        len: types::Filesize,
    ) -> Result<(), Error> {
        let file = self.preview1().file(fd, Rights::FD_ALLOCATE)?.file.clone();
        let end = offset.checked_add(len).ok_or(Errno::Fbig)?;
        Ok(self.on_disk(move || file.reserve_len(end)).await?)
    }

    fn fd_close(&mut self, _memory: &mut Memory<'_>, fd: types::Fd) -> Result<(), Error> {
        self.preview1().remove(fd)?;
        Ok(())
    }

    async fn fd_datasync(&mut self, _memory: &mut Memory<'_>, fd: types::Fd) -> Result<(), Error> {
        match self.preview1().get(fd, Rights::FD_DATASYNC)? {
            Fd::File(OpenedFile { file, .. }) => {
                let file = file.clone();
                Ok(self.on_disk(move || file.sync_data()).await?)
            }
            Fd::Directory { directory, .. } => {
                let directory = directory.clone();
                Ok(self.on_disk(move || directory.sync()).await?)
            }
            _ => Err(Errno::Inval.into()),
        }
    }

    fn fd_fdstat_get(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
    ) -> Result<types::Fdstat, Error> {
        self.fdstat(fd)
    }

    fn fd_fdstat_set_flags(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        flags: types::Fdflags,
    ) -> Result<(), Error> {
        self.set_flags(fd, flags)
    }

    fn fd_fdstat_set_rights(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        base: types::Rights,
        inheriting: types::Rights,
    ) -> Result<(), Error> {
        self.set_rights(fd, RightsPair { base, inheriting })
    }

    async fn fd_filestat_get(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
    ) -> Result<types::Filestat, Error> {
        let stat = match self.preview1().get(fd, Rights::FD_FILESTAT_GET)? {
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

    async fn fd_filestat_set_size(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        size: types::Filesize,
    ) -> Result<(), Error> {
        let file = self.preview1().file(fd, Rights::FD_FILESTAT_SET_SIZE)?.file.clone();
        Ok(self.on_disk(move || file.set_len(size)).await?)
    }

    async fn fd_filestat_set_times(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        accessed: types::Timestamp,
        modified: types::Timestamp,
        flags: types::Fstflags,
    ) -> Result<(), Error> {
        let (accessed, modified) = new_times(accessed, modified, flags)?;
        match self.preview1().get(fd, Rights::FD_FILESTAT_SET_TIMES)? {
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

    async fn fd_read(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        iovs: types::IovecArray,
    ) -> Result<types::Size, Error> {
        let buffers = self.read_buffers(memory, iovs)?;
        if let Fd::Stdin = self.preview1().get(fd, Rights::FD_READ)? {
            let mut stdin = self.stdin.clone();
            return match stdin.blocking_read(total(&buffers)).await {
                Ok(bytes) => scatter(memory, &buffers, &bytes),
                Err(StreamError::Closed) => Ok(0),
                Err(error) => Err(error.into()),
            };
        }
        let OpenedFile { file, position, .. } = self.preview1().file(fd, Rights::FD_READ)?;
        let (file, at) = (file.clone(), *position);
        let n = self.read_file(memory, file, &buffers, at).await?;
        self.preview1().moved(fd, at + u64::from(n))?;
        Ok(n)
    }

    async fn fd_pread(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        iovs: types::IovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size, Error> {
        let buffers = self.read_buffers(memory, iovs)?;
        let file = self.preview1().seekable(fd, Rights::FD_READ | Rights::FD_SEEK)?.file.clone();
        self.read_file(memory, file, &buffers, offset).await
    }

    async fn fd_write(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        ciovs: types::CiovecArray,
    ) -> Result<types::Size, Error> {
        let bytes = self.gather(memory, ciovs)?;
        let mut stream = match self.preview1().get(fd, Rights::FD_WRITE)? {
            Fd::Stdout => self.stdout.clone(),
            Fd::Stderr => self.stderr.clone(),
            _ => {
                let OpenedFile { file, position, flags, .. } =
                    self.preview1().file(fd, Rights::FD_WRITE)?;
                let (file, at) = (file.clone(), *position);
                let append = flags.contains(types::Fdflags::APPEND);
                let written = self
                    .on_disk(move || {
                        let n =
                            if append { file.append(&bytes)? } else { file.write_at(&bytes, at)? };
                        Ok((n as u64, if append { file.stat()?.size } else { at + n as u64 }))
                    })
                    .await?;
                self.preview1().moved(fd, written.1)?;
                return Ok(u32::try_from(written.0)?);
            }
        };
        if bytes.is_empty() {
            return Ok(0);
        }
        let room = stream.write_ready().await?;
        let n = bytes.len().min(room);
        stream.write(bytes[..n].to_vec().into())?;
        Ok(u32::try_from(n)?)
    }

    async fn fd_pwrite(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        ciovs: types::CiovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size, Error> {
        let bytes = self.gather(memory, ciovs)?;
        let file = self.preview1().seekable(fd, Rights::FD_WRITE | Rights::FD_SEEK)?.file.clone();
        let n = self.on_disk(move || file.write_at(&bytes, offset)).await?;
        Ok(u32::try_from(n)?)
    }

    fn fd_prestat_get(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
    ) -> Result<types::Prestat, Error> {
        match &self.preview1().entry(fd)?.fd {
            Fd::Directory { preopened: Some(name), .. } => {
                let pr_name_len = u32::try_from(name.len())?;
                Ok(types::Prestat::Dir(types::PrestatDir { pr_name_len }))
            }
            _ => Err(Errno::Badf.into()),
        }
    }

    fn fd_prestat_dir_name(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        buffer: GuestPtr<u8>,
        len: types::Size,
    ) -> Result<(), Error> {
        match &self.preview1().entry(fd)?.fd {
            Fd::Directory { preopened: Some(name), .. } if name.len() <= len as usize => {
                write_bytes(memory, buffer, name.as_bytes())
            }
            Fd::Directory { preopened: Some(_), .. } => Err(Errno::Nametoolong.into()),
            _ => Err(Errno::Badf.into()),
        }
    }

    async fn fd_readdir(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        buffer: GuestPtr<u8>,
        len: types::Size,
        cookie: types::Dircookie,
    ) -> Result<types::Size, Error> {
        let len = len.min(self.transfer_limit());
        let bytes = self.list(fd, cookie, len as usize).await?;
        write_bytes(memory, buffer, &bytes)?;
        Ok(u32::try_from(bytes.len())?)
    }

    fn fd_renumber(
        &mut self,
        _memory: &mut Memory<'_>,
        from: types::Fd,
        to: types::Fd,
    ) -> Result<(), Error> {
        Ok(self.preview1().renumber(from, to)?)
    }

    async fn fd_seek(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        offset: types::Filedelta,
        whence: types::Whence,
    ) -> Result<types::Filesize, Error> {
        let needed = match (offset, whence) {
            (0, types::Whence::Cur) => Rights::FD_TELL,
            _ => Rights::FD_SEEK,
        };
        let file = self.preview1().seekable(fd, needed)?;
        let from = match whence {
            types::Whence::Set => 0,
            types::Whence::Cur => file.position,
            types::Whence::End => {
                let file = file.file.clone();
                self.on_disk(move || file.stat()).await?.size
            }
        };
        let position = from.checked_add_signed(offset).ok_or(Errno::Inval)?;
        self.preview1().moved(fd, position)?;
        Ok(position)
    }

    async fn fd_sync(&mut self, _memory: &mut Memory<'_>, fd: types::Fd) -> Result<(), Error> {
        match self.preview1().get(fd, Rights::FD_SYNC)? {
            Fd::File(OpenedFile { file, .. }) => {
                let file = file.clone();
                Ok(self.on_disk(move || file.sync()).await?)
            }
            Fd::Directory { directory, .. } => {
                let directory = directory.clone();
                Ok(self.on_disk(move || directory.sync()).await?)
            }
            _ => Err(Errno::Inval.into()),
        }
    }

    fn fd_tell(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
    ) -> Result<types::Filesize, Error> {
        Ok(self.preview1().seekable(fd, Rights::FD_TELL)?.position)
    }

    async fn path_create_directory(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        let (directory, path) = (
            self.preview1().directory(fd, Rights::PATH_CREATE_DIRECTORY)?,
            read_path(memory, path)?,
        );
        Ok(self.on_disk(move || directory.create_directory(&path)).await?)
    }

    async fn path_filestat_get(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        flags: types::Lookupflags,
        path: GuestPtr<str>,
    ) -> Result<types::Filestat, Error> {
        let (directory, path) =
            (self.preview1().directory(fd, Rights::PATH_FILESTAT_GET)?, read_path(memory, path)?);
        let stat = self.on_disk(move || directory.stat_at(&path, follows(flags))).await?;
        self.filestat(&stat)
    }

    async fn path_filestat_set_times(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        flags: types::Lookupflags,
        path: GuestPtr<str>,
        accessed: types::Timestamp,
        modified: types::Timestamp,
        fst_flags: types::Fstflags,
    ) -> Result<(), Error> {
        let (directory, path) = (
            self.preview1().directory(fd, Rights::PATH_FILESTAT_SET_TIMES)?,
            read_path(memory, path)?,
        );
        let (accessed, modified) = new_times(accessed, modified, fst_flags)?;
        let call = move || directory.set_times_at(&path, follows(flags), accessed, modified);
        Ok(self.on_disk(call).await?)
    }

    async fn path_link(
        &mut self,
        memory: &mut Memory<'_>,
        from: types::Fd,
        flags: types::Lookupflags,
        path: GuestPtr<str>,
        to: types::Fd,
        new_path: GuestPtr<str>,
    ) -> Result<(), Error> {
        let (from, path) =
            (self.preview1().directory(from, Rights::PATH_LINK_SOURCE)?, read_path(memory, path)?);
        let (to, new_path) = (
            self.preview1().directory(to, Rights::PATH_LINK_TARGET)?,
            read_path(memory, new_path)?,
        );
        if follows(flags) {
            return Err(Errno::Inval.into());
        }
        Ok(self.on_disk(move || from.link(&path, &to, &new_path)).await?)
    }

    async fn path_open(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        lookup: types::Lookupflags,
        path: GuestPtr<str>,
        open: types::Oflags,
        base: types::Rights,
        inheriting: types::Rights,
        flags: types::Fdflags,
    ) -> Result<types::Fd, Error> {
        let (path, follow) = (read_path(memory, path)?, follows(lookup));
        let rights = RightsPair { base, inheriting };
        self.open_at(fd, Opening { path, follow, open, rights, flags }).await
    }

    async fn path_readlink(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        path: GuestPtr<str>,
        buffer: GuestPtr<u8>,
        len: types::Size,
    ) -> Result<types::Size, Error> {
        let (directory, path) =
            (self.preview1().directory(fd, Rights::PATH_READLINK)?, read_path(memory, path)?);
        let target = self.on_disk(move || directory.read_link(&path)).await?.into_bytes();
        let target = &target[..target.len().min(len as usize)];
        write_bytes(memory, buffer, target)?;
        Ok(u32::try_from(target.len())?)
    }

    async fn path_remove_directory(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        let (directory, path) = (
            self.preview1().directory(fd, Rights::PATH_REMOVE_DIRECTORY)?,
            read_path(memory, path)?,
        );
        Ok(self.on_disk(move || directory.remove_directory(&path)).await?)
    }

    async fn path_rename(
        &mut self,
        memory: &mut Memory<'_>,
        from: types::Fd,
        path: GuestPtr<str>,
        to: types::Fd,
        new_path: GuestPtr<str>,
    ) -> Result<(), Error> {
        let (from, path) = (
            self.preview1().directory(from, Rights::PATH_RENAME_SOURCE)?,
            read_path(memory, path)?,
        );
        let (to, new_path) = (
            self.preview1().directory(to, Rights::PATH_RENAME_TARGET)?,
            read_path(memory, new_path)?,
        );
        Ok(self.on_disk(move || from.rename(&path, &to, &new_path)).await?)
    }

    async fn path_symlink(
        &mut self,
        memory: &mut Memory<'_>,
        target: GuestPtr<str>,
        fd: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        let (directory, path) =
            (self.preview1().directory(fd, Rights::PATH_SYMLINK)?, read_path(memory, path)?);
        let target = read_path(memory, target)?;
        Ok(self.on_disk(move || directory.symlink(&target, &path)).await?)
    }

    async fn path_unlink_file(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        let (directory, path) =
            (self.preview1().directory(fd, Rights::PATH_UNLINK_FILE)?, read_path(memory, path)?);
        Ok(self.on_disk(move || directory.unlink(&path)).await?)
    }

    async fn poll_oneoff(
        &mut self,
        memory: &mut Memory<'_>,
        subscriptions: GuestPtr<types::Subscription>,
        events: GuestPtr<types::Event>,
        count: types::Size,
    ) -> Result<types::Size, Error> {
        self.poll(memory, subscriptions, events, count).await
    }

    fn proc_exit(&mut self, _memory: &mut Memory<'_>, code: types::Exitcode) -> wasmtime::Error {
        // As a Unix system does: the low eight bits are the status.
        I32Exit((code & 0xff).cast_signed()).into()
    }

    fn proc_raise(&mut self, _memory: &mut Memory<'_>, _: types::Signal) -> Result<(), Error> {
        Err(Errno::Notsup.into())
    }

    fn sched_yield(&mut self, _memory: &mut Memory<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn random_get(
        &mut self,
        memory: &mut Memory<'_>,
        buffer: GuestPtr<u8>,
        len: types::Size,
    ) -> Result<(), Error> {
        if u64::from(len) > self.limits.random_bytes_per_call {
            return Err(Errno::Inval.into());
        }
        let mut bytes = vec![0; len as usize];
        self.random.fill(&mut bytes);
        write_bytes(memory, buffer, &bytes)
    }

    fn sock_accept(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        _flags: types::Fdflags,
    ) -> Result<types::Fd, Error> {
        Err(self.not_a_socket(fd))
    }

    fn sock_recv(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        _iovs: types::IovecArray,
        _flags: types::Riflags,
    ) -> Result<(types::Size, types::Roflags), Error> {
        Err(self.not_a_socket(fd))
    }

    fn sock_send(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        _ciovs: types::CiovecArray,
        _flags: types::Siflags,
    ) -> Result<types::Size, Error> {
        Err(self.not_a_socket(fd))
    }

    fn sock_shutdown(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        _how: types::Sdflags,
    ) -> Result<(), Error> {
        Err(self.not_a_socket(fd))
    }
}

impl World {
    /// No socket is ever handed out, so every descriptor is the wrong one. That is a mistake of the
    /// guest and no denial: no grant would make it another.
    fn not_a_socket(&mut self, fd: types::Fd) -> Error {
        match self.preview1().entry(fd) {
            Ok(_) => Errno::Notsock.into(),
            Err(errno) => errno.into(),
        }
    }

    fn filestat(&mut self, stat: &Stat) -> Result<types::Filestat, Error> {
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

fn follows(flags: types::Lookupflags) -> bool {
    flags.contains(types::Lookupflags::SYMLINK_FOLLOW)
}

fn known_clock(id: types::Clockid) -> Result<(), Error> {
    match id {
        types::Clockid::Realtime | types::Clockid::Monotonic => Ok(()),
        types::Clockid::ProcessCputimeId | types::Clockid::ThreadCputimeId => {
            Err(Errno::Inval.into())
        }
    }
}

fn timestamp(since: Duration) -> Result<types::Timestamp, Error> {
    u64::try_from(since.as_nanos()).map_err(|_| Errno::Overflow.into())
}

fn new_times(
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
