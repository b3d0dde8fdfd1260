//! One exchange: sent, waited for and judged; sent again where that does no harm.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use skep_protocol::{Error, Invalid};
use tokio::time::{Instant, sleep, timeout_at};

use crate::answer::{Fault, refusal, shape};
use crate::ask::Ask;
use crate::backoff::Backoff;
use crate::bearer::Bearer;
use crate::connect::{Pool, pool};
use crate::deadlines::Deadlines;
use crate::endpoint::{Endpoint, EndpointError, Refusals};
use crate::shape::Shape;
use crate::transfer::{Outgoing, whole};

/// How often one exchange is tried.
const ATTEMPTS: u32 = 3;

/// The longest answer that is read into memory.
const ANSWER: usize = 64 << 20;

/// The longest that says only what is wrong.
const PROBLEM: usize = 64 << 10;

const US: &str = concat!("skep/", env!("CARGO_PKG_VERSION"));

/// A way to one endpoint.
#[derive(Clone)]
pub(crate) struct Wire {
    shared: Arc<Shared>,
    /// What each path begins with.
    under: String,
    pub(crate) refusals: Refusals,
    pub(crate) deadlines: Deadlines,
}

struct Shared {
    pool: Pool,
    base: String,
    bearer: Bearer,
}

/// An answer that is a success, as a whole.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// An earlier attempt may have been carried out.
    pub(crate) repeated: bool,
}

impl Wire {
    pub(crate) fn new(
        endpoint: Endpoint,
        under: String,
        refusals: Refusals,
        deadlines: Deadlines,
    ) -> Result<Self, EndpointError> {
        let base = endpoint.base()?;
        let pool = pool(&endpoint, &deadlines)?;
        let bearer = Bearer::new(endpoint.token)?;
        let shared = Arc::new(Shared { pool, base, bearer });
        Ok(Self { shared, under, refusals, deadlines })
    }

    /// The same endpoint, under another path.
    pub(crate) fn under(&self, path: String) -> Self {
        Self { under: path, ..self.clone() }
    }

    /// Asks for JSON, and reads it.
    pub(crate) async fn ask<T: Shape>(&self, ask: Ask) -> Result<T, Error> {
        let reply = self.fetch(&ask).await.map_err(|failure| self.error(failure.fault))?;
        self.shape(&reply)
    }

    /// What a reply holds.
    pub(crate) fn shape<T: Shape>(&self, reply: &Reply) -> Result<T, Error> {
        shape(&reply.headers, &reply.body).map_err(|fault| self.error(fault))
    }

    /// What the caller is told of a fault.
    pub(crate) fn error(&self, fault: Fault) -> Error {
        fault.into_error(self.refusals)
    }

    /// Asks for something that is read as a whole.
    pub(crate) async fn fetch(&self, ask: &Ask) -> Result<Reply, Failure> {
        let mut tries = Tries::new(ask, self.deadlines);
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

    async fn read(&self, response: Response<Incoming>) -> Result<Reply, Fault> {
        let (head, body) = response.into_parts();
        let Deadlines { body: between, answer, .. } = self.deadlines;
        let body = whole(body, ANSWER, between, answer).await?;
        Ok(Reply { status: head.status, headers: head.headers, body })
    }

    /// Asks for something whose body is read as it comes.
    pub(crate) async fn open(&self, ask: &Ask) -> Result<Response<Incoming>, Failure> {
        let mut tries = Tries::new(ask, self.deadlines);
        loop {
            match self.attempt(ask, tries.until).await {
                Ok(response) => return Ok(response),
                Err(fault) => tries.after(ask, fault).await?,
            }
        }
    }

    /// As [`Self::open`], once.
    pub(crate) async fn open_once(&self, ask: &Ask) -> Result<Response<Incoming>, Fault> {
        self.attempt(ask, Instant::now() + self.deadlines.headers).await
    }

    /// Asks once: a success, or why not. A token that was refused and has been renewed since is no
    /// reason.
    async fn attempt(&self, ask: &Ask, until: Instant) -> Result<Response<Incoming>, Fault> {
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
        // That there is nothing of a file in a range says how long the file is.
        if status.is_success() || (status == StatusCode::RANGE_NOT_SATISFIABLE && ask.is_ranged()) {
            return Ok(response);
        }
        if !status.is_client_error() && !status.is_server_error() {
            return Err(Fault::Foreign("a status that is not answered with"));
        }
        let (head, body) = response.into_parts();
        let within = self.deadlines.headers;
        let body = whole(body, PROBLEM, within, within).await?;
        Err(refusal(status.as_u16(), &head.headers, &body))
    }

    /// Sends a request and waits for the head of its answer.
    async fn head(
        &self,
        ask: &Ask,
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

    /// When it has taken too long. An upload may take as long as it moves, and its caller's own time.
    fn limit(&self, ask: &Ask, until: Instant) -> Instant {
        let Deadlines { body, headers, .. } = self.deadlines;
        match ask.content.upload().map(|upload| upload.progress()) {
            None => until,
            Some(upload) if upload.ended => upload.moved + headers + ask.patience,
            Some(upload) if upload.waiting => Instant::now() + body,
            Some(upload) => upload.moved + body,
        }
    }

    fn request(&self, ask: &Ask, token: Option<HeaderValue>) -> Result<Request<Outgoing>, Fault> {
        let uri = format!("{}{}{}", self.shared.base, self.under, ask.target());
        let mut request = Request::builder().method(&ask.method).uri(uri);
        if let Some(headers) = request.headers_mut() {
            headers.insert(USER_AGENT, HeaderValue::from_static(US));
            headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
            headers.extend(token.map(|token| (AUTHORIZATION, token)));
            for (name, value) in &ask.headers {
                headers.insert(name, value.clone());
            }
        }
        // All that may be too much of it is what the caller chose.
        let request = request.body(ask.content.outgoing());
        request.map_err(|_| Fault::Said(Invalid::Query.into()))
    }
}

/// The attempts at one exchange.
struct Tries {
    /// When the last of them ends.
    until: Instant,
    made: u32,
    repeated: bool,
    backoff: Backoff,
}

impl Tries {
    fn new(ask: &Ask, deadlines: Deadlines) -> Self {
        let until = Instant::now() + deadlines.headers + ask.patience;
        Self { until, made: 0, repeated: false, backoff: Backoff::default() }
    }

    /// Waits for the next attempt, if there is to be one.
    async fn after(&mut self, ask: &Ask, fault: Fault) -> Result<(), Failure> {
        self.made += 1;
        let Fault::Lost { sent } = fault else {
            return Err(Failure { fault, repeated: self.repeated });
        };
        let pause = self.backoff.pause();
        let gone = ask.content.upload().is_some_and(|upload| upload.progress().begun);
        let harmless = !gone && (ask.repeatable || !sent);
        if !harmless || self.made == ATTEMPTS || Instant::now() + pause >= self.until {
            return Err(Failure { fault, repeated: self.repeated });
        }
        self.repeated |= sent;
        sleep(pause).await;
        Ok(())
    }
}
