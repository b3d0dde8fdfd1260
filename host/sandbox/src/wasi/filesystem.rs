//! `wasi:filesystem`, implemented with scopes.
//!
//! wasmtime-wasi's own implementation reads whole directories at once and does not expose its path
//! sandbox. Wrapping it would leave two places that resolve names and two that count. This
//! implementation only translates: each method finds the descriptor, makes one call of the scope,
//! and converts the result.

mod errors;
pub(super) mod node;

use std::io;
use std::time::Duration;

use rustix::fs::Advice;
use skep_scope::{NewTime, OpenDirectory, OpenHow, OpenNode, ScopeError, Stat};
use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use self::node::{DirectoryStream, FsError, FsResult, Node};
use super::descriptors::Permit;
use super::streams::{FileInput, FileOutput, WritePlace};
use super::world::World;
use crate::guest::calls::Call;

pub(crate) use self::node::bindings;
use self::node::bindings::wasi::filesystem::{preopens, types};
use types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

impl World {
    /// Starts a call of a scope on the thread for this guest's file calls.
    pub(crate) fn on_disk<T: Send + Unpin + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, ScopeError> + Send + 'static,
    ) -> Call<Result<T, ScopeError>> {
        self.files.start(call)
    }

    fn node(&self, descriptor: &Resource<Node>) -> FsResult<&Node> {
        Ok(self.table.get(descriptor)?)
    }

    fn directory(&self, descriptor: &Resource<Node>) -> FsResult<OpenDirectory> {
        self.node(descriptor)?.directory()
    }

    /// Counts a new handle before it is needed, because a full resource table traps.
    fn has_room(&self) -> FsResult<Permit> {
        self.descriptors.open().ok_or_else(|| ErrorCode::InsufficientMemory.into())
    }

    fn hash(&mut self, stat: &Stat) -> types::MetadataHashValue {
        let number = self.descriptors.number(stat.device, stat.inode);
        types::MetadataHashValue { lower: number, upper: number.rotate_left(32) ^ 0x5ce9 }
    }

    fn show(&self, stat: &Stat) -> types::DescriptorStat {
        let stat = self.descriptors.present(*stat);
        types::DescriptorStat {
            type_: stat.kind.into(),
            link_count: stat.links,
            size: stat.size,
            data_access_timestamp: Some(datetime(stat.accessed)),
            data_modification_timestamp: Some(datetime(stat.modified)),
            status_change_timestamp: Some(datetime(stat.changed)),
        }
    }
}

impl preopens::Host for World {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Node>, String)>> {
        let mut preopened = Vec::with_capacity(self.mounts.len());
        for mount in &self.mounts {
            let node = Node::Directory { directory: mount.scope.open(), permit: None };
            preopened.push((self.table.push(node)?, mount.guest.clone()));
        }
        Ok(preopened)
    }
}

impl types::Host for World {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        match error {
            FsError::Code(code) => Ok(code),
            FsError::Trap(error) => Err(error),
        }
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let error = self.table.get(&error)?;
        let of_a_file = error.downcast_ref::<ScopeError>().map(ErrorCode::from);
        // The standard streams may be files of the host.
        Ok(of_a_file.or_else(|| error.downcast_ref::<io::Error>().map(ErrorCode::from)))
    }
}

impl types::HostDescriptor for World {
    fn read_via_stream(
        &mut self,
        fd: Resource<Node>,
        offset: u64,
    ) -> FsResult<Resource<DynInputStream>> {
        let Node::File { file, permit } = self.node(&fd)?.again() else {
            return Err(ErrorCode::IsDirectory.into());
        };
        if !file.is_readable() {
            return Err(ErrorCode::BadDescriptor.into());
        }
        let stream: DynInputStream =
            Box::new(FileInput::new(file, permit, self.files.clone(), offset));
        Ok(self.table.push(stream)?)
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<Node>,
        offset: u64,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.output_stream(&fd, WritePlace::At(offset))
    }

    fn append_via_stream(&mut self, fd: Resource<Node>) -> FsResult<Resource<DynOutputStream>> {
        self.output_stream(&fd, WritePlace::End)
    }

    async fn advise(
        &mut self,
        fd: Resource<Node>,
        offset: u64,
        len: u64,
        advice: types::Advice,
    ) -> FsResult<()> {
        let file = self.node(&fd)?.file()?;
        let advice = match advice {
            types::Advice::Normal => Advice::Normal,
            types::Advice::Sequential => Advice::Sequential,
            types::Advice::Random => Advice::Random,
            types::Advice::WillNeed => Advice::WillNeed,
            types::Advice::DontNeed => Advice::DontNeed,
            types::Advice::NoReuse => Advice::NoReuse,
        };
        Ok(self.on_disk(move || file.advise(offset, len, advice)).await?)
    }

    async fn sync_data(&mut self, fd: Resource<Node>) -> FsResult<()> {
        match self.node(&fd)?.again() {
            Node::File { file, .. } => Ok(self.on_disk(move || file.sync_data()).await?),
            Node::Directory { directory, .. } => Ok(self.on_disk(move || directory.sync()).await?),
        }
    }

