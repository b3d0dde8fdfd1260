//! Answers that go on: server-sent events.
//!
//! A reader is a place in what it follows. What it has not taken lies where it was, not here: the
//! next events are asked for when the socket has room for them, so one that does not read costs what
//! is in its socket's buffers, and is dropped by the server after a while.

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

use crate::App;
use crate::credential::Credential;

/// Where a reader that comes back says what it had last.
pub(crate) const LAST_EVENT_ID: &str = "last-event-id";

/// The name of the event that says why a stream ends.
pub(crate) const PROBLEM: &str = "problem";

/// Events that are there already go out together, up to about this many bytes: a system call and a
/// segment for each would be most of their cost.
const TOGETHER: usize = 16 << 10;

/// A reader that lost its connection comes back after this many milliseconds.
const RETRY_MS: u64 = 2_000;

/// Writes one event. `json` has no line breaks: JSON escapes them within strings.
pub(crate) fn event(
    out: &mut Vec<u8>,
    id: Option<&dyn Display>,
    name: &str,
    json: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
) {
    let wrote = id.map_or(Ok(()), |id| writeln!(out, "id: {id}"));
    wrote.and_then(|()| write!(out, "event: {name}\ndata: ")).expect("a vector takes everything");
    json(out).expect("it holds nothing that JSON has no words for");
    out.extend(b"\n\n");
}

/// Counts a reader for as long as it reads.
struct Reader(Arc<AtomicU64>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a reader follows.
pub(crate) struct Followed<T> {
    /// The things that happen.
    pub(crate) items: Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>,
    /// Writes one of them.
    pub(crate) write: fn(&mut Vec<u8>, &T),
    /// What is said when they have ended without an error.
    pub(crate) last: BoxFuture<'static, Option<Vec<u8>>>,
}

struct Following<T> {
    followed: Followed<T>,
    app: App,
    credential: Credential,
    closing: watch::Receiver<bool>,
    ticks: Interval,
    /// Whether something was said since the last tick.
    said: bool,
    ended: bool,
    _reader: Reader,
}

impl<T: Send + 'static> Followed<T> {
    /// The answer. It ends when the things do, when the server shuts down, and when the reader may
    /// not read any more.
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
        let following = Following {
            followed: self,
            app: app.clone(),
            credential,
            closing,
            ticks,
            said: false,
            ended: false,
            _reader: Reader(readers),
        };
        // At once, so that a reader knows that it is heard before anything happens.
        let hello = stream::iter([Ok(Bytes::from(format!("retry: {RETRY_MS}\n\n")))]);
        let events = stream::unfold(following, |mut following| async move {
            let bytes = following.next().await?;
            Some((Ok::<Bytes, Infallible>(bytes.into()), following))
        });
        let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
        // Proxies that gather answers would keep the events to themselves.
        let unbuffered = [("x-accel-buffering", "no")];
        (headers, unbuffered, Body::from_stream(hello.chain(events))).into_response()
    }
}

impl<T> Following<T> {
    /// The next bytes; none at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        let mut item = loop {
            tokio::select! {
                biased;
                _ = self.closing.wait_for(|closing| *closing) => return None,
                _ = self.ticks.tick() => {
                    // A token that was revoked meanwhile, or a session that ended, reads no more.
                    self.credential.check(&self.app.registry).ok()?;
                    if !std::mem::take(&mut self.said) {
                        return Some(b":\n\n".to_vec());
                    }
                }
                item = self.followed.items.next() => break item,
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
