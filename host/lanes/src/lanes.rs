//! The lanes of one HTTP guest.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use skep_protocol::limits::OFF;
use skep_protocol::{Error, HttpInstances, LimitName, Limits, NoAnswer};
use skep_sandbox::{
    CallDone, Denials, Done, Ended, GroupBounds, GroupCall, GuestAnswer, KillReason, KillSwitch,
    RequestGroup,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::answer_body::{AnswerBody, AnswerBounds};
use crate::exchange::Exchange;
use crate::groups::Groups;
use crate::idle_instances::{IdleInstances, LanedInstance};
use crate::policy::HttpPolicy;
use crate::received_body::{self, ReceivedBody, ReceivedBodyEnd};
use crate::source::{ExchangeRecord, Hold, InstanceSource};

/// The delay that a client is told when the queue is full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The lanes of one HTTP guest.
pub struct Lanes<S: InstanceSource>(Arc<LanesState<S>>);

impl<S: InstanceSource> Clone for Lanes<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct LanesState<S: InstanceSource> {
    source: Arc<S>,
    policy: HttpPolicy,
    guests: tokio::runtime::Handle,
    places: Arc<Semaphore>,
    waiting: AtomicU32,
    idle: IdleInstances<S::Hold>,
    groups: Groups,
    running: Mutex<RunningSwitches>,
}

/// The switches of requests that may be running.
#[derive(Default)]
struct RunningSwitches {
    all: Vec<Weak<KillSwitch>>,
    /// Entries from which on those of ended requests are forgotten.
    most: usize,
    /// True if requests that begin now are ended at once.
    is_cancelled: bool,
}

impl<S: InstanceSource> Lanes<S> {
    /// Creates the lanes of a guest. `guests` is the sandbox's runtime.
    pub fn new(source: S, policy: HttpPolicy, guests: tokio::runtime::Handle) -> Self {
        Self(Arc::new(LanesState {
            source: Arc::new(source),
            policy,
            guests,
            places: Arc::new(Semaphore::new(policy.at_once as usize)),
            waiting: AtomicU32::new(0),
            idle: IdleInstances::default(),
            groups: Groups::default(),
            running: Mutex::default(),
        }))
    }

    /// Handles a request. Its URI has the scheme that the client used. Dropping the future, or the
    /// body of the answer, ends the guest.
    ///
    /// # Errors
    /// [`Error::NoAnswer`]; [`Error::Busy`] if the queue is full; [`Error::LimitExceeded`] for a body
    /// that says that it is too long; those of [`ExchangeRecord::commit`]; [`Error::Internal`].
    pub async fn respond<B>(&self, request: Request<B>) -> Result<Response<AnswerBody>, Error>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let state = &self.0;
        let limits = state.source.limits();
        if request.body().size_hint().lower() > limits.http_body_bytes {
            let (name, limit) = (LimitName::http_body_bytes, limits.http_body_bytes);
            return Err(Error::LimitExceeded { name, limit });
        }
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let source = state.source.clone();
        let on_end = Box::new(move |report| source.ended(None, report));
        let exchange = Arc::new(Exchange::new(method, uri, on_end));
        let left = ClientLeft(Some(&exchange));
        let within = match limits.turn_deadline_ms {
            OFF => None,
            millis => Some(Duration::from_millis(millis)),
        };
        let answering = self.answer(request, &exchange, &limits);
        let answered = match within {
            None => answering.await,
            Some(within) => match timeout(within, answering).await {
                Ok(answered) => answered,
                Err(_) => Err(NoAnswer::Deadline.into()),
            },
        };
        let answered = match answered {
            // A deadline in the middle of the commit would leave its result unknown.
            Ok((response, record)) => match record.commit().await {
                Ok(()) => Ok(response),
                Err(error) => {
                    exchange.refuse(error.clone());
                    Err(error)
                }
            },
            Err(error) => {
                match &error {
                    // It may go on, although nothing takes its answer.
                    Error::NoAnswer(why) => exchange.fail(*why),
                    Error::Internal => {}
                    refused => exchange.refuse(refused.clone()),
                }
                Err(error)
            }
        };
        left.disarm();
        let status = match &answered {
            Ok(response) => response.status().as_u16(),
            Err(error) => error.status(),
        };
        exchange.set_status(status);
        answered
    }

    /// Waits for a place, starts the guest and waits for the head of its answer.
    async fn answer<B>(
        &self,
        request: Request<B>,
        exchange: &Arc<Exchange>,
        limits: &Limits,
    ) -> Result<(Response<AnswerBody>, Arc<S::Record>), Error>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let place = self.place().await?;
        let record = Arc::new(self.0.source.record().await?);
        let (source, reported) = (self.0.source.clone(), record.clone());
        exchange.report_to(Box::new(move |report| source.ended(Some(reported), report)));
        self.0.remember(&exchange.kill);
        let (parts, body) = request.into_parts();
        let method = parts.method.clone();
        let request = match self.0.source.takes_whole_bodies() {
            true => {
                let limit = (LimitName::input_bytes, limits.input_bytes);
                let reading = received_body::whole(body, limit, exchange);
                let read = exchange.kill.unless_thrown(reading).await;
                let body = read.map_err(|_| NoAnswer::Stopped)??;
                LaneRequest::Whole(Request::from_parts(parts, body))
            }
            false => {
                let (body, end) = ReceivedBody::new(body, limits.http_body_bytes, exchange.clone());
                LaneRequest::Streamed(Request::from_parts(parts, body), end)
            }
        };
        let (to, answer) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (lanes, of_lane) = (self.clone(), (record.clone(), exchange.clone()));
        let lane = Lane { lanes, record: of_lane.0, exchange: of_lane.1, end, place };
        match (self.0.policy.instances, request) {
            (HttpInstances::Concurrent, LaneRequest::Streamed(request, end)) => {
                lane.run_beside_others(request, end, to);
            }
            (_, request) => {
                self.0.guests.spawn(lane.run(request, to));
            }
        }
        match answer.await {
            Ok(Ok(response)) => {
                let has_body = has_body(&method, response.status());
                let bounds = AnswerBounds {
                    wait: Duration::from_millis(limits.http_wait_ms),
                    bytes: limits.http_body_bytes,
                    declared: declared_length(response.headers())?,
                    has_body,
                };
                let (exchange, guests) = (exchange.clone(), self.0.guests.clone());
                let mut response =
                    response.map(|body| AnswerBody::new(body, exchange, ended, bounds, guests));
                if !has_body {
                    let length = response.body().known_length();
                    if let (Some(length), true) = (length, method == Method::HEAD) {
                        let length = HeaderValue::from(length);
                        response.headers_mut().entry(CONTENT_LENGTH).or_insert(length);
                    }
                    response = response.map(AnswerBody::without_body);
                }
                Ok((response, record))
            }
            Ok(Err(unanswered)) => {
                exchange.explain(unanswered.failure);
                Err(unanswered.why.into())
            }
            Err(_) => {
                // The guest has ended, and says how.
                if ended.await.is_err() {
                    exchange.lost();
                }
                match exchange.no_answer() {
                    Ok(why) => Err(why.into()),
                    Err(fault) => {
                        tracing::error!(fault, "an HTTP guest could not be run");
                        Err(Error::Internal)
                    }
                }
            }
        }
    }

    /// Waits for one of the places, in a queue of limited length.
    async fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let places = self.0.places.clone();
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let waiting = Waiting(&self.0.waiting);
        if waiting.0.fetch_add(1, Ordering::Relaxed) >= self.0.policy.queue {
            return Err(Error::Busy { retry_after: RETRY_AFTER });
        }
        let place = places.acquire_owned().await;
        place.map_err(|_| NoAnswer::Stopped.into())
    }

    /// Keeps no instance from now on. Requests in flight and those that wait go on.
    pub fn retire(&self) {
        self.0.idle.close();
        self.0.groups.close();
    }

    /// Refuses further requests, also those that wait, and ends the idle instances. Requests in flight
    /// go on.
    pub fn close(&self) {
        self.0.places.close();
        self.0.idle.close();
        self.0.groups.close();
    }

    /// Ends the requests in flight, and those that are about to begin.
    pub fn cancel(&self) {
        let mut running = self.0.running();
        running.is_cancelled = true;
        let all = std::mem::take(&mut running.all);
        drop(running);
        for kill in all.into_iter().filter_map(|kill| kill.upgrade()) {
            kill.throw(KillReason::Cancelled);
        }
    }

    /// Returns the number of requests in flight.
    pub fn running(&self) -> usize {
        (self.0.policy.at_once as usize).saturating_sub(self.0.places.available_permits())
    }

    /// Returns the number of idle instances.
    pub fn idle(&self) -> usize {
        self.0.idle.count()
    }
}

