//! The requests of one turn: those in flight, those whose responses are unread, and denials.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use skep_protocol::{Denial, RequestRecord};
use tokio::task::{AbortHandle, JoinHandle};

use super::target::RequestTarget;
use crate::guest::denials::MOST;
use crate::guest::turn::RequestLog;

/// What a turn's requests share: those that are open, and what they were denied.
#[derive(Debug, Default)]
pub(super) struct RequestLedger {
    open: Mutex<BTreeMap<u64, Arc<OpenRequest>>>,
    denied: Mutex<Vec<Denial>>,
    next: AtomicU64,
    unread: AtomicU64,
}

/// An answer that the guest has not read to its end: its last chunk waits here, and perhaps its
/// headers do.
#[derive(Debug)]
pub(super) struct UnreadResponse(Arc<RequestLedger>);

impl UnreadResponse {
    pub(super) fn new(request: &OpenRequest) -> Self {
        request.ledger.unread.fetch_add(1, Ordering::Relaxed);
        Self(request.ledger.clone())
    }
}

impl Drop for UnreadResponse {
    fn drop(&mut self) {
        self.0.unread.fetch_sub(1, Ordering::Relaxed);
    }
}

impl RequestLedger {
    pub(super) fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<OpenRequest>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are so many requests on their way, or so many answers that are not read.
    pub(super) fn has(&self, most: u64) -> bool {
        self.open().len() as u64 >= most || self.unread.load(Ordering::Relaxed) >= most
    }

    /// No more are kept than are told: a guest may be denied something a million times in a turn.
    pub(super) fn deny(&self, denial: Denial) {
        let mut denied = self.denied();
        if denied.len() < MOST && !denied.contains(&denial) {
            denied.push(denial);
        }
    }

    /// What was denied since this was last asked.
    pub(super) fn denied(&self) -> MutexGuard<'_, Vec<Denial>> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks off what is open, and has it recorded.
    pub(super) fn end(&self) {
        let open: Vec<_> = std::mem::take(&mut *self.open()).into_values().collect();
        for request in open {
            request.record(Some("turn-ended"));
            for task in request.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                task.abort();
            }
        }
    }
}

/// What is to be told of a request at its end.
pub(super) struct OpenRequest {
    number: u64,
    pub(super) method: String,
    pub(super) target: RequestTarget,
    began: Instant,
    pub(super) ledger: Arc<RequestLedger>,
    pub(super) log: Arc<dyn RequestLog>,
    pub(super) status: AtomicU16,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    /// The request's body went past its limit.
    pub(super) past_limit: AtomicBool,
    /// The answer came to its end.
    pub(super) whole: AtomicBool,
    recorded: AtomicBool,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl std::fmt::Debug for OpenRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenRequest").field("target", &self.target).finish_non_exhaustive()
    }
}

impl OpenRequest {
    pub(super) fn begin(
        ledger: &Arc<RequestLedger>,
        log: Arc<dyn RequestLog>,
        method: &str,
        target: &RequestTarget,
    ) -> Arc<Self> {
        let request = Arc::new(Self {
            number: ledger.next.fetch_add(1, Ordering::Relaxed),
            method: method.to_owned(),
            target: target.clone(),
            began: Instant::now(),
            ledger: ledger.clone(),
            log,
            status: AtomicU16::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            past_limit: AtomicBool::new(false),
            whole: AtomicBool::new(false),
            recorded: AtomicBool::new(false),
            tasks: Mutex::default(),
        });
        ledger.open().insert(request.number, request.clone());
        request
    }

    /// Writes down how it ended. Only the first word counts.
    fn record(&self, error: Option<&str>) {
        if self.recorded.swap(true, Ordering::SeqCst) {
            return;
        }
        let status = self.status.load(Ordering::Relaxed);
        let error = error.filter(|_| !self.whole.load(Ordering::Acquire));
        self.log.record(RequestRecord {
            method: self.method.clone(),
            scheme: self.target.scheme,
            host: self.target.host.clone(),
            port: self.target.port,
            status: (status > 0).then_some(status),
            sent_bytes: self.sent.load(Ordering::Relaxed),
            received_bytes: self.received.load(Ordering::Relaxed),
            wall_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            error: error.map(str::to_owned),
        });
    }

    pub(super) fn finish(&self, error: Option<&str>) {
        self.record(error);
        self.ledger.open().remove(&self.number);
    }

    /// Has the task broken off with the turn.
    pub(super) fn bind<T>(&self, task: &JoinHandle<T>) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task.abort_handle());
        // A turn that ended in between did not see it.
        if self.recorded.load(Ordering::SeqCst) {
            task.abort();
        }
    }
}

/// Sees to it that an request is recorded whatever becomes of the task it is in.
pub(super) struct RecordOnDrop(pub(super) Arc<OpenRequest>);

impl Drop for RecordOnDrop {
    fn drop(&mut self) {
        // Whoever waited for it lost interest.
        self.0.finish(Some("abandoned"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_denials_are_not_kept() {
        let ledger = RequestLedger::default();
        for n in 0..10_000 {
            for _ in 0..2 {
                ledger.deny(Denial { wanted: Some(n.to_string()), grant: None });
            }
        }
        let wanted: Vec<_> = ledger.denied().iter().flat_map(|d| d.wanted.clone()).collect();
        assert_eq!(wanted, (0..MOST).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}
