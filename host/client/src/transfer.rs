//! Request and response bodies.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use skep_protocol::{ByteStream, Error};
use tokio::time::{Instant, timeout};

use crate::answer::Fault;
use crate::http_upload::HttpUpload;

/// The body of a request, for one attempt.
pub(crate) enum Outgoing {
    Bytes(Option<Bytes>),
    Upload(UploadBody),
    /// The body of a request to an HTTP worker.
    Http(HttpUpload),
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Bytes(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upload(upload) => {
                upload.poll(context).map(|next| next.map(|piece| piece.map(Frame::data)))
            }
            Self::Http(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_none(),
            Self::Upload(_) => false,
            Self::Http(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Upload(_) => SizeHint::default(),
            Self::Http(body) => body.size_hint(),
        }
    }
}

/// A caller's upload stream. Attempts share it: as long as nothing was read from it, another
/// attempt can use it.
#[derive(Clone)]
pub(crate) struct UploadBody(Arc<Mutex<UploadSource>>);

struct UploadSource {
    stream: ByteStream,
    progress: UploadProgress,
}

/// The progress of an upload.
#[derive(Clone)]
pub(crate) struct UploadProgress {
    /// True once something was read, which cannot be sent again.
    pub(crate) begun: bool,
    pub(crate) ended: bool,
    /// True while waiting for the caller's stream.
    pub(crate) waiting: bool,
    /// Error of the caller's stream, if it failed.
    pub(crate) failed: Option<Error>,
    /// Time when a piece was last read.
    pub(crate) moved: Instant,
}

impl UploadBody {
    pub(crate) fn new(stream: ByteStream) -> Self {
        let progress = UploadProgress {
            begun: false,
            ended: false,
            waiting: false,
            failed: None,
            moved: Instant::now(),
        };
        Self(Arc::new(Mutex::new(UploadSource { stream, progress })))
    }

    pub(crate) fn progress(&self) -> UploadProgress {
        self.source().progress.clone()
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let mut source = self.source();
        let next = source.stream.as_mut().poll_next(context);
        let progress = &mut source.progress;
        progress.waiting = next.is_pending();
        match &next {
            Poll::Pending => return next,
            Poll::Ready(Some(Ok(_))) => progress.begun = true,
            Poll::Ready(Some(Err(error))) => progress.failed = Some(error.clone()),
            Poll::Ready(None) => progress.ended = true,
        }
        progress.moved = Instant::now();
        next
    }

    fn source(&self) -> MutexGuard<'_, UploadSource> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a whole body into memory, up to a limit.
///
/// # Errors
/// [`Fault::Lost`] if it is cut off or times out, [`Fault::Foreign`] if it is too long.
pub(crate) async fn whole(
    mut body: Incoming,
    limit: usize,
    between: Duration,
    within: Duration,
) -> Result<Bytes, Fault> {
    let reading = async {
        let mut read = BytesMut::new();
        while let Some(piece) = piece(&mut body, between).await? {
            if read.len() + piece.len() > limit {
                return Err(Fault::Foreign("a response that is too long"));
            }
            read.extend_from_slice(&piece);
        }
        Ok(read.freeze())
    };
    timeout(within, reading).await.unwrap_or(Err(Fault::Lost { sent: true }))
}

/// Reads the next piece of a body; none at its end.
pub(crate) async fn piece(body: &mut Incoming, within: Duration) -> Result<Option<Bytes>, Fault> {
    loop {
        match timeout(within, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
            Ok(Some(Err(_))) | Err(_) => return Err(Fault::Lost { sent: true }),
        }
    }
}

/// Converts a body to a stream, which ends with an error if the body is cut off.
pub(crate) fn download(body: Incoming, within: Duration) -> ByteStream {
    let pieces = stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        match piece(&mut body, within).await {
            Ok(piece) => piece.map(|piece| (Ok(piece), Some(body))),
            Err(_) => Some((Err(Error::RuntimeUnavailable), None)),
        }
    });
    pieces.boxed()
}

/// Cuts a range out of a stream, for servers that ignore `Range`.
pub(crate) fn part(whole: ByteStream, start: u64, bytes: u64) -> ByteStream {
    let cut = stream::unfold((whole, start, bytes), |(mut whole, mut skip, mut left)| async move {
        while left > 0 {
            let mut piece = match whole.next().await? {
                Ok(piece) => piece,
                Err(error) => return Some((Err(error), (whole, 0, 0))),
            };
            let skipped = skip.min(piece.len() as u64);
            skip -= skipped;
            piece = piece.slice(skipped as usize..);
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= piece.len() as u64;
            if !piece.is_empty() {
                return Some((Ok(piece), (whole, skip, left)));
            }
        }
        None
    });
    cut.boxed()
}

/// Returns an empty stream.
pub(crate) fn empty() -> ByteStream {
    stream::empty().boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_range_is_cut_out_across_pieces() {
        for size in 1..7 {
            let text = b"0123456789";
            let whole: ByteStream = stream::iter(
                text.chunks(size).map(|piece| Ok(Bytes::from_static(piece))).collect::<Vec<_>>(),
            )
            .boxed();
            let cut: Vec<_> = part(whole, 3, 4).collect().await;
            let cut: Vec<u8> = cut.into_iter().flat_map(|piece| piece.unwrap()).collect();
            assert_eq!(cut, b"3456", "{size}");
        }
        let short: ByteStream = stream::iter([Ok(Bytes::from_static(b"0123"))]).boxed();
        let cut: Vec<_> = part(short, 2, u64::MAX).collect().await;
        assert_eq!(cut, [Ok(Bytes::from_static(b"23"))]);
    }
}
