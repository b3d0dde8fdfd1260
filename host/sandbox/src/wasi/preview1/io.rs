//! Reads, writes and seeks on descriptors.

use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError};
use wiggle::{GuestMemory, GuestPtr};

use super::abi::types::{self, Errno, Error, Rights};
use super::fds::{Fd, OpenedFile};
use super::transfer::{scatter, total};
use crate::wasi::world::World;

impl World {
    pub(super) async fn read(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: types::Fd,
        iovs: types::IovecArray,
    ) -> Result<types::Size, Error> {
        let buffers = self.read_buffers(memory, iovs)?;
        if let Fd::Stdin = self.fds().get(fd, Rights::FD_READ)? {
            let mut stdin = self.stdin.clone();
            return match stdin.blocking_read(total(&buffers)).await {
                Ok(bytes) => scatter(memory, &buffers, &bytes),
                Err(StreamError::Closed) => Ok(0),
                Err(error) => Err(error.into()),
            };
        }
        let OpenedFile { file, position, .. } = self.fds().file(fd, Rights::FD_READ)?;
        let (file, at) = (file.clone(), *position);
        let n = self.read_file(memory, file, &buffers, at).await?;
        self.fds().moved(fd, at + u64::from(n))?;
        Ok(n)
    }

    pub(super) async fn read_at(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: types::Fd,
        iovs: types::IovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size, Error> {
        let buffers = self.read_buffers(memory, iovs)?;
        let file = self.fds().seekable(fd, Rights::FD_READ | Rights::FD_SEEK)?.file.clone();
        self.read_file(memory, file, &buffers, offset).await
    }

    pub(super) async fn write(
        &mut self,
        memory: &GuestMemory<'_>,
        fd: types::Fd,
        ciovs: types::CiovecArray,
    ) -> Result<types::Size, Error> {
        let bytes = self.gather(memory, ciovs)?;
        let mut stream = match self.fds().get(fd, Rights::FD_WRITE)? {
            Fd::Stdout => self.stdout.clone(),
            Fd::Stderr => self.stderr.clone(),
            _ => {
                let OpenedFile { file, position, flags, .. } =
                    self.fds().file(fd, Rights::FD_WRITE)?;
                let (file, at) = (file.clone(), *position);
                let append = flags.contains(types::Fdflags::APPEND);
                let written = self
                    .on_disk(move || {
                        let n =
                            if append { file.append(&bytes)? } else { file.write_at(&bytes, at)? };
                        Ok((n as u64, if append { file.stat()?.size } else { at + n as u64 }))
                    })
                    .await?;
                self.fds().moved(fd, written.1)?;
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

    pub(super) async fn write_at(
        &mut self,
        memory: &GuestMemory<'_>,
        fd: types::Fd,
        ciovs: types::CiovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size, Error> {
        let bytes = self.gather(memory, ciovs)?;
        let file = self.fds().seekable(fd, Rights::FD_WRITE | Rights::FD_SEEK)?.file.clone();
        let n = self.on_disk(move || file.write_at(&bytes, offset)).await?;
        Ok(u32::try_from(n)?)
    }

    pub(super) async fn seek(
        &mut self,
        fd: types::Fd,
        offset: types::Filedelta,
        whence: types::Whence,
    ) -> Result<types::Filesize, Error> {
        let needed = match (offset, whence) {
            (0, types::Whence::Cur) => Rights::FD_TELL,
            _ => Rights::FD_SEEK,
        };
        let file = self.fds().seekable(fd, needed)?;
        let from = match whence {
            types::Whence::Set => 0,
            types::Whence::Cur => file.position,
            types::Whence::End => {
                let file = file.file.clone();
                self.on_disk(move || file.stat()).await?.size
            }
        };
        let position = from.checked_add_signed(offset).ok_or(Errno::Inval)?;
        self.fds().moved(fd, position)?;
        Ok(position)
    }

    async fn read_file(
        &mut self,
        memory: &mut GuestMemory<'_>,
        file: skep_scope::OpenFile,
        buffers: &[GuestPtr<[u8]>],
        offset: u64,
    ) -> Result<types::Size, Error> {
        let len = total(buffers);
        let bytes = self
            .on_disk(move || {
                let mut buffer = vec![0; len];
                let n = file.read_at(&mut buffer, offset)?;
                buffer.truncate(n);
                Ok(buffer)
            })
            .await?;
        scatter(memory, buffers, &bytes)
    }
}
