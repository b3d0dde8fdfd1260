//! Reading and writing a worker's files from outside the guest.
//!
//! Reading needs only the directory, even if the worker is not in use. Writing shares the disk
//! accounting with the guest. A blocking thread is held for one piece at a time, never while the
//! peer produces or consumes the next one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use skep_protocol::{
    ByteStream, Conflict, Diagnostic, DiagnosticCode, Error, FileCondition, FileListing, FileName,
    FileRange, FileView, Files, Imported, Invalid, Limits, ListFiles, RemoveFile, RenameFile,
    Rights, Stored, WorkerId,
};
use skep_scope::files::{self, ArchiveExport, ArchiveImport, FileError, PIECE, Upload};
use skep_scope::{Disk, Quota, Scope};
use skep_store::StoreError;
use tokio::sync::oneshot;

use crate::clock::now;
use crate::embedded::Embedded;
use crate::roster::core::Core;
use crate::roster::directory::MeteredDirectory;
use crate::roster::worker::{DriverCommand, Worker};

/// Files in a page.
const PAGE: usize = 1_000;

/// Time that a write waits for the driver to record it.
const RECORD_WAIT: Duration = Duration::from_secs(1);

/// Write access to the files of one worker.
struct FileWriter {
    core: Arc<Core>,
    worker: Arc<Worker>,
    open: MeteredDirectory,
}

#[async_trait]
impl Files for Embedded {
    async fn files(&self, worker: WorkerId, query: ListFiles) -> Result<FileListing, Error> {
        let after = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or_default();
        let prefix = query.prefix.unwrap_or_default();
        let by_directory = query.by_directory;
        let none = by_directory.then(Vec::new);
        let Some(scope) = self.to_read(worker).await? else {
            return Ok(FileListing { directories: none, ..FileListing::default() });
        };
        let list = move || {
            let wanted = files::Wanted { prefix: &prefix, after: &after, by_directory };
            files::list(&scope, &wanted, PAGE)
        };
        let listed = blocking(list).await.map_err(|error| self.file_error(error, None))?;
        let last = listed.last.filter(|_| listed.more);
        Ok(FileListing {
            items: listed.files,
            directories: none.map(|_| listed.directories),
            next_cursor: last.map(|name| URL_SAFE_NO_PAD.encode(name)),
            diagnostics: hidden_names(listed.hidden, worker).into_iter().collect(),
        })
    }

    async fn read_file(
        &self,
        worker: WorkerId,
        name: FileName,
        range: Option<FileRange>,
    ) -> Result<(FileView, ByteStream), Error> {
        let scope = self.to_read(worker).await?.ok_or(Error::UnknownFile)?;
        let opened = blocking(move || files::open(&scope, &name)).await;
        let (view, file) = opened.map_err(|error| self.file_error(error, None))?;
        let FileRange { start, bytes } = range.unwrap_or(FileRange { start: 0, bytes: None });
        let start = start.min(view.bytes);
        let end = bytes.map_or(view.bytes, |bytes| start.saturating_add(bytes).min(view.bytes));
        let core = self.0.core.clone();
        let pieces = stream::unfold(Some((file, start)), move |at| {
            let core = core.clone();
            async move {
                let (file, at) = at?;
                let left = end.checked_sub(at).filter(|&left| left > 0)?;
                let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                let read = blocking(move || {
                    let mut piece = vec![0; most];
                    let read = file.read_at(&mut piece, at)?;
                    piece.truncate(read);
                    Ok((file, piece))
                });
                match read.await {
                    // The file was truncated meanwhile, and the response has promised its length.
                    Ok((_, piece)) if piece.is_empty() => {
                        tracing::warn!(worker_id = %worker, "a file was truncated while it was read");
                        Some((Err(Error::Internal), None))
                    }
                    Ok((file, piece)) => {
                        let at = at + piece.len() as u64;
                        Some((Ok(Bytes::from(piece)), Some((file, at))))
                    }
                    Err(error) => Some((Err(file_error(&core, error, None)), None)),
                }
            }
        });
        Ok((view, pieces.boxed()))
    }

