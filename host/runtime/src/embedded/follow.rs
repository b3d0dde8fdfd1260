//! Following a runtime's workers: each as it is, then each that changes.

use std::collections::VecDeque;

use futures_util::{StreamExt, stream};
use skep_protocol::{Change, ChangeStream, Error, ListWorkers, RuntimeHandle, WorkerId};

use super::Embedded;
use super::handle::change;

/// Changes read at once.
const BATCH: usize = 100;

/// Where a follower is.
struct Follower {
    runtime: Embedded,
    stage: Stage,
    ready: VecDeque<Result<Change, Error>>,
}

enum Stage {
    /// Reads all workers, a page at a time. What changes meanwhile is after `place`.
    Snapshot {
        place: u64,
        cursor: Option<String>,
    },
    /// Reads what changed after a place.
    Changes {
        place: u64,
    },
    Over,
}

/// The changes after a place, or everything from a snapshot on.
pub(super) fn changes(runtime: Embedded, place: Option<u64>) -> ChangeStream {
    let newest = runtime.0.changes.newest();
    let stage = match place.filter(|&place| runtime.0.changes.since(place, 0).is_some()) {
        Some(place) => Stage::Changes { place },
        None => Stage::Snapshot { place: newest, cursor: None },
    };
    let follower = Follower { runtime, stage, ready: VecDeque::new() };
    stream::unfold(follower, |mut follower| async move {
        loop {
            if let Some(change) = follower.ready.pop_front() {
                return Some((change, follower));
            }
            if !follower.advance().await {
                return None;
            }
        }
    })
    .boxed()
}

impl Follower {
    /// Reads on. Returns whether there is anything more to come.
    async fn advance(&mut self) -> bool {
        let next = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => return false,
            Stage::Snapshot { place, cursor } => self.snapshot(place, cursor).await,
            Stage::Changes { place } => self.changes(place).await,
        };
        match next {
            Ok(stage) => self.stage = stage,
            Err(error) => self.ready.push_back(Err(error)),
        }
        true
    }

    async fn snapshot(&mut self, place: u64, cursor: Option<String>) -> Result<Stage, Error> {
        let query = ListWorkers { limit: 0, cursor, label: None };
        let page = self.runtime.list(query).await?;
        self.ready.extend(page.items.into_iter().map(|view| {
            let worker_id = view.worker_id;
            Ok(Change { cursor: place.to_string(), worker_id, worker: Some(Box::new(view)) })
        }));
        Ok(match page.next_cursor {
            Some(cursor) => Stage::Snapshot { place, cursor: Some(cursor) },
            None => Stage::Changes { place },
        })
    }

    async fn changes(&mut self, mut place: u64) -> Result<Stage, Error> {
        let mut newest = self.runtime.0.changes.follow();
        loop {
            if self.runtime.0.is_closing() {
                return Ok(Stage::Over);
            }
            let log = &self.runtime.0.changes;
            let Some(changed) = log.since(place, BATCH) else {
                // Too far behind: begin anew rather than leave anything out.
                return Ok(Stage::Snapshot { place: log.newest(), cursor: None });
            };
            if changed.is_empty() {
                if newest.changed().await.is_err() {
                    return Ok(Stage::Over);
                }
                continue;
            }
            let changed: Vec<(u64, WorkerId)> = changed;
            for (at, id) in changed {
                place = at;
                let change = change(&self.runtime, at, id).await;
                self.ready.push_back(change);
            }
            return Ok(Stage::Changes { place });
        }
    }
}
