//! `wasi:filesystem` of 0.3, implemented with scopes like that of 0.2. Each method finds the descriptor,
//! makes one call of the scope, and converts the result.

use std::time::Duration;

use rustix::fs::Advice;
use skep_scope::{NewTime, OpenDirectory, OpenFile, OpenHow, OpenNode, ScopeError, Stat};
use tokio::sync::oneshot;
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};
use wasmtime_wasi::p3::bindings::clocks::system_clock::Instant;

use super::descriptor::bindings::wasi::filesystem::{preopens, types};
use super::descriptor::{DescriptorError, DescriptorResult};
use super::file_stream::{FileConsumer, FileProducer, Outcome, StreamedFile};
use super::listing::ListingProducer;
use crate::wasi::descriptors::Permit;
use crate::wasi::filesystem::node::Node;
use crate::wasi::linker::HasWorld;
use crate::wasi::streams::WritePlace;
use crate::wasi::world::World;
use types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

/// A descriptor of a guest.
type Fd = Resource<Node>;

/// Makes a call of a scope, when the guest's other calls leave room for it. `held` are the bytes of its
/// arguments.
async fn on_disk<U, T: Send + Unpin + 'static>(
    accessor: &Accessor<U, HasWorld>,
    held: usize,
    call: impl FnOnce() -> Result<T, ScopeError> + Send + 'static,
) -> DescriptorResult<T> {
    let (files, calls) = accessor.with(|mut world| {
        let world = world.get();
        (world.files.clone(), world.calls.clone())
    });
    let _held = calls.hold(held)?;
    let turn = calls.turn().await;
    let call = files.start(move || {
        let _turn = turn;
        call()
    });
    Ok(call.await?)
}

fn node<U>(accessor: &Accessor<U, HasWorld>, fd: &Fd) -> DescriptorResult<Node> {
    accessor.with(|mut world| Ok(world.get().table.get(fd)?.again()))
}

fn file<U>(accessor: &Accessor<U, HasWorld>, fd: &Fd) -> DescriptorResult<OpenFile> {
    match node(accessor, fd)? {
        Node::File { file, .. } => Ok(file),
        Node::Directory { .. } => Err(ErrorCode::BadDescriptor.into()),
    }
}

fn directory<U>(accessor: &Accessor<U, HasWorld>, fd: &Fd) -> DescriptorResult<OpenDirectory> {
    match node(accessor, fd)? {
        Node::Directory { directory, .. } => Ok(directory),
        Node::File { .. } => Err(ErrorCode::NotDirectory.into()),
    }
}

impl World {
    /// Counts a new descriptor before it is needed, because a full resource table traps.
    fn descriptor_permit(&self) -> DescriptorResult<Permit> {
        self.descriptors.open().ok_or_else(|| ErrorCode::InsufficientMemory.into())
    }

    /// Returns the file behind a descriptor, for a stream.
    fn streamed(&self, fd: &Fd, use_: StreamUse) -> DescriptorResult<StreamedFile> {
        let Node::File { file, permit } = self.table.get(fd)?.again() else {
            return Err(ErrorCode::IsDirectory.into());
        };
        let is_open_for_it = match use_ {
            StreamUse::Reading => file.is_readable(),
            StreamUse::Writing => file.is_writable(),
        };
        match is_open_for_it {
            true => {
                let (files, calls) = (self.files.clone(), self.calls.clone());
                Ok(StreamedFile { file, _permit: permit, files, calls })
            }
            false => Err(ErrorCode::BadDescriptor.into()),
        }
    }

    fn stat_of(&self, stat: &Stat) -> types::DescriptorStat {
        let stat = self.descriptors.present(*stat);
        types::DescriptorStat {
            type_: stat.kind.into(),
            link_count: stat.links,
            size: stat.size,
            data_access_timestamp: Some(instant(stat.accessed)),
            data_modification_timestamp: Some(instant(stat.modified)),
            status_change_timestamp: Some(instant(stat.changed)),
        }
    }

    fn metadata_hash_of(&mut self, stat: &Stat) -> types::MetadataHashValue {
        let number = self.descriptors.number(stat.device, stat.inode);
        types::MetadataHashValue { lower: number, upper: number.rotate_left(32) ^ 0x5ce9 }
    }
}

/// The direction of a stream over a file.
#[derive(Clone, Copy)]
enum StreamUse {
    Reading,
    Writing,
}

