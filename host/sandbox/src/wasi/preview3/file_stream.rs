//! Files as streams of 0.3. Each write is counted by the scope's ledger, like any other write.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use skep_scope::{OpenFile, ScopeError};
use tokio::sync::oneshot;
use wasmtime::component::{Destination, Source, StreamConsumer, StreamProducer, StreamResult};
use wasmtime::{AsContextMut as _, StoreContextMut};

use super::calls::CallsInFlight;
use super::descriptor::bindings::wasi::filesystem::types::ErrorCode;
use crate::guest::calls::FileCalls;
use crate::wasi::descriptors::Permit;
use crate::wasi::streams::WritePlace;

/// Maximum bytes of one call. Each stream holds as many while a call is under way, and a guest may have
/// a thousand streams.
const CHUNK: usize = 64 << 10;

/// The end of a stream, for the guest.
pub(super) type Outcome = Result<(), ErrorCode>;

type FileCall<T> = Pin<Box<dyn Future<Output = Result<T, ScopeError>> + Send>>;

/// A file that a stream reads or writes.
pub(super) struct StreamedFile {
    pub(super) file: OpenFile,
    pub(super) _permit: Permit,
    pub(super) files: FileCalls,
    pub(super) calls: CallsInFlight,
}

impl StreamedFile {
    /// Makes a call when the guest's other calls leave room for it. A call that has started runs to its
    /// end.
    fn call<T: Send + Unpin + 'static>(
        &self,
        call: impl FnOnce(OpenFile) -> Result<T, ScopeError> + Send + 'static,
    ) -> FileCall<T> {
        let (file, files, calls) = (self.file.clone(), self.files.clone(), self.calls.clone());
        Box::pin(async move {
            // A guest may connect a stream of the host with another, whose calls then follow each other
            // without its code, which is where it is interrupted.
            tokio::task::consume_budget().await;
            let turn = calls.turn().await;
            let call = files.start(move || {
                let _turn = turn;
                call(file)
            });
            call.await
        })
    }
}

/// Reports how a stream ended.
pub(super) fn finish(ended: &mut Option<oneshot::Sender<Outcome>>, outcome: Outcome) {
    if let Some(ended) = ended.take() {
        // The guest may have dropped the future.
        let _ = ended.send(outcome);
    }
}

/// Reads a file from a position on.
pub(super) struct FileProducer {
    file: StreamedFile,
    position: u64,
    call: Option<FileCall<Bytes>>,
    ended: Option<oneshot::Sender<Outcome>>,
}

impl FileProducer {
    pub(super) fn new(file: StreamedFile, position: u64, ended: oneshot::Sender<Outcome>) -> Self {
        Self { file, position, call: None, ended: Some(ended) }
    }
}

impl<D> StreamProducer<D> for FileProducer {
    type Item = u8;
    type Buffer = Bytes;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, u8, Bytes>,
        finishing: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = &mut *self;
        let room = destination.remaining(store.as_context_mut()).unwrap_or(CHUNK);
        if room == 0 {
            // A file is always ready.
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let position = this.position;
        let call = this.call.get_or_insert_with(|| {
            this.file.call(move |file| {
                let mut buffer = vec![0; room.min(CHUNK)];
                let n = file.read_at(&mut buffer, position)?;
                buffer.truncate(n);
                Ok(buffer.into())
            })
        });
        let read = match call.as_mut().poll(cx) {
            Poll::Ready(read) => read,
            Poll::Pending if finishing => {
                // The next call reads the same bytes again.
                this.call = None;
                return Poll::Ready(Ok(StreamResult::Cancelled));
            }
            Poll::Pending => return Poll::Pending,
        };
        this.call = None;
        Poll::Ready(Ok(match read {
            Ok(bytes) if bytes.is_empty() => {
                finish(&mut this.ended, Ok(()));
                StreamResult::Dropped
            }
            Ok(bytes) => {
                this.position += bytes.len() as u64;
                destination.set_buffer(bytes);
                StreamResult::Completed
            }
            Err(error) => {
                finish(&mut this.ended, Err((&error).into()));
                StreamResult::Dropped
            }
        }))
    }
}

/// Writes a file from a position on, or at its end.
pub(super) struct FileConsumer {
    file: StreamedFile,
    place: WritePlace,
    call: Option<FileCall<usize>>,
    ended: Option<oneshot::Sender<Outcome>>,
}

impl FileConsumer {
    pub(super) fn new(
        file: StreamedFile,
        place: WritePlace,
        ended: oneshot::Sender<Outcome>,
    ) -> Self {
        Self { file, place, call: None, ended: Some(ended) }
    }
}

impl<D> StreamConsumer<D> for FileConsumer {
    type Item = u8;

    /// A write that has started cannot be cancelled, so a guest that cancels one waits for it.
    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<D>,
        source: Source<'_, u8>,
        _finishing: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = &mut *self;
        let mut source = source.as_direct(store);
        let bytes = source.remaining();
        if bytes.is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let place = this.place;
        let call = this.call.get_or_insert_with(|| {
            let bytes = bytes[..bytes.len().min(CHUNK)].to_vec();
            this.file.call(move |file| match place {
                WritePlace::At(position) => file.write_at(&bytes, position),
                WritePlace::End => file.append(&bytes),
            })
        });
        let written = ready!(call.as_mut().poll(cx));
        this.call = None;
        Poll::Ready(Ok(match written {
            Ok(0) => {
                finish(&mut this.ended, Err(ErrorCode::InsufficientSpace));
                StreamResult::Dropped
            }
            Ok(written) => {
                if let WritePlace::At(position) = &mut this.place {
                    *position += written as u64;
                }
                source.mark_read(written);
                StreamResult::Completed
            }
            Err(error) => {
                finish(&mut this.ended, Err((&error).into()));
                StreamResult::Dropped
            }
        }))
    }
}
