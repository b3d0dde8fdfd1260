//! The one task that acts for a worker: takes its inputs, owns its instance, carries out commands.
//!
//! It lives while there is something to do or an instance to keep, on the guests' threads, and it
//! alone decides when a turn begins. A turn that computes keeps it busy; whoever wants that turn to
//! end throws its kill switch.

mod commands;
mod denials;
mod guest;
mod out_of_process;
mod task;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use skep_protocol::{DiagnosticCode, EntryKind, FailedReason, LimitName, Limits, Payload};
use skep_store::StoreError;
use skep_store::record::{Receipt, Standing, Transaction, WorkerWrite};
use tokio::sync::SemaphorePermit;

use skep_sandbox::ConnectReason;
use skep_sandbox::{KillReason, KillSwitch};

use self::task::{Driver, Job, Ran, add, end, entry, new_entry};
use crate::roster::core::Core;
use crate::roster::machine::{Next, Place, Queued};
use crate::roster::worker::{KEPT_BODY, Running, What, Worker};
use crate::turn::ending;
use crate::turn::log::Rest;

/// What is waited after the store failed, before it is tried again.
const STORE_BACKOFF: Duration = Duration::from_millis(500);

/// Spawns the driver of a worker on the guests' threads.
pub(crate) fn start(core: Arc<Core>, worker: Arc<Worker>) {
    let guests = core.sandbox.guests().clone();
    guests.spawn(Driver::new(core, worker).drive());
}

