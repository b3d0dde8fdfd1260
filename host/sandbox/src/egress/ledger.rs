//! The requests of one turn: those in flight, those whose responses are unread, and denials.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use skep_protocol::{Denial, RequestRecord};
use tokio::task::{AbortHandle, JoinHandle};

use super::target::RequestTarget;
use crate::guest::denials::{Denied, MOST};
use crate::guest::turn::RequestLog;

/// The open requests and denials of one instance's current turn.
#[derive(Debug, Default)]
pub(super) struct RequestLedger {
    open: Mutex<BTreeMap<u64, Arc<OpenRequest>>>,
    denied: Mutex<Vec<Denied>>,
    next: AtomicU64,
    unread: AtomicU64,
}

/// Counts a response that the guest has not read to its end. The host holds its last chunk and
/// perhaps its headers.
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

    /// Returns true if at least `most` requests are in flight or at least `most` responses are
    /// unread.
    pub(super) fn has(&self, most: u64) -> bool {
        self.open().len() as u64 >= most || self.unread.load(Ordering::Relaxed) >= most
    }

    /// Keeps at most [`MOST`] denials. A guest may be denied a million requests in one turn.
    pub(super) fn deny(&self, interface: &'static str, denial: Denial) {
        let (mut all, denied) = (self.denied(), Denied { interface, denial });
        if all.len() < MOST && !all.contains(&denied) {
            all.push(denied);
        }
    }

    /// The denials since the list was last taken.
    pub(super) fn denied(&self) -> MutexGuard<'_, Vec<Denied>> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Aborts all open requests and records them.
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

/// One request, from its start to its record.
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
    /// The request body exceeded its limit.
    pub(super) past_limit: AtomicBool,
    /// The response body arrived in full.
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

    /// Records the end of the request. Only the first call has an effect.
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

    /// Aborts `task` when the turn ends.
    pub(super) fn bind<T>(&self, task: &JoinHandle<T>) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task.abort_handle());
        // A turn that ended before the push did not abort the task.
        if self.recorded.load(Ordering::SeqCst) {
            task.abort();
        }
    }
}

/// Records a request as abandoned if its task is dropped before it finishes.
pub(super) struct RecordOnDrop(pub(super) Arc<OpenRequest>);

impl Drop for RecordOnDrop {
    fn drop(&mut self) {
        // The receiver dropped the request.
        self.0.finish(Some("abandoned"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_are_bounded() {
        let ledger = RequestLedger::default();
        for n in 0..10_000 {
            for _ in 0..2 {
                let denial = Denial { wanted: Some(n.to_string()), grant: None };
                ledger.deny("wasi:http/outgoing-handler", denial);
            }
        }
        let wanted: Vec<_> = ledger.denied().iter().flat_map(|d| d.denial.wanted.clone()).collect();
        assert_eq!(wanted, (0..MOST).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}
