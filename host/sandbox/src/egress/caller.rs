//! The outbound HTTP of one instance. Requests are checked here, on the guest's own thread, before
//! anything is sent.

use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Uri};
use skep_protocol::{Denial, Grants, HttpGrant, Limits, Method};
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

use super::access::HttpAccess;
use super::exchange::{self, Exchange, PendingPermit, ResponseResult};
use super::ledger::{OpenRequest, RequestLedger};
use super::lookups::WorkerKey;
use super::outbound::Outbound;
use super::placeholder::Placeholders;
use super::target::RequestTarget;
use crate::guest::denials::Denied;
use crate::guest::turn::RequestLog;

/// Requests that may wait for each of a worker's connections. The same number of responses may be
/// unread.
const WAITING: u64 = 8;

/// Maximum characters of an unusable host name in a denial.
const HOST_CHARS: usize = 100;

/// The interface of requests whose bodies are streams.
const STREAMS: &str = "wasi:http/outgoing-handler";

/// Checks the requests of one instance and sends those that are granted.
pub(crate) struct HttpCaller {
    outbound: Outbound,
    worker: WorkerKey,
    grants: Vec<HttpGrant>,
    pub(crate) placeholders: Placeholders,
    limits: Limits,
    connections: Arc<Semaphore>,
    ledger: Arc<RequestLedger>,
    log: Arc<dyn RequestLog>,
    /// The interface of the next request whose body is a stream.
    pub(crate) interface: &'static str,
}

impl HttpCaller {
    /// Creates the caller of a new instance. `log` belongs to its first turn.
    pub(crate) fn new(
        outbound: Outbound,
        worker: WorkerKey,
        access: HttpAccess,
        limits: Limits,
        log: Arc<dyn RequestLog>,
    ) -> wasmtime::Result<Self> {
        let connections = usize::try_from(limits.outbound_connections).unwrap_or(usize::MAX);
        Ok(Self {
            outbound,
            worker,
            placeholders: Placeholders::new(&access)?,
            grants: access.grants,
            limits,
            connections: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            ledger: Arc::default(),
            log,
            interface: STREAMS,
        })
    }

    /// Ends the previous turn's requests and records later ones in `log`.
    pub(crate) fn begin(&mut self, log: Arc<dyn RequestLog>) {
        self.end();
        self.log = log;
    }

    /// Aborts all open requests. The turn's log records them.
    pub(crate) fn end(&self) {
        // Without a grant, no request is ever open.
        if !self.grants.is_empty() {
            self.ledger.end();
        }
    }

    /// Returns the denials since the last call.
    pub(crate) fn take_denied(&self) -> Vec<Denied> {
        std::mem::take(&mut *self.ledger.denied())
    }

    /// Checks a request, made through `interface`, and prepares the exchange that sends it.
    pub(super) fn check(
        &self,
        interface: &'static str,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<(Exchange, PendingPermit, Request<WasiBody>), Error> {
        let method = request.method().as_str().to_owned();
        // Browsers forbid these methods too. CONNECT turns the request into a tunnel; TRACE and
        // TRACK make the server echo it, including its secrets.
        let forbidden = matches!(&*method, "CONNECT" | "TRACE" | "TRACK");
        if forbidden || method.parse::<Method>().is_err() {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let target = RequestTarget::of(request.uri()).map_err(|_| {
            self.ledger.deny(interface, unreadable(&method, request.uri()));
            Error::HttpRequestUriInvalid
        })?;
        let covers =
            |grant: &&HttpGrant| grant.covers(&method, target.scheme, &target.host, target.port);
        let grants: Vec<_> = self.grants.iter().filter(covers).cloned().collect();
        if grants.is_empty() {
            self.ledger.deny(interface, uncovered(&method, &target));
            return Err(Error::HttpRequestDenied);
        }
        let request = addressed(request, &target)?;
        exchange::check_head(&request, &self.limits)?;
        let most = self.limits.outbound_connections.saturating_mul(1 + WAITING);
        if self.ledger.has(most) {
            return Err(Error::ConnectionLimitReached);
        }
        let exchange = Exchange {
            outbound: self.outbound.clone(),
            placeholders: self.placeholders.clone(),
            entry: OpenRequest::begin(&self.ledger, self.log.clone(), &method, &target),
            interface,
            grants,
            limits: self.limits,
            options: options.unwrap_or_default(),
            worker: self.worker.clone(),
        };
        Ok((exchange, exchange::queue(&self.connections), request))
    }
}

impl Drop for HttpCaller {
    fn drop(&mut self) {
        self.end();
    }
}

/// The future that [`WasiHttpHooks::send_request`] returns.
type ResponseFuture =
    Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send>;
type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for HttpCaller {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_ours)
    }

    fn set_host_header(&mut self) -> bool {
        // [`addressed`] sets it from the checked target.
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _read: Io,
    ) -> ResponseFuture {
        let interface = std::mem::replace(&mut self.interface, STREAMS);
        let checked = self.check(interface, request, options);
        Box::new(async move {
            let (exchange, pending, request) = checked?;
            let response: ResponseResult = exchange.run(pending, request).await;
            // [`Exchange::run`] drives the connection, so the guest's side has nothing to poll.
            response.map(|response| (response, Box::new(async { Ok(()) }) as Io))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        usize::try_from(self.limits.http_chunk_bytes).unwrap_or(usize::MAX)
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        self.p2_outgoing_body_chunk_size()
    }
}

/// Returns true for headers that control how a message is transferred. Only the host sets those.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name) || *name == header::TE || *name == header::EXPECT
}

/// Rewrites a request for the wire: an origin-form path and one Host header.
fn addressed(
    request: Request<WasiBody>,
    target: &RequestTarget,
) -> Result<Request<WasiBody>, Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    parts.uri = path.parse::<Uri>().map_err(|_| Error::HttpRequestUriInvalid)?;
    for name in DEFAULT_FORBIDDEN_HEADERS {
        parts.headers.remove(name);
    }
    let host = HeaderValue::try_from(target.authority());
    parts.headers.insert(header::HOST, host.map_err(|_| Error::HttpRequestUriInvalid)?);
    Ok(Request::from_parts(parts, body))
}

fn uncovered(method: &str, target: &RequestTarget) -> Denial {
    let grant = target.grant(false);
    Denial {
        wanted: Some(format!("{method} {target}")),
        grant: grant.map(|grant| Grants { http: vec![grant], ..Grants::default() }),
    }
}

fn unreadable(method: &str, uri: &Uri) -> Denial {
    // The part before an `@` may contain a password.
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host: String = host.chars().take(HOST_CHARS).collect();
    let scheme = uri.scheme_str().unwrap_or_default();
    Denial {
        wanted: Some(format!("{method} {scheme}://{host}, which is not a valid host")),
        grant: None,
    }
}
