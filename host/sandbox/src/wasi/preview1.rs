//! WASI preview1 for core modules, implemented with scopes.
//!
//! Most programs on npm and PyPI are still preview1 commands. They run natively here. Behind the
//! published adapter, programs built with Go trap (they assume that only they grow the memory),
//! exit codes collapse to 0 and 1, and each listing re-reads the directory. wasmtime-wasi's own
//! preview1 writes directly to its files, bypassing quotas. The ABI's description in `witx/` is
//! therefore bound to the same [`World`] and scopes that components use, so directories are counted
//! and refused in one place.
//!
//! Reads and writes transfer at most `hostcall_bytes` and return short counts, which every libc
//! handles. No allocation has a size that the guest chooses.

mod abi;
mod clock;
mod cursor;
mod errno;
pub(super) mod fds;
mod fdstat;
mod filestat;
mod io;
mod listing;
mod opening;
mod poll;
mod rights;
mod transfer;

use skep_scope::OpenDirectory;
use wasmtime_wasi::I32Exit;
use wiggle::{GuestMemory, GuestPtr};

use crate::wasi::world::World;

use abi::{types, wasi_snapshot_preview1};
use clock::{known_clock, timestamp};
use fds::{Fd, OpenedFile};
use filestat::new_times;
use opening::Opening;
use rights::RightsPair;
use transfer::{read_path, sizes, write_bytes, write_strings};
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
        let file = self.fds().file(fd, Rights::FD_ADVISE)?.file.clone();
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
        let file = self.fds().file(fd, Rights::FD_ALLOCATE)?.file.clone();
        let end = offset.checked_add(len).ok_or(Errno::Fbig)?;
        Ok(self.on_disk(move || file.reserve_len(end)).await?)
    }

    fn fd_close(&mut self, _memory: &mut Memory<'_>, fd: types::Fd) -> Result<(), Error> {
        self.fds().remove(fd)?;
        Ok(())
    }

    async fn fd_datasync(&mut self, _memory: &mut Memory<'_>, fd: types::Fd) -> Result<(), Error> {
        match self.fds().get(fd, Rights::FD_DATASYNC)? {
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
        self.stat(fd).await
    }

    async fn fd_filestat_set_size(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        size: types::Filesize,
    ) -> Result<(), Error> {
        let file = self.fds().file(fd, Rights::FD_FILESTAT_SET_SIZE)?.file.clone();
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
        self.set_times(fd, accessed, modified, flags).await
    }

    async fn fd_read(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        iovs: types::IovecArray,
    ) -> Result<types::Size, Error> {
        self.read(memory, fd, iovs).await
    }

    async fn fd_pread(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        iovs: types::IovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size, Error> {
        self.read_at(memory, fd, iovs, offset).await
    }

    async fn fd_write(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        ciovs: types::CiovecArray,
    ) -> Result<types::Size, Error> {
        self.write(memory, fd, ciovs).await
    }

    async fn fd_pwrite(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        ciovs: types::CiovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size, Error> {
        self.write_at(memory, fd, ciovs, offset).await
    }

    fn fd_prestat_get(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
    ) -> Result<types::Prestat, Error> {
        match &self.fds().entry(fd)?.fd {
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
        match &self.fds().entry(fd)?.fd {
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
        Ok(self.fds().renumber(from, to)?)
    }

    async fn fd_seek(
        &mut self,
        _memory: &mut Memory<'_>,
        fd: types::Fd,
        offset: types::Filedelta,
        whence: types::Whence,
    ) -> Result<types::Filesize, Error> {
        self.seek(fd, offset, whence).await
    }

    async fn fd_sync(&mut self, _memory: &mut Memory<'_>, fd: types::Fd) -> Result<(), Error> {
        match self.fds().get(fd, Rights::FD_SYNC)? {
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
        Ok(self.fds().seekable(fd, Rights::FD_TELL)?.position)
    }

    async fn path_create_directory(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        let (directory, path) = self.at(memory, fd, Rights::PATH_CREATE_DIRECTORY, path)?;
        Ok(self.on_disk(move || directory.create_directory(&path)).await?)
    }

    async fn path_filestat_get(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        flags: types::Lookupflags,
        path: GuestPtr<str>,
    ) -> Result<types::Filestat, Error> {
        let (directory, path) = self.at(memory, fd, Rights::PATH_FILESTAT_GET, path)?;
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
        let (directory, path) = self.at(memory, fd, Rights::PATH_FILESTAT_SET_TIMES, path)?;
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
        let (from, path) = self.at(memory, from, Rights::PATH_LINK_SOURCE, path)?;
        let (to, new_path) = self.at(memory, to, Rights::PATH_LINK_TARGET, new_path)?;
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
        let (directory, path) = self.at(memory, fd, Rights::PATH_READLINK, path)?;
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
        let (directory, path) = self.at(memory, fd, Rights::PATH_REMOVE_DIRECTORY, path)?;
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
        let (from, path) = self.at(memory, from, Rights::PATH_RENAME_SOURCE, path)?;
        let (to, new_path) = self.at(memory, to, Rights::PATH_RENAME_TARGET, new_path)?;
        Ok(self.on_disk(move || from.rename(&path, &to, &new_path)).await?)
    }

    async fn path_symlink(
        &mut self,
        memory: &mut Memory<'_>,
        target: GuestPtr<str>,
        fd: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        let (directory, path) = self.at(memory, fd, Rights::PATH_SYMLINK, path)?;
        let target = read_path(memory, target)?;
        Ok(self.on_disk(move || directory.symlink(&target, &path)).await?)
    }

    async fn path_unlink_file(
        &mut self,
        memory: &mut Memory<'_>,
        fd: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<(), Error> {
        let (directory, path) = self.at(memory, fd, Rights::PATH_UNLINK_FILE, path)?;
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
        // As on Unix, the status is the low eight bits.
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
        self.random.fill(&mut bytes).map_err(|_| Errno::Io)?;
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
    /// Returns the directory behind `fd`, if the guest has the right `needed`, and reads a path from
    /// its memory.
    fn at(
        &mut self,
        memory: &Memory<'_>,
        fd: types::Fd,
        needed: Rights,
        path: GuestPtr<str>,
    ) -> Result<(OpenDirectory, String), Error> {
        Ok((self.fds().directory(fd, needed)?, read_path(memory, path)?))
    }

    /// There are no sockets, so every descriptor is the wrong kind. That is the guest's mistake and
    /// not a denial, because no grant would help.
    fn not_a_socket(&mut self, fd: types::Fd) -> Error {
        match self.fds().entry(fd) {
            Ok(_) => Errno::Notsock.into(),
            Err(errno) => errno.into(),
        }
    }
}

fn follows(flags: types::Lookupflags) -> bool {
    flags.contains(types::Lookupflags::SYMLINK_FOLLOW)
}