/// Returns the length that the head of an answer says.
///
/// # Errors
/// [`NoAnswer::Invalid`] if it says none that is clear.
fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(None) };
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let length = length.to_str().ok().filter(is_number).and_then(|text| text.parse().ok());
    match (length, lengths.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(NoAnswer::Invalid.into()),
    }
}

/// Returns true if an answer with this status to this method has a body.
fn has_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Counts a waiting request until dropped.
struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends the guest if the client leaves before there is an answer.
struct ClientLeft<'a>(Option<&'a Exchange>);

impl ClientLeft<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for ClientLeft<'_> {
    fn drop(&mut self) {
        if let Some(exchange) = self.0 {
            exchange.client_left();
        }
    }
}

/// One request on the guests' threads.
struct Lane<S: InstanceSource> {
    lanes: Lanes<S>,
    record: Arc<S::Record>,
    exchange: Arc<Exchange>,
    end: oneshot::Sender<()>,
    place: OwnedSemaphorePermit,
}

/// A request with its body, in the form that its guest takes.
enum LaneRequest<B> {
    Streamed(Request<ReceivedBody<B>>, ReceivedBodyEnd<B>),
    Whole(Request<Bytes>),
}

impl<S: InstanceSource> Lane<S> {
    async fn run<B>(self, request: LaneRequest<B>, to: oneshot::Sender<GuestAnswer>)
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Self { lanes, record, exchange, end, place } = self;
        let state = &lanes.0;
        let taken = match state.policy.instances {
            HttpInstances::Serial => state.take(),
            HttpInstances::Fresh | HttpInstances::Concurrent => None,
        };
        let mut laned = match taken {
            Some(mut laned) => {
                laned.hold.begin(&record);
                laned.instance.begin(record.turn(), exchange.kill.clone());
                laned
            }
            None => match state.source.connect(&record, exchange.kill.clone()).await {
                Ok((instance, hold)) => {
                    LanedInstance { instance, hold, uses_left: state.draw(), first_bytes: 0 }
                }
                Err(done) => {
                    exchange.guest_ended(Err(done.ended), done.cost, done.denials);
                    drop(to);
                    let _ = end.send(());
                    return;
                }
            },
        };
        let (ended, cost) = match request {
            LaneRequest::Streamed(request, body_end) => {
                let done = laned.instance.respond(request, to).await;
                drop(body_end);
                done
            }
            LaneRequest::Whole(request) => laned.instance.respond_whole(request, to).await,
        };
        let denials: Denials = laned.instance.take_denials();
        let returned = ended.is_ok();
        exchange.guest_ended(ended, cost, denials);
        let _ = end.send(());
        if returned {
            laned.uses_left = laned.uses_left.saturating_sub(1);
            state.park(laned);
        }
        // The next request may take the instance that was put back.
        drop(place);
    }

    /// Handles the request in an instance that may handle others at the same time.
    fn run_beside_others<B>(
        self,
        request: Request<ReceivedBody<B>>,
        body_end: ReceivedBodyEnd<B>,
        to: oneshot::Sender<GuestAnswer>,
    ) where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Self { lanes, record, exchange, end, place } = self;
        let kill = exchange.kill.clone();
        let done = move |CallDone { ended, cost, denials }| {
            drop(body_end);
            if ended.is_none() {
                exchange.instance_lost();
            }
            exchange.guest_ended(ended.unwrap_or(Err(Ended::Cancelled)), cost, denials);
            let _ = end.send(());
            drop((record, place));
        };
        lanes.assign(GroupCall::new(request, to, kill, done));
    }
}