    async fn write_file(
        &self,
        worker: WorkerId,
        name: FileName,
        mut bytes: ByteStream,
        condition: FileCondition,
    ) -> Result<Stored<FileView>, Error> {
        let writer = self.to_write(worker).await?;
        let (store, scope) = (self.0.store.clone(), writer.open.scope.clone());
        let mut upload = writer
            .step(move || {
                let aside = Arc::new(store.incoming_dir(&worker).map_err(store_error)?);
                Upload::begin(&scope, &aside, name, condition)
            })
            .await?;
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            upload = writer.step(move || upload.write(&piece).map(|()| upload)).await?;
        }
        let (item, created) = writer.step(move || upload.finish()).await?;
        writer.note_written().await;
        Ok(Stored { item, created })
    }

    async fn remove_file(
        &self,
        worker: WorkerId,
        name: FileName,
        how: RemoveFile,
    ) -> Result<(), Error> {
        // Checks first, because opening for writing would create the directory.
        self.to_read(worker).await?.ok_or(Error::UnknownFile)?;
        let writer = self.to_write(worker).await?;
        let (store, scope) = (self.0.store.clone(), writer.open.scope.clone());
        let RemoveFile { recursive, condition } = how;
        let remove = move || match recursive && condition == FileCondition::Any {
            true => {
                let aside = store.incoming_dir(&worker).map_err(store_error)?;
                files::remove_all(&scope, &aside, &name)
            }
            false => files::remove(&scope, &name, condition),
        };
        writer.step(remove).await?;
        writer.note_written().await;
        Ok(())
    }

    async fn rename_file(&self, worker: WorkerId, names: RenameFile) -> Result<(), Error> {
        self.to_read(worker).await?.ok_or(Error::UnknownFile)?;
        let writer = self.to_write(worker).await?;
        let scope = writer.open.scope.clone();
        writer.step(move || files::rename(&scope, &names.from, &names.to)).await?;
        writer.note_written().await;
        Ok(())
    }

    async fn export(&self, worker: WorkerId) -> Result<ByteStream, Error> {
        let scope = match self.to_read(worker).await? {
            Some(scope) => scope,
            None => return Ok(stream::iter([Ok(Bytes::from_static(&[0; 1_024]))]).boxed()),
        };
        let core = self.0.core.clone();
        let pieces = stream::unfold(Some(ArchiveExport::new(&scope)), move |export| {
            let core = core.clone();
            async move {
                let mut export = export?;
                let piece = blocking(move || export.next_piece().map(|piece| (piece, export)));
                match piece.await {
                    Ok((Some(piece), export)) => Some((Ok(piece.into()), Some(export))),
                    Ok((None, export)) => {
                        if let Some(diagnostic) = hidden_names(export.hidden(), worker) {
                            tracing::warn!(worker_id = %worker, "{}", diagnostic.message);
                        }
                        None
                    }
                    Err(error) => Some((Err(file_error(&core, error, None)), None)),
                }
            }
        });
        Ok(pieces.boxed())
    }

    async fn import(&self, worker: WorkerId, mut tar: ByteStream) -> Result<Imported, Error> {
        let writer = self.to_write(worker).await?;
        let (store, scope) = (self.0.store.clone(), writer.open.scope.clone());
        let begin = move || {
            let aside = Arc::new(store.incoming_dir(&worker).map_err(store_error)?);
            Ok(ArchiveImport::new(&scope, aside))
        };
        let mut import = writer.step(begin).await?;
        let unpacked = async {
            while let Some(piece) = tar.next().await {
                let piece = piece?;
                import = writer.step(move || import.push(&piece).map(|()| import)).await?;
            }
            writer.step(move || import.finish()).await
        };
        let unpacked = unpacked.await;
        // Files unpacked before a failure stay.
        writer.note_written().await;
        unpacked
    }
}

impl Embedded {
    /// Opens a worker's directory for reading. Returns `None` if it does not exist.
    async fn to_read(&self, worker: WorkerId) -> Result<Option<Scope>, Error> {
        self.record(worker)?;
        let dir = self.read(move |store| store.existing_worker_dir(&worker)).await?;
        let nothing = Disk::new(Quota { bytes: 0, entries: 0 });
        Ok(dir.map(|dir| Scope::new(dir, Rights::ReadOnly, nothing)))
    }

