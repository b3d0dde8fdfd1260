//! The verbs of files.

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use skep_protocol::*;

use super::gather;
use crate::fake::FakeRuntime;

fn pieces(bytes: &[u8]) -> ByteStream {
    let pieces: Vec<_> = bytes.chunks(64 << 10).map(|c| Ok(c.to_vec().into())).collect();
    stream::iter(pieces).boxed()
}

#[async_trait]
impl Files for FakeRuntime {
    async fn files(&self, worker: WorkerId, query: ListFiles) -> Result<FileListing, Error> {
        self.with(|disk| disk.worker(worker)?.files.list(&query))?
    }

    async fn read_file(
        &self,
        worker: WorkerId,
        name: FileName,
        range: Option<FileRange>,
    ) -> Result<(FileView, ByteStream), Error> {
        let (view, content) =
            self.with(|disk| disk.worker(worker)?.files.read(name.as_str()))??;
        let FileRange { start, bytes } = range.unwrap_or(FileRange { start: 0, bytes: None });
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(content.len());
        let most = bytes.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let end = start.saturating_add(most).min(content.len());
        Ok((view, pieces(&content[start..end])))
    }

    async fn write_file(
        &self,
        worker: WorkerId,
        name: FileName,
        bytes: ByteStream,
        condition: FileCondition,
    ) -> Result<Stored<FileView>, Error> {
        // Checked before the body is read.
        let limit = self.with(|disk| disk.worker(worker).map(|row| row.limits().disk_bytes))??;
        let past = Error::LimitExceeded { name: LimitName::disk_bytes, limit };
        let content = gather(bytes, limit, &past).await?;
        self.with(|disk| {
            let row = disk.worker(worker)?;
            let limits = row.limits();
            row.files.check(name.as_str(), condition)?;
            let created = row.files.write(name.as_str(), content, &limits)?;
            row.measure();
            let (item, _) = row.files.read(name.as_str())?;
            Ok(Stored { item, created })
        })?
    }

    async fn remove_file(
        &self,
        worker: WorkerId,
        name: FileName,
        how: RemoveFile,
    ) -> Result<(), Error> {
        self.with(|disk| {
            let row = disk.worker(worker)?;
            if how.recursive && how.condition == FileCondition::Any {
                row.files.remove_all(name.as_str())?;
            } else {
                row.files.read(name.as_str())?;
                row.files.check(name.as_str(), how.condition)?;
                row.files.remove(name.as_str())?;
            }
            row.measure();
            Ok(())
        })?
    }

    async fn rename_file(&self, worker: WorkerId, names: RenameFile) -> Result<(), Error> {
        self.with(|disk| {
            let row = disk.worker(worker)?;
            row.files.rename(names.from.as_str(), names.to.as_str())?;
            row.measure();
            Ok(())
        })?
    }

    async fn export(&self, worker: WorkerId) -> Result<ByteStream, Error> {
        self.with(|disk| Ok(pieces(&disk.worker(worker)?.files.pack())))?
    }

    async fn import(&self, worker: WorkerId, tar: ByteStream) -> Result<Imported, Error> {
        self.with(|disk| disk.worker(worker).map(drop))??;
        let tar = gather(tar, u64::MAX, &Error::Internal).await?;
        self.with(|disk| {
            let row = disk.worker(worker)?;
            let limits = row.limits();
            let done = row.files.unpack(&tar, &limits);
            row.measure();
            done
        })?
    }
}
