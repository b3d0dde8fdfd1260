//! One worker while it is in use: what callers and its driver share.
//!
//! Callers admit inputs, ask for commands and look; only the driver takes inputs and carries
//! commands out, one at a time. The lock is held for decisions, never while anything waits.

use std::collections::{HashMap, VecDeque};
use std::mem::discriminant;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skep_protocol::{
    ComponentKind, Cursor, Desired, Error, Execution, IdempotencyKey, InputId, Limits, Observed,
    Outcome, Payload, RuntimeId, TokenId, Usage, WorkerChange, WorkerId, WorkerView,
};
use skep_store::record::{InputRecord, Standing, WorkerNumber, WorkerRecord, WorkerWrite};
use tokio::sync::{Notify, oneshot, watch};

use skep_sandbox::KillSwitch;

use super::directory::Directory;
use super::machine::{Machine, Place, Queued};
use crate::clock::now;

/// Bodies up to this size are kept in memory until their turn; longer ones are read again.
pub(crate) const KEPT_BODY: usize = 64 << 10;

/// A worker in use.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) number: WorkerNumber,
    pub(crate) id: WorkerId,
    pub(crate) kind: ComponentKind,
    /// Tells the driver that something changed.
    pub(crate) wake: Notify,
    /// Tells whoever waits for the driver's end.
    pub(crate) left: Notify,
    pub(crate) directory: Directory,
    state: Mutex<State>,
}

/// What is known and wanted of a worker.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) record: WorkerRecord,
    pub(crate) limits: Limits,
    pub(crate) machine: Machine,
    pub(crate) inputs: HashMap<InputId, Waiting>,
    /// Acceptances that wait for the one before them to be submitted.
    pub(crate) behind: Vec<(InputId, WorkerWrite)>,
    pub(crate) commands: VecDeque<Command>,
    pub(crate) running: Option<Running>,
    pub(crate) usage: Usage,
    /// A task drives this worker.
    pub(crate) driving: bool,
    pub(crate) connected: bool,
    pub(crate) removed: bool,
}

/// An input that has not ended.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Its message, if it is short or not on disk yet.
    pub(crate) payload: Option<Payload>,
    pub(crate) content_digest: [u8; 32],
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) sender: Option<TokenId>,
    pub(crate) progress: watch::Sender<Progress>,
}

/// What someone who sent an input can be told.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    Pending,
    Accepted(Cursor),
    Done(Arc<Outcome>),
    Refused(Error),
}

/// The turn under way.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) input: InputId,
    pub(crate) kill: Arc<KillSwitch>,
}

/// What a person asks of a worker, carried out between two turns.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) what: What,
    pub(crate) done: oneshot::Sender<Result<(), Error>>,
}

/// Commands that wait behind a turn, at most.
const COMMANDS: usize = 64;

/// See [`Command`].
#[derive(Debug)]
pub(crate) enum What {
    Start,
    Stop,
    Change(Box<WorkerChange>),
    Rollback,
    Remove,
    /// Someone wrote files from outside: what the directory holds is to be recorded.
    Files,
}

impl Worker {
    /// A worker as the store has it.
    pub(crate) fn new(record: WorkerRecord, queue: Vec<InputRecord>, usage: Usage) -> Arc<Self> {
        let limits = record.spec.limits.over(&Limits::default());
        let inputs = queue.iter().map(|input| {
            let waiting = Waiting {
                payload: None,
                content_digest: input.content_digest,
                key: input.key.clone(),
                // It is on disk, beside the input.
                sender: None,
                progress: watch::Sender::new(Progress::Accepted(input.seq)),
            };
            (input.id, waiting)
        });
        let inputs = inputs.collect();
        let queue = queue.into_iter().map(|input| Queued {
            id: input.id,
            bytes: input.bytes,
            attempt: input.attempt,
            interrupted: input.attempt > 0,
            place: Place::Accepted(input.seq),
        });
        let machine = Machine::new(record.desired, record.standing, queue.collect());
        Arc::new(Self {
            number: record.number,
            id: record.id,
            kind: record.kind,
            wake: Notify::new(),
            left: Notify::new(),
            directory: Directory::default(),
            state: Mutex::new(State {
                record,
                limits,
                machine,
                inputs,
                behind: Vec::new(),
                commands: VecDeque::new(),
                running: None,
                usage,
                driving: false,
                connected: false,
                removed: false,
            }),
        })
    }

