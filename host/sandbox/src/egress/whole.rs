//! Requests whose responses are collected before the guest sees them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::Error;

use super::caller::HttpCaller;
use super::exchange::ResponseResult;
use super::fault;
use super::ledger::OpenRequest;
use super::target::RequestTarget;

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct WholeResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The reason that there is no whole response. No text contains an address or a system message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WholeError {
    InvalidRequest(String),
    Denied(String),
    TooLarge(u64),
    TimedOut,
    Failed(String),
}

impl HttpCaller {
    /// Sends a request, made through `interface`, and collects its response. Each body has at most
    /// `most` bytes, and the exchange takes at most `within`.
    pub(crate) fn whole(
        &self,
        interface: &'static str,
        request: Request<Bytes>,
        within: Option<Duration>,
        most: u64,
    ) -> impl Future<Output = Result<WholeResponse, WholeError>> + Send + use<> {
        let failed = FailedRequest::new(request.method().as_str(), request.uri());
        let request = request.map(|body| Full::new(body).map_err(|it| match it {}).boxed_unsync());
        let checked = self.check(interface, request, None);
        async move {
            let (mut exchange, pending, request) =
                checked.map_err(|error| failed.explain(&error))?;
            let limit = &mut exchange.limits.http_body_bytes;
            *limit = most.min(*limit);
            let (most, entry) = (*limit, exchange.entry.clone());
            // Stays alive until the end is recorded: dropping it would record an abandoned request.
            let mut collected = std::pin::pin!(collect(exchange.run(pending, request), most));
            // Dropped before that, if the turn ends meanwhile.
            let _ended = EndedTurn(entry.clone());
            let response = match within {
                None => collected.as_mut().await,
                Some(within) => tokio::time::timeout(within, collected.as_mut())
                    .await
                    .unwrap_or(Err(Error::HttpResponseTimeout)),
            };
            response.map_err(|error| {
                // Has no effect if the exchange itself failed, which is recorded already.
                entry.finish(Some(fault::code(&error)));
                failed.explain(&error)
            })
        }
    }
}

/// Records that the turn of a request ended, unless the request has ended.
struct EndedTurn(Arc<OpenRequest>);

impl Drop for EndedTurn {
    fn drop(&mut self) {
        self.0.finish(Some("turn-ended"));
    }
}

/// Collects a response of at most `most` bytes. The exchange bounds what it receives; redaction may
/// make it longer.
async fn collect(
    response: impl Future<Output = ResponseResult>,
    most: u64,
) -> Result<WholeResponse, Error> {
    let (parts, mut received) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = received.frame().await {
        // The rest are trailers.
        let Ok(bytes) = frame?.into_data() else { continue };
        if (body.len() + bytes.len()) as u64 > most {
            return Err(Error::HttpResponseBodySize(Some(most)));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(WholeResponse { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// The parts of a request that explain its failure.
struct FailedRequest {
    method: String,
    target: Option<RequestTarget>,
}

impl FailedRequest {
    fn new(method: &str, uri: &Uri) -> Self {
        Self { method: method.to_owned(), target: RequestTarget::of(uri).ok() }
    }

    fn explain(&self, error: &Error) -> WholeError {
        match error {
            Error::HttpRequestMethodInvalid => {
                WholeError::InvalidRequest(format!("the method {} cannot be used", self.method))
            }
            Error::HttpRequestUriInvalid => {
                WholeError::InvalidRequest("the URL's host is not a valid name or address".into())
            }
            Error::HttpRequestDenied => WholeError::Denied(self.denied(false)),
            Error::DestinationIpProhibited => WholeError::Denied(self.denied(true)),
            Error::HttpRequestBodySize(Some(limit)) | Error::HttpResponseBodySize(Some(limit)) => {
                WholeError::TooLarge(*limit)
            }
            Error::HttpRequestHeaderSectionSize(Some(limit))
            | Error::HttpResponseHeaderSectionSize(Some(limit)) => {
                WholeError::TooLarge(u64::from(*limit))
            }
            Error::DnsTimeout
            | Error::ConnectionTimeout
            | Error::ConnectionReadTimeout
            | Error::ConnectionWriteTimeout
            | Error::HttpResponseTimeout => WholeError::TimedOut,
            error => WholeError::Failed(format!("{}: {}", fault::code(error), self.wanted())),
        }
    }

    fn denied(&self, inner: bool) -> String {
        let why = if inner { ", which has no public address," } else { "" };
        let grant = self.target.as_ref().and_then(|target| target.grant(inner));
        let grant = grant.map(|grant| format!("; the grant `{grant}` allows it"));
        format!("{}{why} is not granted{}", self.wanted(), grant.unwrap_or_default())
    }

    fn wanted(&self) -> String {
        match &self.target {
            Some(target) => format!("{} {target}", self.method),
            None => self.method.clone(),
        }
    }
}
