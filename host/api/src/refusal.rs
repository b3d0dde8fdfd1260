//! A request that is not carried out, as an answer: every one of them is a problem of RFC 9457.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use skep_protocol::problem::PROBLEM_JSON;
use skep_protocol::text::{brief, neutral};
use skep_protocol::{Error, Invalid, Problem};

/// So many characters of the name of an unknown parameter are repeated.
const LONGEST_NAME: usize = 64;

/// What handlers answer.
pub(crate) type Answer<T> = Result<T, Refusal>;

/// A request that is not carried out.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Problem>);

macro_rules! of_http {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $code:literal, $title:literal;)*) => {
        impl Refusal {
            $($(#[$doc])* pub(crate) fn $name() -> Self {
                Self(Box::new(Problem::of_http($status, $code, $title)))
            })*
        }
    };
}

of_http! {
    /// The path or query holds `%` without two hex digits, or no UTF-8.
    malformed_url = 400, "malformed_url", "The URL is not well-formed";
    /// A browser sends it on behalf of another site, for all that can be seen.
    foreign_origin = 403, "foreign_origin",
        "A change by cookie needs an Origin header that names this host";
    /// No such path.
    not_found = 404, "not_found", "There is nothing at this path";
    /// The path is there, the method is not.
    method_not_allowed = 405, "method_not_allowed", "This path does not take this method";
    /// The body stopped coming.
    request_timeout = 408, "request_timeout", "The body did not come in time";
    /// A body that is read as a whole is too large.
    body_too_large = 413, "body_too_large", "The body is larger than this request takes";
    /// The path and query are too long.
    uri_too_long = 414, "uri_too_long", "The URL is longer than 16 KiB";
    /// A form, by cookie.
    unsupported_media_type = 415, "unsupported_media_type",
        "A login and a change by cookie do not take a form; send application/json";
    /// The range begins after the file's end.
    range_not_satisfiable = 416, "range_not_satisfiable", "The range begins after the file's end";
    /// The request is for another host.
    misdirected = 421, "misdirected_request",
        "This host is not called so; the operator can allow the name";
    /// The header is too large.
    header_too_large = 431, "header_fields_too_large",
        "The header is larger than 32 KiB or has more than 100 fields";
    /// Not yet.
    not_ready = 503, "not_ready", "Workers are being restored; try again later";
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(Box::new(Problem::from(&error.into())))
    }
}

impl Refusal {
    /// The query has a parameter that the route does not take. Its value, which may be a token, is
    /// not repeated.
    pub(crate) fn unknown_parameter(name: &str, known: &[&str]) -> Self {
        let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        let mut problem = Problem::from(&Error::from(Invalid::Query));
        problem.detail = format!(
            "this request does not take the query parameter `{}`; those it takes: {known}",
            neutral(&brief(name, LONGEST_NAME))
        );
        Self(Box::new(problem))
    }
}

/// A query parameter makes no sense.
pub(crate) fn query() -> Refusal {
    Invalid::Query.into()
}

/// Who is let in, or why nobody is. Too many attempts are the client's doing, unlike a runtime that
/// has too much to do.
pub(crate) fn let_in<T>(found: Result<T, Error>) -> Answer<T> {
    found.map_err(|error| match error {
        Error::Busy { retry_after } => {
            let title = "Too many failed logins; try again later";
            let mut problem = Problem::of_http(429, "too_many_attempts", title);
            problem.retry_after_ms = u64::try_from(retry_after.as_millis()).ok();
            Refusal(Box::new(problem))
        }
        error => error.into(),
    })
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let status = StatusCode::from_u16(problem.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&*problem).expect("it holds nothing but text and numbers");
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
