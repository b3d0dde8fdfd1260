//! The log of changed workers, for those who follow a runtime.
//!
//! A change is a worker id at a position in one sequence; its reader looks up the current state of
//! the worker. A worker that changes a thousand times between two reads is therefore one item, and
//! the log holds at most one entry per recently changed worker.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use skep_protocol::WorkerId;
use tokio::sync::watch;

/// Maximum number of changes kept. A reader with an older cursor starts over with a snapshot.
const MAX_CHANGES: usize = 16_384;

/// The log of a runtime's changes.
#[derive(Debug)]
pub(crate) struct ChangeLog {
    log: Mutex<ChangeLogState>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct ChangeLogState {
    by_position: BTreeMap<u64, WorkerId>,
    positions: HashMap<WorkerId, u64>,
    newest: u64,
    /// Changes after this position have not been read.
    read: u64,
    /// Changes up to this position may have been dropped.
    forgotten: u64,
}

impl ChangeLog {
    /// Creates a log whose positions are above `start`. Every start of a runtime passes a higher
    /// one, so that cursors of an earlier run are recognized as outdated.
    pub(crate) fn new(start: u64) -> Self {
        let log = ChangeLogState {
            by_position: BTreeMap::new(),
            positions: HashMap::new(),
            newest: start,
            read: start,
            forgotten: start,
        };
        Self { log: Mutex::new(log), newest: watch::Sender::new(start) }
    }

    /// Records that a worker changed.
    pub(crate) fn note(&self, worker: WorkerId) {
        let newest = {
            let mut log = self.log();
            // An unread change already stands for the current state of the worker.
            if log.positions.get(&worker).is_some_and(|&position| position > log.read) {
                return;
            }
            log.newest += 1;
            let position = log.newest;
            if let Some(before) = log.positions.insert(worker, position) {
                log.by_position.remove(&before);
            }
            log.by_position.insert(position, worker);
            if log.by_position.len() > MAX_CHANGES
                && let Some((position, worker)) = log.by_position.pop_first()
            {
                log.forgotten = position;
                log.positions.remove(&worker);
            }
            position
        };
        self.newest.send_replace(newest);
    }

    /// Wakes all followers.
    pub(crate) fn wake(&self) {
        self.newest.send_modify(|_| {});
    }

    /// Returns the position of the newest change.
    pub(crate) fn newest(&self) -> u64 {
        let mut log = self.log();
        log.read = log.newest;
        log.newest
    }

    /// Returns the changes after a position, oldest first, or `None` if they are no longer known.
    pub(crate) fn since(&self, position: u64, limit: usize) -> Option<Vec<(u64, WorkerId)>> {
        let mut log = self.log();
        log.read = log.newest;
        if position < log.forgotten || position > log.newest {
            return None;
        }
        let after = log.by_position.range(position + 1..);
        Some(after.take(limit).map(|(&position, &worker)| (position, worker)).collect())
    }

    /// Returns a receiver of the newest position.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn log(&self) -> MutexGuard<'_, ChangeLogState> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(n: u64) -> WorkerId {
        WorkerId::new(n, [0; 10])
    }

    #[test]
    fn repeated_changes_of_a_worker_are_read_once() {
        let log = ChangeLog::new(10);
        for n in [1, 2, 1, 1] {
            log.note(worker(n));
        }
        assert_eq!(log.since(10, 9), Some(vec![(11, worker(1)), (12, worker(2))]));
        assert_eq!(log.since(11, 9), Some(vec![(12, worker(2))]));
        assert_eq!(log.since(12, 9), Some(vec![]));
        assert_eq!(log.since(10, 1), Some(vec![(11, worker(1))]));
    }

    #[test]
    fn a_change_after_a_read_is_a_new_entry() {
        let log = ChangeLog::new(10);
        log.note(worker(1));
        assert_eq!(log.since(10, 9), Some(vec![(11, worker(1))]));
        log.note(worker(1));
        assert_eq!(log.since(11, 9), Some(vec![(12, worker(1))]));
        log.note(worker(2));
        assert_eq!(log.newest(), 13);
        log.note(worker(2));
        assert_eq!(log.since(13, 9), Some(vec![(14, worker(2))]));
    }

    #[test]
    fn unknown_positions_yield_no_changes() {
        let log = ChangeLog::new(10);
        assert_eq!(log.since(9, 9), None, "from an earlier start");
        assert_eq!(log.since(11, 9), None, "from a later start");
        for n in 0..=MAX_CHANGES as u64 {
            log.note(worker(n));
        }
        assert_eq!(log.since(10, 9), None);
        assert_eq!(log.since(11, 1), Some(vec![(12, worker(1))]));
    }
}
