//! A stream of events that goes on when its connection does not: it comes back with the place of the
//! last event, and neither leaves one out nor gives one twice.

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
use crate::feed::{Feed, Refused, Taken};
use crate::sse::{Event, Parser};
use crate::transfer::piece;
use crate::wire::Wire;

/// The longest line and the longest event: an entry's body may take several times its size as JSON.
const LONGEST: usize = 64 << 20;

/// A connection that lasted so long was one, even if nothing happened meanwhile.
const SETTLED: Duration = Duration::from_secs(5);

/// How often the same place may be found damaged.
const DAMAGED: u32 = 3;

/// A followed stream of a feed's items.
pub(crate) type Followed<T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>;

/// Follows a feed. The first connection is there when this returns.
///
/// # Errors
/// What the server says to the first request.
pub(crate) async fn follow<F: Feed + 'static>(
    wire: Wire,
    feed: F,
) -> Result<Followed<F::Item>, Error> {
    let ask = feed.ask().header(header::ACCEPT, EVENT_STREAM);
    let response = wire.open(&ask).await.map_err(|failure| failure.fault);
    let link = response.and_then(Link::new).map_err(|fault| wire.error(fault))?;
    let follower = Follower {
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

struct Follower<F: Feed> {
    wire: Wire,
    feed: F,
    link: Option<Link>,
    /// Read and not yet looked at. What is left of a link that broke comes before the next one.
    ready: VecDeque<Event>,
    /// Since when there is no link that is worth the name.
    down_since: Option<Instant>,
    backoff: Backoff,
    /// How often what comes next was damaged.
    damaged: u32,
}

/// One connection.
struct Link {
    body: Incoming,
    parser: Parser,
    opened: Instant,
    /// Something new came over it.
    useful: bool,
}

/// Why a link is none any more.
enum Broken {
    Gone,
    Damaged,
}

impl Link {
    fn new(response: http::Response<Incoming>) -> Result<Self, Fault> {
        let (head, body) = response.into_parts();
        if !is_events(head.status, &head.headers) {
            return Err(Fault::Foreign("an answer that is no event stream"));
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

impl<F: Feed> Follower<F> {
    /// The next item, or `None` at the end of what is followed.
    async fn next(&mut self) -> Result<Option<F::Item>, Error> {
        loop {
            while let Some(event) = self.ready.pop_front() {
                match self.feed.take(event) {
                    Taken::Item(item) => {
                        self.damaged = 0;
                        if let Some(link) = &mut self.link {
                            link.useful = true;
                        }
                        return Ok(Some(item));
                    }
                    Taken::Nothing => {}
                    Taken::End => return Ok(None),
                    Taken::Said(error) => {
                        let error = self.wire.error(Fault::Said(error));
                        match self.feed.refused(&error) {
                            Refused::End => return Ok(None),
                            Refused::Error if !passes(&error) => return Err(error),
                            Refused::Error | Refused::Again => {}
                        }
                        self.ready.clear();
                        self.broke(Broken::Gone)?;
                    }
                    Taken::Damage => {
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

    /// The link is of no use any more.
    fn broke(&mut self, broken: Broken) -> Result<(), Error> {
        let link = self.link.take();
        if link.is_some_and(|link| link.useful || link.opened.elapsed() >= SETTLED) {
            self.down_since = None;
            self.backoff.reset();
        }
        self.down_since.get_or_insert_with(Instant::now);
        if let Broken::Damaged = broken {
            self.damaged += 1;
            tracing::warn!(times = self.damaged, "a remote's stream is damaged; reading it again");
        }
        if self.damaged >= DAMAGED { Err(Error::RuntimeUnavailable) } else { Ok(()) }
    }

    /// One attempt at another link, after a pause. False at the end of what is followed.
    async fn connect(&mut self) -> Result<bool, Error> {
        let down_since = *self.down_since.get_or_insert_with(Instant::now);
        let too_long = down_since.elapsed() >= self.wire.deadlines.give_up;
        // Where it is not known what was seen last, going on would be leaving something out.
        if too_long || !self.feed.has_place() {
            return Err(Error::RuntimeUnavailable);
        }
        sleep(self.backoff.pause()).await;
        let ask = self.feed.ask().header(header::ACCEPT, EVENT_STREAM);
        let fault = match self.wire.open_once(&ask).await.and_then(Link::new) {
            Ok(link) => {
                self.link = Some(link);
                return Ok(true);
            }
            Err(fault) => fault,
        };
        let error = self.wire.error(fault);
        match self.feed.refused(&error) {
            Refused::End => Ok(false),
            Refused::Again => Ok(true),
            Refused::Error if passes(&error) => Ok(true),
            Refused::Error => Err(error),
        }
    }
}

/// Whether it may be otherwise in a moment.
fn passes(error: &Error) -> bool {
    matches!(
        error,
        Error::RuntimeUnavailable | Error::Busy { .. } | Error::StorageFull | Error::Internal
    )
}
