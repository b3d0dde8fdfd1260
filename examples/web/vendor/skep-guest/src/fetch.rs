//! HTTP requests with whole bodies, under the worker's `http` grants and secrets.
//!
//! ```
//! use skep_guest::{Failure, Input, Output, fetch::{self, Request}};
//!
//! fn forward(input: Input) -> Result<Output, Failure> {
//!     let request = Request::post("http://api.test/notes", input.body)
//!         .header("content-type", &input.content_type);
//!     let response = fetch::send(&request)?;
//!     if response.status != 201 {
//!         return Err(Failure::new("refused", format!("the API answered {}", response.status)));
//!     }
//!     Ok(Output::text(response.text()?))
//! }
//! ```
//!
//! A component that sends no request does not import `skep:worker/fetch`.

use std::fmt;
use std::time::Duration;

use crate::{Failure, host};

mod redirect;

/// The number of redirects that [`send`] follows.
const REDIRECTS: u32 = 20;

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The method, in upper case.
    pub method: String,
    /// An absolute URL of the scheme `http` or `https`.
    pub url: String,
    /// The headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// The time for each exchange, or `None` for the host's own limits.
    pub timeout: Option<Duration>,
    /// True if redirects are followed, at most 20.
    pub follow_redirects: bool,
}

impl Request {
    /// Makes a request without headers and body that follows redirects.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
            follow_redirects: true,
        }
    }

    /// Makes a GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Makes a POST with this body.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", url).body(body)
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the time for each exchange.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// The response to a request. Any status is a response, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, in order, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
    /// The URL that answered, after redirects.
    pub url: String,
}

impl Response {
    /// Makes a response of this status without headers, for a test's server.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), url: String::new() }
    }

    /// Returns the value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let is_named = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers.iter().find(is_named).map(|(_, value)| value.as_str())
    }

    /// Returns the body as text, whatever its media type.
    ///
    /// # Errors
    /// A [`Failure`] with the code `not-text` if the body is not UTF-8.
    pub fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Failure::new("not-text", format!("the response is not text: {error}")))
    }
}

/// The reason why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The method, the URL or a header cannot be sent. The text names it.
    InvalidRequest(String),
    /// The worker has no grant for this request. The text names the grant.
    Denied(String),
    /// A body or the headers are longer than allowed. The value is that limit.
    TooLarge(u64),
    /// There was no answer in time.
    TimedOut,
    /// The exchange failed. The text names the reason.
    Failed(String),
}

/// Sends a request and waits for the whole response. It follows redirects as a browser's fetch
/// does: a POST becomes a GET after 301 and 302, any method but GET and HEAD after 303, and
/// credentials are not sent to another origin.
///
/// The request leaves once the turn's earlier output is durable, and it cannot be recalled: the
/// next attempt at the input may send it again.
///
/// # Errors
/// [`Error::InvalidRequest`], [`Error::Denied`], [`Error::TooLarge`], [`Error::TimedOut`],
/// [`Error::Failed`], which is also the one for more than 20 redirects.
pub fn send(request: &Request) -> Result<Response, Error> {
    let mut next: Option<Request> = None;
    for _ in 0..=REDIRECTS {
        let sent = next.as_ref().unwrap_or(request);
        let mut response = host::fetch::send(sent)?;
        response.url.clone_from(&sent.url);
        match redirect::after(sent, &response) {
            Some(following) if request.follow_redirects => next = Some(following),
            _ => return Ok(response),
        }
    }
    Err(Error::Failed(format!("more than {REDIRECTS} redirects")))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRequest(reason) => write!(f, "the request is not valid: {reason}"),
            Self::Denied(reason) => write!(f, "the request was denied: {reason}"),
            Self::TooLarge(limit) => write!(f, "the body is longer than {limit} bytes"),
            Self::TimedOut => f.write_str("the request was not answered in time"),
            Self::Failed(reason) => write!(f, "the request failed: {reason}"),
        }
    }
}

impl std::error::Error for Error {}