impl<S: InstanceSource> Lanes<S> {
    /// Gives a request to an instance that can handle it beside others, or to one of its own.
    fn assign(&self, call: GroupCall) {
        let Err(call) = self.0.groups.join(call) else { return };
        let taken = self.0.take();
        let bounds = GroupBounds {
            requests: taken.as_ref().map_or_else(|| self.0.draw(), |taken| taken.uses_left),
            first_bytes: taken.as_ref().map_or(0, |taken| taken.first_bytes),
            growth_bytes: self.0.policy.growth_bytes,
        };
        let group = Arc::new(RequestGroup::new(*call, bounds));
        self.0.groups.add(&group);
        self.0.guests.spawn(self.clone().run_group(group, taken));
    }

    /// Runs the requests of a group in an instance, until none is left.
    async fn run_group(self, group: Arc<RequestGroup>, taken: Option<LanedInstance<S::Hold>>) {
        let state = &self.0;
        let laned = self.begin_group(&group, taken).await;
        let laned = match laned {
            Ok((mut laned, record)) => {
                let ended = laned.instance.respond_to_group(&group).await;
                if ended.is_ok() {
                    let left = group.bounds_left();
                    (laned.uses_left, laned.first_bytes) = (left.requests, left.first_bytes);
                }
                state.source.put_away(record);
                ended.is_ok().then_some(laned)
            }
            Err(done) => {
                group.fail(&done);
                None
            }
        };
        state.groups.remove(&group);
        if let Some(laned) = laned {
            state.park(laned);
        }
        // No guest has seen these.
        for call in group.take_waiting() {
            self.assign(call);
        }
    }

