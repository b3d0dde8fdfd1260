//! Requests to HTTP workers, with bodies that are streams.

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use skep_protocol::*;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::Guest;
use crate::trial::{PATIENCE, Trial, Worker};

/// The host that requests are for.
const SITE: &str = "http://web.example";

/// The sender of a request's body. Its end is that of the body.
struct Sender(mpsc::UnboundedSender<Bytes>);

impl Sender {
    /// Makes a body that is what is sent.
    fn new() -> (Self, HttpBody) {
        let (sender, receiver) = mpsc::unbounded_channel::<Bytes>();
        let frames = stream::unfold(receiver, async |mut receiver| {
            let chunk = receiver.recv().await?;
            Some((Ok(Frame::data(chunk)), receiver))
        });
        (Self(sender), StreamBody::new(Box::pin(frames)).boxed_unsync())
    }

    fn send(&self, chunk: &'static str) {
        self.0.send(chunk.into()).unwrap();
    }
}

fn request(target: &str) -> HttpRequest {
    let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync();
    Request::get(format!("{SITE}{target}")).header("x-mine", "kept").body(body).unwrap()
}

impl Worker<'_> {
    async fn respond(&self, request: HttpRequest) -> Result<HttpAnswer, Error> {
        timeout(PATIENCE, self.runtime().http(self.id, request)).await.unwrap()
    }

    /// Sends a request without a body. Returns the status and the text of the answer.
    async fn get(&self, target: &str) -> (u16, String) {
        let answer = self.respond(request(target)).await.unwrap();
        let status = answer.status().as_u16();
        let body = timeout(PATIENCE, answer.into_body().collect()).await.unwrap().unwrap();
        (status, String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }
}

/// Reads data of a body until this much of it has come.
async fn next(body: &mut HttpBody, text: &str) {
    let mut came = Vec::new();
    while came.len() < text.len() {
        let frame = timeout(PATIENCE, body.frame()).await.expect("a chunk is passed on at once");
        came.extend(frame.unwrap().unwrap().into_data().unwrap());
    }
    assert_eq!(String::from_utf8(came).unwrap(), text);
}

pub(crate) async fn a_request_is_answered_with_a_head_and_a_body(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Responder).await;
    let answer = worker.respond(request("/hello")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/plain");
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers(), None);
    assert_eq!(&body.to_bytes()[..], b"hello\n");
    assert_eq!(worker.view().await.kind, ComponentKind::Http);
}

pub(crate) async fn a_worker_sees_the_target_and_the_headers(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Responder).await;
    let (_, target) = worker.get("/target?q=%20/../a").await;
    assert!(target.contains(r#""web.example""#), "{target}");
    assert!(target.contains(r#""/target?q=%20/../a""#), "{target}");
    let (_, headers) = worker.get("/headers").await;
    assert!(headers.lines().any(|line| line == "x-mine: kept"), "{headers}");
    for ours in ["authorization:", "skep-"] {
        assert!(!headers.lines().any(|line| line.starts_with(ours)), "{headers}");
    }
}

pub(crate) async fn bodies_are_streamed_both_ways(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Responder).await;
    let (sender, body) = Sender::new();
    let request = Request::post(format!("{SITE}/echo")).body(body).unwrap();
    sender.send("one");
    let answer = worker.respond(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = answer.into_body();
    next(&mut body, "one").await;
    sender.send("two");
    next(&mut body, "two").await;
    drop(sender);
    let end = timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
    assert!(end.to_bytes().is_empty());
}

pub(crate) async fn trailers_follow_the_body(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Responder).await;
    let mut request = request("/trailers");
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    let answer = worker.respond(request).await.unwrap();
    let body = timeout(PATIENCE, answer.into_body().collect()).await.unwrap().unwrap();
    let sum = body.trailers().and_then(|trailers| trailers.get("x-sum"));
    assert_eq!(sum.map(|sum| sum.as_bytes()), Some(&b"10"[..]));
    assert_eq!(&body.to_bytes()[..], b"with a sum");
}

pub(crate) async fn a_workers_own_status_is_an_answer(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Responder).await;
    for (target, status, text) in [
        ("/nothing", 404, "no such command\n"),
        ("/status/403", 403, "as you wish\n"),
        ("/status/503", 503, "as you wish\n"),
    ] {
        assert_eq!(worker.get(target).await, (status, text.to_owned()), "{target}");
    }
}

pub(crate) async fn a_request_without_an_answer_is_an_error(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Responder).await;
    let trapped = worker.respond(request("/trap")).await.err();
    assert_eq!(trapped, Some(NoAnswer::Trap.into()));
    assert_eq!(worker.get("/hello").await.0, 200, "the next request has another instance");
}

pub(crate) async fn a_worker_of_another_kind_takes_no_requests(trial: &Trial<'_>) {
    for guest in [Guest::Scribe, Guest::Hello] {
        let worker = trial.worker(guest).await;
        let mut request = request("/hello");
        *request.method_mut() = Method::POST;
        let refused = worker.respond(request).await.err();
        assert_eq!(refused, Some(Error::OperationUnsupported), "{guest:?}");
    }
}

pub(crate) async fn a_worker_that_is_not_there_takes_no_requests(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Responder).await;
    let refused = async |worker: Worker<'_>| worker.respond(request("/hello")).await.err();
    worker.runtime().stop(worker.id).await.unwrap();
    assert_eq!(refused(worker).await, Some(NoAnswer::Stopped.into()));
    worker.runtime().start(worker.id).await.unwrap();
    assert_eq!(worker.get("/hello").await.0, 200);
    worker.runtime().remove(worker.id).await.unwrap();
    assert_eq!(refused(worker).await, Some(Error::WorkerRemoved));
    let unknown = WorkerId::new(7, [7; 10]);
    assert_eq!(refused(worker.other(unknown)).await, Some(Error::UnknownWorker(unknown)));
}
