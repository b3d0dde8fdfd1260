//! One request and its answer, from the grant to the record.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING,
};
use http::uri::PathAndQuery;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use skep_protocol::{Denial, Grants, HttpGrant, Limits, RequestRecord};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::{Received, Sent};
use super::lookups::Worker;
use super::standin::{Credentials, Standins};
use super::target::Target;
use super::veil::Veiled;
use super::{Outbound, dial, fault};
use crate::guest::denials::MOST;
use crate::guest::turn::RequestLog;

/// Headers that an answer may have. Their bytes are bounded besides.
const HEADERS: usize = 256;

/// What a turn's requests share: those that are open, and what they were denied.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: Mutex<BTreeMap<u64, Arc<Exchange>>>,
    denied: Mutex<Vec<Denial>>,
    next: AtomicU64,
    unread: AtomicU64,
}

/// An answer that the guest has not read to its end: its last chunk waits here, and perhaps its
/// headers do.
#[derive(Debug)]
pub(super) struct Unread(Arc<Ledger>);

impl Unread {
    pub(super) fn new(exchange: &Exchange) -> Self {
        exchange.ledger.unread.fetch_add(1, Ordering::Relaxed);
        Self(exchange.ledger.clone())
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.0.unread.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ledger {
    pub(super) fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Exchange>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are so many requests on their way, or so many answers that are not read.
    pub(super) fn has(&self, most: u64) -> bool {
        self.open().len() as u64 >= most || self.unread.load(Ordering::Relaxed) >= most
    }

    /// No more are kept than are told: a guest may be denied something a million times in a turn.
    pub(super) fn deny(&self, denial: Denial) {
        let mut denied = self.denied();
        if denied.len() < MOST && !denied.contains(&denial) {
            denied.push(denial);
        }
    }

    /// What was denied since this was last asked.
    pub(super) fn denied(&self) -> MutexGuard<'_, Vec<Denial>> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks off what is open, and has it recorded.
    pub(super) fn end(&self) {
        let open: Vec<_> = std::mem::take(&mut *self.open()).into_values().collect();
        for exchange in open {
            exchange.record(Some("turn-ended"));
            for task in exchange.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                task.abort();
            }
        }
    }
}

/// What is to be told of a request at its end.
pub(super) struct Exchange {
    number: u64,
    method: String,
    target: Target,
    began: Instant,
    ledger: Arc<Ledger>,
    log: Arc<dyn RequestLog>,
    status: AtomicU16,
    pub(super) sent: AtomicU64,
    received: AtomicU64,
    /// The request's body went past its limit.
    pub(super) past_limit: AtomicBool,
    /// The answer came to its end.
    pub(super) whole: AtomicBool,
    recorded: AtomicBool,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Exchange {
    pub(super) fn begin(
        ledger: &Arc<Ledger>,
        log: Arc<dyn RequestLog>,
        method: &str,
        target: &Target,
    ) -> Arc<Self> {
        let exchange = Arc::new(Self {
            number: ledger.next.fetch_add(1, Ordering::Relaxed),
            method: method.to_owned(),
            target: target.clone(),
            began: Instant::now(),
            ledger: ledger.clone(),
            log,
            status: AtomicU16::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            past_limit: AtomicBool::new(false),
            whole: AtomicBool::new(false),
            recorded: AtomicBool::new(false),
            tasks: Mutex::default(),
        });
        ledger.open().insert(exchange.number, exchange.clone());
        exchange
    }

    /// Writes down how it ended. Only the first word counts.
    fn record(&self, error: Option<&str>) {
        if self.recorded.swap(true, Ordering::SeqCst) {
            return;
        }
        let status = self.status.load(Ordering::Relaxed);
        let error = error.filter(|_| !self.whole.load(Ordering::Acquire));
        self.log.record(RequestRecord {
            method: self.method.clone(),
            scheme: self.target.scheme,
            host: self.target.host.clone(),
            port: self.target.port,
            status: (status > 0).then_some(status),
            sent_bytes: self.sent.load(Ordering::Relaxed),
            received_bytes: self.received.load(Ordering::Relaxed),
            wall_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            error: error.map(str::to_owned),
        });
    }

    fn finish(&self, error: Option<&str>) {
        self.record(error);
        self.ledger.open().remove(&self.number);
    }

    /// Has the task broken off with the turn.
    fn bind<T>(&self, task: &JoinHandle<T>) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task.abort_handle());
        // A turn that ended in between did not see it.
        if self.recorded.load(Ordering::SeqCst) {
            task.abort();
        }
    }
}

