//! One request and its response, from the grant to the record.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING,
};
use http::uri::PathAndQuery;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use skep_protocol::{Denial, Grants, HttpGrant, Limits};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::{RequestBody, ResponseBody};
use super::ledger::{OpenRequest, RecordOnDrop};
use super::lookups::WorkerKey;
use super::outbound::Outbound;
use super::placeholder::{Credentials, Placeholders};
use super::pump::ResponsePump;
use super::redactor::BodyRedactor;
use super::target::RequestTarget;
use super::task::AbortOnDrop;
use super::{dial, fault};

/// Maximum headers of a response. Their bytes are limited separately.
const HEADERS: usize = 256;

/// One checked request and everything needed to send it.
pub(super) struct Exchange {
    pub(super) outbound: Outbound,
    pub(super) entry: Arc<OpenRequest>,
    /// The interface that the guest called.
    pub(super) interface: &'static str,
    /// The grants that cover the request.
    pub(super) grants: Vec<HttpGrant>,
    pub(super) placeholders: Placeholders,
    pub(super) limits: Limits,
    pub(super) options: RequestOptions,
    pub(super) worker: WorkerKey,
}

/// A position in the queue for a connection permit.
pub(super) type PendingPermit =
    Pin<Box<MaybeDone<BoxFuture<'static, Result<OwnedSemaphorePermit, AcquireError>>>>>;

/// Joins the queue for a connection immediately. A guest reads responses in the order of its
/// requests, so a later request must not take the last connection while an earlier one waits.
pub(super) fn queue(connections: &Arc<Semaphore>) -> PendingPermit {
    let mut pending = Box::pin(maybe_done(connections.clone().acquire_owned().boxed()));
    let _ = pending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    pending
}

/// The response, or a `wasi:http` error.
pub(super) type ResponseResult = Result<Response<WasiBody>, Error>;

impl Exchange {
    /// Sends a request on the outbound threads.
    pub(super) async fn run(
        self,
        pending: PendingPermit,
        request: Request<WasiBody>,
    ) -> ResponseResult {
        let threads = self.outbound.threads().map_err(|error| {
            tracing::error!(%error, "failed to start the outbound threads");
            Error::InternalError(None)
        });
        let entry = self.entry.clone();
        let threads = match threads {
            Ok(threads) => threads,
            Err(error) => {
                entry.finish(Some(fault::code(&error)));
                return Err(error);
            }
        };
        let mut task = AbortOnDrop(threads.spawn(self.perform(pending, request)));
        entry.bind(&task.0);
        match (&mut task.0).await {
            Ok(result) => result,
            Err(_) => Err(Error::ConnectionTerminated),
        }
    }

    async fn perform(self, pending: PendingPermit, request: Request<WasiBody>) -> ResponseResult {
        let record = RecordOnDrop(self.entry.clone());
        let result = self.attempt(pending, request).await;
        match result {
            Ok((parts, incoming, connection, permit, redactor)) => {
                let (frames, received) = mpsc::channel(1);
                let pump = ResponsePump {
                    frames,
                    incoming,
                    redactor,
                    between: wait(self.options.between_bytes_timeout, &self.limits),
                    limits: self.limits,
                    record,
                    _connection: connection,
                    _permit: permit,
                };
                self.entry.bind(&tokio::spawn(pump.run()));
                let body = ResponseBody::new(received, self.entry.clone());
                Ok(Response::from_parts(parts, body.boxed_unsync()))
            }
            Err(error) => {
                record.0.finish(Some(fault::code(&error)));
                Err(error)
            }
        }
    }

