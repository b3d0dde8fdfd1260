//! `skep:worker/fetch`: one HTTP exchange with whole bodies, sent through [`crate::egress`].

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use skep_protocol::text::brief;

use super::worker::bindings::skep::worker::fetch;
use super::world::World;
use crate::egress::{WholeError, WholeResponse, is_ours};

/// The name of the interface.
pub(crate) const FETCH: &str = "skep:worker/fetch";

/// Maximum characters of a guest's text in an error.
const SHOWN: usize = 100;

impl fetch::Host for World {
    async fn send(
        &mut self,
        request: fetch::Request,
    ) -> wasmtime::Result<Result<fetch::Response, fetch::Error>> {
        let within = request.timeout_ms.map(|millis| Duration::from_millis(millis.into()));
        let request = match checked(request) {
            Ok(request) => request,
            Err(why) => return Ok(Err(fetch::Error::InvalidRequest(why))),
        };
        let response = self.http.caller.whole(FETCH, request, within, self.limits.hostcall_bytes);
        Ok(response.await.map(Into::into).map_err(Into::into))
    }
}

/// Makes a request of a guest's texts, or returns the reason why it cannot be sent.
fn checked(request: fetch::Request) -> Result<Request<Bytes>, String> {
    let fetch::Request { method, url, headers, body, .. } = request;
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| format!("{:?} is not a method", brief(&method, SHOWN)))?;
    let mut checked = Request::new(Bytes::from(body));
    *checked.uri_mut() = absolute(&url)?;
    *checked.headers_mut() = checked_headers(headers, &method, checked.body().len())?;
    *checked.method_mut() = method;
    Ok(checked)
}

fn absolute(url: &str) -> Result<Uri, String> {
    // The text may contain a secret's placeholder or a password, so it is not repeated.
    let uri: Uri = url.parse().map_err(|error| format!("the URL is not valid: {error}"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        (Some(scheme), _) => {
            let scheme = brief(scheme, SHOWN);
            Err(format!("the URL's scheme is {scheme}; only http and https can be sent"))
        }
        (None, _) => Err("the URL is not absolute: it has no scheme and host".into()),
    }
}

fn checked_headers(
    headers: Vec<(String, String)>,
    method: &Method,
    length: usize,
) -> Result<HeaderMap, String> {
    let mut checked = HeaderMap::new();
    for (name, value) in headers {
        let shown = brief(&name, SHOWN);
        let known = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{shown:?} is not a header name"))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| format!("the value of the header {shown} has a control character"))?;
        if is_ours(&known) {
            return Err(format!("the header {shown} is set by the host"));
        }
        if known == CONTENT_LENGTH {
            if value.as_bytes() != length.to_string().as_bytes() {
                return Err(format!("the header {shown} does not match the body ({length} bytes)"));
            }
            continue;
        }
        checked.try_append(known, value).map_err(|_| "there are too many headers".to_owned())?;
    }
    let has_body = length > 0 || matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    if has_body {
        checked.insert(CONTENT_LENGTH, length.into());
    }
    Ok(checked)
}

impl From<WholeResponse> for fetch::Response {
    fn from(response: WholeResponse) -> Self {
        let WholeResponse { status, headers, body } = response;
        let header =
            |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().to_owned(), text(value));
        Self { status, headers: headers.iter().map(header).collect(), body }
    }
}

/// Reads a header as UTF-8, or else as Latin-1, in which all bytes are characters.
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    }
}

impl From<WholeError> for fetch::Error {
    fn from(error: WholeError) -> Self {
        match error {
            WholeError::InvalidRequest(why) => Self::InvalidRequest(why),
            WholeError::Denied(what) => Self::Denied(what),
            WholeError::TooLarge(limit) => Self::TooLarge(limit),
            WholeError::TimedOut => Self::TimedOut,
            WholeError::Failed(why) => Self::Failed(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> fetch::Request {
        let header = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        fetch::Request {
            method: method.into(),
            url: url.into(),
            headers: headers.iter().map(header).collect(),
            body: body.to_owned(),
            timeout_ms: None,
        }
    }

    #[test]
    fn a_request_is_sent_as_it_was_made() {
        let headers = [("X-Name", "one"), ("x-name", "tw\u{f6}"), ("content-length", "2")];
        let made = checked(request("PATCH", "https://a.b:1/p?q#f", &headers, b"hi")).unwrap();
        assert_eq!((made.method(), made.body().as_ref()), (&Method::PATCH, &b"hi"[..]));
        assert_eq!(made.uri(), "https://a.b:1/p?q");
        let values: Vec<_> = made.headers().get_all("x-name").iter().map(text).collect();
        assert_eq!(values, ["one", "tw\u{f6}"]);
        assert_eq!(made.headers().get_all(CONTENT_LENGTH).iter().count(), 1);
    }

    #[test]
    fn only_requests_that_have_a_body_have_its_length() {
        let length = |method: &str, body: &[u8]| {
            let made = checked(request(method, "http://a.b", &[], body)).unwrap();
            made.headers().get(CONTENT_LENGTH).map(text)
        };
        assert_eq!(length("GET", b""), None);
        assert_eq!(length("POST", b"").as_deref(), Some("0"));
        assert_eq!(length("DELETE", b"xyz").as_deref(), Some("3"));
    }

    #[test]
    fn a_request_that_cannot_be_sent_is_explained() {
        let why = |request| checked(request).map(drop).unwrap_err();
        let get = |url| why(request("GET", url, &[], b""));
        assert_eq!(get("/p"), "the URL is not absolute: it has no scheme and host");
        assert!(get("data:text/plain,x").contains("URL"));
        assert!(get("http://a.b/ x").starts_with("the URL is not valid"));
        assert!(get("http://a.b/\r\nx: y").starts_with("the URL is not valid"));
        let with = |name, value| why(request("GET", "http://a.b", &[(name, value)], b""));
        for value in ["a\r\nb: c", "a\nb", "a\0"] {
            assert_eq!(with("x", value), "the value of the header x has a control character");
        }
        assert!(with("x y", "z").ends_with("is not a header name"));
        assert!(with("", "z").ends_with("is not a header name"));
        assert_eq!(with("TE", "trailers"), "the header TE is set by the host");
        assert!(with("content-length", "+0").contains("does not match"));
        assert!(why(request("GET POST", "http://a.b", &[], b"")).contains("is not a method"));
        assert!(why(request(&"x y".repeat(900), "http://a.b", &[], b"")).len() < 200);
    }

    #[test]
    fn headers_that_are_not_utf8_are_latin_1() {
        assert_eq!(text(&HeaderValue::from_bytes(b"caf\xe9").unwrap()), "caf\u{e9}");
    }
}
