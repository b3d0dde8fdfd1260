//! The state of a driver, the inputs of one turn and its end.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use skep_protocol::{Cursor, EntryKind, Limits, Outcome, Payload, Usage};
use skep_sandbox::{ConnectReason, Cost, Ended, FileCalls, Instance, KillSwitch, stdio};
use skep_store::StoreError;
use skep_store::record::{NewEntry, Standing, Transaction, WorkerRecord, WorkerWrite};

use crate::clock::now;
use crate::denial_log::DenialLog;
use crate::memory::residency;
use crate::roster::core::Core;
use crate::roster::machine::Queued;
use crate::roster::worker::Worker;
use crate::turn::ending;
use crate::turn::log::{TurnLog, TurnLogParts};
use crate::turn::state_cache::StateCache;

/// The one task that acts for a worker.
pub(crate) struct Driver {
    pub(super) core: Arc<Core>,
    pub(super) worker: Arc<Worker>,
    pub(super) live: Option<LiveInstance>,
    /// File calls of an instance that ended while it was created.
    pub(super) orphaned_files: Option<FileCalls>,
    pub(super) state_cache: Arc<Mutex<StateCache>>,
    pub(super) reason: ConnectReason,
    /// True if the transcript says that the worker is connected.
    pub(super) connect_recorded: bool,
    /// The denials recently reported to the operator.
    pub(super) denials: DenialLog,
}

/// The inputs of one turn.
pub(super) struct TurnJob {
    pub(super) queued: Queued,
    pub(super) payload: Payload,
    pub(super) limits: Limits,
    pub(super) record: WorkerRecord,
    pub(super) log: Arc<TurnLog>,
    pub(super) kill: Arc<KillSwitch>,
}

/// A live instance with its streams, file calls and memory.
pub(super) struct LiveInstance {
    pub(super) instance: Instance,
    /// The turn that receives its output lines.
    pub(super) turn: Arc<Mutex<Weak<TurnLog>>>,
    pub(super) stdout: stdio::GuestOutput,
    pub(super) stderr: stdio::GuestOutput,
    pub(super) files: FileCalls,
    pub(super) residence: residency::Residence,
}

/// The end of a turn: its outcome, cost and effect on the worker.
pub(super) struct TurnEnd {
    pub(super) outcome: Outcome,
    pub(super) cost: Cost,
    pub(super) standing: Option<Standing>,
    /// True if the guest's state changes are committed.
    pub(super) keeps_state: bool,
}

impl Driver {
    pub(crate) fn new(core: Arc<Core>, worker: Arc<Worker>) -> Self {
        Self {
            core,
            worker,
            live: None,
            orphaned_files: None,
            state_cache: Arc::default(),
            reason: ConnectReason::Input,
            connect_recorded: false,
            denials: DenialLog::default(),
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
        let core = self.core.clone();
        TurnLog::new(TurnLogParts {
            store: self.core.store.clone(),
            commit_delay: self.core.commit_delay.clone(),
            host: self.core.host.clone(),
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
                    core.submit_behind(&worker);
                    core.changes.note(worker.id);
                }
            }),
        })
    }

    pub(super) fn submit(
        &self,
        writes: Vec<WorkerWrite>,
    ) -> impl Future<Output = Result<Vec<Cursor>, StoreError>> + use<> {
        let transaction = Transaction { worker: self.worker.number, writes };
        let commit = self.core.store.submit(transaction);
        async move { Ok(commit.await?.seqs) }
    }
}

/// Returns the end of a turn that did not run.
pub(super) fn not_run(ended: Ended, limits: &Limits) -> TurnEnd {
    let outcome = ending::outcome(ended, None, limits);
    TurnEnd { outcome, cost: Cost::default(), standing: None, keeps_state: false }
}

pub(super) fn end_write(queued: &Queued, outcome: &Outcome) -> WorkerWrite {
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

/// Returns a payload of JSON.
pub(super) fn json_payload(json: serde_json::Result<Vec<u8>>) -> Payload {
    // Writing plain data cannot fail: it has no map with keys other than text.
    let body = json.unwrap_or_default();
    Payload { content_type: "application/json".into(), body: body.into() }
}

pub(super) fn entry(kind: EntryKind, label: Option<&str>) -> WorkerWrite {
    WorkerWrite::Append(new_entry(kind, label))
}

pub(super) fn add_cost(usage: &mut Usage, cost: &Cost) {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    usage.turns += 1;
    usage.wall_us = usage.wall_us.saturating_add(micros(cost.wall));
    usage.cpu_us = usage.cpu_us.saturating_add(micros(cost.cpu));
    usage.fuel = usage.fuel.saturating_add(cost.fuel.unwrap_or_default());
    usage.memory_peak_bytes = usage.memory_peak_bytes.max(cost.memory_peak_bytes);
}
