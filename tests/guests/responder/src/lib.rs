//! An HTTP guest that does what the path says: `/COMMAND/ARGUMENT`.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

mod skep {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package skep:responder;
            world responder {
                import skep:worker/state@0.1.0;
                import skep:worker/config@0.1.0;
            }
        ",
        world: "skep:responder/responder",
        generate_all,
    });
}

use skep::skep::worker::{config, state};

struct Responder;

wasip2::http::proxy::export!(Responder);

/// Requests that this instance has handled.
static HANDLED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What a request left behind for the next one in this instance.
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// Handles that a careless guest keeps.
enum Kept {
    Answer(#[expect(dead_code, reason = "kept alive")] OutgoingBody),
    Request(#[expect(dead_code, reason = "kept alive")] IncomingRequest),
    Memory(Vec<u8>),
}

impl Guest for Responder {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let handled = HANDLED.fetch_add(1, Ordering::Relaxed) + 1;
        let target = request.path_with_query().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let command = parts.next().unwrap_or_default();
        let argument = parts.next().unwrap_or_default();
        let number = || argument.parse::<u64>().unwrap_or(0);
        match command {
            "" | "hello" => text(answer, 200, "hello\n"),
            "status" => text(answer, number() as u16, "as you wish\n"),
            "count" => text(answer, 200, &format!("{handled}\n")),
            "headers" => text(answer, 200, &shown_headers(&request)),
            "target" => text(answer, 200, &shown_target(&request)),
            "args" => {
                text(answer, 200, &std::env::args().skip(1).collect::<Vec<_>>().join("\n"));
            }
            "env" => text(answer, 200, &std::env::var(argument).unwrap_or_default()),
            "file" => text(
                answer,
                200,
                &std::fs::read_to_string(format!("/{argument}"))
                    .unwrap_or_else(|error| format!("error: {error}")),
            ),
            "write" => {
                let written = std::fs::write(format!("/data/{argument}"), b"written");
                text(answer, if written.is_ok() { 200 } else { 500 }, &format!("{written:?}\n"));
            }
            "set" => set_header(answer, argument),
            "echo" => echo(&request, answer),
            "drain" => drain(&request, answer),
            "bytes" => bytes(answer, number()),
            "events" => events(answer, number()),
            "trailers" => trailers(answer),
            "length" => wrong_length(answer, number()),
            "spin" => loop {
                std::hint::spin_loop();
            },
            "spin-after-head" => {
                let body = head(answer, 200, &[]);
                let stream = body.write().unwrap();
                stream.blocking_write_and_flush(b"first").unwrap();
                loop {
                    std::hint::spin_loop();
                }
            }
            "burn" => {
                let body = head(answer, 200, &[]);
                let stream = body.write().unwrap();
                while stream.blocking_write_and_flush(b".").is_ok() {
                    for round in 0..200_000u32 {
                        std::hint::black_box(round);
                    }
                }
            }
            "block" => {
                std::thread::sleep(std::time::Duration::from_secs(3_600));
                text(answer, 200, "awake\n");
            }
            "spin-after-end" => {
                text(answer, 200, "done\n");
                loop {
                    std::hint::spin_loop();
                }
            }
            "sleep" => {
                subscribe_duration(number() * 1_000_000).block();
                text(answer, 200, "awake\n");
            }
            "stall" => {
                let body = head(answer, 200, &[]);
                let stream = body.write().unwrap();
                stream.blocking_write_and_flush(b"first").unwrap();
                subscribe_duration(3_600_000_000_000).block();
            }
            "trap" => panic!("as you wish"),
            "trap-after-head" => {
                let body = head(answer, 200, &[]);
                let stream = body.write().unwrap();
                stream.blocking_write_and_flush(b"first").unwrap();
                subscribe_duration(50_000_000).block();
                panic!("after the head");
            }
            "trap-after-set" => {
                let _body = head(answer, 200, &[]);
                panic!("before anything was sent");
            }
            "unfinished" => {
                let body = head(answer, 200, &[]);
                let stream = body.write().unwrap();
                stream.blocking_write_and_flush(b"part").unwrap();
                // Dropped without `finish`.
            }
            "exit" => std::process::exit(3),
            "unset" => {}
            "error" => ResponseOutparam::set(
                answer,
                Err(ErrorCode::InternalError(Some("the guest's own words".into()))),
            ),
            "denied" => ResponseOutparam::set(answer, Err(ErrorCode::HttpRequestDenied)),
            "memory" => {
                let mut all = Vec::new();
                loop {
                    all.push(vec![1u8; 1 << 20]);
                    if all.len() as u64 > 4 << 10 {
                        break;
                    }
                }
                text(answer, 200, "there was room\n");
            }
            "grow" => {
                KEPT.with_borrow_mut(|kept| kept.push(Kept::Memory(vec![1; number() as usize])));
                text(answer, 200, "grown\n");
            }
            "keep-answer" => {
                let body = head(answer, 200, &[]);
                let stream = body.write().unwrap();
                stream.blocking_write_and_flush(b"kept").unwrap();
                drop(stream);
                KEPT.with_borrow_mut(|kept| kept.push(Kept::Answer(body)));
            }
            "keep-request" => {
                KEPT.with_borrow_mut(|kept| kept.push(Kept::Request(request)));
                text(answer, 200, "kept\n");
            }
            "kept" => {
                let kept = KEPT.with_borrow(|kept| {
                    kept.iter()
                        .map(|kept| match kept {
                            Kept::Answer(_) => "answer ",
                            Kept::Request(_) => "request ",
                            Kept::Memory(memory) if memory.is_empty() => "nothing ",
                            Kept::Memory(_) => "memory ",
                        })
                        .collect::<String>()
                });
                text(answer, 200, &format!("{kept}\n"));
            }
            // Adds one to a number in the state, and answers with it.
            "add" => match add(argument) {
                Ok(number) => text(answer, 200, &format!("{number}\n")),
                Err(error) => text(answer, 500, &format!("{error:?}\n")),
            },
            "get" => {
                let value = state::get(argument).unwrap().unwrap_or_default();
                text(answer, 200, &String::from_utf8_lossy(&value));
            }
            // Changes the state and fails.
            "add-and-trap" => {
                add(argument).unwrap();
                panic!("after the change");
            }
            "add-after-head" => {
                let body = head(answer, 200, &[]);
                let stream = body.write().unwrap();
                stream.blocking_write_and_flush(b"first ").unwrap();
                subscribe_duration(50_000_000).block();
                let added = format!("{:?}", add(argument));
                stream.blocking_write_and_flush(added.as_bytes()).unwrap();
                drop(stream);
                let _ = OutgoingBody::finish(body, None);
            }
            "config" => text(answer, 200, &config::get(argument).unwrap_or_default()),
            "print" => {
                println!("out {argument}");
                eprintln!("err {argument}");
                text(answer, 200, "printed\n");
            }
            _ => text(answer, 404, "no such command\n"),
        }
    }
}

fn add(key: &str) -> Result<u64, state::Error> {
    let before = state::get(key)?.unwrap_or_default();
    let number = String::from_utf8_lossy(&before).parse().unwrap_or(0) + 1;
    state::set(key, number.to_string().as_bytes())?;
    Ok(number)
}

fn shown_headers(request: &IncomingRequest) -> String {
    let mut lines: Vec<_> = request
        .headers()
        .entries()
        .into_iter()
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(&value)))
        .collect();
    lines.sort();
    lines.concat()
}

