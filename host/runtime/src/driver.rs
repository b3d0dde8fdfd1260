//! The one task that acts for a worker: it takes inputs, owns the instance and carries out
//! commands.
//!
//! A driver runs on the guests' threads while there is work to do or an instance to keep, and it
//! alone decides when a turn begins. A computing guest blocks it; other tasks end the turn through
//! its kill switch.

mod commands;
mod fork;
mod guest;
mod out_of_process;
mod task;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use skep_protocol::{
    DiagnosticCode, EntryKind, FailedReason, LimitName, Limits, Payload, Usage, WorkerSample,
};
use skep_store::StoreError;
use skep_store::record::{Receipt, Standing, Transaction, WorkerWrite};
use tokio::sync::SemaphorePermit;

use skep_sandbox::ConnectReason;
use skep_sandbox::{KillReason, KillSwitch};

use self::task::{Driver, TurnEnd, TurnJob, add_cost, end_write, entry, new_entry};
use crate::clock::now;
use crate::roster::core::Core;
use crate::roster::machine::{NextStep, QueueStage, Queued};
use crate::roster::worker::{DriverCommand, KEPT_BODY, RunningTurn, Worker};
use crate::turn::ending;
use crate::turn::log::Uncommitted;

/// Delay before the store is tried again after a failure.
const STORE_BACKOFF: Duration = Duration::from_millis(500);

/// Spawns the driver of a worker on the guests' threads.
pub(crate) fn start(core: Arc<Core>, worker: Arc<Worker>) {
    let guests = core.sandbox.guests().clone();
    guests.spawn(Driver::new(core, worker).drive());
}

