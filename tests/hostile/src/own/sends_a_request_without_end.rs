//! A request without end to a worker that takes whole bodies: the host reads as much as its limit, and
//! the worker is not called.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use skep_protocol::{BodyCut, HttpRequest, Limits};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;

const CHUNK: usize = 64 << 10;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let worker = super::http_worker(bed, "website", &[]).await;
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = sent.clone();
        let chunks = stream::repeat_with(move || {
            counted.fetch_add(CHUNK, Ordering::Relaxed);
            Ok::<_, BodyCut>(Frame::data(Bytes::from(vec![b'x'; CHUNK])))
        });
        let mut request = HttpRequest::new(StreamBody::new(chunks).boxed_unsync());
        *request.method_mut() = "POST".parse().unwrap();
        *request.uri_mut() = "http://a.example/count".parse().unwrap();
        let answer = bed.runtime().http(worker, request).await;
        bed.runtime().remove(worker).await.unwrap();
        let read = sent.load(Ordering::Relaxed);
        let most = usize::try_from(Limits::default().input_bytes).unwrap() + CHUNK;
        Seen::told(match answer {
            Err(error) if read <= most => End::of_error(&error),
            Err(_) => End::Wrong(format!("{read} bytes were read")),
            Ok(answer) => End::Wrong(format!("it was answered {}", answer.status())),
        })
    })
}
