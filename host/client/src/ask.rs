//! One request, said without HTTP's own types: what, where, with what, and whether saying it twice
//! does harm.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use skep_protocol::ByteStream;
use tokio::time::Instant;

use crate::transfer::{Outgoing, Upload};

/// What is written as it is in a part of a path: RFC 3986's unreserved characters, and the colon of
/// a digest.
const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// A part of a path, before it is encoded.
pub(crate) type Part<'a> = &'a (dyn Display + Sync);

/// A request.
pub(crate) struct Ask {
    pub(crate) method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) content: Content,
    /// Whether carrying it out twice is carrying it out once.
    pub(crate) repeatable: bool,
    /// How long the server may take beyond the usual.
    pub(crate) patience: Duration,
    /// Until when the server is to wait for an outcome.
    wait_until: Option<Instant>,
}

/// What a request carries.
pub(crate) enum Content {
    None,
    Bytes(Bytes),
    Upload(Upload),
}

impl Content {
    /// It, for one attempt.
    pub(crate) fn outgoing(&self) -> Outgoing {
        match self {
            Self::None => Outgoing::Bytes(None),
            Self::Bytes(bytes) => Outgoing::Bytes(Some(bytes.clone())),
            Self::Upload(upload) => Outgoing::Upload(upload.clone()),
        }
    }

    pub(crate) fn upload(&self) -> Option<&Upload> {
        match self {
            Self::Upload(upload) => Some(upload),
            Self::None | Self::Bytes(_) => None,
        }
    }
}

impl Ask {
    /// A request to a path of which each part is encoded.
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
            content: Content::None,
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

    /// Goes on below the path, with a name whose slashes are the path's own.
    pub(crate) fn below(mut self, name: &str) -> Self {
        for part in name.split('/') {
            self.path.push('/');
            self.path.extend(utf8_percent_encode(part, IN_PATH));
        }
        self
    }

    /// With a parameter, if there is a value for it.
    pub(crate) fn with(mut self, name: &'static str, value: Option<impl Display>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With JSON.
    pub(crate) fn json(self, json: Vec<u8>) -> Self {
        let mut ask = self.header(http::header::CONTENT_TYPE, JSON);
        ask.content = Content::Bytes(json.into());
        ask
    }

    /// With bytes that come as they come.
    pub(crate) fn upload(self, content_type: &'static str, stream: ByteStream) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        let mut ask = self.header(http::header::CONTENT_TYPE, content_type);
        ask.content = Content::Upload(Upload::new(stream));
        ask
    }

    /// May be sent again if it is not known whether it arrived.
    pub(crate) fn repeatable(mut self, repeatable: bool) -> Self {
        self.repeatable = repeatable;
        self
    }

    /// The server may take so much longer.
    pub(crate) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The server is to wait so long for an outcome, from now on, however often it is asked.
    pub(crate) fn wait(mut self, wait: Option<Duration>) -> Self {
        let wait = wait.map(|wait| wait.min(LONGEST_WAIT));
        self.wait_until = wait.map(|wait| Instant::now() + wait);
        self.patience += wait.unwrap_or_default();
        self
    }

    /// Whether it is for a part of something.
    pub(crate) fn is_ranged(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == http::header::RANGE)
    }

    /// Path and query, as they are written on the wire.
    pub(crate) fn target(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.query.iter().map(|(name, value)| (name, value)));
        if let Some(until) = self.wait_until {
            let left = until.saturating_duration_since(Instant::now());
            // Rounded up: what is passed on from one to the next does not lose a millisecond each.
            let left = left.as_micros().div_ceil(1_000);
            query.append_pair("wait_ms", &left.to_string());
        }
        match query.finish() {
            none if none.is_empty() => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }
}

/// What servers wait at most.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_choose_stays_within_its_part_of_the_path() {
        let ask = Ask::get(&[&"workers", &"../a?b#c%d", &"files"]).below("dir/ü ?.txt");
        assert_eq!(ask.target(), "/workers/..%2Fa%3Fb%23c%25d/files/dir/%C3%BC%20%3F.txt");
    }

    #[test]
    fn a_parameter_is_encoded_and_left_out_where_there_is_none() {
        let ask = Ask::get(&[&"workers"]).with("cursor", None::<&str>);
        assert_eq!(ask.target(), "/workers");
        let ask = ask.with("label", Some("a=b&c d")).with("limit", Some(7));
        assert_eq!(ask.target(), "/workers?label=a%3Db%26c+d&limit=7");
    }
}