impl Driver {
    /// Runs until there is nothing left to do.
    pub(crate) async fn drive(mut self) {
        loop {
            let next = self.worker.state().machine.next();
            match next {
                NextStep::Command => self.command().await,
                NextStep::Take => self.turn().await,
                NextStep::Exit => {
                    if let Some(live) = self.live.take() {
                        self.shut_down(live).await;
                    }
                    let mut state = self.worker.state();
                    state.connected = false;
                    state.driving = false;
                    // Dropping the inputs tells their waiters: accepted, or the host is shutting
                    // down.
                    state.inputs.clear();
                    state.behind.clear();
                    for queued in state.commands.drain(..) {
                        drop(queued.done.send(Err(self.core.busy())));
                    }
                    drop(state);
                    self.worker.driver_ended.notify_waiters();
                    return;
                }
                NextStep::Idle => {
                    if self.idle().await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for work. Returns true if the driver is to end.
    async fn idle(&mut self) -> bool {
        let Some(idle) = self.live.as_ref().map(|live| live.residence.idle()) else {
            let mut state = self.worker.state();
            if state.machine.next() != NextStep::Idle {
                return false;
            }
            state.driving = false;
            drop(state);
            self.worker.driver_ended.notify_waiters();
            return true;
        };
        let core = self.core.clone();
        let evict = tokio::select! {
            biased;
            () = self.worker.wake.notified() => false,
            () = idle.evicted() => true,
            () = tokio::time::sleep(core.options.idle) => true,
        };
        drop(idle);
        if evict && self.worker.state().machine.next() == NextStep::Idle {
            self.disconnect().await;
        }
        false
    }

    /// Waits for a turn permit. While queued for one, the instance counts as idle and may be
    /// evicted; otherwise permit holders and instance holders could deadlock.
    async fn turn_permit<'a>(&mut self, core: &'a Core) -> SemaphorePermit<'a> {
        const OPEN: &str = "the turn semaphore is never closed";
        loop {
            let Some(live) = &self.live else { return core.turns.acquire().await.expect(OPEN) };
            if !core.residency.has_waiters()
                && let Ok(permit) = core.turns.try_acquire()
            {
                return permit;
            }
            let idle = live.residence.idle();
            tokio::select! {
                biased;
                () = idle.evicted() => {}
                permit = core.turns.acquire() => return permit.expect(OPEN),
            }
            drop(idle);
            self.disconnect().await;
        }
    }

    /// Takes the first input and runs its turn.
    async fn turn(&mut self) {
        let core = self.core.clone();
        let permit = self.turn_permit(&core).await;
        let taken = {
            let mut state = self.worker.state();
            // A command or a stop may have arrived while waiting.
            if state.machine.next() != NextStep::Take {
                return;
            }
            state.machine.take()
        };
        let Some(queued) = taken else { return };
        let Some(queued) = self.attempt(queued).await else { return };
        if self.worker.state().machine.is_closing() {
            self.worker.state().machine.put_back(queued.interrupted);
            return;
        }
        let job = match self.turn_job(queued.clone()) {
            Ok(job) => job,
            Err(error) => {
                tracing::error!(%error, worker_id = %self.worker.id, "failed to read an input");
                self.fail_worker(
                    FailedReason::Quarantined,
                    DiagnosticCode::Quarantined,
                    "an accepted input of this worker cannot be read",
                )
                .await;
                self.worker.state().machine.interrupt();
                return;
            }
        };
        self.core.changes.note(self.worker.id);
        let span = tracing::debug_span!("turn", runtime_id = %self.core.runtime_id,
            worker_id = %self.worker.id, input_id = %queued.id);
        let end = tracing::Instrument::instrument(self.run(&job), span).await;
        self.worker.state().running = None;
        match end {
            Some(end) => self.settle(job, end).await,
            None => self.record_interrupted(job).await,
        }
        self.core.submit_behind(&self.worker);
        drop(permit);
        self.core.changes.note(self.worker.id);
    }

    /// Records the attempt at an accepted input before it begins, where that is not done yet.
    async fn attempt(&mut self, queued: Queued) -> Option<Queued> {
        if queued.attempt == 1 && !queued.interrupted {
            return Some(queued);
        }
        let limits = self.worker.state().limits;
        if u64::from(queued.attempt) >= limits.attempts_per_input {
            self.give_up(&queued, &limits).await;
            return None;
        }
        let attempt = queued.attempt + 1;
        let mut writes = Vec::new();
        if queued.interrupted {
            self.reason = ConnectReason::Restart;
            let mut interrupted = new_entry(EntryKind::Interrupted, None);
            interrupted.input_id = Some(queued.id);
            writes.push(WorkerWrite::Append(interrupted));
            // The first rerun begins at once; later ones back off, in case the cause is transient.
            let doublings = queued.attempt.saturating_sub(1).min(10);
            let backoff = Duration::from_millis(50) * ((1 << doublings) - 1);
            tokio::time::sleep(backoff.min(Duration::from_secs(10))).await;
        }
        writes.push(WorkerWrite::Begin { id: queued.id, attempt, at: now() });
        match self.submit(writes).await {
            Ok(_) => {
                self.worker.state().machine.begun(queued.id, attempt);
                Some(Queued { attempt, interrupted: false, ..queued })
            }
            Err(error) => {
                self.core.fault(&error);
                self.worker.state().machine.put_back(queued.interrupted);
                self.wait_for_store().await;
                None
            }
        }
    }

    /// Ends an input whose every attempt was interrupted, and marks the worker as failed.
    async fn give_up(&mut self, queued: &Queued, limits: &Limits) {
        let outcome = ending::over_limit(LimitName::attempts_per_input, limits);
        let end = end_write(queued, &outcome);
        let record = {
            let state = self.worker.state();
            let mut record = state.record.clone();
            record.standing = Standing::Failed(FailedReason::CrashLoop);
            record
        };
        let writes = vec![
            end,
            WorkerWrite::Put(Box::new(record.clone())),
            entry(EntryKind::Failed, Some(FailedReason::CrashLoop.as_str())),
        ];
        // Sent first, so that the diagnostic exists by the time the failure is visible.
        let message = "the host went down during every attempt at one input; start the worker to \
                       continue with the next";
        self.core.diagnose(DiagnosticCode::CrashLoop, message, Some(self.worker.id));
        match self.submit(writes).await {
            Ok(_) => {
                {
                    let mut state = self.worker.state();
                    state.machine.settle();
                    state.adopt(record);
                    state.done(queued.id, outcome);
                }
                self.core.changes.note(self.worker.id);
            }
            Err(error) => {
                self.core.fault(&error);
                self.worker.state().machine.put_back(true);
                self.wait_for_store().await;
            }
        }
    }

    /// Collects the inputs of a turn.
    fn turn_job(&self, queued: Queued) -> Result<TurnJob, StoreError> {
        let (payload, limits, record, usage, held) = {
            let mut state = self.worker.state();
            let (limits, record, usage) = (state.limits, state.record.clone(), state.usage);
            let pending = state.inputs.get_mut(&queued.id);
            let (payload, held) = match pending {
                None => (None, None),
                Some(pending) => {
                    let is_held = queued.stage == QueueStage::Held;
                    let held = is_held.then(|| pending.acceptance(queued.id, 1));
                    (pending.payload.take(), held)
                }
            };
            (payload, limits, record, usage, held)
        };
        let payload = match (payload, queued.stage) {
            (Some(payload), _) => payload,
            (None, QueueStage::Accepted(seq)) => {
                let entry = self.core.store.entry(self.worker.number, seq)?;
                let lost = StoreError::Damaged { what: "input", worker: Some(self.worker.id) };
                entry.ok_or(lost)?.payload
            }
            (None, QueueStage::Held | QueueStage::Submitted) => Payload::default(),
        };
        if payload.body.len() <= KEPT_BODY
            && let Some(pending) = self.worker.state().inputs.get_mut(&queued.id)
            && queued.stage != QueueStage::Held
        {
            // Kept for another attempt.
            pending.payload = Some(payload.clone());
        }
        let log = self.log(limits, Some(queued.id), held, usage.state_bytes);
        let kill = Arc::new(KillSwitch::default());
        let mut state = self.worker.state();
        if state.commands.iter().any(|queued| matches!(queued.command, DriverCommand::Remove)) {
            kill.throw(KillReason::Cancelled);
        }
        state.running = Some(RunningTurn { input: queued.id, kill: kill.clone() });
        drop(state);
        Ok(TurnJob { queued, payload, limits, record, log, kill })
    }

    /// Commits the end of a turn.
    async fn settle(&mut self, job: TurnJob, end: TurnEnd) {
        let lost_instance = self.connect_recorded && self.live.is_none();
        let uncommitted = match job.log.end().await {
            Ok(uncommitted) => uncommitted,
            Err(error) => return self.roll_back(job, error).await,
        };
        let Uncommitted { holds_input, mut writes, state, state_bytes } = uncommitted;
        let mut usage = self.worker.state().usage;
        let memory_bytes = end.cost.memory_peak_bytes;
        add_cost(&mut usage, &end.cost);
        let used = self.worker.directory.usage();
        if let Some(used) = used {
            (usage.disk_bytes, usage.disk_entries) = (used.bytes, used.entries);
        }
        if end.keeps_state {
            usage.state_bytes = state_bytes;
            let mut cache = self.state_cache.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, value) in &state {
                cache.insert(key, value.as_deref());
            }
            drop(cache);
            writes.extend(state.into_iter().map(WorkerWrite::state));
        }
        writes.push(end_write(&job.queued, &end.outcome));
        if lost_instance {
            writes.push(WorkerWrite::Connected(false));
            writes.push(entry(EntryKind::Disconnected, None));
            self.connect_recorded = false;
        }
        writes.push(WorkerWrite::Usage(usage));
        let id = job.queued.id;
        let commit = {
            // Locked until the commit is submitted: a cancellation of the successor must be
            // submitted after its begin.
            let state = self.worker.state();
            let standing = end.standing.unwrap_or(state.record.standing);
            let made_directory = used.is_some() && !state.record.has_directory;
            let changed = standing != state.record.standing || made_directory;
            let record = changed.then(|| {
                let mut record = state.record.clone();
                record.standing = standing;
                record.has_directory |= made_directory;
                record
            });
            if let Some(record) = &record {
                writes.push(WorkerWrite::Put(Box::new(record.clone())));
            }
            let successor = state.machine.successor();
            if let Some(id) = successor {
                writes.push(WorkerWrite::Begin { id, attempt: 1, at: now() });
            }
            let worker = self.worker.clone();
            // Runs on the writer's thread, which saves waiters for the outcome a thread switch.
            let on_commit = move |receipt: &Receipt| {
                let mut state = worker.state();
                if holds_input && let Some(&seq) = receipt.seqs.first() {
                    state.machine.accept(id, seq);
                }
                state.machine.settle();
                if let Some(id) = successor {
                    state.machine.begun(id, 1);
                }
                state.usage = usage;
                if let Some(record) = record {
                    state.adopt(record);
                }
                state.done(id, end.outcome);
            };
            let transaction = Transaction { worker: self.worker.number, writes };
            self.core.store.submit_then(transaction, on_commit)
        };
        self.core.submit_behind(&self.worker);
        match commit.await {
            Ok(_) => self.sample(&usage, memory_bytes),
            Err(error) => self.roll_back_held(job, error, holds_input).await,
        }
    }

    /// Keeps a sample of the usage after a turn.
    fn sample(&self, usage: &Usage, memory_bytes: u64) {
        let sample = WorkerSample {
            at: now(),
            turns: usage.turns,
            cpu_us: usage.cpu_us,
            wall_us: usage.wall_us,
            memory_bytes,
            disk_bytes: usage.disk_bytes,
            transcript_bytes: 0,
            queued_inputs: self.worker.state().inputs.len() as u64,
        };
        let stored = || {
            let usage = self.core.store.usage(self.worker.number);
            usage.inspect_err(|error| drop(self.core.fault(error))).ok()
        };
        let bytes = || stored().map(|usage| usage.transcript_bytes);
        self.core.samples.note_turn(self.worker.id, sample, bytes);
    }

    /// Rolls back a turn whose writes failed to commit.
    async fn roll_back(&mut self, job: TurnJob, error: StoreError) {
        let accepted = {
            let state = self.worker.state();
            state
                .machine
                .get(job.queued.id)
                .is_some_and(|q| matches!(q.stage, QueueStage::Accepted(_)))
        };
        self.roll_back_held(job, error, !accepted).await;
    }

    /// `holds_input` is true if the turn's own input was not accepted before.
    async fn roll_back_held(&mut self, job: TurnJob, error: StoreError, holds_input: bool) {
        let error = self.core.fault(&error);
        // The guest's memory includes a turn that did not happen, so the instance is dropped.
        self.live = None;
        self.connect_recorded = false;
        self.state_cache = Arc::default();
        self.worker.state().connected = false;
        {
            let mut state = self.worker.state();
            if holds_input {
                state.machine.settle();
                state.refuse(job.queued.id, error);
            } else {
                state.machine.interrupt();
            }
        }
        if !holds_input {
            self.wait_for_store().await;
        }
    }

    /// Records in the transcript that the host went down during a turn.
    async fn record_interrupted(&mut self, job: TurnJob) {
        let uncommitted = job.log.end().await;
        match uncommitted {
            Ok(uncommitted) if !uncommitted.holds_input => {
                let mut writes = uncommitted.writes;
                let mut interrupted = new_entry(EntryKind::Interrupted, None);
                interrupted.input_id = Some(job.queued.id);
                writes.push(WorkerWrite::Append(interrupted));
                if let Err(error) = self.submit(writes).await {
                    self.core.fault(&error);
                }
                self.worker.state().machine.interrupt();
            }
            _ => {
                let mut state = self.worker.state();
                state.machine.settle();
                state.refuse(job.queued.id, self.core.busy());
            }
        }
        self.live = None;
    }

    async fn wait_for_store(&mut self) {
        // Returns early if the host shuts down.
        drop(tokio::time::timeout(STORE_BACKOFF, self.closing()).await);
    }

    async fn closing(&mut self) {
        while !self.worker.state().machine.is_closing() {
            self.worker.wake.notified().await;
        }
    }
}
