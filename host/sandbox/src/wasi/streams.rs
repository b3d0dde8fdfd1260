//! Files as `wasi:io` streams. Each write is counted by the scope's ledger, like any other write.

use std::io;

use bytes::Bytes;
use skep_scope::{OpenFile, ScopeError};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

use super::descriptors::Permit;
use crate::guest::calls::{Call, FileCalls};

/// Maximum bytes of one call that the guest waits for.
const CHUNK: usize = 256 << 10;

/// Bytes read ahead for a guest that polls. It may have thousands of unread streams.
const AHEAD: usize = 4 << 10;

/// Reads a file from a position on.
pub(crate) struct FileInput {
    file: OpenFile,
    calls: FileCalls,
    position: u64,
    state: ReadState,
    _permit: Permit,
}

enum ReadState {
    Idle,
    UnderWay(Call<Result<Bytes, ScopeError>>),
    Ready(Bytes),
    Failed(ScopeError),
    Ended,
}

impl FileInput {
    pub(crate) fn new(file: OpenFile, permit: Permit, calls: FileCalls, position: u64) -> Self {
        Self { file, calls, position, state: ReadState::Idle, _permit: permit }
    }

    fn start(&mut self, size: usize) {
        let (file, position) = (self.file.clone(), self.position);
        self.state = ReadState::UnderWay(self.calls.start(move || {
            let mut buffer = vec![0; size.min(CHUNK)];
            let n = file.read_at(&mut buffer, position)?;
            buffer.truncate(n);
            Ok(buffer.into())
        }));
    }

    async fn settle(&mut self) {
        if let ReadState::UnderWay(call) = &mut self.state {
            self.state = match call.await {
                Ok(bytes) if bytes.is_empty() => ReadState::Ended,
                Ok(bytes) => ReadState::Ready(bytes),
                Err(error) => ReadState::Failed(error),
            };
        }
    }
}

#[async_trait::async_trait]
impl Pollable for FileInput {
    async fn ready(&mut self) {
        if let ReadState::Idle = self.state {
            self.start(AHEAD);
        }
        self.settle().await;
    }
}

#[async_trait::async_trait]
impl InputStream for FileInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match std::mem::replace(&mut self.state, ReadState::Ended) {
            ReadState::Ready(mut bytes) => {
                let taken = bytes.split_to(size.min(bytes.len()));
                self.position += taken.len() as u64;
                self.state =
                    if bytes.is_empty() { ReadState::Idle } else { ReadState::Ready(bytes) };
                Ok(taken)
            }
            ReadState::Failed(error) => Err(failed(error)),
            ReadState::Ended => Err(StreamError::Closed),
            waiting => {
                self.state = waiting;
                if let ReadState::Idle = self.state
                    && size > 0
                {
                    self.start(size.min(AHEAD));
                }
                Ok(Bytes::new())
            }
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return self.read(0);
        }
        if let ReadState::Idle = self.state {
            self.start(size);
        }
        self.settle().await;
        self.read(size)
    }

    async fn cancel(&mut self) {
        self.settle().await;
    }
}

/// Writes a file from a position on, or at its end.
pub(crate) struct FileOutput {
    file: OpenFile,
    calls: FileCalls,
    place: WritePlace,
    state: WriteState,
    _permit: Permit,
}

/// The position of a write.
#[derive(Clone, Copy)]
pub(crate) enum WritePlace {
    At(u64),
    End,
}

enum WriteState {
    Idle,
    UnderWay(Call<Result<usize, ScopeError>>),
    Failed(ScopeError),
    Ended,
}

impl FileOutput {
    pub(crate) fn new(file: OpenFile, permit: Permit, calls: FileCalls, place: WritePlace) -> Self {
        Self { file, calls, place, state: WriteState::Idle, _permit: permit }
    }

    async fn settle(&mut self) {
        if let WriteState::UnderWay(call) = &mut self.state {
            self.state = match call.await {
                Ok(written) => {
                    if let WritePlace::At(position) = &mut self.place {
                        *position += written as u64;
                    }
                    WriteState::Idle
                }
                Err(error) => WriteState::Failed(error),
            };
        }
    }
}

fn write_all(file: &OpenFile, bytes: &[u8], place: WritePlace) -> Result<usize, ScopeError> {
    let mut done = 0;
    while done < bytes.len() {
        let n = match place {
            WritePlace::At(position) => file.write_at(&bytes[done..], position + done as u64)?,
            WritePlace::End => file.append(&bytes[done..])?,
        };
        if n == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero).into());
        }
        done += n;
    }
    Ok(done)
}

#[async_trait::async_trait]
impl Pollable for FileOutput {
    async fn ready(&mut self) {
        self.settle().await;
    }
}

#[async_trait::async_trait]
impl OutputStream for FileOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if !matches!(self.state, WriteState::Idle) || bytes.len() > CHUNK {
            return Err(StreamError::trap("wrote more than check-write allowed"));
        }
        let (file, place) = (self.file.clone(), self.place);
        let call = self.calls.start(move || write_all(&file, &bytes, place));
        self.state = WriteState::UnderWay(call);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check_write().map(drop)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if let WriteState::UnderWay(call) = &mut self.state
            && call.is_done()
            && let Some(()) = now(self.settle())
        {
            return self.check_write();
        }
        match std::mem::replace(&mut self.state, WriteState::Ended) {
            WriteState::Failed(error) => Err(failed(error)),
            WriteState::Ended => Err(StreamError::Closed),
            WriteState::Idle => {
                self.state = WriteState::Idle;
                Ok(CHUNK)
            }
            waiting @ WriteState::UnderWay(_) => {
                self.state = waiting;
                Ok(0)
            }
        }
    }

    async fn cancel(&mut self) {
        self.settle().await;
    }
}

/// Returns the result of a future that is ready.
fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

fn failed(error: ScopeError) -> StreamError {
    StreamError::LastOperationFailed(error.into())
}