    fn get_flags(&mut self, fd: Resource<Node>) -> FsResult<DescriptorFlags> {
        let mut flags = DescriptorFlags::empty();
        match self.node(&fd)? {
            Node::File { file, .. } => {
                if file.is_readable() {
                    flags |= DescriptorFlags::READ;
                }
                if file.is_writable() {
                    flags |= DescriptorFlags::WRITE;
                }
            }
            Node::Directory { directory, .. } => {
                flags |= DescriptorFlags::READ;
                if directory.is_writable() {
                    flags |= DescriptorFlags::MUTATE_DIRECTORY;
                }
            }
        }
        Ok(flags)
    }

    fn get_type(&mut self, fd: Resource<Node>) -> FsResult<types::DescriptorType> {
        Ok(match self.node(&fd)? {
            Node::File { .. } => types::DescriptorType::RegularFile,
            Node::Directory { .. } => types::DescriptorType::Directory,
        })
    }

    async fn set_size(&mut self, fd: Resource<Node>, size: u64) -> FsResult<()> {
        let file = self.node(&fd)?.file()?;
        Ok(self.on_disk(move || file.set_len(size)).await?)
    }

    async fn set_times(
        &mut self,
        fd: Resource<Node>,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        let (accessed, modified) = (new_time(accessed), new_time(modified));
        match self.node(&fd)?.again() {
            Node::File { file, .. } => {
                Ok(self.on_disk(move || file.set_times(accessed, modified)).await?)
            }
            Node::Directory { directory, .. } => {
                Ok(self.on_disk(move || directory.set_times(accessed, modified)).await?)
            }
        }
    }

    async fn read(
        &mut self,
        fd: Resource<Node>,
        len: u64,
        offset: u64,
    ) -> FsResult<(Vec<u8>, bool)> {
        let file = self.node(&fd)?.file()?;
        let len = usize::try_from(len.min(self.limits.hostcall_bytes)).unwrap_or(usize::MAX);
        let bytes = self
            .on_disk(move || {
                let mut buffer = vec![0; len];
                let n = file.read_at(&mut buffer, offset)?;
                buffer.truncate(n);
                Ok(buffer)
            })
            .await?;
        let at_end = bytes.is_empty() && len > 0;
        Ok((bytes, at_end))
    }

    async fn write(&mut self, fd: Resource<Node>, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        let file = self.node(&fd)?.file()?;
        Ok(self.on_disk(move || file.write_at(&bytes, offset)).await? as u64)
    }

    async fn read_directory(&mut self, fd: Resource<Node>) -> FsResult<Resource<DirectoryStream>> {
        let directory = self.directory(&fd)?;
        let permit = self.has_room()?;
        let order = self.descriptors.order();
        let listing = self.on_disk(move || directory.list(order)).await?;
        let batch = Vec::new().into_iter();
        Ok(self.table.push(DirectoryStream { listing: Some(listing), batch, _permit: permit })?)
    }

    async fn sync(&mut self, fd: Resource<Node>) -> FsResult<()> {
        match self.node(&fd)?.again() {
            Node::File { file, .. } => Ok(self.on_disk(move || file.sync()).await?),
            Node::Directory { directory, .. } => Ok(self.on_disk(move || directory.sync()).await?),
        }
    }

    async fn create_directory_at(&mut self, fd: Resource<Node>, path: String) -> FsResult<()> {
        let directory = self.directory(&fd)?;
        Ok(self.on_disk(move || directory.create_directory(&path)).await?)
    }

