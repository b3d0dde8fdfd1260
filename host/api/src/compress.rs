//! Compression of answers: JSON over 1 KiB, and event streams, each of whose pieces is complete when
//! it is sent. No answer over 1 KiB has both a secret and text that another person chose, so its
//! length tells nothing about the secret.

use std::io::Write as _;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};
use http_body::Body as _;
use skep_protocol::problem::PROBLEM_JSON;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::console::accepts;

/// Bytes from which compression saves a packet.
const LEAST: u64 = 1 << 10;

/// Answers that are compressed at once. Each takes about 300 KiB until it ends; the others are sent
/// as they are.
const AT_ONCE: usize = 256;

/// Media types that are compressed: JSON, and streams of it. All other content is sent as it is:
/// files and components are mostly compressed or large, and a range must count their own bytes.
const MEDIA: [&str; 4] =
    ["application/json", PROBLEM_JSON, "application/x-ndjson", "text/event-stream"];

/// The permits of compressed answers.
#[derive(Clone)]
pub(crate) struct Compressor(Arc<Semaphore>);

impl Default for Compressor {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// The features of a request that decide whether its answer is compressed.
#[derive(Clone, Copy)]
pub(crate) struct Wanted(bool);

impl Wanted {
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        Self(*method != Method::HEAD && accepts(headers, "gzip"))
    }
}

impl Compressor {
    /// Compresses an answer if its request wants that and it is worth it.
    pub(crate) fn compress(&self, wanted: Wanted, mut response: Response) -> Response {
        let headers = response.headers_mut();
        let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
        let media = media.and_then(|media| media.split(';').next()).unwrap_or_default().trim();
        if !MEDIA.contains(&media) || headers.contains_key(CONTENT_ENCODING) {
            return response;
        }
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
        let is_short = response.body().size_hint().exact().is_some_and(|bytes| bytes < LEAST);
        if !wanted.0 || is_short {
            return response;
        }
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else { return response };
        let (mut head, body) = response.into_parts();
        head.headers.remove(CONTENT_LENGTH);
        head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        Response::from_parts(head, compressed(body, permit))
    }
}

/// Compresses a body. Each piece can be decompressed as soon as it arrives.
fn compressed(body: Body, permit: OwnedSemaphorePermit) -> Body {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let open = Some((body.into_data_stream(), encoder, permit));
    Body::from_stream(stream::unfold(open, |open| async move {
        let (mut body, mut encoder, permit) = open?;
        match body.next().await {
            Some(Ok(piece)) => {
                let written = encoder.write_all(&piece).and_then(|()| encoder.flush());
                written.expect("writing to a vector cannot fail");
                let out = Bytes::from(std::mem::take(encoder.get_mut()));
                Some((Ok(out), Some((body, encoder, permit))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                let last = encoder.finish().expect("writing to a vector cannot fail");
                Some((Ok(Bytes::from(last)), None))
            }
        }
    }))
}