impl preopens::Host for World {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let mut preopened = Vec::with_capacity(self.mounts.len());
        for mount in &self.mounts {
            let node = Node::Directory { directory: mount.scope.open(), permit: None };
            preopened.push((self.table.push(node)?, mount.guest.clone()));
        }
        Ok(preopened)
    }
}

impl types::Host for World {
    fn convert_error_code(&mut self, error: DescriptorError) -> wasmtime::Result<ErrorCode> {
        match error {
            DescriptorError::Code(code) => Ok(code),
            DescriptorError::Trap(error) => Err(error),
        }
    }
}

impl types::HostDescriptor for World {
    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        self.table.delete(fd)?;
        Ok(())
    }
}

/// Returns the future of a stream's end.
fn outcome_of<U>(
    store: &mut Access<'_, U, HasWorld>,
    outcome: oneshot::Receiver<Outcome>,
) -> wasmtime::Result<FutureReader<Outcome>> {
    // A stream that the guest left ended well.
    FutureReader::new(store, async move { wasmtime::error::Ok(outcome.await.unwrap_or(Ok(()))) })
}

/// Returns the future of a stream that could not begin.
fn failed<U>(
    store: &mut Access<'_, U, HasWorld>,
    error: DescriptorError,
) -> wasmtime::Result<FutureReader<Outcome>> {
    match error {
        DescriptorError::Code(code) => {
            FutureReader::new(store, async move { wasmtime::error::Ok(Err(code)) })
        }
        DescriptorError::Trap(error) => Err(error),
    }
}

fn write<U>(
    mut store: Access<'_, U, HasWorld>,
    fd: &Fd,
    mut data: StreamReader<u8>,
    place: WritePlace,
) -> wasmtime::Result<FutureReader<Outcome>> {
    match store.get().streamed(fd, StreamUse::Writing) {
        Ok(file) => {
            let (ended, outcome) = oneshot::channel();
            data.pipe(&mut store, FileConsumer::new(file, place, ended))?;
            outcome_of(&mut store, outcome)
        }
        Err(error) => {
            data.close(&mut store)?;
            failed(&mut store, error)
        }
    }
}

impl<U> types::HostDescriptorWithStore<U> for HasWorld {
    fn read_via_stream(
        mut store: Access<'_, U, Self>,
        fd: Fd,
        offset: u64,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Outcome>)> {
        match store.get().streamed(&fd, StreamUse::Reading) {
            Ok(file) => {
                let (ended, outcome) = oneshot::channel();
                let producer = FileProducer::new(file, offset, ended);
                Ok((StreamReader::new(&mut store, producer)?, outcome_of(&mut store, outcome)?))
            }
            Err(error) => {
                let outcome = failed(&mut store, error)?;
                Ok((StreamReader::new(&mut store, std::iter::empty())?, outcome))
            }
        }
    }

    fn write_via_stream(
        store: Access<'_, U, Self>,
        fd: Fd,
        data: StreamReader<u8>,
        offset: u64,
    ) -> wasmtime::Result<FutureReader<Outcome>> {
        write(store, &fd, data, WritePlace::At(offset))
    }

