//! The body of a request to an HTTP worker, on its way to another host.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use skep_protocol::{Error, HttpBody, Invalid};

/// The body of a request to an HTTP worker.
pub(crate) struct HttpUpload {
    body: HttpBody,
    failure: UploadFailure,
}

/// Tells whether a body was cut off by its sender.
#[derive(Clone, Default)]
pub(crate) struct UploadFailure(Arc<AtomicBool>);

impl UploadFailure {
    pub(crate) fn has_failed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl HttpUpload {
    pub(crate) fn new(body: HttpBody) -> (Self, UploadFailure) {
        let failure = UploadFailure::default();
        (Self { body, failure: failure.clone() }, failure)
    }
}

impl Body for HttpUpload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let next = Pin::new(&mut this.body).poll_frame(context);
        next.map(|next| {
            next.map(|frame| {
                frame.map_err(|_| {
                    this.failure.0.store(true, Ordering::Relaxed);
                    Invalid::Body.into()
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