fn shown_target(request: &IncomingRequest) -> String {
    format!(
        "{:?} {:?} {:?} {:?}\n",
        request.method(),
        request.scheme(),
        request.authority(),
        request.path_with_query()
    )
}

/// Answers with the header `NAME/VALUE`.
fn set_header(answer: ResponseOutparam, argument: &str) {
    let (name, value) = argument.split_once('/').unwrap_or((argument, ""));
    let headers = Fields::new();
    match headers.append(name, value.as_bytes()) {
        Ok(()) => {
            let response = OutgoingResponse::new(headers);
            let body = response.body().unwrap();
            ResponseOutparam::set(answer, Ok(response));
            let _ = OutgoingBody::finish(body, None);
        }
        Err(error) => text(answer, 500, &format!("{error:?}\n")),
    }
}

fn echo(request: &IncomingRequest, answer: ResponseOutparam) {
    let body = head(answer, 200, &[]);
    let incoming = request.consume().unwrap();
    let from = incoming.stream().unwrap();
    let to = body.write().unwrap();
    loop {
        match to.blocking_splice(&from, 1 << 20) {
            Ok(_) => {}
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => return,
        }
    }
    drop(to);
    let _ = OutgoingBody::finish(body, None);
}

/// Reads the whole body and answers with its length.
fn drain(request: &IncomingRequest, answer: ResponseOutparam) {
    let incoming = request.consume().unwrap();
    let from = incoming.stream().unwrap();
    let mut bytes = 0;
    let end = loop {
        match from.blocking_read(1 << 20) {
            Ok(chunk) => bytes += chunk.len(),
            Err(StreamError::Closed) => break "whole",
            Err(StreamError::LastOperationFailed(_)) => break "cut off",
        }
    };
    text(answer, 200, &format!("{bytes} {end}\n"));
}