    /// Makes an instance for a group ready, and begins the record of what it writes.
    async fn begin_group(
        &self,
        group: &RequestGroup,
        taken: Option<LanedInstance<S::Hold>>,
    ) -> Result<(LanedInstance<S::Hold>, Arc<S::Record>), CallDone> {
        let source = &self.0.source;
        let kill = Arc::new(KillSwitch::default());
        let record = match source.record().await {
            Ok(record) => Arc::new(record),
            Err(error) => {
                let done = Done::from(Ended::HostFault(error.to_string()));
                return Err(done.into());
            }
        };
        if let Some(mut laned) = taken {
            laned.hold.begin(&record);
            laned.instance.begin(record.turn(), kill);
            return Ok((laned, record));
        }
        let connecting = source.connect(&record, kill.clone());
        match group.unless_deserted(&kill, connecting).await {
            Ok((instance, hold)) => {
                // The group counts its requests.
                Ok((LanedInstance { instance, hold, uses_left: 0, first_bytes: 0 }, record))
            }
            Err(done) => {
                source.put_away(record);
                Err(done.into())
            }
        }
    }
}

impl<S: InstanceSource> LanesState<S> {
    /// Takes an idle instance that may go on.
    fn take(&self) -> Option<LanedInstance<S::Hold>> {
        loop {
            let mut laned = self.idle.take()?;
            if laned.hold.resume() {
                return Some(laned);
            }
        }
    }

    /// Draws the number of requests of a new instance.
    fn draw(&self) -> u32 {
        if self.policy.instances == HttpInstances::Fresh {
            return 1;
        }
        let most = self.policy.reuse;
        let least = most.div_ceil(2);
        let spread = u64::from(most - least) + 1;
        let drawn = getrandom::u64().unwrap_or_default() % spread;
        least.saturating_add(u32::try_from(drawn).unwrap_or(0)).max(1)
    }

    /// Keeps an instance whose guest has returned, if it may be used again.
    fn park(self: &Arc<Self>, mut laned: LanedInstance<S::Hold>) {
        if !self.may_park(&mut laned) {
            return;
        }
        laned.instance.take_turn();
        let weak = Arc::downgrade(self);
        self.idle.put(laned, move |hold, key| {
            hold.park(Box::new(move || {
                if let Some(state) = weak.upgrade() {
                    state.idle.evict(key);
                }
            }));
        });
    }

    /// Returns true if an instance whose guest has returned may be used again.
    fn may_park(&self, laned: &mut LanedInstance<S::Hold>) -> bool {
        let bytes = laned.instance.memory_bytes();
        if laned.first_bytes == 0 {
            laned.first_bytes = bytes;
        }
        self.policy.instances != HttpInstances::Fresh
            && laned.uses_left > 0
            && laned.instance.is_usable()
            && !laned.instance.is_cluttered()
            && bytes.saturating_sub(laned.first_bytes) <= self.policy.growth_bytes
    }

    /// Remembers the switch of a request, so that it can be cancelled. Forgets those of requests that
    /// have ended, once in a while.
    fn remember(&self, kill: &Arc<KillSwitch>) {
        let mut running = self.running();
        if running.is_cancelled {
            kill.throw(KillReason::Cancelled);
        }
        if running.all.len() >= running.most {
            running.all.retain(|kill| kill.strong_count() > 0);
            running.most = 2 * running.all.len().max(self.policy.at_once as usize);
        }
        running.all.push(Arc::downgrade(kill));
    }

    fn running(&self) -> MutexGuard<'_, RunningSwitches> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
