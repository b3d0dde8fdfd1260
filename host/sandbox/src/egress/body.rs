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

use super::ledger::{OpenRequest, UnreadResponse};

/// A request's body.
pub(super) struct RequestBody {
    body: WasiBody,
    request: Arc<OpenRequest>,
    limit: u64,
}

impl RequestBody {
    pub(super) fn new(body: WasiBody, request: Arc<OpenRequest>, limit: u64) -> Self {
        Self { body, request, limit }
    }
}

impl Body for RequestBody {
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
            let sent = self.request.sent.fetch_add(length, Ordering::Relaxed) + length;
            if sent > self.limit {
                self.request.past_limit.store(true, Ordering::Relaxed);
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
pub(super) struct ResponseBody {
    frames: mpsc::Receiver<Result<Frame<Bytes>, Error>>,
    request: Arc<OpenRequest>,
    /// Until it is over.
    unread: Option<UnreadResponse>,
}

impl ResponseBody {
    pub(super) fn new(
        frames: mpsc::Receiver<Result<Frame<Bytes>, Error>>,
        request: Arc<OpenRequest>,
    ) -> Self {
        let unread = Some(UnreadResponse::new(&request));
        Self { frames, request, unread }
    }
}

impl Body for ResponseBody {
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
                let whole = self.request.whole.load(Ordering::Acquire);
                (!whole).then_some(Err(Error::ConnectionTerminated))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use skep_protocol::RequestRecord;

    use super::*;
    use crate::egress::target::RequestTarget;
    use crate::guest::turn::RequestLog;

    #[test]
    fn answers_that_nobody_reads_are_bounded() {
        struct Forgetful;
        #[async_trait::async_trait]
        impl RequestLog for Forgetful {
            async fn before_leaving(&self) -> Result<(), crate::guest::turn::RecordError> {
                Ok(())
            }
            fn record(&self, _request: RequestRecord) {}
        }
        let ledger = Arc::default();
        let target = RequestTarget::of(&"http://a.test".parse().unwrap()).unwrap();
        let answer = || {
            let request = OpenRequest::begin(&ledger, Arc::new(Forgetful), "GET", &target);
            request.finish(None);
            ResponseBody::new(mpsc::channel(1).1, request)
        };
        let mut answers: Vec<_> = (0..3).map(|_| answer()).collect();
        assert!(ledger.has(3) && !ledger.has(4), "they came and were not read");
        // One is read to its end, one is let go.
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut answers[0]).poll_frame(&mut cx).is_ready());
        drop(answers.pop());
        assert!(ledger.has(1) && !ledger.has(2));
    }
}
