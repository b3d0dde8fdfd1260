//! Event streams that survive lost connections: they resume at the last event, without gaps or
//! duplicates.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use skep_protocol::Error;
use tokio::time::{Instant, sleep};

use crate::answer::{Fault, is_type};
use crate::backoff::Backoff;
use crate::feed::{EventFeed, EventResult, ResumeRefusal};
use crate::sse::{Event, Parser};
use crate::transfer::piece;
use crate::wire::Wire;

/// Maximum length of a line and of an event: an entry's body can be several times longer as JSON.
const LONGEST: usize = 64 << 20;

/// Duration after which a connection counts as successful, even without events.
const SETTLED: Duration = Duration::from_secs(5);

/// Maximum number of damaged events in a row at the same position.
const DAMAGED: u32 = 3;

/// A stream of a feed's items.
pub(crate) type ItemStream<T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>;

/// Follows a feed. Returns once the first connection is open.
///
/// # Errors
/// The server's error for the first request.
pub(crate) async fn follow<F: EventFeed + 'static>(
    wire: Wire,
    feed: F,
) -> Result<ItemStream<F::Item>, Error> {
    let ask = feed.ask().header(header::ACCEPT, EVENT_STREAM);
    let response = wire.open(&ask).await.map_err(|failure| failure.fault);
    let link = response.and_then(EventConnection::new).map_err(|fault| wire.error(fault))?;
    let follower = FeedFollower {
        wire,
        feed,
        link: Some(link),
        ready: VecDeque::new(),
        down_since: None,
        backoff: Backoff::default(),
        damaged: 0,
    };
    let items = stream::unfold(Some(follower), |follower| async move {
        let mut follower = follower?;
        match follower.next().await {
            Ok(Some(item)) => Some((Ok(item), Some(follower))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(items.boxed())
}

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

struct FeedFollower<F: EventFeed> {
    wire: Wire,
    feed: F,
    link: Option<EventConnection>,
    /// Parsed events that are not yet interpreted. Those of a lost connection come before the next
    /// one's.
    ready: VecDeque<Event>,
    /// Time since which there has been no successful connection.
    down_since: Option<Instant>,
    backoff: Backoff,
    /// Number of damaged events in a row.
    damaged: u32,
}

/// An open connection.
struct EventConnection {
    body: Incoming,
    parser: Parser,
    opened: Instant,
    /// True if a new item came over it.
    useful: bool,
}

/// The reason why a connection ended.
enum Broken {
    Gone,
    Damaged,
}

impl EventConnection {
    fn new(response: http::Response<Incoming>) -> Result<Self, Fault> {
        let (head, body) = response.into_parts();
        if !is_events(head.status, &head.headers) {
            return Err(Fault::Foreign("a response that is not an event stream"));
        }
        Ok(Self { body, parser: Parser::new(LONGEST), opened: Instant::now(), useful: false })
    }

    async fn read(&mut self, ready: &mut VecDeque<Event>, silence: Duration) -> Result<(), Broken> {
        match piece(&mut self.body, silence).await {
            Ok(Some(piece)) => self.parser.feed(&piece, ready).map_err(|_| Broken::Damaged),
            Ok(None) | Err(_) => Err(Broken::Gone),
        }
    }
}

fn is_events(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::OK && is_type(headers, "text/event-stream")
}

impl<F: EventFeed> FeedFollower<F> {
    /// Returns the next item, or `None` at the end of the feed.
    async fn next(&mut self) -> Result<Option<F::Item>, Error> {
        loop {
            while let Some(event) = self.ready.pop_front() {
                match self.feed.take(event) {
                    EventResult::Item(item) => {
                        self.damaged = 0;
                        if let Some(link) = &mut self.link {
                            link.useful = true;
                        }
                        return Ok(Some(item));
                    }
                    EventResult::Nothing => {}
                    EventResult::End => return Ok(None),
                    EventResult::Said(error) => {
                        let error = self.wire.error(Fault::Said(error));
                        match self.feed.refused(&error) {
                            ResumeRefusal::End => return Ok(None),
                            ResumeRefusal::Error if !passes(&error) => return Err(error),
                            ResumeRefusal::Error | ResumeRefusal::Again => {}
                        }
                        self.ready.clear();
                        self.broke(Broken::Gone)?;
                    }
                    EventResult::Damage => {
                        self.ready.clear();
                        self.broke(Broken::Damaged)?;
                    }
                }
            }
            match &mut self.link {
                Some(link) => {
                    let silence = self.wire.deadlines.silence;
                    if let Err(broken) = link.read(&mut self.ready, silence).await {
                        self.broke(broken)?;
                    }
                }
                None => {
                    if !self.connect().await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Drops the connection, and records if it was successful.
    fn broke(&mut self, broken: Broken) -> Result<(), Error> {
        let link = self.link.take();
        if link.is_some_and(|link| link.useful || link.opened.elapsed() >= SETTLED) {
            self.down_since = None;
            self.backoff.reset();
        }
        self.down_since.get_or_insert_with(Instant::now);
        if let Broken::Damaged = broken {
            self.damaged += 1;
            tracing::warn!(
                times = self.damaged,
                "a remote's event stream is damaged; reconnecting"
            );
        }
        if self.damaged >= DAMAGED { Err(Error::RuntimeUnavailable) } else { Ok(()) }
    }

    /// Tries to reconnect once, after a pause. Returns false at the end of the feed.
    async fn connect(&mut self) -> Result<bool, Error> {
        let down_since = *self.down_since.get_or_insert_with(Instant::now);
        let too_long = down_since.elapsed() >= self.wire.deadlines.give_up;
        // Resuming without a known position could skip items.
        if too_long || !self.feed.has_position() {
            return Err(Error::RuntimeUnavailable);
        }
        sleep(self.backoff.pause()).await;
        let ask = self.feed.ask().header(header::ACCEPT, EVENT_STREAM);
        let fault = match self.wire.open_once(&ask).await.and_then(EventConnection::new) {
            Ok(link) => {
                self.link = Some(link);
                return Ok(true);
            }
            Err(fault) => fault,
        };
        let error = self.wire.error(fault);
        match self.feed.refused(&error) {
            ResumeRefusal::End => Ok(false),
            ResumeRefusal::Again => Ok(true),
            ResumeRefusal::Error if passes(&error) => Ok(true),
            ResumeRefusal::Error => Err(error),
        }
    }
}

/// Returns true if the error may be temporary.
fn passes(error: &Error) -> bool {
    matches!(
        error,
        Error::RuntimeUnavailable | Error::Busy { .. } | Error::StorageFull | Error::Internal
    )
}