    fn append_via_stream(
        store: Access<'_, U, Self>,
        fd: Fd,
        data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Outcome>> {
        write(store, &fd, data, WritePlace::End)
    }

    async fn advise(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        offset: u64,
        len: u64,
        advice: types::Advice,
    ) -> DescriptorResult<()> {
        let file = file(accessor, &fd)?;
        let advice = match advice {
            types::Advice::Normal => Advice::Normal,
            types::Advice::Sequential => Advice::Sequential,
            types::Advice::Random => Advice::Random,
            types::Advice::WillNeed => Advice::WillNeed,
            types::Advice::DontNeed => Advice::DontNeed,
            types::Advice::NoReuse => Advice::NoReuse,
        };
        on_disk(accessor, 0, move || file.advise(offset, len, advice)).await
    }

    async fn sync_data(accessor: &Accessor<U, Self>, fd: Fd) -> DescriptorResult<()> {
        let node = node(accessor, &fd)?;
        on_disk(accessor, 0, move || match node {
            Node::File { file, .. } => file.sync_data(),
            Node::Directory { directory, .. } => directory.sync(),
        })
        .await
    }

    async fn get_flags(accessor: &Accessor<U, Self>, fd: Fd) -> DescriptorResult<DescriptorFlags> {
        let mut flags = DescriptorFlags::empty();
        match node(accessor, &fd)? {
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

    async fn get_type(
        accessor: &Accessor<U, Self>,
        fd: Fd,
    ) -> DescriptorResult<types::DescriptorType> {
        Ok(match node(accessor, &fd)? {
            Node::File { .. } => types::DescriptorType::RegularFile,
            Node::Directory { .. } => types::DescriptorType::Directory,
        })
    }

    async fn set_size(accessor: &Accessor<U, Self>, fd: Fd, size: u64) -> DescriptorResult<()> {
        let file = file(accessor, &fd)?;
        if i64::try_from(size).is_err() {
            return Err(ErrorCode::FileTooLarge.into());
        }
        on_disk(accessor, 0, move || file.set_len(size)).await
    }

    async fn set_times(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> DescriptorResult<()> {
        let node = node(accessor, &fd)?;
        let (accessed, modified) = (new_time(accessed)?, new_time(modified)?);
        on_disk(accessor, 0, move || match node {
            Node::File { file, .. } => file.set_times(accessed, modified),
            Node::Directory { directory, .. } => directory.set_times(accessed, modified),
        })
        .await
    }

    fn read_directory(
        mut store: Access<'_, U, Self>,
        fd: Fd,
    ) -> wasmtime::Result<(StreamReader<types::DirectoryEntry>, FutureReader<Outcome>)> {
        let world = store.get();
        let listed = match world.table.get(&fd)?.again() {
            Node::Directory { directory, .. } => {
                world.descriptor_permit().map(|permit| (directory, permit))
            }
            Node::File { .. } => Err(ErrorCode::NotDirectory.into()),
        };
        match listed {
            Ok((directory, permit)) => {
                let order = world.descriptors.order();
                let (files, calls) = (world.files.clone(), world.calls.clone());
                let (ended, outcome) = oneshot::channel();
                let producer = ListingProducer::new(directory, order, permit, files, calls, ended);
                Ok((StreamReader::new(&mut store, producer)?, outcome_of(&mut store, outcome)?))
            }
            Err(error) => {
                let outcome = failed(&mut store, error)?;
                Ok((StreamReader::new(&mut store, std::iter::empty())?, outcome))
            }
        }
    }

    async fn sync(accessor: &Accessor<U, Self>, fd: Fd) -> DescriptorResult<()> {
        let node = node(accessor, &fd)?;
        on_disk(accessor, 0, move || match node {
            Node::File { file, .. } => file.sync(),
            Node::Directory { directory, .. } => directory.sync(),
        })
        .await
    }

    async fn create_directory_at(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        path: String,
    ) -> DescriptorResult<()> {
        let directory = directory(accessor, &fd)?;
        on_disk(accessor, path.len(), move || directory.create_directory(&path)).await
    }

    async fn stat(accessor: &Accessor<U, Self>, fd: Fd) -> DescriptorResult<types::DescriptorStat> {
        let node = node(accessor, &fd)?;
        let stat = on_disk(accessor, 0, move || node.stat()).await?;
        Ok(accessor.with(|mut world| world.get().stat_of(&stat)))
    }

    async fn stat_at(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        flags: PathFlags,
        path: String,
    ) -> DescriptorResult<types::DescriptorStat> {
        let directory = directory(accessor, &fd)?;
        let held = path.len();
        let stat =
            on_disk(accessor, held, move || directory.stat_at(&path, follows(flags))).await?;
        Ok(accessor.with(|mut world| world.get().stat_of(&stat)))
    }

    async fn set_times_at(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        flags: PathFlags,
        path: String,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> DescriptorResult<()> {
        let directory = directory(accessor, &fd)?;
        let (accessed, modified) = (new_time(accessed)?, new_time(modified)?);
        on_disk(accessor, path.len(), move || {
            directory.set_times_at(&path, follows(flags), accessed, modified)
        })
        .await
    }

    async fn link_at(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        old_flags: PathFlags,
        old_path: String,
        new_fd: Fd,
        new_path: String,
    ) -> DescriptorResult<()> {
        let (from, to) = (directory(accessor, &fd)?, directory(accessor, &new_fd)?);
        if follows(old_flags) {
            return Err(ErrorCode::Invalid.into());
        }
        let held = old_path.len() + new_path.len();
        on_disk(accessor, held, move || from.link(&old_path, &to, &new_path)).await
    }

    async fn open_at(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> DescriptorResult<Fd> {
        let directory = directory(accessor, &fd)?;
        // `mutate-directory` is ignored, as in 0.2: the scope's rights decide.
        let permit = accessor.with(|mut world| world.get().descriptor_permit())?;
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
        let opened = on_disk(accessor, path.len(), move || directory.open(&path, how)).await?;
        let node = match opened {
            OpenNode::File(file) => Node::File { file, permit },
            OpenNode::Directory(directory) => Node::Directory { directory, permit: Some(permit) },
        };
        accessor.with(|mut world| Ok(world.get().table.push(node)?))
    }

    async fn readlink_at(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        path: String,
    ) -> DescriptorResult<String> {
        let directory = directory(accessor, &fd)?;
        on_disk(accessor, path.len(), move || directory.read_link(&path)).await
    }

    async fn remove_directory_at(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        path: String,
    ) -> DescriptorResult<()> {
        let directory = directory(accessor, &fd)?;
        on_disk(accessor, path.len(), move || directory.remove_directory(&path)).await
    }

    async fn rename_at(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        old_path: String,
        new_fd: Fd,
        new_path: String,
    ) -> DescriptorResult<()> {
        let (from, to) = (directory(accessor, &fd)?, directory(accessor, &new_fd)?);
        let held = old_path.len() + new_path.len();
        on_disk(accessor, held, move || from.rename(&old_path, &to, &new_path)).await
    }

    async fn symlink_at(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        target: String,
        path: String,
    ) -> DescriptorResult<()> {
        let directory = directory(accessor, &fd)?;
        let held = target.len() + path.len();
        on_disk(accessor, held, move || directory.symlink(&target, &path)).await
    }

    async fn unlink_file_at(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        path: String,
    ) -> DescriptorResult<()> {
        let directory = directory(accessor, &fd)?;
        on_disk(accessor, path.len(), move || directory.unlink(&path)).await
    }

    async fn is_same_object(accessor: &Accessor<U, Self>, a: Fd, b: Fd) -> wasmtime::Result<bool> {
        let trap = |error| match error {
            DescriptorError::Trap(error) => Err(error),
            // The interface has no error. Descriptors that cannot be examined are reported as
            // different.
            DescriptorError::Code(_) => Ok(false),
        };
        let (a, b) = match (node(accessor, &a), node(accessor, &b)) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(error), _) | (_, Err(error)) => return trap(error),
        };
        let same = on_disk(accessor, 0, move || {
            let (a, b) = (a.stat()?, b.stat()?);
            Ok((a.device, a.inode) == (b.device, b.inode))
        });
        same.await.or_else(trap)
    }

    async fn metadata_hash(
        accessor: &Accessor<U, Self>,
        fd: Fd,
    ) -> DescriptorResult<types::MetadataHashValue> {
        let node = node(accessor, &fd)?;
        let stat = on_disk(accessor, 0, move || node.stat()).await?;
        Ok(accessor.with(|mut world| world.get().metadata_hash_of(&stat)))
    }

    async fn metadata_hash_at(
        accessor: &Accessor<U, Self>,
        fd: Fd,
        flags: PathFlags,
        path: String,
    ) -> DescriptorResult<types::MetadataHashValue> {
        let directory = directory(accessor, &fd)?;
        let held = path.len();
        let stat =
            on_disk(accessor, held, move || directory.stat_at(&path, follows(flags))).await?;
        Ok(accessor.with(|mut world| world.get().metadata_hash_of(&stat)))
    }
}

fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

/// Converts a time. Those before 1970 are refused: no file here has one.
fn new_time(time: types::NewTimestamp) -> DescriptorResult<NewTime> {
    Ok(match time {
        types::NewTimestamp::NoChange => NewTime::Keep,
        types::NewTimestamp::Now => NewTime::Now,
        types::NewTimestamp::Timestamp(at) => {
            let seconds = u64::try_from(at.seconds).map_err(|_| ErrorCode::Overflow)?;
            NewTime::At(
                Duration::from_secs(seconds)
                    .saturating_add(Duration::from_nanos(at.nanoseconds.into())),
            )
        }
    })
}

fn instant(since: Duration) -> Instant {
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Instant { seconds, nanoseconds: since.subsec_nanos() }
}
