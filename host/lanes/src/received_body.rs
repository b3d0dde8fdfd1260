//! The body of a request, as its guest reads it.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use skep_protocol::{Error, Invalid, LimitName};

use crate::exchange::Exchange;

/// The body of a request that is passed on while it comes in. It is empty once the request has ended, even if the guest kept its handle:
/// an instance that is used again must not hold the client's connection, or read another's body.
///
/// The guest's handle holds nothing else of the request either.
pub(crate) struct ReceivedBody<B> {
    body: SharedBody<B>,
    left: u64,
}

/// The body with the exchange that counts it, until its end.
type SharedBody<B> = Arc<Mutex<Option<(B, Arc<Exchange>)>>>;

/// Reads the whole body of a request, which the exchange counts.
///
/// # Errors
/// [`Error::LimitExceeded`] as soon as it exceeds the limit, also if it only says so;
/// [`Error::InvalidRequest`] if it breaks off.
pub(crate) async fn whole<B>(
    body: B,
    (name, limit): (LimitName, u64),
    exchange: &Exchange,
) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let too_large = || Error::LimitExceeded { name, limit };
    if body.size_hint().lower() > limit {
        return Err(too_large());
    }
    let mut body = pin!(body);
    let (mut first, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|_| Error::InvalidRequest(Invalid::Body))?;
        let Ok(bytes) = frame.into_data() else { continue };
        exchange.received(bytes.len() as u64);
        if (first.len() + all.len() + bytes.len()) as u64 > limit {
            return Err(too_large());
        }
        // A short body comes in one piece, and is not copied.
        if first.is_empty() && all.is_empty() {
            first = bytes;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&bytes);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Ends the body of a request.
pub(crate) struct ReceivedBodyEnd<B>(SharedBody<B>);

/// The error of a body that exceeds its limit.
#[derive(Debug, thiserror::Error)]
#[error("the body exceeds its limit")]
struct TooLarge;

impl<B: Body> ReceivedBody<B> {
    /// Wraps a body of at most `limit` bytes.
    pub(crate) fn new(body: B, limit: u64, exchange: Arc<Exchange>) -> (Self, ReceivedBodyEnd<B>) {
        let body = Arc::new(Mutex::new(Some((body, exchange))));
        let end = ReceivedBodyEnd(body.clone());
        (Self { body, left: limit }, end)
    }
}

impl<B> Drop for ReceivedBodyEnd<B> {
    fn drop(&mut self) {
        let body = lock(&self.0).take();
        drop(body);
    }
}

fn lock<T>(body: &Mutex<T>) -> MutexGuard<'_, T> {
    body.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B> Body for ReceivedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let mut body = lock(&this.body);
        let Some((inner, exchange)) = &mut *body else { return Poll::Ready(None) };
        let frame = match ready!(Pin::new(inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        let bytes = frame.data_ref().map_or(0, Buf::remaining) as u64;
        exchange.received(bytes);
        if bytes > this.left {
            *body = None;
            return Poll::Ready(Some(Err(TooLarge.into())));
        }
        this.left -= bytes;
        Poll::Ready(Some(Ok(frame)))
    }

    fn size_hint(&self) -> SizeHint {
        match &*lock(&self.body) {
            Some((body, _)) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
