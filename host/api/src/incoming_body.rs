//! The body of a request: read whole within a bound, or passed on as a stream.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use skep_protocol::{ByteStream, Error, Invalid, LimitName};
use tokio::time::timeout;

use crate::app::App;
use crate::body_budget::BodyBudget;
use crate::query::number;
use crate::refusal::{HandlerResult, ProblemResponse};

/// Maximum length of a JSON body, in bytes.
pub(crate) const JSON_BYTES: u64 = 1 << 20;

/// Maximum length of a body before authentication, in bytes.
const UNAUTHENTICATED_BYTES: u64 = 16 << 10;

/// The body and the headers of a request.
pub(crate) struct IncomingBody {
    pub(crate) headers: HeaderMap,
    body: Body,
    patience: Duration,
    app: App,
}

impl FromRequest<App> for IncomingBody {
    type Rejection = ProblemResponse;

    async fn from_request(request: Request, app: &App) -> HandlerResult<Self> {
        let (parts, body) = request.into_parts();
        let (headers, patience, app) = (parts.headers, app.limits.body, app.clone());
        Ok(Self { headers, body, patience, app })
    }
}

impl IncomingBody {
    /// Returns true if `Content-Length` exceeds a bound.
    fn is_longer(&self, most: u64) -> bool {
        let length = self.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        length.and_then(number).is_some_and(|length| length > most)
    }

    /// Reads the whole body. Fails if it is late, exceeds `most` bytes, or the budget is used up.
    pub(crate) async fn bytes(
        self,
        most: u64,
        too_long: fn(u64) -> ProblemResponse,
    ) -> HandlerResult<Vec<u8>> {
        let app = self.app.clone();
        self.bytes_in(&app.bodies, most, too_long).await
    }

    async fn bytes_in(
        self,
        budget: &BodyBudget,
        most: u64,
        too_long: fn(u64) -> ProblemResponse,
    ) -> HandlerResult<Vec<u8>> {
        if self.is_longer(most) {
            return Err(too_long(most));
        }
        let Self { mut body, patience, .. } = self;
        let read = async {
            let (mut all, mut reserved) = (Vec::new(), None);
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| ProblemResponse::from(Invalid::Body))?;
                let Ok(bytes) = frame.into_data() else { continue };
                if (all.len() + bytes.len()) as u64 > most {
                    return Err(too_long(most));
                }
                budget.take(&mut reserved, all.len() + bytes.len())?;
                all.extend_from_slice(&bytes);
            }
            Ok(all)
        };
        timeout(patience, read).await.unwrap_or_else(|_| Err(ProblemResponse::request_timeout()))
    }

    /// Parses the body as JSON. The parser bounds its nesting at 128.
    pub(crate) async fn json<T>(
        self,
        read: impl FnOnce(&[u8]) -> serde_json::Result<T>,
    ) -> HandlerResult<T> {
        let bytes = self.bytes(JSON_BYTES, |_| ProblemResponse::body_too_large()).await?;
        Ok(read(&bytes).map_err(|_| Invalid::Body)?)
    }

    /// Parses the body of an unauthenticated request. It is short and has a budget of its own, so
    /// callers that never authenticate take nothing from the others.
    pub(crate) async fn unauthenticated_json<T>(
        self,
        read: impl FnOnce(&[u8]) -> serde_json::Result<T>,
    ) -> HandlerResult<T> {
        let (app, too_long) = (self.app.clone(), |_| ProblemResponse::body_too_large());
        let bytes =
            self.bytes_in(&app.unauthenticated_bodies, UNAUTHENTICATED_BYTES, too_long).await?;
        Ok(read(&bytes).map_err(|_| Invalid::Body)?)
    }

    /// Returns the body as a stream. It ends with an error if the body stalls, breaks off or exceeds
    /// `most`.
    pub(crate) fn stream(self, most: Option<(LimitName, u64)>) -> HandlerResult<ByteStream> {
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
