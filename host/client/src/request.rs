//! An API request, before it becomes an HTTP request: method, path, content, and whether it may be
//! repeated.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use skep_protocol::ByteStream;
use tokio::time::Instant;

use crate::transfer::{Outgoing, UploadBody};

/// The characters left as they are in a path segment: RFC 3986's unreserved characters, and the
/// colon of a digest.
const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// A path segment, before encoding.
pub(crate) type Part<'a> = &'a (dyn Display + Sync);

/// An API request.
pub(crate) struct ApiRequest {
    pub(crate) method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) content: RequestContent,
    /// True if repeating the request is harmless.
    pub(crate) repeatable: bool,
    /// Extra time for the server to answer.
    pub(crate) patience: Duration,
    /// Time until which the server should wait for an outcome.
    wait_until: Option<Instant>,
}

/// The content of a request.
pub(crate) enum RequestContent {
    None,
    Bytes(Bytes),
    Upload(UploadBody),
}

impl RequestContent {
    /// Returns the body for one attempt.
    pub(crate) fn outgoing(&self) -> Outgoing {
        match self {
            Self::None => Outgoing::Bytes(None),
            Self::Bytes(bytes) => Outgoing::Bytes(Some(bytes.clone())),
            Self::Upload(upload) => Outgoing::Upload(upload.clone()),
        }
    }

    pub(crate) fn upload(&self) -> Option<&UploadBody> {
        match self {
            Self::Upload(upload) => Some(upload),
            Self::None | Self::Bytes(_) => None,
        }
    }
}

impl ApiRequest {
    /// Creates a request, encoding each path segment.
    fn new(method: Method, path: &[Part<'_>]) -> Self {
        let mut written = String::new();
        for part in path {
            written.push('/');
            written.extend(utf8_percent_encode(&part.to_string(), IN_PATH));
        }
        Self {
            repeatable: method == Method::GET,
            method,
            path: written,
            query: Vec::new(),
            headers: Vec::new(),
            content: RequestContent::None,
            patience: Duration::ZERO,
            wait_until: None,
        }
    }

    pub(crate) fn get(path: &[Part<'_>]) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: &[Part<'_>]) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn patch(path: &[Part<'_>]) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub(crate) fn put(path: &[Part<'_>]) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(crate) fn delete(path: &[Part<'_>]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Appends a name to the path, keeping its slashes.
    pub(crate) fn below(mut self, name: &str) -> Self {
        for part in name.split('/') {
            self.path.push('/');
            self.path.extend(utf8_percent_encode(part, IN_PATH));
        }
        self
    }

    /// Adds a parameter if it has a value.
    pub(crate) fn with(mut self, name: &'static str, value: Option<impl Display>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets a JSON body.
    pub(crate) fn json(self, json: Vec<u8>) -> Self {
        let mut ask = self.header(http::header::CONTENT_TYPE, JSON);
        ask.content = RequestContent::Bytes(json.into());
        ask
    }

    /// Sets a streamed body.
    pub(crate) fn upload(self, content_type: &'static str, stream: ByteStream) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        let mut ask = self.header(http::header::CONTENT_TYPE, content_type);
        ask.content = RequestContent::Upload(UploadBody::new(stream));
        ask
    }

    /// Allows repeating the request if it is unknown whether it arrived.
    pub(crate) fn repeatable(mut self, repeatable: bool) -> Self {
        self.repeatable = repeatable;
        self
    }

    /// Allows the server this much more time.
    pub(crate) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Asks the server to wait for an outcome. The time counts from now, over all attempts.
    pub(crate) fn wait(mut self, wait: Option<Duration>) -> Self {
        let wait = wait.map(|wait| wait.min(LONGEST_WAIT));
        self.wait_until = wait.map(|wait| Instant::now() + wait);
        self.patience += wait.unwrap_or_default();
        self
    }

    /// Returns true if the request is for a range.
    pub(crate) fn is_ranged(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == http::header::RANGE)
    }

    /// Returns path and query, as sent.
    pub(crate) fn target(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.query.iter().map(|(name, value)| (name, value)));
        if let Some(until) = self.wait_until {
            let left = until.saturating_duration_since(Instant::now());
            // Rounded up, so that forwarding does not lose a millisecond each time.
            let left = left.as_micros().div_ceil(1_000);
            query.append_pair("wait_ms", &left.to_string());
        }
        match query.finish() {
            none if none.is_empty() => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }
}

/// Maximum time that servers wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_segments_are_encoded() {
        let ask = ApiRequest::get(&[&"workers", &"../a?b#c%d", &"files"]).below("dir/ü ?.txt");
        assert_eq!(ask.target(), "/workers/..%2Fa%3Fb%23c%25d/files/dir/%C3%BC%20%3F.txt");
    }

    #[test]
    fn a_parameter_is_encoded_and_omitted_without_a_value() {
        let ask = ApiRequest::get(&[&"workers"]).with("cursor", None::<&str>);
        assert_eq!(ask.target(), "/workers");
        let ask = ask.with("label", Some("a=b&c d")).with("limit", Some(7));
        assert_eq!(ask.target(), "/workers?label=a%3Db%26c+d&limit=7");
    }
}
