//! Bodies on their way.
//!
//! The sent one is read by the connection as fast as it takes it, and counted there; the received
//! one waits in a channel of one chunk for the guest to read it, so that a guest that does not read
//! holds a chunk there, one on its way, and what the connection has buffered.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use wasmtime_wasi_http::{Error, WasiBody};

use super::exchange::{Exchange, Unread};

/// A request's body.
pub(super) struct Sent {
    body: WasiBody,
    exchange: Arc<Exchange>,
    limit: u64,
}

impl Sent {
    pub(super) fn new(body: WasiBody, exchange: Arc<Exchange>, limit: u64) -> Self {
        Self { body, exchange, limit }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            let length = bytes.len() as u64;
            let sent = self.exchange.sent.fetch_add(length, Ordering::Relaxed) + length;
            if sent > self.limit {
                self.exchange.past_limit.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(self.limit)))));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body, as the guest reads it.
pub(super) struct Received {
    frames: mpsc::Receiver<Result<Frame<Bytes>, Error>>,
    exchange: Arc<Exchange>,
    /// Until it is over.
    unread: Option<Unread>,
}

impl Received {
    pub(super) fn new(
        frames: mpsc::Receiver<Result<Frame<Bytes>, Error>>,
        exchange: Arc<Exchange>,
    ) -> Self {
        let unread = Some(Unread::new(&exchange));
        Self { frames, exchange, unread }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.unread.is_none() {
            return Poll::Ready(None);
        }
        let frame = ready!(self.frames.poll_recv(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => {
                self.unread = None;
                Some(Err(error))
            }
            // Whoever filled it is gone: because it is whole, or because the turn has ended.
            None => {
                self.unread = None;
                let whole = self.exchange.whole.load(Ordering::Acquire);
                (!whole).then_some(Err(Error::ConnectionTerminated))
            }
        })
    }
}
