//! A worker's files, read and written from outside.
//!
//! Reading needs nothing but the directory, whether the worker is in use or not. Writing shares the
//! worker's ledger with its guest. A thread is held for one piece at a time, never while whoever
//! sends or takes the next one makes up their mind.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use skep_protocol::{
    ByteStream, Diagnostic, DiagnosticCode, Error, FileName, FileRange, FileView, Files, Imported,
    Invalid, Limits, ListFiles, Listing, Rights, Stored, WorkerId,
};
use skep_scope::files::{self, ArchiveExport, ArchiveImport, FileError, PIECE, Upload};
use skep_scope::{Disk, Quota, Scope};
use skep_store::StoreError;
use tokio::sync::oneshot;

use crate::clock::now;
use crate::embedded::Embedded;
use crate::roster::core::Core;
use crate::roster::directory::Open;
use crate::roster::worker::{What, Worker};

/// Files of a page.
const PAGE: usize = 1_000;

/// How long a write waits for its worker's driver to take note of it.
const RECORDED: Duration = Duration::from_secs(1);

/// Who writes.
struct Writer {
    inner: Arc<Core>,
    cell: Arc<Worker>,
    open: Open,
}

#[async_trait]
impl Files for Embedded {
    async fn files(&self, worker: WorkerId, query: ListFiles) -> Result<Listing<FileView>, Error> {
        let after = query.cursor.as_deref().map(read_cursor).transpose()?;
        let prefix = query.prefix.unwrap_or_default();
        let Some(scope) = self.to_read(worker).await? else {
            return Ok(Listing { items: Vec::new(), next_cursor: None, diagnostics: Vec::new() });
        };
        let list = move || files::list(&scope, &prefix, after.as_ref(), PAGE);
        let listed = blocking(list).await.map_err(|error| self.told(error, None))?;
        let last = listed.files.last().filter(|_| listed.more);
        let next_cursor = last.map(|file| URL_SAFE_NO_PAD.encode(file.name.as_str()));
        let diagnostics = not_shown(listed.hidden, worker).into_iter().collect();
        Ok(Listing { items: listed.files, next_cursor, diagnostics })
    }