fn bytes(answer: ResponseOutparam, mut left: u64) {
    let body = head(answer, 200, &[]);
    let to = body.write().unwrap();
    let chunk = vec![b'x'; 4096];
    while left > 0 {
        let next = left.min(chunk.len() as u64);
        if to.blocking_write_and_flush(&chunk[..next as usize]).is_err() {
            return;
        }
        left -= next;
    }
    drop(to);
    let _ = OutgoingBody::finish(body, None);
}

fn events(answer: ResponseOutparam, count: u64) {
    let body = head(answer, 200, &[("content-type", "text/event-stream")]);
    let to = body.write().unwrap();
    for number in 0..count {
        let event = format!("data: {number}\n\n");
        if to.blocking_write_and_flush(event.as_bytes()).is_err() {
            return;
        }
        subscribe_duration(20_000_000).block();
    }
    drop(to);
    let _ = OutgoingBody::finish(body, None);
}

fn trailers(answer: ResponseOutparam) {
    let body = head(answer, 200, &[("trailer", "x-sum")]);
    let to = body.write().unwrap();
    let _ = to.blocking_write_and_flush(b"with a sum");
    drop(to);
    let trailers = Fields::new();
    trailers.append("x-sum", b"10").unwrap();
    let _ = OutgoingBody::finish(body, Some(trailers));
}

/// Says that the body is longer than it is.
fn wrong_length(answer: ResponseOutparam, length: u64) {
    let body = head(answer, 200, &[("content-length", &length.to_string())]);
    let to = body.write().unwrap();
    let _ = to.blocking_write_and_flush(b"12345");
    drop(to);
    let _ = OutgoingBody::finish(body, None);
}

fn text(answer: ResponseOutparam, status: u16, text: &str) {
    let body = head(answer, status, &[("content-type", "text/plain")]);
    let stream = body.write().unwrap();
    for chunk in text.as_bytes().chunks(4096) {
        if stream.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn head(answer: ResponseOutparam, status: u16, fields: &[(&str, &str)]) -> OutgoingBody {
    let headers = Fields::new();
    for (name, value) in fields {
        headers.append(name, value.as_bytes()).unwrap();
    }
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).unwrap();
    let body = response.body().unwrap();
    ResponseOutparam::set(answer, Ok(response));
    body
}