    /// What callers and driver share.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the driver carry something out. `None` where too much waits for that already.
    pub(crate) fn command(&self, what: What) -> Option<oneshot::Receiver<Result<(), Error>>> {
        let (done, receiver) = oneshot::channel();
        let mut state = self.state();
        let most = match what {
            // They end what the others wait for; and of the last there is one.
            What::Stop | What::Remove | What::Files => 2 * COMMANDS,
            What::Start | What::Change(_) | What::Rollback => COMMANDS,
        };
        if state.commands.len() >= most {
            return None;
        }
        state.machine.command_waits();
        state.commands.push_back(Command { what, done });
        Some(receiver)
    }

    /// Has the driver carry something out that it is not about to carry out anyway.
    pub(crate) fn command_once(&self, what: What) -> Option<oneshot::Receiver<Result<(), Error>>> {
        let same = |command: &Command| discriminant(&command.what) == discriminant(&what);
        let waits = self.state().commands.iter().any(same);
        if waits { None } else { self.command(what) }
    }

    /// An input's acceptance came back from the store.
    pub(crate) fn accepted(&self, id: InputId, result: Result<Cursor, Error>) {
        let mut state = self.state();
        match result {
            Ok(seq) => {
                state.machine.accept(id, seq);
                if let Some(waiting) = state.inputs.get_mut(&id) {
                    waiting.progress.send_replace(Progress::Accepted(seq));
                    if waiting.payload.as_ref().is_some_and(|p| p.body.len() > KEPT_BODY) {
                        waiting.payload = None;
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

impl Waiting {
    /// What puts the input on disk.
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

impl State {
    /// Tells whoever waits for an input that there is nothing to wait for.
    pub(crate) fn refuse(&mut self, id: InputId, error: Error) {
        if let Some(waiting) = self.inputs.remove(&id) {
            waiting.progress.send_replace(Progress::Refused(error));
        }
    }

    /// Tells whoever waits for an input how it ended.
    pub(crate) fn done(&mut self, id: InputId, outcome: Outcome) {
        if let Some(waiting) = self.inputs.remove(&id) {
            waiting.progress.send_replace(Progress::Done(Arc::new(outcome)));
        }
    }

    /// The unfinished input with this key, if there is one.
    pub(crate) fn with_key(&self, key: &IdempotencyKey) -> Option<(InputId, &Waiting)> {
        // A mailbox is short, and keys are sent with few of its inputs.
        let mut found = self.inputs.iter().filter(|(_, waiting)| waiting.key.as_ref() == Some(key));
        found.next().map(|(id, waiting)| (*id, waiting))
    }

    /// What anyone may see.
    pub(crate) fn view(&self, runtime_id: &RuntimeId) -> WorkerView {
        let observed = match self.running.is_some() {
            true => Observed::Busy,
            false => observed(self.machine.standing()),
        };
        let execution = match self.connected {
            true => Execution::Connected,
            false => Execution::Unconnected,
        };
        let queued = self.machine.len() as u64;
        view(&self.record, runtime_id, observed, execution, queued)
    }

    /// Replaces the record once its change is on disk.
    pub(crate) fn adopt(&mut self, record: WorkerRecord) {
        self.limits = record.spec.limits.over(&Limits::default());
        self.machine.set_desired(record.desired);
        self.machine.set_standing(record.standing);
        self.record = record;
    }

    /// Whether a person wants it to run and nothing is against it.
    pub(crate) fn may_run(&self) -> bool {
        self.record.desired == Desired::Running
            && !matches!(self.record.standing, Standing::Failed(_))
    }
}

/// What a worker that handles nothing is found to be.
pub(crate) fn observed(standing: Standing) -> Observed {
    match standing {
        Standing::Idle => Observed::Idle,
        Standing::Exited(code) => Observed::Exited { code },
        Standing::Failed(reason) => Observed::Failed { reason },
        Standing::Stopped => Observed::Stopped,
    }
}

/// What anyone may see of a record.
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
