//! An HTTP worker: one function that handles a request with its whole body.
//!
//! [`#[skep_guest::web]`](macro@crate::web) exports the function as `skep:worker/web`. A worker that
//! streams bodies exports `wasi:http/incoming-handler` instead.
//!
//! ```
//! use skep_guest::web::{Request, Response};
//! use skep_guest::{Failure, state};
//!
//! #[skep_guest::web]
//! fn respond(request: Request) -> Result<Response, Failure> {
//!     match (request.method.as_str(), request.path()) {
//!         ("GET", "/") => Ok(Response::text(state::get_string("name")?.unwrap_or_default())),
//!         ("PUT", "/") => {
//!             state::set("name", request.text()?)?;
//!             Ok(Response::new(204, ""))
//!         }
//!         _ => Ok(Response::text("there is nothing here\n").status(404)),
//!     }
//! }
//!
//! // A unit test would do the rest.
//! # #[cfg(not(target_family = "wasm"))] {
//! use skep_guest::testing;
//!
//! let put = Request::new("PUT", "/").body("Ada");
//! assert_eq!(testing::respond(respond, put).unwrap().status, 204);
//! assert_eq!(testing::respond(respond, Request::get("/")).unwrap().body, b"Ada");
//! # }
//! ```
//!
//! A request writes to [`state`](crate::state) where the worker's instances are `serial` and its
//! limit `http_at_once` is 1; the writes are committed before the response leaves. Otherwise `set`
//! is an error that says so.

use crate::Failure;
use crate::message::TEXT;

/// A request with its whole body, at most `input_bytes` long (4 MiB by default).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The method, as the client spelled it.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// The host that the client asked for, with its port unless that is the scheme's own.
    pub authority: String,
    /// The path and the query, as the client sent them: `/notes?page=2`.
    pub path_with_query: String,
    /// The headers in order, with names in lower case. `host` is in `authority`.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl Request {
    /// Makes a request without headers and body to `http://localhost`, for a test.
    pub fn new(method: impl Into<String>, path_with_query: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            scheme: "http".to_owned(),
            authority: "localhost".to_owned(),
            path_with_query: path_with_query.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Makes a GET, for a test.
    pub fn get(path_with_query: impl Into<String>) -> Self {
        Self::new("GET", path_with_query)
    }

    /// Makes a POST with this body, for a test.
    pub fn post(path_with_query: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path_with_query).body(body)
    }

    /// Adds a header.
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the path, still in the client's percent-encoding.
    pub fn path(&self) -> &str {
        self.path_with_query.split('?').next().unwrap_or_default()
    }

    /// Returns the query without its `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.path_with_query.split_once('?').map(|(_, query)| query)
    }

    /// Returns the names and values of the query, decoded, in order.
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        form_pairs(self.query().unwrap_or_default())
    }

    /// Returns the value of the first header of this name, in any case. `None` also if it is not
    /// UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let is_named = |(other, _): &&(String, Vec<u8>)| other.eq_ignore_ascii_case(name);
        let value = self.headers.iter().find(is_named).map(|(_, value)| value)?;
        std::str::from_utf8(value).ok()
    }

    /// Returns the body as text, whatever its media type.
    ///
    /// # Errors
    /// A [`Failure`] with the code `not-text` if the body is not UTF-8.
    pub fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Failure::new("not-text", format!("the body is not text: {error}")))
    }
}

/// Decodes names and values of the type `application/x-www-form-urlencoded`: a query, or the body of
/// a form. What is not UTF-8 becomes `\u{fffd}`.
pub fn form_pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let split = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    pairs.map(split).collect()
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|two| two.iter().all(u8::is_ascii_hexdigit));
        let hex = digits.and_then(|two| std::str::from_utf8(two).ok());
        match (byte, hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(escaped)) => {
                out.push(escaped);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The response to a request.
///
/// The client gets 502 instead of one that HTTP does not allow, such as one with a line break in
/// a header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The status code, from 200 to 599.
    pub status: u16,
    /// The headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body, at most `output_bytes` long (4 MiB by default).
    pub body: Vec<u8>,
}

impl Response {
    /// Makes a response without headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// Makes a 200 of type `text/plain; charset=utf-8`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(200, text.into()).header("content-type", TEXT)
    }

    /// Makes a 200 of type `text/html; charset=utf-8`.
    pub fn html(text: impl Into<String>) -> Self {
        Self::new(200, text.into()).header("content-type", "text/html; charset=utf-8")
    }

    /// Sets the status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// The exported type of [`#[skep_guest::web]`](macro@crate::web).
#[doc(hidden)]
pub trait Respond {
    fn respond(request: Request) -> Result<Response, Failure>;
}

/// Calls a handler. The attribute's code has no types of its own, so that errors are the author's.
#[doc(hidden)]
pub fn answer<E: Into<Failure>>(
    handler: impl FnOnce(Request) -> Result<Response, E>,
    request: Request,
) -> Result<Response, Failure> {
    handler(request).map_err(Into::into)
}

#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_web {
    ($site:ty) => {
        type Export = $crate::bindings::Exported<$site>;
        $crate::bindings::web::export!(Export with_types_in $crate::bindings::web);
    };
}

#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_web {
    ($site:ty) => {
        const _: fn($crate::web::Request) -> Result<$crate::web::Response, $crate::Failure> =
            <$site as $crate::web::Respond>::respond;
    };
}
