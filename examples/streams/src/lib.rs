//! An HTTP worker on plain `wasi:http`: a page, an echo and a stream of events.

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

struct Streams;

wasip2::http::proxy::export!(Streams);

impl Guest for Streams {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        match (request.method(), target.as_str()) {
            (Method::Get | Method::Head, "/") => text(answer, 200, "hello from a sandbox\n"),
            (Method::Get, "/events") => events(answer),
            (Method::Post, "/echo") => echo(&request, answer),
            _ => text(answer, 404, "there is nothing here\n"),
        }
    }
}

/// Answers with a text.
fn text(answer: ResponseOutparam, status: u16, text: &str) {
    let body = head(answer, status, "text/plain; charset=utf-8");
    let stream = body.write().expect("taken once");
    // If the client has left, there is nothing to do.
    let _ = stream.blocking_write_and_flush(text.as_bytes());
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Sends back what comes in, piece by piece.
fn echo(request: &IncomingRequest, answer: ResponseOutparam) {
    let body = head(answer, 200, "application/octet-stream");
    let incoming = request.consume().expect("taken once");
    let from = incoming.stream().expect("taken once");
    let to = body.write().expect("taken once");
    loop {
        match to.blocking_splice(&from, 64 << 10) {
            Ok(_) => {}
            Err(StreamError::Closed) => break,
            // The answer stays unfinished, so the client sees that it is cut off.
            Err(StreamError::LastOperationFailed(_)) => return,
        }
    }
    drop(to);
    let _ = OutgoingBody::finish(body, None);
}

/// Sends an event every tenth of a second.
fn events(answer: ResponseOutparam) {
    let body = head(answer, 200, "text/event-stream");
    let stream = body.write().expect("taken once");
    for number in 1..=10 {
        let event = format!("data: {number}\n\n");
        if stream.blocking_write_and_flush(event.as_bytes()).is_err() {
            return;
        }
        subscribe_duration(100_000_000).block();
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Sends the head of the answer, and returns its body.
fn head(answer: ResponseOutparam, status: u16, content_type: &str) -> OutgoingBody {
    let headers = Fields::new();
    headers.append("content-type", content_type.as_bytes()).expect("a valid header");
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a valid status");
    let body = response.body().expect("taken once");
    ResponseOutparam::set(answer, Ok(response));
    body
}