    async fn stat(&mut self, fd: Resource<Node>) -> FsResult<types::DescriptorStat> {
        let node = self.node(&fd)?.again();
        let stat = self.on_disk(move || node.stat()).await?;
        Ok(self.show(&stat))
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Node>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<types::DescriptorStat> {
        let directory = self.directory(&fd)?;
        let stat = self.on_disk(move || directory.stat_at(&path, follows(flags))).await?;
        Ok(self.show(&stat))
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Node>,
        flags: PathFlags,
        path: String,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        let directory = self.directory(&fd)?;
        let (accessed, modified) = (new_time(accessed), new_time(modified));
        Ok(self
            .on_disk(move || directory.set_times_at(&path, follows(flags), accessed, modified))
            .await?)
    }

    async fn link_at(
        &mut self,
        fd: Resource<Node>,
        old_flags: PathFlags,
        old_path: String,
        new_fd: Resource<Node>,
        new_path: String,
    ) -> FsResult<()> {
        let (from, to) = (self.directory(&fd)?, self.directory(&new_fd)?);
        if follows(old_flags) {
            return Err(ErrorCode::Invalid.into());
        }
        Ok(self.on_disk(move || from.link(&old_path, &to, &new_path)).await?)
    }

    async fn open_at(
        &mut self,
        fd: Resource<Node>,
        path_flags: PathFlags,
        path: String,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Node>> {
        let directory = self.directory(&fd)?;
        // `mutate-directory` is ignored. The scope's rights decide whether names can change, and
        // libcs request the flag even for listing.
        let permit = self.has_room()?;
        let how = OpenHow {
            read: flags.contains(DescriptorFlags::READ),
            write: flags.contains(DescriptorFlags::WRITE),
            create: open.contains(OpenFlags::CREATE),
            exclusive: open.contains(OpenFlags::EXCLUSIVE),
            truncate: open.contains(OpenFlags::TRUNCATE),
            directory: open.contains(OpenFlags::DIRECTORY),
            follow: follows(path_flags),
            sync: flags.intersects(
                DescriptorFlags::FILE_INTEGRITY_SYNC | DescriptorFlags::DATA_INTEGRITY_SYNC,
            ),
        };
        let node = match self.on_disk(move || directory.open(&path, how)).await? {
            OpenNode::File(file) => Node::File { file, permit },
            OpenNode::Directory(directory) => Node::Directory { directory, permit: Some(permit) },
        };
        Ok(self.table.push(node)?)
    }

    async fn readlink_at(&mut self, fd: Resource<Node>, path: String) -> FsResult<String> {
        let directory = self.directory(&fd)?;
        Ok(self.on_disk(move || directory.read_link(&path)).await?)
    }

    async fn remove_directory_at(&mut self, fd: Resource<Node>, path: String) -> FsResult<()> {
        let directory = self.directory(&fd)?;
        Ok(self.on_disk(move || directory.remove_directory(&path)).await?)
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Node>,
        old_path: String,
        new_fd: Resource<Node>,
        new_path: String,
    ) -> FsResult<()> {
        let (from, to) = (self.directory(&fd)?, self.directory(&new_fd)?);
        Ok(self.on_disk(move || from.rename(&old_path, &to, &new_path)).await?)
    }

    async fn symlink_at(
        &mut self,
        fd: Resource<Node>,
        target: String,
        path: String,
    ) -> FsResult<()> {
        let directory = self.directory(&fd)?;
        Ok(self.on_disk(move || directory.symlink(&target, &path)).await?)
    }

    async fn unlink_file_at(&mut self, fd: Resource<Node>, path: String) -> FsResult<()> {
        let directory = self.directory(&fd)?;
        Ok(self.on_disk(move || directory.unlink(&path)).await?)
    }

    async fn is_same_object(
        &mut self,
        a: Resource<Node>,
        b: Resource<Node>,
    ) -> wasmtime::Result<bool> {
        let (a, b) = (self.table.get(&a)?.again(), self.table.get(&b)?.again());
        let same = self.on_disk(move || {
            let (a, b) = (a.stat()?, b.stat()?);
            Ok((a.device, a.inode) == (b.device, b.inode))
        });
        // The interface has no error. Descriptors that cannot be examined are reported as
        // different.
        Ok(same.await.unwrap_or(false))
    }

    async fn metadata_hash(&mut self, fd: Resource<Node>) -> FsResult<types::MetadataHashValue> {
        let node = self.node(&fd)?.again();
        let stat = self.on_disk(move || node.stat()).await?;
        Ok(self.hash(&stat))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Node>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        let directory = self.directory(&fd)?;
        let stat = self.on_disk(move || directory.stat_at(&path, follows(flags))).await?;
        Ok(self.hash(&stat))
    }

    fn drop(&mut self, fd: Resource<Node>) -> wasmtime::Result<()> {
        self.table.delete(fd)?;
        Ok(())
    }
}

impl World {
    fn output_stream(
        &mut self,
        fd: &Resource<Node>,
        place: WritePlace,
    ) -> FsResult<Resource<DynOutputStream>> {
        let Node::File { file, permit } = self.node(fd)?.again() else {
            return Err(ErrorCode::IsDirectory.into());
        };
        if !file.is_writable() {
            return Err(ErrorCode::BadDescriptor.into());
        }
        let stream: DynOutputStream =
            Box::new(FileOutput::new(file, permit, self.files.clone(), place));
        Ok(self.table.push(stream)?)
    }
}

impl types::HostDirectoryEntryStream for World {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryStream>,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        let entries = self.table.get_mut(&stream)?;
        if entries.batch.len() == 0
            && let Some(mut listing) = entries.listing.take()
        {
            let call = self.on_disk(move || {
                let batch = listing.next_batch()?;
                Ok((listing, batch))
            });
            let (listing, batch) = call.await?;
            let entries = self.table.get_mut(&stream)?;
            // An empty batch is the end, so the listing is not put back.
            entries.listing = (!batch.is_empty()).then_some(listing);
            entries.batch = batch.into_iter();
        }
        let entry = self.table.get_mut(&stream)?.batch.next();
        Ok(entry.map(|entry| types::DirectoryEntry { type_: entry.kind.into(), name: entry.name }))
    }

    fn drop(&mut self, stream: Resource<DirectoryStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

fn new_time(time: types::NewTimestamp) -> NewTime {
    match time {
        types::NewTimestamp::NoChange => NewTime::Keep,
        types::NewTimestamp::Now => NewTime::Now,
        types::NewTimestamp::Timestamp(at) => NewTime::At(
            Duration::from_secs(at.seconds)
                .saturating_add(Duration::from_nanos(at.nanoseconds.into())),
        ),
    }
}

fn datetime(since: Duration) -> types::Datetime {
    types::Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
}
