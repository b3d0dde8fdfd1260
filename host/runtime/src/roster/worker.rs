//! One worker in use: the state that callers and its driver share.
//!
//! Callers admit inputs, queue commands and read; only the driver takes inputs and carries out
//! commands, one at a time. The lock is held for decisions, never across a wait.

use std::collections::{HashMap, VecDeque};
use std::mem::discriminant;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skep_protocol::{
    ComponentKind, Cursor, Desired, Error, Execution, ForkWorker, IdempotencyKey, InputId, Limits,
    Observed, Outcome, Payload, RuntimeId, TokenId, Usage, WorkerChange, WorkerId, WorkerView,
};
use skep_store::record::{InputRecord, Standing, WorkerNumber, WorkerRecord, WorkerWrite};
use tokio::sync::{Notify, oneshot, watch};

use skep_sandbox::KillSwitch;

use super::directory::Directory;
use super::lanes::WorkerLanes;
use super::machine::{Machine, QueueStage, Queued};
use crate::clock::now;

/// Bodies up to this size stay in memory until their turn; longer ones are read from the store.
pub(crate) const KEPT_BODY: usize = 64 << 10;

/// A worker in use.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) number: WorkerNumber,
    pub(crate) id: WorkerId,
    pub(crate) kind: ComponentKind,
    /// Wakes the driver after a change.
    pub(crate) wake: Notify,
    /// Notifies when the driver has ended.
    pub(crate) driver_ended: Notify,
    pub(crate) directory: Directory,
    /// Held by the one request that may write the worker's state.
    pub(crate) state_writer: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<WorkerState>,
}

/// The mutable state of a worker.
#[derive(Debug)]
pub(crate) struct WorkerState {
    pub(crate) record: WorkerRecord,
    pub(crate) limits: Limits,
    pub(crate) machine: Machine,
    pub(crate) inputs: HashMap<InputId, PendingInput>,
    /// Acceptances that must not be submitted before the held input ahead of them.
    pub(crate) behind: Vec<(InputId, WorkerWrite)>,
    pub(crate) commands: VecDeque<QueuedCommand>,
    pub(crate) running: Option<RunningTurn>,
    pub(crate) usage: Usage,
    /// True if the usage was changed by requests since it was last stored.
    pub(crate) usage_changed: bool,
    /// The lanes of an HTTP worker, if it was in use since its last change.
    pub(crate) lanes: Option<Arc<dyn WorkerLanes>>,
    /// The lanes of earlier versions that still have requests in flight.
    pub(crate) draining: Vec<Arc<dyn WorkerLanes>>,
    /// True while the worker is being removed.
    pub(crate) removing: bool,
    /// True while a driver runs.
    pub(crate) driving: bool,
    pub(crate) connected: bool,
    pub(crate) removed: bool,
}

/// An unfinished input.
#[derive(Debug)]
pub(crate) struct PendingInput {
    /// The message, if it is short or not on disk yet.
    pub(crate) payload: Option<Payload>,
    pub(crate) content_digest: [u8; 32],
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) sender: Option<TokenId>,
    pub(crate) progress: watch::Sender<InputProgress>,
}

/// The progress of an input, as its sender sees it.
#[derive(Clone, Debug)]
pub(crate) enum InputProgress {
    Pending,
    Accepted(Cursor),
    Done(Arc<Outcome>),
    Refused(Error),
}

/// The running turn.
#[derive(Debug)]
pub(crate) struct RunningTurn {
    pub(crate) input: InputId,
    pub(crate) kill: Arc<KillSwitch>,
}

/// A command that the driver carries out between two turns.
#[derive(Debug)]
pub(crate) struct QueuedCommand {
    pub(crate) command: DriverCommand,
    pub(crate) done: oneshot::Sender<Result<(), Error>>,
}

/// Maximum number of commands queued behind a turn.
const COMMANDS: usize = 64;

