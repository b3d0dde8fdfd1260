//! A service whose input is a text command that sends one or more HTTP requests; used by the host's
//! tests.
//!
//! `get URL [HEADER:VALUE …]`, `send METHOD URL BYTES [HEADER:VALUE …]` answer with the status, the
//! headers and the body; `drain URL` counts the body; `follow URL` follows redirects; `hurry URL
//! MS` limits the wait for an answer; `many COUNT URL` sends requests at once; `keep URL` leaves
//! the answer unread for `resume` in a later turn; `hold URL SECONDS` leaves it unread; `fields
//! COUNT BYTES` and `bodies COUNT` hoard; `fetch METHOD URL MILLIS BYTES [HEADER:VALUE …]` sends a
//! request with whole bodies, `measure URL` shows only the length of what comes back; `say KEY` returns a value of the config, `env` the
//! environment. In URLs and headers, `$NAME` is the worker's placeholder for the secret of that
//! name. An error of `wasi:http` is answered as `error CODE`.

mod exchange;
mod hoard;
mod url;
mod whole;

use std::cell::RefCell;

use skep_guest::{Failure, Input, Output, Worker, config};
use wasip2::http::types::{ErrorCode, IncomingResponse};

use crate::exchange::{Asked, ask, body};

struct Caller;

impl Worker for Caller {
    fn handle(input: Input) -> Result<Output, Failure> {
        let text = input.text()?.to_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        Ok(Output::text(obey(&words)))
    }
}

skep_guest::worker!(Caller);

thread_local! {
    static KEPT: RefCell<Option<IncomingResponse>> = const { RefCell::new(None) };
}

fn obey(words: &[&str]) -> String {
    match *words {
        ["get", url, ref headers @ ..] => show(ask(&Asked::get(url).with(headers))),
        ["send", method, url, bytes, ref headers @ ..] => {
            show(ask(&Asked { method, body: Some(number(bytes)), ..Asked::get(url).with(headers) }))
        }
        ["hurry", url, millis] => {
            show(ask(&Asked { patience_ms: Some(number(millis)), ..Asked::get(url) }))
        }
        ["drain", url] => told(ask(&Asked::get(url)), |answer| drained(&answer)),
        ["follow", url] => follow(url),
        ["many", count, url] => exchange::many(number(count), url),
        ["keep", url] => told(ask(&Asked::get(url)), |answer| {
            KEPT.set(Some(answer));
            "kept".into()
        }),
        ["resume"] => KEPT.take().map_or("nothing".into(), |answer| drained(&answer)),
        ["hold", url, seconds] => told(ask(&Asked::get(url)), |_answer| {
            std::thread::sleep(std::time::Duration::from_secs(number(seconds)));
            "held".into()
        }),
        ["fetch", method, url, millis, bytes, ref headers @ ..] => {
            let (patience_ms, body) = (millis.parse().ok(), Some(number(bytes)));
            let asked = Asked { method, patience_ms, body, ..Asked::get(url).with(headers) };
            whole::show(whole::fetch(&asked))
        }
        ["measure", url] => whole::measure(whole::fetch(&Asked::get(url))),
        ["fields", count, bytes] => hoard::fields(number(count), number(bytes)),
        ["bodies", count] => hoard::bodies(number(count)),
        ["say", key] => config::get(key).unwrap_or_else(|| "-".into()),
        ["env"] => std::env::vars().map(|(key, value)| format!("{key}={value}\n")).collect(),
        _ => format!("there is no {words:?}"),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("the argument is a number")
}

fn told<T>(result: Result<T, ErrorCode>, tell: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(answer) => tell(answer),
        Err(error) => format!("error {error:?}"),
    }
}

/// Formats `status N`, a line for each header, an empty line, and the body.
fn show(answer: Result<IncomingResponse, ErrorCode>) -> String {
    told(answer, |answer| {
        let mut text = format!("status {}\n", answer.status());
        for (name, value) in answer.headers().entries() {
            text += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
        }
        let mut bytes = Vec::new();
        let end = body(&answer, |chunk| bytes.extend_from_slice(chunk));
        text + "\n" + &String::from_utf8_lossy(&bytes) + &end.err().unwrap_or_default()
    })
}

/// Formats `status N received BYTES largest BYTES`, the latter of one chunk, and the error at the
/// end.
fn drained(answer: &IncomingResponse) -> String {
    let (mut received, mut largest) = (0, 0);
    let end = body(answer, |chunk| {
        received += chunk.len();
        largest = largest.max(chunk.len());
    });
    let end = end.err().unwrap_or_default();
    format!("status {} received {received} largest {largest} {end}", answer.status())
}

fn follow(url: &str) -> String {
    let mut text = String::new();
    let mut next = url.to_owned();
    for _ in 0..10 {
        match ask(&Asked::get(&next)) {
            Err(error) => return text + &format!("{next} error {error:?}"),
            Ok(answer) => {
                text += &format!("{next} {}\n", answer.status());
                match answer.headers().get("location").pop() {
                    None => return text,
                    Some(location) => next = String::from_utf8_lossy(&location).into_owned(),
                }
            }
        }
    }
    text + "too many"
}
