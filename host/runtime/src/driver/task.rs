//! What the parts of a driver share: its state, one turn's needs and one turn's end.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use skep_protocol::{Cursor, Denial, EntryKind, Limits, Outcome, Payload, Usage};
use skep_sandbox::{ConnectReason, Cost, Ended, FileCalls, Instance, KillSwitch, stdio};
use skep_store::StoreError;
use skep_store::record::{NewEntry, Standing, Transaction, WorkerRecord, WorkerWrite};

use crate::clock::now;
use crate::memory::residency;
use crate::roster::core::Core;
use crate::roster::machine::Queued;
use crate::roster::worker::Worker;
use crate::turn::ending;
use crate::turn::known::Known;
use crate::turn::log::{TurnLog, TurnLogParts};

/// The one task that acts for a worker.
pub(crate) struct Driver {
    pub(super) inner: Arc<Core>,
    pub(super) worker: Arc<Worker>,
    pub(super) seat: Option<Seat>,
    /// File calls of an instance that ended while it was made.
    pub(super) left_behind: Option<FileCalls>,
    pub(super) known: Arc<Mutex<Known>>,
    pub(super) reason: ConnectReason,
    /// The transcript says that there is an instance.
    pub(super) recorded: bool,
    /// What the operator was told lately that the worker was denied.
    pub(super) denied: Vec<Denial>,
}

/// What a turn is run on.
pub(super) struct Job {
    pub(super) queued: Queued,
    pub(super) payload: Payload,
    pub(super) limits: Limits,
    pub(super) record: WorkerRecord,
    pub(super) log: Arc<TurnLog>,
    pub(super) kill: Arc<KillSwitch>,
}

/// A live instance and what belongs to it.
pub(super) struct Seat {
    pub(super) instance: Instance,
    /// The turn that its lines go to.
    pub(super) turn: Arc<Mutex<Weak<TurnLog>>>,
    pub(super) stdout: stdio::GuestOutput,
    pub(super) stderr: stdio::GuestOutput,
    pub(super) files: FileCalls,
    pub(super) place: residency::Place,
}

/// How a turn ended, with what is left of it.
pub(super) struct Ran {
    pub(super) outcome: Outcome,
    pub(super) cost: Cost,
    pub(super) standing: Option<Standing>,
    /// The guest's writes to its state count.
    pub(super) good: bool,
}

impl Driver {
    pub(crate) fn new(inner: Arc<Core>, worker: Arc<Worker>) -> Self {
        Self {
            inner,
            worker,
            seat: None,
            left_behind: None,
            known: Arc::default(),
            reason: ConnectReason::Input,
            recorded: false,
            denied: Vec::new(),
        }
    }

    pub(super) fn log(
        &self,
        limits: Limits,
        input: Option<skep_protocol::InputId>,
        held: Option<WorkerWrite>,
        state_bytes: u64,
    ) -> Arc<TurnLog> {
        let worker = self.worker.clone();
        let inner = self.inner.clone();
        TurnLog::new(TurnLogParts {
            store: self.inner.store.clone(),
            commit_delay: self.inner.commit_delay.clone(),
            host: self.inner.host.clone(),
            worker: self.worker.number,
            limits,
            input,
            state_bytes,
            held,
            accepted: Box::new(move |result: Result<Cursor, StoreError>| {
                if let Some(id) = input
                    && let Ok(seq) = result
                {
                    worker.accepted(id, Ok(seq));
                    inner.submit_behind(&worker);
                    inner.changes.note(worker.id);
                }
            }),
        })
    }

    pub(super) fn submit(
        &self,
        events: Vec<WorkerWrite>,
    ) -> impl Future<Output = Result<Vec<Cursor>, StoreError>> + use<> {
        let transaction = Transaction { worker: self.worker.number, writes: events };
        let commit = self.inner.store.submit(transaction);
        async move { Ok(commit.await?.seqs) }
    }
}

/// A turn that ended without running.
pub(super) fn ran(ended: Ended, limits: &Limits) -> Ran {
    let outcome = ending::outcome(ended, None, limits);
    Ran { outcome, cost: Cost::default(), standing: None, good: false }
}

pub(super) fn end(queued: &Queued, outcome: &Outcome) -> WorkerWrite {
    WorkerWrite::End {
        id: queued.id,
        at: now(),
        ending: outcome.ending,
        output: outcome.output.clone(),
        error: outcome.error.clone(),
    }
}

pub(super) fn new_entry(kind: EntryKind, label: Option<&str>) -> NewEntry {
    NewEntry {
        at: now(),
        kind,
        input_id: None,
        label: label.map(str::to_owned),
        ending: None,
        payload: Payload::default(),
        truncated: false,
    }
}

pub(super) fn entry(kind: EntryKind, label: Option<&str>) -> WorkerWrite {
    WorkerWrite::Append(new_entry(kind, label))
}

pub(super) fn add(usage: &mut Usage, cost: &Cost) {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    usage.turns += 1;
    usage.wall_us = usage.wall_us.saturating_add(micros(cost.wall));
    usage.cpu_us = usage.cpu_us.saturating_add(micros(cost.cpu));
    usage.fuel = usage.fuel.saturating_add(cost.fuel.unwrap_or_default());
    usage.memory_peak_bytes = usage.memory_peak_bytes.max(cost.memory_peak_bytes);
}
