//! Bodies, both ways.

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

/// A request's body, for one attempt.
pub(crate) enum Outgoing {
    Bytes(Option<Bytes>),
    Upload(Upload),
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
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Bytes(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Upload(_) => SizeHint::default(),
        }
    }
}

/// A caller's stream on its way to the server. Attempts share it, so that one that never got as far
/// as to take something of it can be followed by another.
#[derive(Clone)]
pub(crate) struct Upload(Arc<Mutex<Source>>);

struct Source {
    stream: ByteStream,
    progress: Progress,
}

/// How far an upload is.
#[derive(Clone)]
pub(crate) struct Progress {
    /// Something of it is gone, and cannot be sent again.
    pub(crate) begun: bool,
    pub(crate) ended: bool,
    /// It is the caller who is waited for.
    pub(crate) waiting: bool,
    /// Why the caller has no more, if that is so.
    pub(crate) failed: Option<Error>,
    /// When a piece was last taken.
    pub(crate) moved: Instant,
}

impl Upload {
    pub(crate) fn new(stream: ByteStream) -> Self {
        let progress = Progress {
            begun: false,
            ended: false,
            waiting: false,
            failed: None,
            moved: Instant::now(),
        };
        Self(Arc::new(Mutex::new(Source { stream, progress })))
    }

    pub(crate) fn progress(&self) -> Progress {
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

    fn source(&self) -> MutexGuard<'_, Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole of a body that is at most so long.
///
/// # Errors
/// [`Fault::Lost`] where it is cut or does not come, [`Fault::Foreign`] where it is too long.
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
                return Err(Fault::Foreign("an answer that is too long"));
            }
            read.extend_from_slice(&piece);
        }
        Ok(read.freeze())
    };
    timeout(within, reading).await.unwrap_or(Err(Fault::Lost { sent: true }))
}

/// The next bytes of a body, or its end.
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

/// A body as a stream that ends as the body does, or with an error.
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

/// A part of a stream: what a server that takes no notice of ranges would have left out.
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

/// Nothing.
pub(crate) fn empty() -> ByteStream {
    stream::empty().boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_is_cut_out_wherever_the_pieces_end() {
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