    /// Opens a worker's directory for writing and creates it if it is missing.
    async fn to_write(&self, worker: WorkerId) -> Result<FileWriter, Error> {
        let core = self.0.core.clone();
        let worker = core.worker(worker)?;
        let open = core.directory(&worker).await.map_err(|error| core.fault(error))?;
        Ok(FileWriter { core, worker, open })
    }

    fn file_error(&self, error: FileError, limits: Option<&Limits>) -> Error {
        file_error(&self.0, error, limits)
    }
}

/// Returns a diagnostic about hidden names, if there are any.
fn hidden_names(names: u64, worker: WorkerId) -> Option<Diagnostic> {
    let code = DiagnosticCode::NamesNotShown;
    let message = format!(
        "{names} files and directories are not shown, because their names are not UTF-8 or contain \
         control characters"
    );
    (names > 0).then(|| Diagnostic::new(code, message, Some(worker.into()), now()))
}

impl FileWriter {
    /// Runs one step of the work on a blocking thread, unless the worker was removed or the host is
    /// shutting down.
    async fn step<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, Error> {
        if self.core.is_closing() {
            return Err(self.core.busy());
        }
        let limits = {
            let state = self.worker.state();
            if state.removed {
                return Err(Error::WorkerRemoved);
            }
            state.limits
        };
        let done = blocking(work).await;
        done.map_err(|error| match self.worker.state().removed {
            // The step failed because the directory was removed.
            true => Error::WorkerRemoved,
            false => file_error(&self.core, error, Some(&limits)),
        })
    }

    /// Makes the driver record the disk usage. The files are in place without it, so a busy worker
    /// is not waited for.
    async fn note_written(&self) {
        let recorded = self.request_record();
        let is_busy = self.worker.state().running.is_some();
        if let Some(recorded) = recorded
            && !is_busy
        {
            drop(tokio::time::timeout(RECORD_WAIT, recorded).await);
        }
    }

    fn request_record(&self) -> Option<oneshot::Receiver<Result<(), Error>>> {
        let recorded = self.worker.command_once(DriverCommand::Files);
        self.core.drive(&self.worker);
        recorded
    }
}

impl Drop for FileWriter {
    /// Requests a record if the caller went away in the middle of a write.
    fn drop(&mut self) {
        let used = self.worker.directory.usage();
        let known = self.worker.state().usage;
        if used.is_some_and(|used| {
            (used.bytes, used.entries) != (known.disk_bytes, known.disk_entries)
        }) {
            drop(self.request_record());
        }
    }
}

/// Maps a file error to the error that the caller sees.
fn file_error(core: &Core, error: FileError, limits: Option<&Limits>) -> Error {
    match error {
        FileError::Unknown => Error::UnknownFile,
        FileError::NotAFile => Invalid::NotAFile.into(),
        FileError::Archive => Invalid::Archive.into(),
        FileError::Changed => Error::PreconditionFailed,
        FileError::Taken => Conflict::FileExists.into(),
        FileError::Quota(name) => {
            Error::LimitExceeded { name, limit: limits.map_or(0, |limits| limits.get(name)) }
        }
        FileError::Io(error) => core.fault(StoreError::from(error)),
    }
}

/// Converts a store error to a file error.
fn store_error(error: StoreError) -> FileError {
    match error {
        StoreError::Full => FileError::Io(std::io::ErrorKind::StorageFull.into()),
        error => FileError::Io(std::io::Error::other(error)),
    }
}

/// Reads a name to continue after: that of a file, or that of a directory with a `/`.
fn read_cursor(text: &str) -> Result<String, Invalid> {
    let name = URL_SAFE_NO_PAD.decode(text).ok().and_then(|name| String::from_utf8(name).ok());
    let is_name =
        |name: &String| name.strip_suffix('/').unwrap_or(name).parse::<FileName>().is_ok();
    name.filter(is_name).ok_or(Invalid::Cursor)
}

/// Runs blocking disk work on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(FileError::Io(std::io::Error::other(error))))
}
