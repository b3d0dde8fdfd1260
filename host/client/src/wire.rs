//! One exchange: sends a request, validates the response, and retries if that is harmless.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use skep_protocol::{Error, Invalid};
use tokio::time::{Instant, sleep, timeout_at};

use crate::answer::{Fault, refusal, shape};
use crate::backoff::Backoff;
use crate::bearer::Bearer;
use crate::connect::{Pool, dialed_pool, pool};
use crate::deadlines::ClientDeadlines;
use crate::dial::Dial;
use crate::endpoint::{Endpoint, EndpointError, Refusals, Token};
use crate::from_json::FromJson;
use crate::request::ApiRequest;
use crate::transfer::{Outgoing, whole};

/// Maximum number of attempts per exchange.
const ATTEMPTS: u32 = 3;

/// Maximum size of a response in memory.
const ANSWER: usize = 64 << 20;

/// Maximum size of an error response.
const PROBLEM: usize = 64 << 10;

/// The address of a server that has none.
const DIALED: &str = "http://localhost";

const US: &str = concat!("skep/", env!("CARGO_PKG_VERSION"));

/// A connection to one endpoint.
#[derive(Clone)]
pub(crate) struct Wire {
    shared: Arc<EndpointState>,
    /// Prefix of all paths.
    under: String,
    pub(crate) refusals: Refusals,
    pub(crate) deadlines: ClientDeadlines,
}

struct EndpointState {
    pool: Pool,
    base: String,
    bearer: Bearer,
}

/// A successful response, read completely.
pub(crate) struct WholeReply {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// A failed exchange.
#[derive(Debug)]
pub(crate) struct ExchangeFailure {
    pub(crate) fault: Fault,
    /// True if an earlier attempt may have been executed.
    pub(crate) repeated: bool,
}

impl Wire {
    pub(crate) fn new(
        endpoint: Endpoint,
        under: String,
        refusals: Refusals,
        deadlines: ClientDeadlines,
    ) -> Result<Self, EndpointError> {
        let base = endpoint.base()?;
        let pool = pool(&endpoint, &deadlines)?;
        let bearer = Bearer::new(endpoint.token)?;
        let shared = Arc::new(EndpointState { pool, base, bearer });
        Ok(Self { shared, under, refusals, deadlines })
    }

    /// Makes one whose connections are made by `dial`.
    pub(crate) fn dialed(
        dial: Arc<dyn Dial>,
        token: Token,
        under: String,
        refusals: Refusals,
    ) -> Result<Self, EndpointError> {
        let deadlines = ClientDeadlines::default();
        let pool = dialed_pool(dial, &deadlines);
        let (base, bearer) = (DIALED.to_owned(), Bearer::new(token)?);
        let shared = Arc::new(EndpointState { pool, base, bearer });
        Ok(Self { shared, under, refusals, deadlines })
    }

    /// Returns the connections to the endpoint.
    pub(crate) fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    /// Returns the token of the endpoint.
    pub(crate) fn bearer(&self) -> &Bearer {
        &self.shared.bearer
    }

    /// Returns the URI of a target below the path prefix.
    pub(crate) fn uri(&self, target: &str) -> String {
        format!("{}{}{target}", self.shared.base, self.under)
    }

    /// Returns the same endpoint with another path prefix.
    pub(crate) fn under(&self, path: String) -> Self {
        Self { under: path, ..self.clone() }
    }

    /// Sends a request and parses the JSON response.
    pub(crate) async fn ask<T: FromJson>(&self, ask: ApiRequest) -> Result<T, Error> {
        let reply = self.fetch(&ask).await.map_err(|failure| self.error(failure.fault))?;
        self.shape(&reply)
    }

    /// Parses the JSON of a response.
    pub(crate) fn shape<T: FromJson>(&self, reply: &WholeReply) -> Result<T, Error> {
        shape(&reply.headers, &reply.body).map_err(|fault| self.error(fault))
    }

