//! Which workers changed, for those who follow them.
//!
//! A change is a worker's name and a place in one sequence; what the worker is now is read when the
//! change is read. So a worker that changes a thousand times between two reads is one item, and the
//! log needs no more room than a name for each worker that changed lately.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use skep_protocol::WorkerId;
use tokio::sync::watch;

/// Names remembered. A reader that comes back from before that begins anew.
const REMEMBERED: usize = 16_384;

/// The log of a runtime's changes.
#[derive(Debug)]
pub(crate) struct ChangeLog {
    log: Mutex<Log>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Log {
    by_place: BTreeMap<u64, WorkerId>,
    places: HashMap<WorkerId, u64>,
    newest: u64,
    /// Nobody has read what comes after this.
    read: u64,
    /// Changes up to here may have been forgotten.
    forgotten: u64,
}

impl ChangeLog {
    /// A log whose places are above `start`. Each start of a runtime gives a higher one, so that a
    /// cursor of an earlier one is known to be old.
    pub(crate) fn new(start: u64) -> Self {
        let log = Log {
            by_place: BTreeMap::new(),
            places: HashMap::new(),
            newest: start,
            read: start,
            forgotten: start,
        };
        Self { log: Mutex::new(log), newest: watch::Sender::new(start) }
    }

    /// A worker changed.
    pub(crate) fn note(&self, worker: WorkerId) {
        let newest = {
            let mut log = self.log();
            // Whoever comes to its place finds the worker as it is then.
            if log.places.get(&worker).is_some_and(|&place| place > log.read) {
                return;
            }
            log.newest += 1;
            let place = log.newest;
            if let Some(before) = log.places.insert(worker, place) {
                log.by_place.remove(&before);
            }
            log.by_place.insert(place, worker);
            if log.by_place.len() > REMEMBERED
                && let Some((place, worker)) = log.by_place.pop_first()
            {
                log.forgotten = place;
                log.places.remove(&worker);
            }
            place
        };
        self.newest.send_replace(newest);
    }

    /// Has those who follow look again.
    pub(crate) fn wake(&self) {
        self.newest.send_modify(|_| {});
    }

    /// The place of the newest change.
    pub(crate) fn newest(&self) -> u64 {
        let mut log = self.log();
        log.read = log.newest;
        log.newest
    }

    /// What changed after a place, oldest first, or `None` if that is no longer known.
    pub(crate) fn since(&self, place: u64, limit: usize) -> Option<Vec<(u64, WorkerId)>> {
        let mut log = self.log();
        log.read = log.newest;
        if place < log.forgotten || place > log.newest {
            return None;
        }
        let after = log.by_place.range(place + 1..);
        Some(after.take(limit).map(|(&place, &worker)| (place, worker)).collect())
    }

    /// Tells of the newest change as it comes.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
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
    fn a_worker_that_changes_often_is_read_once() {
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
    fn a_change_after_a_read_is_another_one() {
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
    fn a_place_that_was_forgotten_or_never_was_is_said_to_be() {
        let log = ChangeLog::new(10);
        assert_eq!(log.since(9, 9), None, "of an earlier start");
        assert_eq!(log.since(11, 9), None, "of a later one");
        for n in 0..=REMEMBERED as u64 {
            log.note(worker(n));
        }
        assert_eq!(log.since(10, 9), None);
        assert_eq!(log.since(11, 1), Some(vec![(12, worker(1))]));
    }
}
