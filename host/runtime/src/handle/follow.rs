//! Following a runtime's workers: first a snapshot of all, then every change.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use futures_util::{StreamExt, stream};
use skep_protocol::{Change, ChangeStream, Error, ListWorkers, WorkerId, Workers};

use crate::embedded::Embedded;

/// Changes read at once.
const BATCH: usize = 100;

/// A reader of the snapshot and the changes.
struct ChangeFollower {
    runtime: Embedded,
    cursor: Option<ChangeCursor>,
    ready: VecDeque<Result<Change, Error>>,
}

/// The position of a follower. Written `<change>`, or `<change>.<worker>` during the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangeCursor {
    /// Changes after this position are still to be read.
    change: u64,
    /// During the snapshot: workers after this one are still to be read.
    snapshot: Option<Option<WorkerId>>,
}

impl fmt::Display for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.snapshot {
            Some(Some(worker)) => write!(f, "{}.{worker}", self.change),
            Some(None) | None => self.change.fmt(f),
        }
    }
}

impl FromStr for ChangeCursor {
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

/// Streams the changes after a cursor. Starts with a snapshot if there is no cursor or it is
/// outdated.
pub(crate) fn changes(runtime: Embedded, cursor: Option<ChangeCursor>) -> ChangeStream {
    let log = &runtime.0.changes;
    let known = cursor.filter(|cursor| log.since(cursor.change, 0).is_some());
    let cursor = known.unwrap_or(ChangeCursor { change: log.newest(), snapshot: Some(None) });
    let follower = ChangeFollower { runtime, cursor: Some(cursor), ready: VecDeque::new() };
    stream::unfold(follower, |mut follower| async move {
        loop {
            if let Some(change) = follower.ready.pop_front() {
                return Some((change, follower));
            }
            let cursor = follower.cursor.take()?;
            match follower.advance(cursor).await {
                Ok(cursor) => follower.cursor = cursor,
                Err(error) => follower.ready.push_back(Err(error)),
            }
        }
    })
    .boxed()
}

impl ChangeFollower {
    /// Reads the next batch. Returns the new cursor, or `None` at the end.
    async fn advance(&mut self, cursor: ChangeCursor) -> Result<Option<ChangeCursor>, Error> {
        match cursor.snapshot {
            Some(after) => self.snapshot(cursor.change, after).await.map(Some),
            None => self.changes(cursor.change).await,
        }
    }

    async fn snapshot(
        &mut self,
        change: u64,
        after: Option<WorkerId>,
    ) -> Result<ChangeCursor, Error> {
        let cursor = after.map(|worker| worker.to_string());
        let page = self.runtime.list(ListWorkers { cursor, ..ListWorkers::default() }).await?;
        let last = page.items.last().map(|view| view.worker_id);
        self.ready.extend(page.items.into_iter().map(|view| {
            let worker_id = view.worker_id;
            let cursor = ChangeCursor { change, snapshot: Some(Some(worker_id)) };
            Ok(Change { cursor: cursor.to_string(), worker_id, worker: Some(Box::new(view)) })
        }));
        Ok(ChangeCursor { change, snapshot: page.next_cursor.map(|_| last) })
    }

    async fn changes(&mut self, mut change: u64) -> Result<Option<ChangeCursor>, Error> {
        let mut newest = self.runtime.0.changes.follow();
        loop {
            if self.runtime.0.is_closing() {
                return Ok(None);
            }
            let log = &self.runtime.0.changes;
            let Some(changed) = log.since(change, BATCH) else {
                // The reader is too far behind: restart from a snapshot so that it misses nothing.
                return Ok(Some(ChangeCursor { change: log.newest(), snapshot: Some(None) }));
            };
            if changed.is_empty() {
                if newest.changed().await.is_err() {
                    return Ok(None);
                }
                continue;
            }
            for (at, worker_id) in changed {
                change = at;
                // Reads the current state, which may be newer than the change.
                let worker = match self.runtime.get(worker_id).await {
                    Ok(view) => Some(Box::new(view)),
                    Err(Error::WorkerRemoved | Error::UnknownWorker(_)) => None,
                    Err(error) => return Err(error),
                };
                self.ready.push_back(Ok(Change { cursor: at.to_string(), worker_id, worker }));
            }
            return Ok(Some(ChangeCursor { change, snapshot: None }));
        }
    }
}
