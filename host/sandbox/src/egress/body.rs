//! Request and response bodies in transit.
//!
//! The connection reads a request body as fast as it can send it, and the bytes are counted here. A
//! response body reaches the guest through a channel of one chunk. For a guest that does not read,
//! the host therefore holds one chunk in the channel, one in the pump, and the connection's buffer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use wasmtime_wasi_http::{Error, WasiBody};

use super::ledger::{OpenRequest, UnreadResponse};

/// The body of a request.
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

/// The body of a response, as the guest reads it.
pub(super) struct ResponseBody {
    frames: mpsc::Receiver<Result<Frame<Bytes>, Error>>,
    request: Arc<OpenRequest>,
    /// `None` once the body has ended.
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
            // The sender is gone, either because the body is complete or because the turn has
            // ended.
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
    fn unread_responses_are_bounded() {
        struct DiscardLog;
        #[async_trait::async_trait]
        impl RequestLog for DiscardLog {
            async fn before_leaving(&self) -> Result<(), crate::guest::turn::RecordError> {
                Ok(())
            }
            fn record(&self, _request: RequestRecord) {}
        }
        let ledger = Arc::default();
        let target = RequestTarget::of(&"http://a.test".parse().unwrap()).unwrap();
        let response = || {
            let request = OpenRequest::begin(&ledger, Arc::new(DiscardLog), "GET", &target);
            request.finish(None);
            ResponseBody::new(mpsc::channel(1).1, request)
        };
        let mut responses: Vec<_> = (0..3).map(|_| response()).collect();
        assert!(ledger.has(3) && !ledger.has(4), "three responses are unread");
        // Read one to its end and drop another.
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut responses[0]).poll_frame(&mut cx).is_ready());
        drop(responses.pop());
        assert!(ledger.has(1) && !ledger.has(2));
    }
}