/// An operation on the worker as a whole.
#[derive(Debug)]
pub(crate) enum DriverCommand {
    Start,
    Stop,
    Change(Box<WorkerChange>),
    Rollback,
    Remove,
    /// Copy the worker to a new one with this id.
    Fork(WorkerId, Box<ForkWorker>),
    /// Files were written from outside the guest: record the disk usage.
    Files,
}

impl Worker {
    /// Creates a worker from its stored record and queue.
    pub(crate) fn new(record: WorkerRecord, queue: Vec<InputRecord>, usage: Usage) -> Arc<Self> {
        let limits = record.spec.limits.over(&Limits::default());
        let inputs = queue.iter().map(|input| {
            let pending = PendingInput {
                payload: None,
                content_digest: input.content_digest,
                key: input.key.clone(),
                // The stored input has it.
                sender: None,
                progress: watch::Sender::new(InputProgress::Accepted(input.seq)),
            };
            (input.id, pending)
        });
        let inputs = inputs.collect();
        let queue = queue.into_iter().map(|input| Queued {
            id: input.id,
            bytes: input.bytes,
            attempt: input.attempt,
            interrupted: input.attempt > 0,
            stage: QueueStage::Accepted(input.seq),
        });
        let machine = Machine::new(record.desired, record.standing, queue.collect());
        Arc::new(Self {
            number: record.number,
            id: record.id,
            kind: record.kind,
            wake: Notify::new(),
            driver_ended: Notify::new(),
            directory: Directory::default(),
            state_writer: Arc::default(),
            state: Mutex::new(WorkerState {
                record,
                limits,
                machine,
                inputs,
                behind: Vec::new(),
                commands: VecDeque::new(),
                running: None,
                usage,
                usage_changed: false,
                lanes: None,
                draining: Vec::new(),
                removing: false,
                driving: false,
                connected: false,
                removed: false,
            }),
        })
    }

    /// Locks the shared state.
    pub(crate) fn state(&self) -> MutexGuard<'_, WorkerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a command. Returns `None` if too many are queued.
    pub(crate) fn command(
        &self,
        command: DriverCommand,
    ) -> Option<oneshot::Receiver<Result<(), Error>>> {
        let (done, receiver) = oneshot::channel();
        let mut state = self.state();
        let most = match command {
            // Stop and remove end the turn that the others wait for, and `Files` is queued at most
            // once.
            DriverCommand::Stop | DriverCommand::Remove | DriverCommand::Files => 2 * COMMANDS,
            DriverCommand::Start
            | DriverCommand::Change(_)
            | DriverCommand::Rollback
            | DriverCommand::Fork(..) => COMMANDS,
        };
        if state.commands.len() >= most {
            return None;
        }
        state.machine.command_queued();
        state.commands.push_back(QueuedCommand { command, done });
        Some(receiver)
    }

    /// Queues a command unless one of the same kind is already queued.
    pub(crate) fn command_once(
        &self,
        command: DriverCommand,
    ) -> Option<oneshot::Receiver<Result<(), Error>>> {
        let same = |queued: &QueuedCommand| discriminant(&queued.command) == discriminant(&command);
        let waits = self.state().commands.iter().any(same);
        if waits { None } else { self.command(command) }
    }

    /// Handles the store's result for an input's acceptance.
    pub(crate) fn accepted(&self, id: InputId, result: Result<Cursor, Error>) {
        let mut state = self.state();
        match result {
            Ok(seq) => {
                state.machine.accept(id, seq);
                if let Some(pending) = state.inputs.get_mut(&id) {
                    pending.progress.send_replace(InputProgress::Accepted(seq));
                    if pending.payload.as_ref().is_some_and(|p| p.body.len() > KEPT_BODY) {
                        pending.payload = None;
                    }
                }
            }
            Err(error) => {
                state.machine.drop_queued(id);
                state.refuse(id, error);
            }
        }
        drop(state);
        self.wake.notify_one();
    }
}

impl PendingInput {
    /// Returns the write that puts the input on disk.
    pub(crate) fn acceptance(&self, id: InputId, attempt: u32) -> WorkerWrite {
        WorkerWrite::Accept {
            id,
            at: now(),
            payload: self.payload.clone().unwrap_or_default(),
            content_digest: self.content_digest,
            key: self.key.clone(),
            attempt,
            sender: self.sender.clone(),
        }
    }
}

