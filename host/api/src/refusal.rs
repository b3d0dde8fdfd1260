//! Refused requests, as problems of RFC 9457.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use skep_protocol::problem::PROBLEM_JSON;
use skep_protocol::text::{brief, neutral};
use skep_protocol::{Error, Invalid, Problem};

/// Maximum number of characters quoted from an unknown parameter's name.
const LONGEST_NAME: usize = 64;

/// The result of a handler.
pub(crate) type HandlerResult<T> = Result<T, ProblemResponse>;

/// A refused request.
#[derive(Debug)]
pub(crate) struct ProblemResponse(Box<Problem>);

/// The problems of HTTP itself.
impl ProblemResponse {
    fn of_http(status: u16, code: &str, title: &str, detail: &str) -> Self {
        Self(Box::new(Problem::of_http(status, code, title, detail)))
    }

    /// Refuses a path or query with an incomplete `%` escape, or that is not UTF-8.
    pub(crate) fn malformed_url() -> Self {
        Self::of_http(
            400,
            "malformed_url",
            "Malformed URL",
            "malformed URL; percent-encode it as UTF-8",
        )
    }

    /// Refuses a change that another site's page may have sent.
    pub(crate) fn foreign_origin() -> Self {
        Self::of_http(
            403,
            "foreign_origin",
            "Foreign origin",
            "missing or foreign Origin header; a change by cookie must come from a page of this host",
        )
    }

    /// Refuses an unknown path.
    pub(crate) fn not_found() -> Self {
        Self::of_http(404, "not_found", "Not found", "unknown path; check the URL")
    }

    /// Refuses an unknown method of a known path.
    pub(crate) fn method_not_allowed() -> Self {
        Self::of_http(
            405,
            "method_not_allowed",
            "Method not allowed",
            "method not allowed for this path",
        )
    }

    /// Refuses a body that did not arrive in time.
    pub(crate) fn request_timeout() -> Self {
        Self::of_http(
            408,
            "request_timeout",
            "Request timeout",
            "the request body did not arrive in time",
        )
    }

    /// Refuses a body over the limit of its route.
    pub(crate) fn body_too_large() -> Self {
        Self::of_http(413, "body_too_large", "Body too large", "the request body is too large")
    }

    /// Refuses a bulk request for too many workers.
    pub(crate) fn too_many_workers() -> Self {
        Self::of_http(
            413,
            "too_many_workers",
            "Too many workers",
            "the request is for more than 10,000 workers; narrow the filter, or send several",
        )
    }

    /// Refuses a path and query that are too long.
    pub(crate) fn uri_too_long() -> Self {
        Self::of_http(414, "uri_too_long", "URL too long", "the URL is longer than 16 KiB")
    }

    /// Refuses a form sent with a cookie.
    pub(crate) fn unsupported_media_type() -> Self {
        Self::of_http(
            415,
            "unsupported_media_type",
            "Unsupported media type",
            "forms are not accepted for login and for changes by cookie; send application/json",
        )
    }

    /// Refuses a request whose host is missing, malformed or ambiguous.
    pub(crate) fn bad_host() -> Self {
        Self::of_http(
            400,
            "bad_host",
            "Bad host",
            "the request's host is missing, malformed or ambiguous; send one Host header",
        )
    }

    /// Refuses to switch a connection to another protocol, such as a WebSocket.
    pub(crate) fn no_upgrade() -> Self {
        Self::of_http(
            501,
            "upgrade_unsupported",
            "Upgrade not supported",
            "connections to workers speak HTTP only; use server-sent events in place of a WebSocket",
        )
    }

    /// Refuses a worker's answer as a script, a style or another part of a page of the console.
    pub(crate) fn no_part_of_page() -> Self {
        Self::of_http(
            403,
            "part_of_page_refused",
            "No part of a page here",
            "a worker's answer is no part of a page on this host's origin; give the worker an address of \
             its own",
        )
    }

    /// Refuses a tunnel.
    pub(crate) fn no_tunnel() -> Self {
        Self::of_http(501, "tunnel_unsupported", "Tunnel not supported", "CONNECT is not supported")
    }

    /// Refuses a range that starts beyond the end of the file.
    pub(crate) fn range_not_satisfiable() -> Self {
        Self::of_http(
            416,
            "range_not_satisfiable",
            "Range not satisfiable",
            "the range starts beyond the end of the file",
        )
    }

    /// Refuses a Host header that names another host.
    pub(crate) fn misdirected() -> Self {
        Self::of_http(
            421,
            "misdirected_request",
            "Misdirected request",
            "unknown Host header; add the name to `allowed_hosts`",
        )
    }

    /// Refuses header fields that are too large or too many.
    pub(crate) fn header_too_large() -> Self {
        Self::of_http(
            431,
            "header_fields_too_large",
            "Header too large",
            "the header is larger than 32 KiB or has more than 100 fields",
        )
    }

    /// Reports that workers are still being restored.
    pub(crate) fn not_ready() -> Self {
        Self::of_http(503, "not_ready", "Not ready", "workers are being restored; try again later")
    }
}

impl<E: Into<Error>> From<E> for ProblemResponse {
    fn from(error: E) -> Self {
        Self(Box::new(Problem::from(&error.into())))
    }
}

impl ProblemResponse {
    /// Reports an unknown query parameter. Its value is not quoted: it may be a token.
    pub(crate) fn unknown_parameter(name: &str, known: &[&str]) -> Self {
        let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        let mut problem = Problem::from(&Error::from(Invalid::Query));
        problem.detail = format!(
            "unknown query parameter `{}`; this request takes: {known}",
            neutral(&brief(name, LONGEST_NAME))
        );
        Self(Box::new(problem))
    }
}

/// Reports an invalid query parameter.
pub(crate) fn query() -> ProblemResponse {
    Invalid::Query.into()
}

impl IntoResponse for ProblemResponse {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let status = StatusCode::from_u16(problem.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&*problem).expect("text and numbers always serialize");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(ms) = problem.retry_after_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