/// Sees to it that an exchange is recorded whatever becomes of the task it is in.
struct Watched(Arc<Exchange>);

impl Drop for Watched {
    fn drop(&mut self) {
        // Whoever waited for it lost interest.
        self.0.finish(Some("abandoned"));
    }
}

/// A task that ends with whoever waits for it.
pub(super) struct Held<T>(JoinHandle<T>);

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Everything that a request needs on its way.
pub(super) struct Errand {
    pub(super) outbound: Outbound,
    pub(super) exchange: Arc<Exchange>,
    /// Those that cover it.
    pub(super) grants: Vec<HttpGrant>,
    pub(super) standins: Standins,
    pub(super) limits: Limits,
    pub(super) options: RequestOptions,
    pub(super) worker: Worker,
}

/// A place in the line for a connection.
pub(super) type ConnectionTurn =
    Pin<Box<MaybeDone<BoxFuture<'static, Result<OwnedSemaphorePermit, AcquireError>>>>>;

/// Joins the line now: a guest reads its answers in the order in which it asked, and one that waits
/// for the first must not find that later ones have all the connections.
pub(super) fn queue(connections: &Arc<Semaphore>) -> ConnectionTurn {
    let mut turn = Box::pin(maybe_done(connections.clone().acquire_owned().boxed()));
    let _ = turn.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    turn
}

/// The answer, or a code of `wasi:http`.
pub(super) type Answer = Result<Response<WasiBody>, Error>;

impl Errand {
    /// Sends a request on the threads that are there for it.
    pub(super) async fn run(self, turn: ConnectionTurn, request: Request<WasiBody>) -> Answer {
        let threads = self.outbound.threads().map_err(|error| {
            tracing::error!(%error, "the threads for requests cannot be started");
            Error::InternalError(None)
        });
        let exchange = self.exchange.clone();
        let threads = match threads {
            Ok(threads) => threads,
            Err(error) => {
                exchange.finish(Some(fault::code(&error)));
                return Err(error);
            }
        };
        let mut task = Held(threads.spawn(self.perform(turn, request)));
        exchange.bind(&task.0);
        match (&mut task.0).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::ConnectionTerminated),
        }
    }

    async fn perform(self, turn: ConnectionTurn, request: Request<WasiBody>) -> Answer {
        let watched = Watched(self.exchange.clone());
        let answer = self.attempt(turn, request).await;
        match answer {
            Ok((parts, incoming, connection, permit, veiled)) => {
                let (frames, received) = mpsc::channel(1);
                let pump = Pump {
                    frames,
                    incoming,
                    veiled,
                    between: wait(self.options.between_bytes_timeout, &self.limits),
                    limits: self.limits,
                    watched,
                    _connection: connection,
                    _permit: permit,
                };
                self.exchange.bind(&tokio::spawn(pump.run()));
                let body = Received::new(received, self.exchange.clone());
                Ok(Response::from_parts(parts, body.boxed_unsync()))
            }
            Err(error) => {
                watched.0.finish(Some(fault::code(&error)));
                Err(error)
            }
        }
    }

    async fn attempt(
        &self,
        mut turn: ConnectionTurn,
        mut request: Request<WasiBody>,
    ) -> Result<Begun, Error> {
        turn.as_mut().await;
        let permit = turn.as_mut().take_output().and_then(Result::ok);
        let permit = permit.ok_or(Error::ConnectionLimitReached)?;
        // What a crash could make undone must not have been told to anyone.
        self.exchange.log.before_leaving().await.map_err(|error| {
            tracing::warn!(%error, "a request was not sent: its turn is not on disk");
            Error::InternalError(None)
        })?;
        let credentials = self.reveal(&mut request);
        check_head(&request, &self.limits)?;
        let veil = self.standins.veil(credentials).map_err(|error| {
            tracing::error!(%error, "secrets cannot be looked for");
            Error::InternalError(None)
        })?;
        let until = Instant::now() + wait(self.options.connect_timeout, &self.limits);
        let target = &self.exchange.target;
        let dialled = dial::dial(&self.outbound, target, &self.grants, &self.worker, until).await;
        let stream = dialled.inspect_err(|error| {
            if matches!(error, Error::DestinationIpProhibited) {
                self.exchange.ledger.deny(inner(&self.exchange.method, target));
            }
        })?;
        let buffer = self.limits.http_header_bytes.max(self.limits.http_chunk_bytes).max(8 << 10);
        let mut client = http1::Builder::new();
        client.max_buf_size(usize::try_from(buffer).unwrap_or(usize::MAX)).max_headers(HEADERS);
        let fail = |error: hyper::Error| match self.exchange.past_limit.load(Ordering::Relaxed) {
            true => Error::HttpRequestBodySize(Some(self.limits.http_body_bytes)),
            false => fault::exchange(&error, self.limits.http_header_bytes),
        };
        let (mut sender, connection) =
            client.handshake(TokioIo::new(stream)).await.map_err(fail)?;
        let connection = Held(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of a guest's request broke");
            }
        }));
        self.exchange.bind(&connection.0);
        let limit = self.limits.http_body_bytes;
        let request = request.map(|body| Sent::new(body, self.exchange.clone(), limit));
        let answer = self.first_byte(sender.send_request(request)).await?.map_err(fail)?;
        let (mut parts, incoming) = answer.into_parts();
        self.exchange.status.store(parts.status.as_u16(), Ordering::Relaxed);
        if size(&parts.headers) > self.limits.http_header_bytes {
            let limit = u32::try_from(self.limits.http_header_bytes).ok();
            return Err(Error::HttpResponseHeaderSectionSize(limit));
        }
        if !veil.is_empty() {
            if self.is_with_secrets() && is_coded(&parts.headers) {
                // What is in it cannot be seen, so it might be the secret.
                return Err(Error::HttpResponseContentCoding(None));
            }
            // It may become longer or shorter.
            parts.headers.remove(CONTENT_LENGTH);
            veil.hide(&mut parts.headers);
        }
        Ok((parts, incoming, connection, permit, Veiled::new(veil)))
    }

    /// Whether it goes to where a secret may have come to, with this request or another.
    fn is_with_secrets(&self) -> bool {
        self.standins.are_known_to(&self.exchange.target.host)
    }

    /// Puts the secrets in that may be told where it goes.
    fn reveal(&self, request: &mut Request<WasiBody>) -> Credentials {
        let told = self.standins.towards(&self.exchange.method, &self.exchange.target);
        let credentials = told.reveal_in_headers(request.headers_mut());
        let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
        let shown = told.reveal_in_path(path).and_then(|path| path.parse().ok());
        if let Some(uri) = shown {
            *request.uri_mut() = uri;
        }
        if self.is_with_secrets() {
            let plain = HeaderValue::from_static("identity");
            request.headers_mut().insert(ACCEPT_ENCODING, plain);
        }
        credentials
    }

    /// Waits for an answer to begin, for as long as nothing more of the request is sent.
    async fn first_byte<T>(&self, answer: impl Future<Output = T>) -> Result<T, Error> {
        let within = wait(self.options.first_byte_timeout, &self.limits);
        let mut answer = std::pin::pin!(answer);
        loop {
            let sent = self.exchange.sent.load(Ordering::Relaxed);
            if let Ok(answer) = tokio::time::timeout(within, &mut answer).await {
                return Ok(answer);
            }
            if sent == self.exchange.sent.load(Ordering::Relaxed) {
                return Err(Error::HttpResponseTimeout);
            }
        }
    }
}

