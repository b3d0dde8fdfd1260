//! A request's body: read as a whole within a bound, or passed on as it comes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use skep_protocol::{ByteStream, Error, Invalid, LimitName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::App;
use crate::query::number;
use crate::refusal::{Answer, Refusal};

/// A body of JSON is at most this long, in bytes.
pub(crate) const JSON_BYTES: u64 = 1 << 20;

/// A body of somebody who has not said yet who he is is at most this long, in bytes.
const STRANGERS_BYTES: u64 = 16 << 10;

/// When to try again where others' bodies take all the room.
const AGAIN: Duration = Duration::from_secs(1);

/// What a piece of room is, in bytes.
const PIECE: usize = 1 << 10;

/// Room for bodies that are read as a whole, of all requests together.
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    /// One of so many bytes.
    pub(crate) fn of(bytes: u64) -> Self {
        let pieces = usize::try_from(bytes).unwrap_or(usize::MAX) / PIECE;
        Self(Arc::new(Semaphore::new(pieces.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes, in all, what so many bytes need.
    fn take(&self, taken: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Error> {
        let has = taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(bytes.div_ceil(PIECE).saturating_sub(has)).unwrap_or(u32::MAX);
        let more = self.0.clone().try_acquire_many_owned(more);
        let more = more.map_err(|_| Error::Busy { retry_after: AGAIN })?;
        match taken {
            Some(taken) => taken.merge(more),
            None => *taken = Some(more),
        }
        Ok(())
    }
}

/// The body of a request, and what its header says of it.
pub(crate) struct Upload {
    pub(crate) headers: HeaderMap,
    body: Body,
    patience: Duration,
    app: App,
}

impl FromRequest<App> for Upload {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Answer<Self> {
        let (parts, body) = request.into_parts();
        let (headers, patience, app) = (parts.headers, app.limits.body, app.clone());
        Ok(Self { headers, body, patience, app })
    }
}

impl Upload {
    /// Whether the header says already that it is longer.
    fn is_longer(&self, most: u64) -> bool {
        let length = self.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        length.and_then(number).is_some_and(|length| length > most)
    }

    /// All of it, if it comes in time, is no longer than that, and there is room.
    pub(crate) async fn bytes(self, most: u64, too_long: fn(u64) -> Refusal) -> Answer<Vec<u8>> {
        let app = self.app.clone();
        self.bytes_in(&app.room, most, too_long).await
    }

    async fn bytes_in(
        self,
        room: &Room,
        most: u64,
        too_long: fn(u64) -> Refusal,
    ) -> Answer<Vec<u8>> {
        if self.is_longer(most) {
            return Err(too_long(most));
        }
        let Self { mut body, patience, .. } = self;
        let read = async {
            let (mut all, mut taken) = (Vec::new(), None);
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| Refusal::from(Invalid::Body))?;
                let Ok(bytes) = frame.into_data() else { continue };
                if (all.len() + bytes.len()) as u64 > most {
                    return Err(too_long(most));
                }
                room.take(&mut taken, all.len() + bytes.len())?;
                all.extend_from_slice(&bytes);
            }
            Ok(all)
        };
        timeout(patience, read).await.unwrap_or_else(|_| Err(Refusal::request_timeout()))
    }

    /// What it says in JSON. Nesting is bounded by the reader, at 128.
    pub(crate) async fn json<T>(
        self,
        read: impl FnOnce(&[u8]) -> serde_json::Result<T>,
    ) -> Answer<T> {
        let bytes = self.bytes(JSON_BYTES, |_| Refusal::body_too_large()).await?;
        Ok(read(&bytes).map_err(|_| Invalid::Body)?)
    }

    /// The same of somebody who has not said yet who he is: short, and in a room of its own, so that
    /// those who never say it take none from the others.
    pub(crate) async fn json_of_a_stranger<T>(
        self,
        read: impl FnOnce(&[u8]) -> serde_json::Result<T>,
    ) -> Answer<T> {
        let (app, too_long) = (self.app.clone(), |_| Refusal::body_too_large());
        let bytes = self.bytes_in(&app.strangers_room, STRANGERS_BYTES, too_long).await?;
        Ok(read(&bytes).map_err(|_| Invalid::Body)?)
    }

    /// It as it comes: ends with an error where it stops coming, breaks off or goes on too long.
    pub(crate) fn stream(self, most: Option<(LimitName, u64)>) -> Answer<ByteStream> {
        let past = |(name, limit)| Error::LimitExceeded { name, limit };
        if let Some(most) = most.filter(|(_, limit)| self.is_longer(*limit)) {
            return Err(past(most).into());
        }
        let Self { body, patience, .. } = self;
        let left = most.map_or(u64::MAX, |(_, limit)| limit);
        let step = move |(mut body, left): (Body, u64)| async move {
            loop {
                let broken = Error::InvalidRequest(Invalid::Body);
                let Ok(frame) = timeout(patience, body.frame()).await else {
                    return Some((Err(broken), (Body::empty(), 0)));
                };
                let Ok(frame) = frame? else {
                    return Some((Err(broken), (Body::empty(), 0)));
                };
                let Ok(bytes) = frame.into_data() else { continue };
                let Some(left) = left.checked_sub(bytes.len() as u64) else {
                    let error = most.map_or(broken, past);
                    return Some((Err(error), (Body::empty(), 0)));
                };
                return Some((Ok::<Bytes, Error>(bytes), (body, left)));
            }
        };
        Ok(stream::unfold((body, left), step).boxed())
    }
}
