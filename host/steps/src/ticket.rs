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

/// Maximum number of steps that wait or run, and of ended ones that are remembered.
const MOST_STEPS: usize = 10_000;

/// Maximum memory of the requests of steps that wait or run, and of those that ended with their
/// results, about.
const MOST_MEMORY: usize = 128 << 20;

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
    /// Notified when it is cancelled.
    stopped: Notify,
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
        let (running, ended, stopped) = Default::default();
        Self { key, request, running, ended, stopped, progress }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns its state, and its result if it has ended.
    pub(crate) fn state(&self) -> (StepState, Option<StepResult>) {
        let progress = self.progress();
        (progress.state, progress.result.clone())
    }

    /// Returns true if it was cancelled, or ended for a reason that is not its own.
    pub(crate) fn may_run_again(&self) -> bool {
        let again = [StepOutcome::Cancelled, StepOutcome::HostFault];
        let ended = |result: &StepResult| again.contains(&result.outcome);
        self.running.is_cancelled() || self.progress().result.as_ref().is_some_and(ended)
    }

    /// Ends it, also if it still waits.
    pub(crate) fn cancel(&self) {
        self.running.cancel();
        self.stopped.notify_one();
    }

    /// Waits until it is cancelled.
    pub(crate) async fn cancelled(&self) {
        self.stopped.notified().await;
    }

    /// Returns the memory that it takes, about.
    fn memory(&self) -> usize {
        let files = |result: &StepResult| -> usize {
            result.out.files.iter().map(|file| 200 + file.path.len()).sum()
        };
        memory_of(&self.request) + self.progress().result.as_ref().map_or(0, files)
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
        let file = match skep_ci::open_log(store, run, step) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok((Vec::new(), false)),
            // No step of the run has begun.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Vec::new(), false));
            }
            Err(error) => return Err(error),
        };
        let (records, whole) = skep_ci::read_log_page(file, after, MOST_RECORDS, MOST_LOG_BYTES)?;
        Ok((records, !whole))
    }
}

/// Returns the memory that a request takes, about.
fn memory_of(request: &StepRequest) -> usize {
    let step = &request.step;
    let words = step.argv.iter().chain(step.env.keys()).chain(step.env.values());
    let words = words.chain(step.trees.keys()).chain(&step.out);
    1_000 + step.id.len() + step.tool.len() + words.map(|word| 50 + word.len()).sum::<usize>()
}

/// All steps by their names.
#[derive(Default)]
pub(crate) struct Tickets {
    all: HashMap<StepKey, Arc<Ticket>>,
    ended: VecDeque<(Arc<Ticket>, usize)>,
    /// Number and memory of the steps that wait or run.
    open: (usize, usize),
    /// Memory of those that ended.
    ended_memory: usize,
}

impl Tickets {
    pub(crate) fn get(&self, key: &StepKey) -> Option<Arc<Ticket>> {
        self.all.get(key).cloned()
    }

    /// Returns true if another step has to wait.
    pub(crate) fn is_full(&self, request: &StepRequest) -> bool {
        self.open.0 >= MOST_STEPS || self.open.1 + memory_of(request) > MOST_MEMORY
    }

    pub(crate) fn add(&mut self, ticket: &Arc<Ticket>) {
        self.open = (self.open.0 + 1, self.open.1 + memory_of(&ticket.request));
        self.all.insert(ticket.key.clone(), ticket.clone());
    }

    /// Counts a step as ended, and forgets the oldest such steps.
    pub(crate) fn end(&mut self, ticket: &Arc<Ticket>) {
        self.open = (self.open.0 - 1, self.open.1 - memory_of(&ticket.request));
        let memory = ticket.memory();
        self.ended.push_back((ticket.clone(), memory));
        self.ended_memory += memory;
        while (self.ended.len() > MOST_STEPS || self.ended_memory > MOST_MEMORY)
            && let Some((oldest, memory)) = self.ended.pop_front()
        {
            self.ended_memory -= memory;
            if self.all.get(&oldest.key).is_some_and(|known| Arc::ptr_eq(known, &oldest)) {
                self.all.remove(&oldest.key);
            }
        }
    }

    /// Ends all steps.
    pub(crate) fn cancel(&self) {
        self.all.values().for_each(|ticket| ticket.cancel());
    }
}
