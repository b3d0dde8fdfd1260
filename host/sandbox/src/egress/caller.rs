//! One instance's way to others: what is asked is looked at here, on the guest's own thread, before
//! anything of it leaves.

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
use super::exchange::{self, ConnectionTurn, Exchange, ResponseResult};
use super::ledger::{OpenRequest, RequestLedger};
use super::lookups::WorkerKey;
use super::outbound::Outbound;
use super::placeholder::Placeholders;
use super::target::RequestTarget;
use crate::guest::turn::RequestLog;

/// For each connection that a worker may have, requests that wait for one. As many answers may wait
/// to be read.
const WAITING: u64 = 8;

/// The longest that is told of a host that no request can be for.
const TOLD: usize = 100;

/// See the module's documentation.
pub(crate) struct HttpCaller {
    outbound: Outbound,
    worker: WorkerKey,
    grants: Vec<HttpGrant>,
    pub(crate) placeholders: Placeholders,
    limits: Limits,
    connections: Arc<Semaphore>,
    ledger: Arc<RequestLedger>,
    log: Arc<dyn RequestLog>,
}

impl HttpCaller {
    /// That of a worker's new instance. `log` is its first turn's.
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
        })
    }

    /// Has what follows written down with another turn.
    pub(crate) fn begin(&mut self, log: Arc<dyn RequestLog>) {
        self.end();
        self.log = log;
    }

    /// Breaks off what is open, so that the turn's record has it.
    pub(crate) fn end(&self) {
        // Without a grant nothing ever is.
        if !self.grants.is_empty() {
            self.ledger.end();
        }
    }

    /// What was denied since this was last asked.
    pub(crate) fn take_denied(&self) -> Vec<Denial> {
        std::mem::take(&mut *self.ledger.denied())
    }

    /// Checks a request, and makes everything ready for it to be sent.
    fn check(
        &self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<(Exchange, ConnectionTurn, Request<WasiBody>), Error> {
        let method = request.method().as_str().to_owned();
        // As for pages in a browser: the first makes a tunnel of a request, the others have it
        // sent back with all that is in it.
        let forbidden = matches!(&*method, "CONNECT" | "TRACE" | "TRACK");
        if forbidden || method.parse::<Method>().is_err() {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let target = RequestTarget::of(request.uri()).map_err(|_| {
            self.ledger.deny(unreadable(&method, request.uri()));
            Error::HttpRequestUriInvalid
        })?;
        let covers =
            |grant: &&HttpGrant| grant.covers(&method, target.scheme, &target.host, target.port);
        let grants: Vec<_> = self.grants.iter().filter(covers).cloned().collect();
        if grants.is_empty() {
            self.ledger.deny(uncovered(&method, &target));
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

/// What the library's trait wants of a request on its way.
type ResponseFuture =
    Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send>;
type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for HttpCaller {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_ours)
    }

    fn set_host_header(&mut self) -> bool {
        // After the target was read.
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _read: Io,
    ) -> ResponseFuture {
        let checked = self.check(request, options);
        Box::new(async move {
            let (exchange, turn, request) = checked?;
            let answer: ResponseResult = exchange.run(turn, request).await;
            // The connection is driven elsewhere.
            answer.map(|answer| (answer, Box::new(async { Ok(()) }) as Io))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        usize::try_from(self.limits.http_chunk_bytes).unwrap_or(usize::MAX)
    }
}

/// Headers that say how a message travels, which is the host's affair.
fn is_ours(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name) || *name == header::TE || *name == header::EXPECT
}

/// The request as it is written: a path, and one Host.
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
    // What comes before an `@` may be a password.
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host: String = host.chars().take(TOLD).collect();
    let scheme = uri.scheme_str().unwrap_or_default();
    Denial { wanted: Some(format!("{method} {scheme}://{host}, which is no host")), grant: None }
}