impl Driver {
    /// Drives until there is nothing to do.
    pub(crate) async fn drive(mut self) {
        loop {
            let next = self.worker.state().machine.next();
            match next {
                Next::Command => self.command().await,
                Next::Take => self.turn().await,
                Next::Leave => {
                    if let Some(seat) = self.seat.take() {
                        self.goodbye(seat).await;
                    }
                    let mut state = self.worker.state();
                    state.connected = false;
                    state.driving = false;
                    // Whoever waits is told that it was accepted, or that the host goes down.
                    state.inputs.clear();
                    state.behind.clear();
                    for command in state.commands.drain(..) {
                        drop(command.done.send(Err(self.inner.busy())));
                    }
                    drop(state);
                    self.worker.left.notify_waiters();
                    return;
                }
                Next::Rest => {
                    if self.rest().await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for something to do. Returns whether the driver is to end.
    async fn rest(&mut self) -> bool {
        let Some(resting) = self.seat.as_ref().map(|seat| seat.place.rest()) else {
            let mut state = self.worker.state();
            if state.machine.next() != Next::Rest {
                return false;
            }
            state.driving = false;
            drop(state);
            self.worker.left.notify_waiters();
            return true;
        };
        let inner = self.inner.clone();
        let evict = tokio::select! {
            biased;
            () = self.worker.wake.notified() => false,
            () = resting.evicted() => true,
            () = tokio::time::sleep(inner.options.idle) => true,
        };
        drop(resting);
        if evict && self.worker.state().machine.next() == Next::Rest {
            self.let_go().await;
        }
        false
    }

    /// Waits until another turn may be in flight. Whoever waits does so at rest, and leaves where
    /// others wait for what it commit_delay: all turns in flight may be waiting for just that.
    async fn admitted<'a>(&mut self, inner: &'a Core) -> SemaphorePermit<'a> {
        const OPEN: &str = "the turns are never closed";
        loop {
            let Some(seat) = &self.seat else { return inner.turns.acquire().await.expect(OPEN) };
            if !inner.residency.is_wanted()
                && let Ok(permit) = inner.turns.try_acquire()
            {
                return permit;
            }
            let resting = seat.place.rest();
            tokio::select! {
                biased;
                () = resting.evicted() => {}
                permit = inner.turns.acquire() => return permit.expect(OPEN),
            }
            drop(resting);
            self.let_go().await;
        }
    }

    /// Takes the first input and sees it through.
    async fn turn(&mut self) {
        let inner = self.inner.clone();
        let permit = self.admitted(&inner).await;
        let taken = {
            let mut state = self.worker.state();
            // A command or a stop may have come while we waited.
            if state.machine.next() != Next::Take {
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
        let job = match self.job(queued.clone()) {
            Ok(job) => job,
            Err(error) => {
                tracing::error!(%error, worker_id = %self.worker.id, "an input cannot be read");
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
        self.inner.changes.note(self.worker.id);
        let span = tracing::debug_span!("turn", runtime_id = %self.inner.runtime_id,
            worker_id = %self.worker.id, input_id = %queued.id);
        let ran = tracing::Instrument::instrument(self.run(&job), span).await;
        self.worker.state().running = None;
        match ran {
            Some(ran) => self.settle(job, ran).await,
            None => self.break_off(job).await,
        }
        self.inner.submit_behind(&self.worker);
        drop(permit);
        self.inner.changes.note(self.worker.id);
    }

    /// Sees to it that the attempt at an accepted input is on disk before it begins.
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
        let mut events = Vec::new();
        if queued.interrupted {
            self.reason = ConnectReason::Restart;
            let mut interrupted = new_entry(EntryKind::Interrupted, None);
            interrupted.input_id = Some(queued.id);
            events.push(WorkerWrite::Append(interrupted));
            // The first rerun comes at once; later ones give whatever goes wrong time to pass.
            let doublings = queued.attempt.saturating_sub(1).min(10);
            let backoff = Duration::from_millis(50) * ((1 << doublings) - 1);
            tokio::time::sleep(backoff.min(Duration::from_secs(10))).await;
        }
        events.push(WorkerWrite::Begin { id: queued.id, attempt });
        match self.submit(events).await {
            Ok(_) => {
                self.worker.state().machine.begun(queued.id, attempt);
                Some(Queued { attempt, interrupted: false, ..queued })
            }
            Err(error) => {
                self.inner.fault(&error);
                self.worker.state().machine.put_back(queued.interrupted);
                self.wait_for_store().await;
                None
            }
        }
    }

    /// Ends an input whose every attempt the host went down in, and lets the worker run no more.
    async fn give_up(&mut self, queued: &Queued, limits: &Limits) {
        let outcome = ending::past(LimitName::attempts_per_input, limits);
        let end = end(queued, &outcome);
        let record = {
            let state = self.worker.state();
            let mut record = state.record.clone();
            record.standing = Standing::Failed(FailedReason::CrashLoop);
            record
        };
        let events = vec![
            end,
            WorkerWrite::Put(Box::new(record.clone())),
            entry(EntryKind::Failed, Some(FailedReason::CrashLoop.as_str())),
        ];
        // Sent before, so that it is there when the worker is seen to have failed.
        let message = "the host went down in every attempt at one input; start the worker to have \
                       it try the next";
        self.inner.diagnose(DiagnosticCode::CrashLoop, message, Some(self.worker.id));
        match self.submit(events).await {
            Ok(_) => {
                {
                    let mut state = self.worker.state();
                    state.machine.settle();
                    state.adopt(record);
                    state.done(queued.id, outcome);
                }
                self.inner.changes.note(self.worker.id);
            }
            Err(error) => {
                self.inner.fault(&error);
                self.worker.state().machine.put_back(true);
                self.wait_for_store().await;
            }
        }
    }

    /// Everything that a turn needs.
    fn job(&self, queued: Queued) -> Result<Job, StoreError> {
        let (payload, limits, record, usage, held) = {
            let mut state = self.worker.state();
            let (limits, record, usage) = (state.limits, state.record.clone(), state.usage);
            let waiting = state.inputs.get_mut(&queued.id);
            let (payload, held) = match waiting {
                None => (None, None),
                Some(waiting) => {
                    let is_held = queued.place == Place::Held;
                    let held = is_held.then(|| waiting.acceptance(queued.id, 1));
                    (waiting.payload.take(), held)
                }
            };
            (payload, limits, record, usage, held)
        };
        let payload = match (payload, queued.place) {
            (Some(payload), _) => payload,
            (None, Place::Accepted(seq)) => {
                let entry = self.inner.store.entry(self.worker.number, seq)?;
                let lost = StoreError::Damaged { what: "input", worker: Some(self.worker.id) };
                entry.ok_or(lost)?.payload
            }
            (None, Place::Held | Place::Submitted) => Payload::default(),
        };
        if payload.body.len() <= KEPT_BODY
            && let Some(waiting) = self.worker.state().inputs.get_mut(&queued.id)
            && queued.place != Place::Held
        {
            // For another attempt.
            waiting.payload = Some(payload.clone());
        }
        let log = self.log(limits, Some(queued.id), held, usage.state_bytes);
        let kill = Arc::new(KillSwitch::default());
        let mut state = self.worker.state();
        if state.commands.iter().any(|command| matches!(command.what, What::Remove)) {
            kill.throw(KillReason::Cancelled);
        }
        state.running = Some(Running { input: queued.id, kill: kill.clone() });
        drop(state);
        Ok(Job { queued, payload, limits, record, log, kill })
    }

    /// Commits the end of a turn.
    async fn settle(&mut self, job: Job, ran: Ran) {
        let lost_seat = self.recorded && self.seat.is_none();
        let rest = match job.log.end().await {
            Ok(rest) => rest,
            Err(error) => return self.unsettled(job, error).await,
        };
        let Rest { holds_input, mut events, state, state_bytes } = rest;
        let mut usage = self.worker.state().usage;
        add(&mut usage, &ran.cost);
        let used = self.worker.directory.usage();
        if let Some(used) = used {
            (usage.disk_bytes, usage.disk_entries) = (used.bytes, used.entries);
        }
        if ran.good {
            usage.state_bytes = state_bytes;
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, value) in &state {
                known.learn(key, value.as_deref());
            }
            drop(known);
            events.extend(state.into_iter().map(|(key, value)| match value {
                Some(value) => WorkerWrite::SetState { key, value },
                None => WorkerWrite::DeleteState { key },
            }));
        }
        events.push(end(&job.queued, &ran.outcome));
        if lost_seat {
            events.push(WorkerWrite::Connected(false));
            events.push(entry(EntryKind::Disconnected, None));
            self.recorded = false;
        }
        events.push(WorkerWrite::Usage(usage));
        let id = job.queued.id;
        let commit = {
            // Until it is submitted: whoever cancels the successor submits that after its beginning.
            let state = self.worker.state();
            let standing = ran.standing.unwrap_or(state.record.standing);
            let made_directory = used.is_some() && !state.record.has_directory;
            let changed = standing != state.record.standing || made_directory;
            let record = changed.then(|| {
                let mut record = state.record.clone();
                record.standing = standing;
                record.has_directory |= made_directory;
                record
            });
            if let Some(record) = &record {
                events.push(WorkerWrite::Put(Box::new(record.clone())));
            }
            let successor = state.machine.successor();
            if let Some(id) = successor {
                events.push(WorkerWrite::Begin { id, attempt: 1 });
            }
            let worker = self.worker.clone();
            // On the writer's thread, so that who waits for the outcome waits for one thread less.
            let landed = move |receipt: &Receipt| {
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
                state.done(id, ran.outcome);
            };
            let transaction = Transaction { worker: self.worker.number, writes: events };
            self.inner.store.submit_then(transaction, landed)
        };
        self.inner.submit_behind(&self.worker);
        if let Err(error) = commit.await {
            self.unsettled_holding(job, error, holds_input).await;
        }
    }

    /// What becomes of a turn when some of what it had to say could not be stored: it never was.
    async fn unsettled(&mut self, job: Job, error: StoreError) {
        let accepted = {
            let state = self.worker.state();
            state.machine.get(job.queued.id).is_some_and(|q| matches!(q.place, Place::Accepted(_)))
        };
        self.unsettled_holding(job, error, !accepted).await;
    }

    async fn unsettled_holding(&mut self, job: Job, error: StoreError, holds_input: bool) {
        let told = self.inner.fault(&error);
        // What the guest remembers of this turn did not happen.
        self.seat = None;
        self.recorded = false;
        self.known = Arc::default();
        self.worker.state().connected = false;
        {
            let mut state = self.worker.state();
            if holds_input {
                state.machine.settle();
                state.refuse(job.queued.id, told);
            } else {
                state.machine.interrupt();
            }
        }
        if !holds_input {
            self.wait_for_store().await;
        }
    }

    /// Says in the transcript that the host went down in a turn.
    async fn break_off(&mut self, job: Job) {
        let rest = job.log.end().await;
        match rest {
            Ok(rest) if !rest.holds_input => {
                let mut events = rest.events;
                let mut interrupted = new_entry(EntryKind::Interrupted, None);
                interrupted.input_id = Some(job.queued.id);
                events.push(WorkerWrite::Append(interrupted));
                if let Err(error) = self.submit(events).await {
                    self.inner.fault(&error);
                }
                self.worker.state().machine.interrupt();
            }
            _ => {
                let mut state = self.worker.state();
                state.machine.settle();
                state.refuse(job.queued.id, self.inner.busy());
            }
        }
        self.seat = None;
    }

    async fn wait_for_store(&mut self) {
        // Ended early where the host goes down.
        drop(tokio::time::timeout(STORE_BACKOFF, self.closing()).await);
    }

    async fn closing(&mut self) {
        while !self.worker.state().machine.is_closing() {
            self.worker.wake.notified().await;
        }
    }
}
