//! Following a runtime's workers: first a snapshot of all, then every change.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use futures_util::{StreamExt, stream};
use skep_protocol::{
    Change, ChangeStream, Error, ListWorkers, ReadyEvent, RuntimeEvent, WorkerId, Workers,
};
use tokio::sync::broadcast::Receiver;

use crate::embedded::Embedded;

/// Changes read at once.
const BATCH: usize = 100;

/// A reader of the snapshot and the changes.
struct ChangeFollower {
    runtime: Embedded,
    cursor: Option<ChangeCursor>,
    ready: VecDeque<Result<RuntimeEvent, Error>>,
    notices: Receiver<RuntimeEvent>,
    /// True if the reader wants no snapshots.
    from_now: bool,
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

/// Streams the events after a cursor. Starts with a snapshot if there is no cursor or it is outdated,
/// unless the reader wants none.
pub(crate) fn changes(
    runtime: Embedded,
    cursor: Option<ChangeCursor>,
    from_now: bool,
) -> ChangeStream {
    let core = &runtime.0;
    // Subscribed first, so that no notice is missed after the cursor.
    let notices = core.notices.subscribe();
    let known = cursor.filter(|cursor| core.changes.since(cursor.change, 0).is_some());
    let mut ready = VecDeque::new();
    if cursor.is_some() && known.is_none() {
        ready.push_back(Ok(RuntimeEvent::Reset));
    }
    let fresh =
        || ChangeCursor { change: core.changes.newest(), snapshot: (!from_now).then_some(None) };
    let cursor = known.unwrap_or_else(fresh);
    if cursor.snapshot.is_none() {
        ready.push_back(Ok(cursor.ready()));
    }
    let follower = ChangeFollower { runtime, cursor: Some(cursor), ready, notices, from_now };
    stream::unfold(follower, |mut follower| async move {
        loop {
            if let Some(event) = follower.ready.pop_front() {
                return Some((event, follower));
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

impl ChangeCursor {
    fn ready(&self) -> RuntimeEvent {
        RuntimeEvent::Ready(ReadyEvent { cursor: self.to_string() })
    }
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
            let cursor = cursor.to_string();
            let worker = Some(Box::new(view));
            Ok(RuntimeEvent::Change(Change { cursor, worker_id, worker }))
        }));
        let next = ChangeCursor { change, snapshot: page.next_cursor.map(|_| last) };
        if next.snapshot.is_none() {
            self.ready.push_back(Ok(next.ready()));
        }
        Ok(next)
    }

    async fn changes(&mut self, mut change: u64) -> Result<Option<ChangeCursor>, Error> {
        let mut newest = self.runtime.0.changes.follow();
        loop {
            if self.runtime.0.is_closing() {
                return Ok(None);
            }
            let log = &self.runtime.0.changes;
            let Some(changed) = log.since(change, BATCH) else {
                return Ok(Some(self.start_over()));
            };
            if changed.is_empty() {
                tokio::select! {
                    changed = newest.changed() => {
                        if changed.is_err() {
                            return Ok(None);
                        }
                    }
                    notice = self.notices.recv() => {
                        // A reader that is too slow for notices misses some; lists have them.
                        if let Ok(notice) = notice {
                            self.ready.push_back(Ok(notice));
                            return Ok(Some(ChangeCursor { change, snapshot: None }));
                        }
                    }
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
                let change = Change { cursor: at.to_string(), worker_id, worker };
                self.ready.push_back(Ok(RuntimeEvent::Change(change)));
            }
            return Ok(Some(ChangeCursor { change, snapshot: None }));
        }
    }

    /// Makes a reader that is too far behind forget what it knows, so that it misses nothing.
    fn start_over(&mut self) -> ChangeCursor {
        self.ready.push_back(Ok(RuntimeEvent::Reset));
        let snapshot = (!self.from_now).then_some(None);
        let cursor = ChangeCursor { change: self.runtime.0.changes.newest(), snapshot };
        if snapshot.is_none() {
            self.ready.push_back(Ok(cursor.ready()));
        }
        cursor
    }
}
