//! Streaming responses: server-sent events.
//!
//! A reader is a cursor into its source. Pending events stay in the source: the next ones are read
//! when the socket has room, so a reader that stalls costs only its socket's buffers, and the
//! server disconnects it after a while.

use std::convert::Infallible;
use std::fmt::Display;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use skep_protocol::{Error, Problem};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::app::App;
use crate::credential::Credential;

/// The header in which a reconnecting reader sends the id of its last event.
pub(crate) const LAST_EVENT_ID: &str = "last-event-id";

/// The name of the event that reports why a stream ends.
pub(crate) const PROBLEM: &str = "problem";

/// Pending events are sent together, up to about this many bytes; a system call and a packet for
/// each would dominate their cost.
const TOGETHER: usize = 16 << 10;

/// Delay after which a disconnected reader reconnects, in milliseconds.
const RETRY_MS: u64 = 2_000;

/// Writes one event. `json` contains no line breaks: JSON escapes them in strings.
pub(crate) fn event(
    out: &mut Vec<u8>,
    id: Option<&dyn Display>,
    name: &str,
    json: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
) {
    let wrote = id.map_or(Ok(()), |id| writeln!(out, "id: {id}"));
    wrote
        .and_then(|()| write!(out, "event: {name}\ndata: "))
        .expect("writing to a vector cannot fail");
    json(out).expect("protocol types always serialize");
    out.extend(b"\n\n");
}

/// Counts an open reader until dropped.
struct OpenReader(Arc<AtomicU64>);

impl Drop for OpenReader {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The source of an event stream.
pub(crate) struct EventSource<T> {
    /// Items to send.
    pub(crate) items: Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>,
    /// Serializes one item as an event.
    pub(crate) write: fn(&mut Vec<u8>, &T),
    /// Final event, sent if the items end without an error.
    pub(crate) last: BoxFuture<'static, Option<Vec<u8>>>,
}

struct EventResponse<T> {
    followed: EventSource<T>,
    app: App,
    credential: Credential,
    closing: watch::Receiver<bool>,
    ticks: Interval,
    /// True if anything was sent since the last tick.
    said: bool,
    ended: bool,
    _reader: OpenReader,
}

impl<T: Send + 'static> EventSource<T> {
    /// Builds the response. It ends with the items, at shutdown, and when the reader's credential
    /// is no longer valid.
    pub(crate) fn into_response(
        self,
        app: &App,
        credential: Credential,
        closing: watch::Receiver<bool>,
    ) -> Response {
        let readers = app.metrics.readers();
        readers.fetch_add(1, Ordering::Relaxed);
        let mut ticks = interval_at(Instant::now() + app.limits.heartbeat, app.limits.heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let following = EventResponse {
            followed: self,
            app: app.clone(),
            credential,
            closing,
            ticks,
            said: false,
            ended: false,
            _reader: OpenReader(readers),
        };
        // Sent at once, so that the reader knows that the stream is open before the first event.
        let hello = stream::iter([Ok(Bytes::from(format!("retry: {RETRY_MS}\n\n")))]);
        let events = stream::unfold(following, |mut following| async move {
            let bytes = following.next().await?;
            Some((Ok::<Bytes, Infallible>(bytes.into()), following))
        });
        let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
        // Buffering proxies would hold the events back.
        let unbuffered = [("x-accel-buffering", "no")];
        (headers, unbuffered, Body::from_stream(hello.chain(events))).into_response()
    }
}

impl<T> EventResponse<T> {
    /// Returns the next bytes; none at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        let mut item = loop {
            tokio::select! {
                biased;
                _ = self.closing.wait_for(|closing| *closing) => return None,
                _ = self.ticks.tick() => {}
                item = self.followed.items.next() => break item,
            }
            // Ends the stream if the token was revoked or the session ended.
            self.credential.check(&self.app.registry).await.ok()?;
            if !std::mem::take(&mut self.said) {
                return Some(b":\n\n".to_vec());
            }
        };
        let mut out = Vec::new();
        loop {
            match item {
                Some(Ok(happened)) => (self.followed.write)(&mut out, &happened),
                Some(Err(error)) => {
                    self.ended = true;
                    let problem = Problem::from(&error);
                    event(&mut out, None, PROBLEM, |out| serde_json::to_writer(out, &problem));
                }
                None => {
                    self.ended = true;
                    let last = (&mut self.followed.last).await;
                    out.extend(last.unwrap_or_default());
                }
            }
            if self.ended || out.len() >= TOGETHER {
                break;
            }
            match self.followed.items.next().now_or_never() {
                Some(next) => item = next,
                None => break,
            }
        }
        self.said = true;
        (!out.is_empty()).then_some(out)
    }
}
