//! The standard streams of 0.3: the same queues as in 0.2, read and written by streams.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;
use wasmtime::component::{
    Access, Destination, FutureReader, Source, StreamConsumer, StreamProducer, StreamReader,
    StreamResult,
};
use wasmtime::{AsContextMut as _, StoreContextMut};
use wasmtime_wasi::p3::bindings::cli::types::ErrorCode;
use wasmtime_wasi::p3::bindings::cli::{stderr, stdin, stdout};
use wasmtime_wasi_io::poll::Pollable as _;
use wasmtime_wasi_io::streams::{InputStream as _, StreamError};

use crate::guest::stdio::{GuestInput, GuestOutput};
use crate::wasi::linker::HasWorld;
use crate::wasi::world::World;

/// Maximum bytes of one read.
const CHUNK: usize = 64 << 10;

/// The end of a stream, for the guest.
type Outcome = Result<(), ErrorCode>;

/// A wait for the other side of a queue.
type Readiness = Pin<Box<dyn Future<Output = ()> + Send>>;

impl stdin::Host for World {}
impl stdout::Host for World {}
impl stderr::Host for World {}

impl<U> stdin::HostWithStore<U> for HasWorld {
    fn read_via_stream(
        mut store: Access<U, Self>,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Outcome>)> {
        let (ended, outcome) = oneshot::channel();
        let input = store.get().stdin.clone();
        let producer = InputProducer { input, ready: None, ended: Some(ended) };
        Ok((StreamReader::new(&mut store, producer)?, outcome_of(&mut store, outcome)?))
    }
}

impl<U> stdout::HostWithStore<U> for HasWorld {
    fn write_via_stream(
        mut store: Access<'_, U, Self>,
        data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Outcome>> {
        let output = store.get().stdout.clone();
        write(store, output, data)
    }
}

impl<U> stderr::HostWithStore<U> for HasWorld {
    fn write_via_stream(
        mut store: Access<'_, U, Self>,
        data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Outcome>> {
        let output = store.get().stderr.clone();
        write(store, output, data)
    }
}

fn write<U>(
    mut store: Access<'_, U, HasWorld>,
    output: GuestOutput,
    data: StreamReader<u8>,
) -> wasmtime::Result<FutureReader<Outcome>> {
    let (ended, outcome) = oneshot::channel();
    data.pipe(&mut store, OutputConsumer { output, ready: None, ended: Some(ended) })?;
    outcome_of(&mut store, outcome)
}

/// Returns the future of a stream's end. A stream that the guest left ended well.
fn outcome_of<U>(
    store: &mut Access<'_, U, HasWorld>,
    outcome: oneshot::Receiver<ErrorCode>,
) -> wasmtime::Result<FutureReader<Outcome>> {
    FutureReader::new(store, async move {
        wasmtime::error::Ok(match outcome.await {
            Ok(code) => Err(code),
            Err(_left) => Ok(()),
        })
    })
}

/// Reports the error of a stream.
fn fail(ended: &mut Option<oneshot::Sender<ErrorCode>>, code: ErrorCode) {
    if let Some(ended) = ended.take() {
        // The guest may have dropped the future.
        let _ = ended.send(code);
    }
}

struct InputProducer {
    input: GuestInput,
    ready: Option<Readiness>,
    ended: Option<oneshot::Sender<ErrorCode>>,
}

impl<D> StreamProducer<D> for InputProducer {
    type Item = u8;
    type Buffer = Bytes;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, u8, Bytes>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = &mut *self;
        let room = destination.remaining(store.as_context_mut()).unwrap_or(CHUNK);
        loop {
            // A read of nothing asks whether there is input, which a wait tells.
            if room > 0 && this.ready.is_none() {
                match this.input.read(room.min(CHUNK)) {
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => {
                        destination.set_buffer(bytes);
                        return Poll::Ready(Ok(StreamResult::Completed));
                    }
                    Err(StreamError::Closed) => return Poll::Ready(Ok(StreamResult::Dropped)),
                    Err(StreamError::LastOperationFailed(_) | StreamError::Trap(_)) => {
                        fail(&mut this.ended, ErrorCode::Io);
                        return Poll::Ready(Ok(StreamResult::Dropped));
                    }
                }
            }
            let ready = this.ready.get_or_insert_with(|| {
                let mut input = this.input.clone();
                Box::pin(async move { input.ready().await })
            });
            match ready.as_mut().poll(cx) {
                Poll::Ready(()) => this.ready = None,
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
            if room == 0 {
                return Poll::Ready(Ok(StreamResult::Completed));
            }
        }
    }
}

struct OutputConsumer {
    output: GuestOutput,
    ready: Option<Readiness>,
    ended: Option<oneshot::Sender<ErrorCode>>,
}

impl<D> StreamConsumer<D> for OutputConsumer {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = &mut *self;
        let mut source = source.as_direct(store);
        loop {
            let bytes = source.remaining();
            match this.output.write_some(bytes) {
                Ok(Some(written)) => {
                    source.mark_read(written);
                    return Poll::Ready(Ok(StreamResult::Completed));
                }
                Ok(None) => {}
                Err(error) => {
                    let code = match error {
                        StreamError::Closed => ErrorCode::Pipe,
                        StreamError::LastOperationFailed(_) | StreamError::Trap(_) => ErrorCode::Io,
                    };
                    fail(&mut this.ended, code);
                    return Poll::Ready(Ok(StreamResult::Dropped));
                }
            }
            let ready = this.ready.get_or_insert_with(|| {
                let mut output = this.output.clone();
                Box::pin(async move { output.ready().await })
            });
            match ready.as_mut().poll(cx) {
                Poll::Ready(()) => this.ready = None,
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
