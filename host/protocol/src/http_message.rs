//! Requests to HTTP workers and their answers, with bodies that are streams.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

/// A body: chunks of data, then trailers.
pub type HttpBody = UnsyncBoxBody<Bytes, BodyCut>;

/// A request to an HTTP worker. Its URI is absolute.
pub type HttpRequest = http::Request<HttpBody>;

/// The answer of an HTTP worker.
pub type HttpAnswer = http::Response<HttpBody>;

/// The end of a body that was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body was cut off")]
pub struct BodyCut;