/// An answer that has begun, and what it hangs on.
type Begun = (http::response::Parts, Incoming, Held<()>, OwnedSemaphorePermit, Veiled);

/// Brings an answer's body to the guest.
struct Pump {
    frames: mpsc::Sender<Result<Frame<Bytes>, Error>>,
    incoming: Incoming,
    veiled: Veiled,
    between: Duration,
    limits: Limits,
    watched: Watched,
    _connection: Held<()>,
    _permit: OwnedSemaphorePermit,
}

impl Pump {
    async fn run(mut self) {
        let ended = self.carry().await;
        let exchange = &self.watched.0;
        match ended {
            // Nobody reads it any more, which is no fault.
            None => exchange.finish(None),
            Some(Ok(())) => {
                exchange.whole.store(true, Ordering::Release);
                exchange.finish(None);
            }
            Some(Err(error)) => {
                exchange.finish(Some(fault::code(&error)));
                // If nobody hears it, nobody reads.
                let _ = self.frames.send(Err(error)).await;
            }
        }
    }

    /// `None` where the guest has stopped reading.
    async fn carry(&mut self) -> Option<Result<(), Error>> {
        let exchange = self.watched.0.clone();
        loop {
            // Not before there is room for it.
            drop(self.frames.reserve().await.ok()?);
            let frame = tokio::select! {
                frame = tokio::time::timeout(self.between, self.incoming.frame()) => frame,
                () = self.frames.closed() => return None,
            };
            let frame = match frame {
                Err(_) => return Some(Err(Error::ConnectionReadTimeout)),
                Ok(Some(Err(error))) => {
                    return Some(Err(fault::exchange(&error, self.limits.http_header_bytes)));
                }
                Ok(None) => {
                    let rest = self.veiled.rest();
                    self.give(rest).await?;
                    return Some(Ok(()));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            match frame.into_data() {
                Ok(bytes) => {
                    // Here, and not where the guest reads: what records the end does not wait for
                    // the thread that has just made room.
                    let length = bytes.len() as u64;
                    let received = exchange.received.fetch_add(length, Ordering::Relaxed) + length;
                    if received > self.limits.http_body_bytes {
                        let limit = self.limits.http_body_bytes;
                        return Some(Err(Error::HttpResponseBodySize(Some(limit))));
                    }
                    let bytes = self.veiled.pass(bytes);
                    self.give(bytes).await?;
                }
                Err(frame) => {
                    let Ok(mut trailers) = frame.into_trailers() else { continue };
                    let rest = self.veiled.rest();
                    self.give(rest).await?;
                    self.veiled.hide(&mut trailers);
                    self.frames.send(Ok(Frame::trailers(trailers))).await.ok()?;
                    return Some(Ok(()));
                }
            }
        }
    }

    /// A chunk at a time.
    async fn give(&mut self, mut bytes: Bytes) -> Option<()> {
        let most = usize::try_from(self.limits.http_chunk_bytes).unwrap_or(usize::MAX).max(1);
        while !bytes.is_empty() {
            let chunk = bytes.split_to(most.min(bytes.len()));
            self.frames.send(Ok(Frame::data(chunk))).await.ok()?;
        }
        Some(())
    }
}

/// How long one step may take: as the guest says, and no longer than the limit.
fn wait(asked: Option<Duration>, limits: &Limits) -> Duration {
    let most = Duration::from_millis(limits.http_wait_ms);
    asked.map_or(most, |asked| asked.min(most))
}

/// Whether an answer's body is anything but the bytes that are meant.
fn is_coded(headers: &HeaderMap) -> bool {
    let coded = |name, plain: &str| {
        headers
            .get_all(name)
            .iter()
            .any(|value| !value.as_bytes().eq_ignore_ascii_case(plain.as_bytes()))
    };
    coded(CONTENT_ENCODING, "identity") || coded(TRANSFER_ENCODING, "chunked")
}

/// Holds a request's head to its limit.
pub(super) fn check_head<B>(request: &Request<B>, limits: &Limits) -> Result<(), Error> {
    let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    if path.len() as u64 + size(request.headers()) > limits.http_header_bytes {
        let limit = u32::try_from(limits.http_header_bytes).ok();
        return Err(Error::HttpRequestHeaderSectionSize(limit));
    }
    Ok(())
}

/// Bytes of headers on the wire.
pub(super) fn size(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64).sum()
}

/// A request to an address that is not public, by a grant that does not say that it may.
fn inner(method: &str, target: &Target) -> Denial {
    let grants = target.grant(true).map(|grant| Grants { http: vec![grant], ..Grants::default() });
    Denial {
        wanted: Some(format!("{method} {target}, which has no public address")),
        grant: grants,
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body;

    use super::*;

    #[test]
    fn a_million_denials_are_not_kept() {
        let ledger = Ledger::default();
        for n in 0..10_000 {
            for _ in 0..2 {
                ledger.deny(Denial { wanted: Some(n.to_string()), grant: None });
            }
        }
        let wanted: Vec<_> = ledger.denied().iter().flat_map(|d| d.wanted.clone()).collect();
        assert_eq!(wanted, (0..MOST).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn answers_that_nobody_reads_are_bounded() {
        struct Forgetful;
        #[async_trait::async_trait]
        impl RequestLog for Forgetful {
            async fn before_leaving(&self) -> Result<(), crate::guest::turn::RecordError> {
                Ok(())
            }
            fn record(&self, _request: RequestRecord) {}
        }
        let ledger = Arc::default();
        let target = Target::of(&"http://a.test".parse().unwrap()).unwrap();
        let answer = || {
            let exchange = Exchange::begin(&ledger, Arc::new(Forgetful), "GET", &target);
            exchange.finish(None);
            Received::new(mpsc::channel(1).1, exchange)
        };
        let mut answers: Vec<_> = (0..3).map(|_| answer()).collect();
        assert!(ledger.has(3) && !ledger.has(4), "they came and were not read");
        // One is read to its end, one is let go.
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut answers[0]).poll_frame(&mut cx).is_ready());
        drop(answers.pop());
        assert!(ledger.has(1) && !ledger.has(2));
    }

    #[test]
    fn a_coding_is_seen_wherever_it_is_said() {
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