    /// Converts a fault to an error for the caller.
    pub(crate) fn error(&self, fault: Fault) -> Error {
        fault.into_error(self.refusals)
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn fetch(&self, ask: &ApiRequest) -> Result<WholeReply, ExchangeFailure> {
        let mut tries = ExchangeAttempts::new(ask, self.deadlines);
        loop {
            let got = match self.attempt(ask, tries.until).await {
                Ok(response) => self.read(response).await,
                Err(fault) => Err(fault),
            };
            match got {
                Ok(reply) => return Ok(reply),
                Err(fault) => tries.after(ask, fault).await?,
            }
        }
    }

    async fn read(&self, response: Response<Incoming>) -> Result<WholeReply, Fault> {
        let (head, body) = response.into_parts();
        let ClientDeadlines { body: between, answer, .. } = self.deadlines;
        let body = whole(body, ANSWER, between, answer).await?;
        Ok(WholeReply { status: head.status, headers: head.headers, body })
    }

    /// Sends a request and returns the response with its body unread.
    pub(crate) async fn open(
        &self,
        ask: &ApiRequest,
    ) -> Result<Response<Incoming>, ExchangeFailure> {
        let mut tries = ExchangeAttempts::new(ask, self.deadlines);
        loop {
            match self.attempt(ask, tries.until).await {
                Ok(response) => return Ok(response),
                Err(fault) => tries.after(ask, fault).await?,
            }
        }
    }

    /// Like [`Self::open`], with one attempt.
    pub(crate) async fn open_once(&self, ask: &ApiRequest) -> Result<Response<Incoming>, Fault> {
        self.attempt(ask, Instant::now() + self.deadlines.headers).await
    }

    /// Makes one attempt. If the token is refused and has been renewed since, sends the request
    /// once more.
    async fn attempt(&self, ask: &ApiRequest, until: Instant) -> Result<Response<Incoming>, Fault> {
        let token = self.shared.bearer.header();
        let mut response = self.head(ask, token.clone(), until).await?;
        let again = || ask.content.upload().is_none_or(|upload| !upload.progress().begun);
        if response.status() == StatusCode::UNAUTHORIZED
            && self.shared.bearer.renewed(token.as_ref())
            && again()
        {
            response = self.head(ask, self.shared.bearer.header(), until).await?;
        }
        let status = response.status();
        // An unsatisfiable range still tells the length of the file.
        if status.is_success() || (status == StatusCode::RANGE_NOT_SATISFIABLE && ask.is_ranged()) {
            return Ok(response);
        }
        if !status.is_client_error() && !status.is_server_error() {
            return Err(Fault::Foreign("an unexpected status"));
        }
        let (head, body) = response.into_parts();
        let within = self.deadlines.headers;
        let body = whole(body, PROBLEM, within, within).await?;
        Err(refusal(status.as_u16(), &head.headers, &body))
    }

    /// Sends a request and waits for the head of the response.
    async fn head(
        &self,
        ask: &ApiRequest,
        token: Option<HeaderValue>,
        until: Instant,
    ) -> Result<Response<Incoming>, Fault> {
        let request = self.request(ask, token)?;
        let mut answered = pin!(self.shared.pool.request(request));
        loop {
            match timeout_at(self.limit(ask, until), &mut answered).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => {
                    let failed = ask.content.upload().and_then(|upload| upload.progress().failed);
                    let lost = Fault::Lost { sent: !error.is_connect() };
                    return Err(failed.map_or(lost, Fault::Said));
                }
                Err(_) if self.limit(ask, until) > Instant::now() => {}
                Err(_) => return Err(Fault::Lost { sent: true }),
            }
        }
    }

    /// Returns the current deadline. An upload that makes progress, or that waits for its caller,
    /// extends it.
    fn limit(&self, ask: &ApiRequest, until: Instant) -> Instant {
        let ClientDeadlines { body, headers, .. } = self.deadlines;
        match ask.content.upload().map(|upload| upload.progress()) {
            None => until,
            Some(upload) if upload.ended => upload.moved + headers + ask.patience,
            Some(upload) if upload.waiting => Instant::now() + body,
            Some(upload) => upload.moved + body,
        }
    }

    fn request(
        &self,
        ask: &ApiRequest,
        token: Option<HeaderValue>,
    ) -> Result<Request<Outgoing>, Fault> {
        let mut request = Request::builder().method(&ask.method).uri(self.uri(&ask.target()));
        if let Some(headers) = request.headers_mut() {
            headers.insert(USER_AGENT, HeaderValue::from_static(US));
            headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
            headers.extend(token.map(|token| (AUTHORIZATION, token)));
            for (name, value) in &ask.headers {
                headers.insert(name, value.clone());
            }
        }
        // Only the caller's parameters can make the URI invalid.
        let request = request.body(ask.content.outgoing());
        request.map_err(|_| Fault::Said(Invalid::Query.into()))
    }
}

/// The attempts of one exchange.
struct ExchangeAttempts {
    /// Deadline of the last attempt.
    until: Instant,
    made: u32,
    repeated: bool,
    backoff: Backoff,
}

impl ExchangeAttempts {
    fn new(ask: &ApiRequest, deadlines: ClientDeadlines) -> Self {
        let until = Instant::now() + deadlines.headers + ask.patience;
        Self { until, made: 0, repeated: false, backoff: Backoff::default() }
    }

    /// Waits before the next attempt, or fails if there should be none.
    async fn after(&mut self, ask: &ApiRequest, fault: Fault) -> Result<(), ExchangeFailure> {
        self.made += 1;
        let Fault::Lost { sent } = fault else {
            return Err(ExchangeFailure { fault, repeated: self.repeated });
        };
        let pause = self.backoff.pause();
        let gone = ask.content.upload().is_some_and(|upload| upload.progress().begun);
        let harmless = !gone && (ask.repeatable || !sent);
        if !harmless || self.made == ATTEMPTS || Instant::now() + pause >= self.until {
            return Err(ExchangeFailure { fault, repeated: self.repeated });
        }
        self.repeated |= sent;
        sleep(pause).await;
        Ok(())
    }
}
