//! Requests to a remote runtime's HTTP workers.

use std::time::Duration;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, HOST, HeaderName, TE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use skep_protocol::http_hop::{AUTHORITY, FROM, FROM_WORKER, SCHEME, TARGET};
use skep_protocol::{BodyCut, Error, Http, HttpAnswer, HttpRequest, Invalid, NoAnswer, WorkerId};
use tokio::time::timeout;

use crate::answer::{Fault, refusal};
use crate::http_upload::{HttpUpload, UploadFailure};
use crate::transfer::{Outgoing, whole};

use super::Client;

/// Maximum time until the head of an answer. The runtime has its own deadline, which is shorter and
/// says why.
const HEAD: Duration = Duration::from_secs(15 * 60);

/// Maximum size of a problem.
const PROBLEM: usize = 64 << 10;

#[async_trait]
impl Http for Client {
    async fn http(&self, worker: WorkerId, request: HttpRequest) -> Result<HttpAnswer, Error> {
        if self.runtime_id().is_some() {
            // The browser's API answers a browser.
            return Err(Error::OperationUnsupported);
        }
        let (request, failed) = self.forwarded(worker, request)?;
        let token = request.headers().get(AUTHORIZATION).cloned();
        // The pool sends a request again only if nothing of it was sent before.
        let answered = timeout(HEAD, self.wire.pool().request(request)).await;
        let lost = |sent| self.wire.error(Fault::Lost { sent });
        let response = match answered {
            Ok(Ok(response)) => response,
            // The caller's own body ended early, which says nothing about the runtime.
            Ok(Err(_)) if failed.has_failed() => return Err(Invalid::Body.into()),
            Ok(Err(error)) => return Err(lost(!error.is_connect())),
            Err(_) => return Err(NoAnswer::Deadline.into()),
        };
        let (mut head, body) = response.into_parts();
        if head.headers.get(FROM).is_some_and(|from| from == FROM_WORKER) {
            remove_ours(&mut head.headers);
            let body = body.map_err(|_| BodyCut).boxed_unsync();
            return Ok(HttpAnswer::from_parts(head, body));
        }
        if head.status == http::StatusCode::UNAUTHORIZED {
            // The next request has the new token.
            self.wire.bearer().renewed(token.as_ref());
        }
        let within = self.wire.deadlines.headers;
        let body = whole(body, PROBLEM, within, within).await;
        let body = body.map_err(|fault| self.wire.error(fault))?;
        Err(self.wire.error(refusal(head.status.as_u16(), &head.headers, &body)))
    }
}

impl Client {
    /// Turns a worker's request into one for the runtime that has the worker.
    fn forwarded(
        &self,
        worker: WorkerId,
        request: HttpRequest,
    ) -> Result<(http::Request<Outgoing>, UploadFailure), Error> {
        let (mut head, body) = request.into_parts();
        let uri: Uri = self
            .wire
            .uri(&format!("/workers/{worker}/http/"))
            .parse()
            .map_err(|_| Invalid::Query)?;
        remove_ours(&mut head.headers);
        head.headers.remove(HOST);
        head.headers.remove(AUTHORIZATION);
        let text = |text: &str| HeaderValue::try_from(text).map_err(|_| Invalid::Query);
        if let Some(authority) = head.uri.authority() {
            head.headers.insert(AUTHORITY, text(authority.as_str())?);
        }
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        head.headers.insert(TARGET, text(target)?);
        head.headers.insert(TE, HeaderValue::from_static("trailers"));
        if !body.is_end_stream() && body.size_hint().exact().is_none() {
            // Without it, the body of a GET would not be sent.
            head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if let Some(scheme) = head.uri.scheme_str() {
            head.headers.insert(SCHEME, text(scheme)?);
        }
        if let Some(token) = self.wire.bearer().header() {
            head.headers.insert(AUTHORIZATION, token);
        }
        head.uri = uri;
        head.version = http::Version::HTTP_11;
        let (body, failed) = HttpUpload::new(body);
        Ok((http::Request::from_parts(head, Outgoing::Http(body)), failed))
    }
}

/// Removes the headers that only hosts set.
fn remove_ours(headers: &mut HeaderMap) {
    let ours: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("skep-")).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}
