//! What an instance of an HTTP worker holds of its runtime: memory, and the way of its output.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use skep_lanes::Hold;
use skep_sandbox::MemoryAdmission;
use skep_sandbox::stdio::GuestOutput;
use tokio::task::AbortHandle;

use super::request::HttpRecord;
use crate::memory::residency::{IdleGuard, Residence};
use crate::turn::log::{TurnLines, TurnLog};

/// What an instance of an HTTP worker holds of its runtime.
pub(super) struct WorkerHold {
    /// Released before the residence.
    idle: Option<(IdleGuard, AbortHandle)>,
    residence: Residence,
    /// The request that receives the output.
    lines: Arc<Mutex<Weak<TurnLog>>>,
    outputs: Vec<GuestOutput>,
    host: tokio::runtime::Handle,
}

impl WorkerHold {
    pub(super) fn new(
        host: tokio::runtime::Handle,
        residence: Residence,
        record: &HttpRecord,
    ) -> Self {
        let lines = Arc::new(Mutex::new(Arc::downgrade(&record.log)));
        Self { idle: None, residence, lines, outputs: Vec::new(), host }
    }

    /// Creates an output stream of the instance.
    pub(super) fn output(&mut self, stream: &'static str) -> GuestOutput {
        let output = GuestOutput::lines(TurnLines::new(stream, &self.lines));
        self.outputs.push(output.clone());
        output
    }

    /// Returns what admits the memory of the instance.
    pub(super) fn admission(&self) -> Arc<dyn MemoryAdmission> {
        self.residence.admission()
    }

    fn finish_lines(&self) {
        for output in &self.outputs {
            output.finish_lines();
        }
    }
}

impl Hold<HttpRecord> for WorkerHold {
    fn begin(&mut self, record: &HttpRecord) {
        *self.lines.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&record.log);
    }

    fn park(&mut self, evict: Box<dyn FnOnce() + Send>) {
        self.finish_lines();
        let guard = self.residence.idle();
        let evicted = guard.eviction();
        let waiting = self.host.spawn(async move {
            evicted.notified().await;
            evict();
        });
        self.idle = Some((guard, waiting.abort_handle()));
    }

    fn resume(&mut self) -> bool {
        if let Some((_, waiting)) = self.idle.take() {
            waiting.abort();
        }
        self.residence.resume()
    }
}

impl Drop for WorkerHold {
    fn drop(&mut self) {
        self.finish_lines();
        if let Some((_, waiting)) = self.idle.take() {
            waiting.abort();
        }
    }
}