impl WorkerState {
    /// Rejects an unfinished input and notifies its waiters.
    pub(crate) fn refuse(&mut self, id: InputId, error: Error) {
        if let Some(pending) = self.inputs.remove(&id) {
            pending.progress.send_replace(InputProgress::Refused(error));
        }
    }

    /// Ends an input and sends its outcome to its waiters.
    pub(crate) fn done(&mut self, id: InputId, outcome: Outcome) {
        if let Some(pending) = self.inputs.remove(&id) {
            pending.progress.send_replace(InputProgress::Done(Arc::new(outcome)));
        }
    }

    /// Returns the unfinished input with this key.
    pub(crate) fn with_key(&self, key: &IdempotencyKey) -> Option<(InputId, &PendingInput)> {
        // A linear search: mailboxes are short and few inputs have keys.
        let mut found = self.inputs.iter().filter(|(_, pending)| pending.key.as_ref() == Some(key));
        found.next().map(|(id, pending)| (*id, pending))
    }

    /// Returns the public view of the worker.
    pub(crate) fn view(&self, runtime_id: &RuntimeId) -> WorkerView {
        let queued = self.machine.len() as u64;
        view(&self.record, runtime_id, self.observed(), self.execution(), queued)
    }

    pub(crate) fn observed(&self) -> Observed {
        match self.running.is_some() || self.all_lanes().any(|lanes| lanes.is_busy()) {
            true => Observed::Busy,
            false => observed(self.machine.standing()),
        }
    }

    pub(crate) fn execution(&self) -> Execution {
        match self.connected || self.all_lanes().any(|lanes| lanes.has_instance()) {
            true => Execution::Connected,
            false => Execution::Unconnected,
        }
    }

    /// Returns the lanes of an HTTP worker, of its present version and of earlier ones.
    pub(crate) fn all_lanes(&self) -> impl Iterator<Item = &Arc<dyn WorkerLanes>> {
        self.lanes.iter().chain(&self.draining)
    }

    /// Makes the next request find no lanes. Returns those that are not needed any more, to be dropped
    /// without the lock: dropping an instance may report a request, which takes it.
    #[must_use]
    pub(crate) fn retire_lanes(&mut self) -> Vec<Arc<dyn WorkerLanes>> {
        self.draining.extend(self.lanes.take());
        let (busy, done) =
            std::mem::take(&mut self.draining).into_iter().partition(|lanes| lanes.is_busy());
        self.draining = busy;
        done
    }

    /// Replaces the record after its change is on disk.
    pub(crate) fn adopt(&mut self, record: WorkerRecord) {
        self.limits = record.spec.limits.over(&Limits::default());
        self.machine.set_desired(record.desired);
        self.machine.set_standing(record.standing);
        self.record = record;
    }

    /// Returns true if the worker is meant to run and has not failed.
    pub(crate) fn may_run(&self) -> bool {
        self.record.desired == Desired::Running
            && !matches!(self.record.standing, Standing::Failed(_))
    }
}

/// Returns the observed state of a worker that handles no input.
pub(crate) fn observed(standing: Standing) -> Observed {
    match standing {
        Standing::Idle => Observed::Idle,
        Standing::Exited(code) => Observed::Exited { code },
        Standing::Failed(reason) => Observed::Failed { reason },
        Standing::Stopped => Observed::Stopped,
    }
}

/// Returns the public view of a record.
pub(crate) fn view(
    record: &WorkerRecord,
    runtime_id: &RuntimeId,
    observed: Observed,
    execution: Execution,
    queued_inputs: u64,
) -> WorkerView {
    WorkerView {
        runtime_id: runtime_id.clone(),
        worker_id: record.id,
        kind: record.kind,
        spec: record.spec.clone(),
        previous: record.previous,
        desired: record.desired,
        observed,
        execution,
        queued_inputs,
        created_at: record.created_at,
        updated_at: record.updated_at,
    }
}
