//! The bounds on the head of a request.

use axum::http::{HeaderMap, Uri};

use crate::refusal::{HandlerResult, ProblemResponse};

/// Maximum size of path and query together, in bytes: room for a file name of 4,096 percent-encoded
/// bytes.
const URI_BYTES: usize = 16 << 10;

/// Maximum size of the header fields, in bytes.
const HEADER_BYTES: usize = 32 << 10;

/// Maximum number of header fields.
const HEADER_FIELDS: usize = 100;

/// Refuses a target or header fields that are too large.
pub(crate) fn check_size(uri: &Uri, headers: &HeaderMap) -> HandlerResult<()> {
    if uri.path_and_query().is_some_and(|path| path.as_str().len() > URI_BYTES) {
        return Err(ProblemResponse::uri_too_long());
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADER_BYTES || headers.len() > HEADER_FIELDS {
        return Err(ProblemResponse::header_too_large());
    }
    Ok(())
}
