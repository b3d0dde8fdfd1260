//! Requests to a remote runtime's HTTP workers.

use std::time::Duration;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Uri};
use http_body_util::BodyExt;
use skep_protocol::http_hop::{AUTHORITY, FROM, FROM_WORKER, SCHEME};
use skep_protocol::{BodyCut, Error, Http, HttpAnswer, HttpRequest, Invalid, WorkerId};
use tokio::time::timeout;

use crate::answer::{Fault, refusal};
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
        let request = self.forwarded(worker, request)?;
        let token = request.headers().get(AUTHORIZATION).cloned();
        // The pool sends a request again only if nothing of it was sent before.
        let answered = timeout(HEAD, self.wire.pool().request(request)).await;
        let lost = |sent| self.wire.error(Fault::Lost { sent });
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(lost(!error.is_connect())),
            Err(_) => return Err(lost(true)),
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
    ) -> Result<http::Request<Outgoing>, Error> {
        let (mut head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let target = match target.starts_with('/') {
            true => self.wire.uri(&format!("/workers/{worker}/http{target}")),
            // `OPTIONS *` has no place in a path.
            false => self.wire.uri(&format!("/workers/{worker}/http/")),
        };
        let uri: Uri = target.parse().map_err(|_| Invalid::Query)?;
        remove_ours(&mut head.headers);
        head.headers.remove(HOST);
        head.headers.remove(AUTHORIZATION);
        let text = |text: &str| HeaderValue::try_from(text).map_err(|_| Invalid::Query);
        if let Some(authority) = head.uri.authority() {
            head.headers.insert(AUTHORITY, text(authority.as_str())?);
        }
        if let Some(scheme) = head.uri.scheme_str() {
            head.headers.insert(SCHEME, text(scheme)?);
        }
        if let Some(token) = self.wire.bearer().header() {
            head.headers.insert(AUTHORIZATION, token);
        }
        head.uri = uri;
        head.version = http::Version::HTTP_11;
        Ok(http::Request::from_parts(head, Outgoing::Http(body)))
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
