//! What goes on on one connection: how the clock that watches it knows what it is waiting for.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::ServerLimits;

/// Shared by the connection's socket, its requests and their answers.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    limits: ServerLimits,
    /// Requests whose answers have not ended.
    in_flight: AtomicUsize,
    /// When the last one ended, in ms after `began`.
    idle_since: AtomicU64,
    /// When the head that is being read began, in ms after `began` and 1 more; 0 if none is.
    head_since: AtomicU64,
    /// Whether it is HTTP/2.
    multiplexed: AtomicBool,
    /// The answers of HTTP/2. Those of HTTP/1.1 are seen by their socket.
    answers: Mutex<Vec<Weak<Taken>>>,
}

/// When an answer's bytes were taken last.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// When the last piece was handed over and no more asked for since, in ms after the connection
    /// began and 1 more; 0 where it is the answer that has nothing to give.
    since: AtomicU64,
}

impl Taken {
    pub(super) fn handed_over(&self, activity: &Activity) {
        self.since.store(activity.now() + 1, Ordering::Relaxed);
    }

    pub(super) fn has_nothing(&self) {
        self.since.store(0, Ordering::Relaxed);
    }
}

impl Activity {
    pub(super) fn new(limits: ServerLimits) -> Self {
        Self {
            began: Instant::now(),
            limits,
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            multiplexed: AtomicBool::new(false),
            answers: Mutex::new(Vec::new()),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    /// Bytes came.
    pub(super) fn came(&self) {
        let waits = self.in_flight.load(Ordering::Relaxed) == 0;
        if waits && !self.is_multiplexed() && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now() + 1, Ordering::Relaxed);
        }
    }

    /// The whole of HTTP/2's preface came. From now on its own frames say what is a request, and
    /// those that are none, such as pings, are no reason to keep a connection or to end it.
    pub(super) fn is_found_multiplexed(&self) {
        self.multiplexed.store(true, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Ordering::Relaxed)
    }

    /// A request's head is complete.
    pub(super) fn begins(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
    }

    /// Its answer has ended.
    pub(super) fn ends(&self) {
        self.idle_since.store(self.now(), Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Watches an answer of HTTP/2.
    pub(super) fn watch(&self) -> Arc<Taken> {
        let taken = Arc::new(Taken::default());
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() == answers.capacity() {
            answers.retain(|answer| answer.strong_count() > 0);
        }
        answers.push(Arc::downgrade(&taken));
        taken
    }

    /// When the client will have taken too long for what it is waited for; none where it is the
    /// client that waits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let (since, limit) = match self.head_since.load(Ordering::Relaxed) {
            0 => (self.idle_since.load(Ordering::Relaxed), self.limits.idle),
            since => (since - 1, self.limits.head),
        };
        Some(self.began + Duration::from_millis(since) + limit)
    }

    /// Whether an answer of HTTP/2 is not taken although the connection itself may be.
    ///
    /// Ending the connection is the only way to end such an answer, and takes others with it. So it
    /// is given twice the time: a registry that passes an answer on gives up on its own reader
    /// first, and ends the one answer.
    pub(super) fn is_stalled(&self) -> bool {
        let limit =
            u64::try_from(self.limits.stall.as_millis()).unwrap_or(u64::MAX).saturating_mul(2);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.strong_count() > 0);
        answers.iter().filter_map(Weak::upgrade).any(|answer| {
            let since = answer.since.load(Ordering::Relaxed);
            since > 0 && self.now().saturating_sub(since - 1) > limit
        })
    }
}
