//! The steps that a runtime knows: those that wait or run, and the last that ended.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skep_ci::Store;
use skep_protocol::ci::{LogRecord, StepOutcome, StepResult};
use skep_protocol::step::{StepRequest, StepState};
use skep_protocol::{Error, Invalid, StepKey};
use tokio::sync::Notify;

use crate::running::RunningGuests;

/// Number of ended steps that are remembered.
const MOST_ENDED: usize = 2_000;

/// Records of a log in one answer.
const MOST_RECORDS: usize = 1_000;

/// Bytes of a log in one answer, about.
const MOST_LOG_BYTES: u64 = 256 << 10;

/// One step.
pub(crate) struct Ticket {
    pub(crate) key: StepKey,
    pub(crate) request: StepRequest,
    pub(crate) running: RunningGuests,
    /// Notified when it ends.
    pub(crate) ended: Notify,
    progress: Mutex<Progress>,
}

struct Progress {
    state: StepState,
    result: Option<StepResult>,
}

/// Returns the name of a request's step: the same for the same step of the same run.
///
/// # Errors
/// If no name can be made of it.
pub(crate) fn key(request: &StepRequest) -> Result<StepKey, Error> {
    let name = format!("{}\n{}", request.run, request.step.id);
    let hex = skep_ci::digest_of(name.as_bytes()).hex();
    hex[..32].parse().map_err(|_| Invalid::Step.into())
}

impl Ticket {
    pub(crate) fn new(key: StepKey, request: StepRequest) -> Self {
        let progress = Mutex::new(Progress { state: StepState::Queued, result: None });
        let (running, ended) = Default::default();
        Self { key, request, running, ended, progress }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns its state, and its result if it has ended.
    pub(crate) fn state(&self) -> (StepState, Option<StepResult>) {
        let progress = self.progress();
        (progress.state, progress.result.clone())
    }

    /// Returns true if it ended for a reason that is not its own.
    pub(crate) fn may_run_again(&self) -> bool {
        let again = [StepOutcome::Cancelled, StepOutcome::HostFault];
        self.progress().result.as_ref().is_some_and(|result| again.contains(&result.outcome))
    }

    pub(crate) fn begin(&self) {
        self.progress().state = StepState::Running;
    }

    pub(crate) fn end(&self, result: StepResult) {
        *self.progress() = Progress { state: StepState::Ended, result: Some(result) };
        self.ended.notify_waiters();
    }

    /// Reads records of its log, and returns true if there are more.
    pub(crate) fn records(&self, store: &Store, after: u64) -> io::Result<(Vec<LogRecord>, bool)> {
        let (run, step) = (self.request.run.as_str(), &self.request.step.id);
        let Some(file) = skep_ci::open_log(store, run, step)? else {
            return Ok((Vec::new(), false));
        };
        let mut records = skep_ci::read_log(file, after)?;
        let mut bytes = 0;
        let fit = records.iter().take(MOST_RECORDS).take_while(|record| {
            let before = bytes;
            bytes += if record.gap.is_none() { record.bytes } else { 0 };
            before < MOST_LOG_BYTES
        });
        let fit = fit.count();
        let more = fit < records.len();
        records.truncate(fit);
        Ok((records, more))
    }
}

/// All steps by their names.
#[derive(Default)]
pub(crate) struct Tickets {
    all: HashMap<StepKey, Arc<Ticket>>,
    ended: VecDeque<Arc<Ticket>>,
    open: usize,
}

impl Tickets {
    pub(crate) fn get(&self, key: &StepKey) -> Option<Arc<Ticket>> {
        self.all.get(key).cloned()
    }

    /// Returns the number of steps that wait or run.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    pub(crate) fn add(&mut self, ticket: &Arc<Ticket>) {
        self.open += 1;
        self.all.insert(ticket.key.clone(), ticket.clone());
    }

    /// Counts a step as ended, and forgets the oldest such steps.
    pub(crate) fn end(&mut self, ticket: &Arc<Ticket>) {
        self.open -= 1;
        self.ended.push_back(ticket.clone());
        if self.ended.len() > MOST_ENDED
            && let Some(oldest) = self.ended.pop_front()
            && self.all.get(&oldest.key).is_some_and(|known| Arc::ptr_eq(known, &oldest))
        {
            self.all.remove(&oldest.key);
        }
    }

    /// Ends all steps.
    pub(crate) fn cancel(&self) {
        self.all.values().for_each(|ticket| ticket.running.cancel());
    }
}