    async fn attempt(
        &self,
        mut pending: PendingPermit,
        mut request: Request<WasiBody>,
    ) -> Result<StartedResponse, Error> {
        pending.as_mut().await;
        let permit = pending.as_mut().take_output().and_then(Result::ok);
        let permit = permit.ok_or(Error::ConnectionLimitReached)?;
        // Nothing is sent before the turn is durable. A crash could otherwise undo a turn that
        // others know of.
        self.entry.log.before_leaving().await.map_err(|error| {
            tracing::warn!(%error, "request not sent: its turn is not durable");
            Error::InternalError(None)
        })?;
        let credentials = self.reveal(&mut request);
        check_head(&request, &self.limits)?;
        let redactor = self.placeholders.redactor(credentials).map_err(|error| {
            tracing::error!(%error, "failed to build the redactor");
            Error::InternalError(None)
        })?;
        let until = Instant::now() + wait(self.options.connect_timeout, &self.limits);
        let target = &self.entry.target;
        let dialled = dial::dial(&self.outbound, target, &self.grants, &self.worker, until).await;
        let stream = dialled.inspect_err(|error| {
            if matches!(error, Error::DestinationIpProhibited) {
                let denial = non_public(&self.entry.method, target);
                self.entry.ledger.deny(self.interface, denial);
            }
        })?;
        let buffer = self.limits.http_header_bytes.max(self.limits.http_chunk_bytes).max(8 << 10);
        let mut client = http1::Builder::new();
        client.max_buf_size(usize::try_from(buffer).unwrap_or(usize::MAX)).max_headers(HEADERS);
        let fail = |error: hyper::Error| match self.entry.past_limit.load(Ordering::Relaxed) {
            true => Error::HttpRequestBodySize(Some(self.limits.http_body_bytes)),
            false => fault::exchange(&error, self.limits.http_header_bytes),
        };
        let (mut sender, connection) =
            client.handshake(TokioIo::new(stream)).await.map_err(fail)?;
        let connection = AbortOnDrop(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "outbound connection failed");
            }
        }));
        self.entry.bind(&connection.0);
        let limit = self.limits.http_body_bytes;
        let request = request.map(|body| RequestBody::new(body, self.entry.clone(), limit));
        let response = self.first_byte(sender.send_request(request)).await?.map_err(fail)?;
        let (mut parts, incoming) = response.into_parts();
        self.entry.status.store(parts.status.as_u16(), Ordering::Relaxed);
        if size(&parts.headers) > self.limits.http_header_bytes {
            let limit = u32::try_from(self.limits.http_header_bytes).ok();
            return Err(Error::HttpResponseHeaderSectionSize(limit));
        }
        if !redactor.is_empty() {
            if self.is_with_secrets() && is_coded(&parts.headers) {
                // The redactor cannot see inside an encoded body, which may contain a secret.
                return Err(Error::HttpResponseContentCoding(None));
            }
            // Redaction changes the length.
            parts.headers.remove(CONTENT_LENGTH);
            redactor.redact(&mut parts.headers);
        }
        Ok((parts, incoming, connection, permit, BodyRedactor::new(redactor)))
    }

    /// Returns true if a secret may be sent to this host, by this request or any other.
    fn is_with_secrets(&self) -> bool {
        self.placeholders.any_may_reach(&self.entry.target.host)
    }

    /// Substitutes the secrets that may be sent to this target.
    fn reveal(&self, request: &mut Request<WasiBody>) -> Credentials {
        let allowed = self.placeholders.allowed_for(&self.entry.method, &self.entry.target);
        let credentials = allowed.reveal_in_headers(request.headers_mut());
        let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
        let shown = allowed.reveal_in_path(path).and_then(|path| path.parse().ok());
        if let Some(uri) = shown {
            *request.uri_mut() = uri;
        }
        if self.is_with_secrets() {
            let plain = HeaderValue::from_static("identity");
            request.headers_mut().insert(ACCEPT_ENCODING, plain);
        }
        credentials
    }

    /// Waits for the response to begin. The timeout starts again while request bytes are being
    /// sent.
    async fn first_byte<T>(&self, response: impl Future<Output = T>) -> Result<T, Error> {
        let within = wait(self.options.first_byte_timeout, &self.limits);
        let mut response = std::pin::pin!(response);
        loop {
            let sent = self.entry.sent.load(Ordering::Relaxed);
            if let Ok(response) = tokio::time::timeout(within, &mut response).await {
                return Ok(response);
            }
            if sent == self.entry.sent.load(Ordering::Relaxed) {
                return Err(Error::HttpResponseTimeout);
            }
        }
    }
}

/// A response whose headers have arrived, with the connection and permit that it holds.
type StartedResponse =
    (http::response::Parts, Incoming, AbortOnDrop<()>, OwnedSemaphorePermit, BodyRedactor);

/// Returns the timeout of one step: the guest's own, capped at the limit.
fn wait(requested: Option<Duration>, limits: &Limits) -> Duration {
    let most = Duration::from_millis(limits.http_wait_ms);
    requested.map_or(most, |requested| requested.min(most))
}

/// Returns true if a response body has a content or transfer coding other than plain or chunked
/// bytes.
fn is_coded(headers: &HeaderMap) -> bool {
    let coded = |name, plain: &str| {
        headers
            .get_all(name)
            .iter()
            .any(|value| !value.as_bytes().eq_ignore_ascii_case(plain.as_bytes()))
    };
    coded(CONTENT_ENCODING, "identity") || coded(TRANSFER_ENCODING, "chunked")
}

/// Checks the size of a request's path and headers.
pub(super) fn check_head<B>(request: &Request<B>, limits: &Limits) -> Result<(), Error> {
    let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    if path.len() as u64 + size(request.headers()) > limits.http_header_bytes {
        let limit = u32::try_from(limits.http_header_bytes).ok();
        return Err(Error::HttpRequestHeaderSectionSize(limit));
    }
    Ok(())
}

/// Returns the bytes that headers take on the wire.
pub(super) fn size(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64).sum()
}

/// The denial of a request that resolves to a non-public address without a grant for one.
fn non_public(method: &str, target: &RequestTarget) -> Denial {
    let grants = target.grant(true).map(|grant| Grants { http: vec![grant], ..Grants::default() });
    Denial {
        wanted: Some(format!("{method} {target}, which has no public address")),
        grant: grants,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_and_transfer_codings_are_detected() {
        let headers = |all: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in all {
                headers.append(*name, HeaderValue::from_static(value));
            }
            is_coded(&headers)
        };
        assert!(!headers(&[]));
        assert!(!headers(&[("content-encoding", "Identity"), ("transfer-encoding", "chunked")]));
        assert!(headers(&[("content-encoding", "identity"), ("content-encoding", "gzip")]));
        assert!(headers(&[("content-encoding", "identity, br")]));
        assert!(headers(&[("transfer-encoding", "gzip, chunked")]));
    }
}
