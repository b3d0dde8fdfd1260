//! Following a runtime's workers: each as it is, then each that changes.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use futures_util::{StreamExt, stream};
use skep_protocol::{Change, ChangeStream, Error, ListWorkers, WorkerId, Workers};

use crate::embedded::Embedded;

/// Changes read at once.
const BATCH: usize = 100;

/// Where a follower is.
struct Follower {
    runtime: Embedded,
    place: Option<Place>,
    ready: VecDeque<Result<Change, Error>>,
}

/// How far a follower has read. Written `<change>`, or `<change>.<worker>` while it reads all
/// workers for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// What changed after this is still to be read.
    change: u64,
    /// The workers after this one are as well.
    snapshot: Option<Option<WorkerId>>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.snapshot {
            Some(Some(worker)) => write!(f, "{}.{worker}", self.change),
            Some(None) | None => self.change.fmt(f),
        }
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (change, worker) = match text.split_once('.') {
            None => (text, None),
            Some((change, worker)) => (change, Some(worker.parse().map_err(|_| ())?)),
        };
        let change = change.parse().map_err(|_| ())?;
        Ok(Self { change, snapshot: worker.map(Some) })
    }
}

/// The changes after a place, or everything from a snapshot on.
pub(crate) fn changes(runtime: Embedded, place: Option<Place>) -> ChangeStream {
    let log = &runtime.0.changes;
    let known = place.filter(|place| log.since(place.change, 0).is_some());
    let place = known.unwrap_or(Place { change: log.newest(), snapshot: Some(None) });
    let follower = Follower { runtime, place: Some(place), ready: VecDeque::new() };
    stream::unfold(follower, |mut follower| async move {
        loop {
            if let Some(change) = follower.ready.pop_front() {
                return Some((change, follower));
            }
            let place = follower.place.take()?;
            match follower.advance(place).await {
                Ok(place) => follower.place = place,
                Err(error) => follower.ready.push_back(Err(error)),
            }
        }
    })
    .boxed()
}

impl Follower {
    /// Reads on. Returns where it is then, or `None` at the end.
    async fn advance(&mut self, place: Place) -> Result<Option<Place>, Error> {
        match place.snapshot {
            Some(after) => self.snapshot(place.change, after).await.map(Some),
            None => self.changes(place.change).await,
        }
    }

    async fn snapshot(&mut self, change: u64, after: Option<WorkerId>) -> Result<Place, Error> {
        let cursor = after.map(|worker| worker.to_string());
        let page = self.runtime.list(ListWorkers { limit: 0, cursor, label: None }).await?;
        let last = page.items.last().map(|view| view.worker_id);
        self.ready.extend(page.items.into_iter().map(|view| {
            let worker_id = view.worker_id;
            let place = Place { change, snapshot: Some(Some(worker_id)) };
            Ok(Change { cursor: place.to_string(), worker_id, worker: Some(Box::new(view)) })
        }));
        Ok(Place { change, snapshot: page.next_cursor.map(|_| last) })
    }

    async fn changes(&mut self, mut change: u64) -> Result<Option<Place>, Error> {
        let mut newest = self.runtime.0.changes.follow();
        loop {
            if self.runtime.0.is_closing() {
                return Ok(None);
            }
            let log = &self.runtime.0.changes;
            let Some(changed) = log.since(change, BATCH) else {
                // Too far behind: begin anew rather than leave anything out.
                return Ok(Some(Place { change: log.newest(), snapshot: Some(None) }));
            };
            if changed.is_empty() {
                if newest.changed().await.is_err() {
                    return Ok(None);
                }
                continue;
            }
            for (at, worker_id) in changed {
                change = at;
                // The worker as it is now, which may be later than the change.
                let worker = match self.runtime.get(worker_id).await {
                    Ok(view) => Some(Box::new(view)),
                    Err(Error::WorkerRemoved | Error::UnknownWorker(_)) => None,
                    Err(error) => return Err(error),
                };
                self.ready.push_back(Ok(Change { cursor: at.to_string(), worker_id, worker }));
            }
            return Ok(Some(Place { change, snapshot: None }));
        }
    }
}
