//! Downloads: responses that a browser saves and never renders.

use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderMap, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Makes a browser save the response under a name.
pub(super) fn attach(headers: &mut HeaderMap, name: &str) {
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let disposition = format!("attachment; filename*=UTF-8''{name}");
    headers.insert(CONTENT_DISPOSITION, value(&disposition));
}

/// Converts a text of our own to the value of a header.
pub(super) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("it is printable ASCII")
}
