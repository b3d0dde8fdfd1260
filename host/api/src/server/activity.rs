//! The activity of one connection: the event it waits for, and its deadline.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::ServerLimits;

/// The activity of a connection, shared by its socket, its requests and their responses.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    limits: ServerLimits,
    /// Requests in flight.
    in_flight: AtomicUsize,
    /// Time when the last request finished, in ms after `began`.
    idle_since: AtomicU64,
    /// Time when the current head started, in ms after `began`, plus 1; 0 if no head is being read.
    head_since: AtomicU64,
    /// True for HTTP/2.
    multiplexed: AtomicBool,
    /// Responses of HTTP/2. For HTTP/1.1 the socket itself shows progress.
    answers: Mutex<Vec<Weak<WriteProgress>>>,
}

/// The write progress of a response.
#[derive(Debug, Default)]
pub(super) struct WriteProgress {
    /// Time when the last piece was handed to the connection, in ms after `began`, plus 1; 0 while
    /// the response itself has nothing to send.
    since: AtomicU64,
}

impl WriteProgress {
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

    /// Records received bytes.
    pub(super) fn received(&self) {
        let waits = self.in_flight.load(Ordering::Relaxed) == 0;
        if waits && !self.is_multiplexed() && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now() + 1, Ordering::Relaxed);
        }
    }

    /// Records the complete HTTP/2 preface. From here on only frames decide: those that are not
    /// requests, such as pings, neither keep a connection open nor end it.
    pub(super) fn set_multiplexed(&self) {
        self.multiplexed.store(true, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Ordering::Relaxed)
    }

    /// Records the complete head of a request.
    pub(super) fn request_started(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
    }

    /// Records the end of a response.
    pub(super) fn request_finished(&self) {
        self.idle_since.store(self.now(), Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Starts to track a response of HTTP/2.
    pub(super) fn watch(&self) -> Arc<WriteProgress> {
        let taken = Arc::new(WriteProgress::default());
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() == answers.capacity() {
            answers.retain(|answer| answer.strong_count() > 0);
        }
        answers.push(Arc::downgrade(&taken));
        taken
    }

    /// Returns the client's deadline; none while the client is waiting for us.
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

    /// Returns true if an HTTP/2 response is stalled, although the connection itself may not be.
    ///
    /// Only closing the connection ends a stalled response, which takes the others with it. So it
    /// gets twice the time: a registry that forwards a response first gives up on its own reader,
    /// and ends just the one response.
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
