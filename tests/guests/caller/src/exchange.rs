//! A request and its answer.

use std::collections::BTreeMap;

use skep_guest::config;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method,
    OutgoingBody, OutgoingRequest, RequestOptions,
};
use wasip2::io::streams::StreamError;

use crate::url;

/// A request.
pub struct Asked<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: Vec<(String, String)>,
    /// The length of the body.
    pub body: Option<u64>,
    pub patience_ms: Option<u64>,
}

impl<'a> Asked<'a> {
    pub fn get(url: &'a str) -> Self {
        Self { method: "GET", url, headers: Vec::new(), body: None, patience_ms: None }
    }

    /// Returns the URL with the placeholders of secrets.
    pub fn whole_url(&self) -> String {
        secrets(self.url)
    }

    /// Adds headers of the form `NAME:VALUE`; an underscore in a value is a space.
    pub fn with(mut self, headers: &[&str]) -> Self {
        for header in headers {
            let (name, value) = header.split_once(':').expect("a header has a colon");
            self.headers.push((name.to_owned(), secrets(&value.replace('_', " "))));
        }
        self
    }
}

/// Replaces each `$NAME` with the placeholder of that secret.
fn secrets(text: &str) -> String {
    let mut text = text.to_owned();
    for (key, value) in config::get_all() {
        if let Some(name) = key.strip_prefix("secret.") {
            text = text.replace(&format!("${name}"), &value);
        }
    }
    text
}

/// Starts a request. `body` fills the body with the letter `x`.
fn begin(asked: &Asked<'_>) -> Result<FutureIncomingResponse, ErrorCode> {
    let url = asked.whole_url();
    let (scheme, authority, path) = url::parts(&url);
    let headers = Fields::new();
    for (name, value) in &asked.headers {
        if headers.append(name, value.as_bytes()).is_err() {
            return Err(ErrorCode::InternalError(Some(format!("header {name}"))));
        }
    }
    if let Some(length) = asked.body {
        let length = length.to_string();
        headers.append("content-length", length.as_bytes()).expect("a length is a header");
    }
    let request = OutgoingRequest::new(headers);
    let method = match asked.method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    };
    let refused = |what: &str| ErrorCode::InternalError(Some(what.to_owned()));
    request.set_method(&method).map_err(|()| refused("method"))?;
    request.set_scheme(Some(&scheme)).map_err(|()| refused("scheme"))?;
    request.set_authority(Some(authority)).map_err(|()| refused("authority"))?;
    request.set_path_with_query(Some(path)).map_err(|()| refused("path"))?;
    let options = asked.patience_ms.map(|millis| {
        let options = RequestOptions::new();
        let nanos = Some(millis * 1_000_000);
        // The time to connect does not count; only the answer must be quick.
        for set in
            [RequestOptions::set_first_byte_timeout, RequestOptions::set_between_bytes_timeout]
        {
            set(&options, nanos).expect("a timeout can be set");
        }
        options
    });
    let Some(mut left) = asked.body else { return handle(request, options) };
    let body = request.body().map_err(|()| refused("body"))?;
    let answer = handle(request, options)?;
    let stream = body.write().expect("not taken before");
    while left > 0 {
        let chunk = vec![b'x'; left.min(4_096) as usize];
        if stream.blocking_write_and_flush(&chunk).is_err() {
            break;
        }
        left -= chunk.len() as u64;
    }
    drop(stream);
    if left == 0 {
        OutgoingBody::finish(body, None)?;
    }
    Ok(answer)
}

fn answer(future: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    loop {
        if let Some(answer) = future.get() {
            return answer.expect("not taken before");
        }
        future.subscribe().block();
    }
}

/// Sends a request and waits for the head of the answer.
pub fn ask(asked: &Asked<'_>) -> Result<IncomingResponse, ErrorCode> {
    answer(&begin(asked)?)
}

/// Sends many requests at once and reads all answers: `COUNT STATUS` or `COUNT error CODE` for each
/// kind.
pub fn many(count: u64, url: &str) -> String {
    let begun: Vec<_> = (0..count).map(|_| begin(&Asked::get(url))).collect();
    let mut kinds = BTreeMap::<String, u64>::new();
    for future in begun {
        let end = match future.and_then(|future| answer(&future)) {
            Ok(answer) => match body(&answer, |_| ()) {
                Ok(()) => answer.status().to_string(),
                Err(error) => error,
            },
            Err(error) => format!("error {error:?}"),
        };
        *kinds.entry(end).or_default() += 1;
    }
    kinds.iter().map(|(end, count)| format!("{count} {end}\n")).collect()
}

/// Reads a body to its end.
pub fn body(answer: &IncomingResponse, mut take: impl FnMut(&[u8])) -> Result<(), String> {
    let body = answer.consume().map_err(|()| "error taken".to_owned())?;
    let stream = body.stream().map_err(|()| "error taken".to_owned())?;
    let end = loop {
        match stream.blocking_read(64 << 10) {
            Ok(chunk) => take(&chunk),
            Err(StreamError::Closed) => break Ok(()),
            Err(StreamError::LastOperationFailed(error)) => {
                break Err(format!("error {}", error.to_debug_string()));
            }
        }
    };
    drop(stream);
    drop(IncomingBody::finish(body));
    end
}