    async fn read_file(
        &self,
        worker: WorkerId,
        name: FileName,
        range: Option<FileRange>,
    ) -> Result<(FileView, ByteStream), Error> {
        let scope = self.to_read(worker).await?.ok_or(Error::UnknownFile)?;
        let opened = blocking(move || files::open(&scope, &name)).await;
        let (view, file) = opened.map_err(|error| self.told(error, None))?;
        let FileRange { start, bytes } = range.unwrap_or(FileRange { start: 0, bytes: None });
        let start = start.min(view.bytes);
        let end = bytes.map_or(view.bytes, |bytes| start.saturating_add(bytes).min(view.bytes));
        let inner = self.0.inner.clone();
        let pieces = stream::unfold(Some((file, start)), move |at| {
            let inner = inner.clone();
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
                    // It was cut meanwhile, and its length was promised.
                    Ok((_, piece)) if piece.is_empty() => {
                        tracing::warn!(worker_id = %worker, "a file was cut while it was read");
                        Some((Err(Error::Internal), None))
                    }
                    Ok((file, piece)) => {
                        let at = at + piece.len() as u64;
                        Some((Ok(Bytes::from(piece)), Some((file, at))))
                    }
                    Err(error) => Some((Err(told(&inner, error, None)), None)),
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
    ) -> Result<Stored<FileView>, Error> {
        let writer = self.to_write(worker).await?;
        let (store, scope) = (self.0.store.clone(), writer.open.scope.clone());
        let mut upload = writer
            .step(move || {
                let aside = Arc::new(store.incoming_dir(&worker).map_err(of_store)?);
                Upload::begin(&scope, &aside, name)
            })
            .await?;
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            upload = writer.step(move || upload.write(&piece).map(|()| upload)).await?;
        }
        let (item, created) = writer.step(move || upload.finish()).await?;
        writer.wrote().await;
        Ok(Stored { item, created })
    }

    async fn remove_file(&self, worker: WorkerId, name: FileName) -> Result<(), Error> {
        // It is made nowhere on the way to find that there is nothing in it.
        self.to_read(worker).await?.ok_or(Error::UnknownFile)?;
        let writer = self.to_write(worker).await?;
        let scope = writer.open.scope.clone();
        writer.step(move || files::remove(&scope, &name)).await?;
        writer.wrote().await;
        Ok(())
    }

    async fn export(&self, worker: WorkerId) -> Result<ByteStream, Error> {
        let scope = match self.to_read(worker).await? {
            Some(scope) => scope,
            None => return Ok(stream::iter([Ok(Bytes::from_static(&[0; 1_024]))]).boxed()),
        };
        let inner = self.0.inner.clone();
        let pieces = stream::unfold(Some(ArchiveExport::new(&scope)), move |export| {
            let inner = inner.clone();
            async move {
                let mut export = export?;
                let piece = blocking(move || export.next_piece().map(|piece| (piece, export)));
                match piece.await {
                    Ok((Some(piece), export)) => Some((Ok(piece.into()), Some(export))),
                    Ok((None, export)) => {
                        if let Some(diagnostic) = not_shown(export.hidden(), worker) {
                            tracing::warn!(worker_id = %worker, "{}", diagnostic.message);
                        }
                        None
                    }
                    Err(error) => Some((Err(told(&inner, error, None)), None)),
                }
            }
        });
        Ok(pieces.boxed())
    }

    async fn import(&self, worker: WorkerId, mut tar: ByteStream) -> Result<Imported, Error> {
        let writer = self.to_write(worker).await?;
        let (store, scope) = (self.0.store.clone(), writer.open.scope.clone());
        let begin = move || {
            let aside = Arc::new(store.incoming_dir(&worker).map_err(of_store)?);
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
        // What came before something that was refused stays.
        writer.wrote().await;
        unpacked
    }
}

impl Embedded {
    /// A worker's directory for reading; none where it has none yet.
    async fn to_read(&self, worker: WorkerId) -> Result<Option<Scope>, Error> {
        self.record(worker)?;
        let dir = self.read(move |store| store.existing_worker_dir(&worker)).await?;
        let nothing = Disk::new(Quota { bytes: 0, entries: 0 });
        Ok(dir.map(|dir| Scope::new(dir, Rights::ReadOnly, nothing)))
    }

    /// The same for writing, made where there is none.
    async fn to_write(&self, worker: WorkerId) -> Result<Writer, Error> {
        let inner = self.0.inner.clone();
        let cell = inner.worker(worker)?;
        let open = inner.directory(&cell).await.map_err(|error| inner.fault(error))?;
        Ok(Writer { inner, cell, open })
    }

    fn told(&self, error: FileError, limits: Option<&Limits>) -> Error {
        told(&self.0, error, limits)
    }
}

/// What there is to say of names that are left out, if there are any.
fn not_shown(names: u64, worker: WorkerId) -> Option<Diagnostic> {
    let code = DiagnosticCode::NamesNotShown;
    let message = format!(
        "{names} files and directories have names that are not UTF-8, or have control characters in \
         them, and are left out"
    );
    (names > 0).then(|| Diagnostic::new(code, message, Some(worker.into()), now()))
}

impl Writer {
    /// Does a piece of the work, unless the worker or the host has gone meanwhile.
    async fn step<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, Error> {
        if self.inner.is_closing() {
            return Err(self.inner.busy());
        }
        let limits = {
            let state = self.cell.state();
            if state.removed {
                return Err(Error::WorkerRemoved);
            }
            state.limits
        };
        let done = blocking(work).await;
        done.map_err(|error| match self.cell.state().removed {
            // What went wrong is that the directory was taken away.
            true => Error::WorkerRemoved,
            false => told(&self.inner, error, Some(&limits)),
        })
    }

    /// Has the driver record what the directory holds now. That the files are there does not depend
    /// on it: nobody waits for a turn to end.
    async fn wrote(&self) {
        let recorded = self.record();
        let is_busy = self.cell.state().running.is_some();
        if let Some(recorded) = recorded
            && !is_busy
        {
            drop(tokio::time::timeout(RECORDED, recorded).await);
        }
    }

    fn record(&self) -> Option<oneshot::Receiver<Result<(), Error>>> {
        let recorded = self.cell.command_once(What::Files);
        self.inner.drive(&self.cell);
        recorded
    }
}

impl Drop for Writer {
    /// Whoever asked may have gone away in the middle. Where all is recorded, nothing is.
    fn drop(&mut self) {
        let left = self.cell.directory.usage();
        let known = self.cell.state().usage;
        if left.is_some_and(|left| {
            (left.bytes, left.entries) != (known.disk_bytes, known.disk_entries)
        }) {
            drop(self.record());
        }
    }
}

/// What a caller is told.
fn told(inner: &Core, error: FileError, limits: Option<&Limits>) -> Error {
    match error {
        FileError::Unknown => Error::UnknownFile,
        FileError::NotAFile => Invalid::NotAFile.into(),
        FileError::Archive => Invalid::Archive.into(),
        FileError::Quota(name) => {
            Error::LimitExceeded { name, limit: limits.map_or(0, |limits| limits.get(name)) }
        }
        FileError::Io(error) => inner.fault(StoreError::from(error)),
    }
}

/// A failure of the store as one of the disk.
fn of_store(error: StoreError) -> FileError {
    match error {
        StoreError::Full => FileError::Io(std::io::ErrorKind::StorageFull.into()),
        error => FileError::Io(std::io::Error::other(error)),
    }
}

fn read_cursor(text: &str) -> Result<FileName, Invalid> {
    let name = URL_SAFE_NO_PAD.decode(text).ok().and_then(|name| String::from_utf8(name).ok());
    name.and_then(|name| name.parse().ok()).ok_or(Invalid::Cursor)
}

/// Works on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(FileError::Io(std::io::Error::other(error))))
}
