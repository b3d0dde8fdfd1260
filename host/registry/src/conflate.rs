//! Conflation of a stream of events: several changes of one worker within an interval become the
//! last of them.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use skep_protocol::{Changed, Error, FleetEvent, FleetStream, RuntimeId, WorkerId};
use tokio::time::{Instant, sleep_until};

/// Maximum number of events that wait for the end of an interval. Their worst case is a snapshot,
/// which conflation does not shorten.
const WAITING: usize = 1_024;

/// A stream of events, and those that wait.
struct Conflated {
    events: FleetStream,
    interval: Duration,
    /// Waiting events in the order of their arrival; a hole where a later one replaced one.
    waiting: Vec<Option<FleetEvent>>,
    /// Places of the waiting changes of workers.
    places: HashMap<(RuntimeId, WorkerId), usize>,
    until: Option<Instant>,
    ready: std::vec::IntoIter<Option<FleetEvent>>,
    /// Set when the stream has ended: its last item, if that is an error.
    ended: Option<Option<Error>>,
}

/// Conflates the changes of each worker within an interval. Events stay in the order in which the
/// last of them arrived, so each has the cursor of everything before it.
pub(crate) fn conflated(events: FleetStream, interval: Duration) -> FleetStream {
    let state = Conflated {
        events,
        interval,
        waiting: Vec::new(),
        places: HashMap::new(),
        until: None,
        ready: Vec::new().into_iter(),
        ended: None,
    };
    stream::unfold(state, |mut state| async move {
        let event = state.next().await?;
        Some((event, state))
    })
    .boxed()
}

impl Conflated {
    async fn next(&mut self) -> Option<Result<FleetEvent, Error>> {
        loop {
            if let Some(event) = self.ready.by_ref().flatten().next() {
                return Some(Ok(event));
            }
            if let Some(last) = &mut self.ended {
                return last.take().map(Err);
            }
            let due = async {
                match self.until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = due => self.release(),
                event = self.events.next() => match event {
                    Some(Ok(event)) => self.take(event),
                    Some(Err(error)) => self.end(Some(error)),
                    None => self.end(None),
                },
            }
        }
    }

    fn take(&mut self, event: FleetEvent) {
        if let FleetEvent::Change(change) = &event
            && let Changed::Worker { runtime_id, worker_id, .. } = &change.what
        {
            let place = self.places.insert((runtime_id.clone(), *worker_id), self.waiting.len());
            if let Some(place) = place {
                self.waiting[place] = None;
            }
        }
        self.waiting.push(Some(event));
        self.until.get_or_insert_with(|| Instant::now() + self.interval);
        if self.waiting.len() >= WAITING {
            self.release();
        }
    }

    fn end(&mut self, last: Option<Error>) {
        self.release();
        self.ended = Some(last);
    }

    fn release(&mut self) {
        self.until = None;
        self.places.clear();
        self.ready = std::mem::take(&mut self.waiting).into_iter();
    }
}
