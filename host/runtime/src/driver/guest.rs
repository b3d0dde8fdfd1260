//! The guest's side of a driver: creates an instance, runs inputs on it and shuts it down.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use skep_protocol::{ComponentKind, DiagnosticCode, EntryKind, FailedReason, Limits, Payload};
use skep_store::StoreError;
use skep_store::record::{Standing, WorkerRecord, WorkerWrite};

use skep_sandbox::Done;
use skep_sandbox::Ended;
use skep_sandbox::GuestSpec;
use skep_sandbox::Identity;
use skep_sandbox::Loaded;
use skep_sandbox::Mount;
use skep_sandbox::{ConnectReason, stdio};
use skep_sandbox::{FileCalls, FileThread};

use super::task::{Driver, LiveInstance, TurnEnd, TurnJob, entry, json_payload, not_run};
use crate::components::{Components, Ready};
use crate::guest_access;
use crate::not_ready::NotReady;
use crate::turn::ending::{self, Captured};
use crate::turn::log::{TurnLines, TurnLog};
use crate::turn::record::DurableTurn;
use crate::turn::run::RunSpec;

/// Time limit of the shutdown hook.
const SHUTDOWN_HOOK_TIMEOUT: Duration = Duration::from_millis(200);

/// Initial memory reservation of an instance without a recorded peak, in bytes.
const LEAST_MEMORY_BYTES: u64 = 2 << 20;

/// Time for the file calls of an ended turn to return.
const STUCK_AFTER: Duration = Duration::from_secs(5);

impl Driver {
    /// Shuts down the instance and records that it disconnected.
    pub(super) async fn disconnect(&mut self) {
        if let Some(live) = self.live.take() {
            self.shut_down(live).await;
            self.record_disconnected().await;
        }
    }

    /// Records that the worker has no instance.
    pub(super) async fn record_disconnected(&mut self) {
        self.worker.state().connected = false;
        if std::mem::take(&mut self.connect_recorded) {
            let writes = vec![WorkerWrite::Connected(false), entry(EntryKind::Disconnected, None)];
            // If this is lost, the next start reports the lost execution.
            if let Err(error) = self.submit(writes).await {
                self.core.fault(error);
            }
        }
        self.core.changes.note(self.worker.id);
    }

    pub(super) async fn shut_down(&mut self, mut live: LiveInstance) {
        if live.instance.is_usable() && self.worker.kind == ComponentKind::Service {
            let (limits, record, usage) = {
                let state = self.worker.state();
                (state.limits, state.record.clone(), state.usage)
            };
            let log = self.log(limits, None, None, usage.state_bytes);
            log.close_state("state cannot be written in a lifecycle hook");
            if let Ok(turn) = self.durable_turn(&record, &log, None, 0) {
                *live.turn.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&log);
                live.instance.begin(turn, Arc::default());
                live.instance.disconnecting(SHUTDOWN_HOOK_TIMEOUT).await;
                live.stdout.finish_lines();
                live.stderr.finish_lines();
                self.commit_hook_log(&log).await;
            }
        }
        drop(live);
    }

    /// Commits the output of the shutdown hook, before the disconnect is recorded.
    async fn commit_hook_log(&mut self, log: &Arc<TurnLog>) {
        let committed = match log.end().await {
            Ok(uncommitted) if uncommitted.writes.is_empty() => return,
            Ok(uncommitted) => self.submit(uncommitted.writes).await,
            Err(error) => Err(error),
        };
        if let Err(error) = committed {
            self.core.fault(error);
        }
    }

    /// Runs the guest. Returns `None` if the host goes down meanwhile.
    pub(super) async fn run(&mut self, job: &TurnJob) -> Option<TurnEnd> {
        let turn =
            self.durable_turn(&job.record, &job.log, Some(job.queued.id), job.queued.attempt);
        let turn = match turn {
            Ok(turn) => turn,
            Err(error) => return Some(not_run(Ended::HostFault(error.to_string()), &job.limits)),
        };
        let ready = self.loaded(&job.record, &job.limits);
        let loaded = match job.kill.unless_thrown(ready).await {
            Ok(Ok(ready)) => {
                if let Some(wait) = &ready.wait {
                    job.log.append(
                        EntryKind::Compiled,
                        None,
                        json_payload(serde_json::to_vec(wait)),
                    );
                }
                ready.loaded
            }
            Ok(Err(error)) => return Some(self.not_ready(&error, &job.limits)),
            // The input is handled after the next start.
            Err(_) if self.worker.state().machine.is_closing() => return None,
            Err(reason) => return Some(not_run(reason.into(), &job.limits)),
        };
        let mut end = match self.worker.kind {
            ComponentKind::Service => self.call(job, &loaded, turn).await,
            ComponentKind::Command | ComponentKind::Http => self.execute(job, &loaded, turn).await,
        };
        if job.kill.reason().is_some() && self.worker.state().machine.is_closing() {
            return None;
        }
        if let Some(stuck) = self.wait_for_file_calls(&job.limits).await {
            end = stuck;
        }
        Some(end)
    }

    /// Runs one input of a service, on its live instance or on a new one.
    pub(super) async fn call(
        &mut self,
        job: &TurnJob,
        loaded: &Loaded,
        turn: Box<DurableTurn>,
    ) -> TurnEnd {
        if self.live.as_ref().is_some_and(|live| !live.residence.resume()) {
            self.disconnect().await;
        }
        match &mut self.live {
            Some(live) => {
                *live.turn.lock().unwrap_or_else(PoisonError::into_inner) =
                    Arc::downgrade(&job.log);
                live.instance.begin(turn, job.kill.clone());
            }
            None => {
                let lines = Arc::new(Mutex::new(Arc::downgrade(&job.log)));
                let stdout = stdio::GuestOutput::lines(TurnLines::new("stdout", &lines));
                let stderr = stdio::GuestOutput::lines(TurnLines::new("stderr", &lines));
                let spec = GuestSpec {
                    stdout: stdout.clone(),
                    stderr: stderr.clone(),
                    ..GuestSpec::default()
                };
                let connected = self.connect(job, loaded, spec, turn, lines, stdout, stderr).await;
                let mut live = match connected {
                    Ok(live) => live,
                    Err(done) => return self.not_connected(job, loaded, done).await,
                };
                job.log.push_write(WorkerWrite::Connected(true));
                job.log.append(EntryKind::Connected, None, Payload::default());
                job.log.close_state("state cannot be written in a lifecycle hook");
                let reason = std::mem::replace(&mut self.reason, ConnectReason::Input);
                let hook = live.instance.connected(reason).await;
                job.log.open_state();
                self.connect_recorded = true;
                self.worker.state().connected = true;
                self.core.restored(self.worker.id);
                if let Err(done) = hook {
                    live.stdout.finish_lines();
                    live.stderr.finish_lines();
                    self.live = Some(live);
                    return self.not_connected(job, loaded, done).await;
                }
                self.live = Some(live);
            }
        }
        let live = self.live.as_mut().expect("the instance was set above");
        let (ended, cost) = live.instance.call(job.payload.clone()).await;
        let ended = self.core.components.place(loaded, ended).await;
        live.stdout.finish_lines();
        live.stderr.finish_lines();
        let denials = live.instance.take_denials();
        live.instance.take_turn();
        self.denials.record(&self.core, &self.worker, &job.log, &denials);
        let keeps_state = matches!(ended, Ended::Answered(_));
        TurnEnd {
            outcome: ending::outcome(ended, None, &job.limits),
            cost,
            standing: None,
            keeps_state,
        }
    }

    /// Runs a command on an instance of its own.
    pub(super) async fn execute(
        &mut self,
        job: &TurnJob,
        loaded: &Arc<Loaded>,
        turn: Box<DurableTurn>,
    ) -> TurnEnd {
        let run = match RunSpec::parse(&job.payload) {
            Ok(run) => run,
            // Admission has checked it.
            Err(error) => return not_run(Ended::HostFault(error.to_string()), &job.limits),
        };
        let lines = Arc::new(Mutex::new(Arc::downgrade(&job.log)));
        let limit = usize::try_from(job.limits.output_bytes).unwrap_or(usize::MAX);
        let captured =
            |stream| stdio::GuestOutput::lines_and_captured(TurnLines::new(stream, &lines), limit);
        let (stdout, stderr) = (captured("stdout"), captured("stderr"));
        let captured = Captured { stdout: stdout.clone(), stderr: stderr.clone() };
        let name = job.record.spec.display_ref.as_ref().map_or("command", |name| name.as_str());
        let args = std::iter::once(name.to_owned()).chain(run.args).collect();
        let out_of_process = match self.out_of_process(job, loaded) {
            Ok(out_of_process) => out_of_process,
            Err(failure) => {
                return not_run(Ended::Failed { failure, limit: None }, &job.limits);
            }
        };
        if let Some(out_of_process) = out_of_process {
            let run = RunSpec { args, ..run };
            let streams = (stdout, stderr);
            return self
                .run_out_of_process(job, loaded, out_of_process, run, &turn, streams, captured)
                .await;
        }
        let spec = GuestSpec {
            args,
            env: run.env,
            stdin: stdio::GuestInput::from_bytes(&run.stdin),
            stdout: stdout.clone(),
            stderr: stderr.clone(),
            ..GuestSpec::default()
        };
        let connected = self.connect(job, loaded, spec, turn, lines, stdout, stderr).await;
        let (ended, cost) = match connected {
            Ok(mut live) => {
                self.worker.state().connected = true;
                let (ended, cost) = live.instance.run().await;
                let denials = live.instance.take_denials();
                self.denials.record(&self.core, &self.worker, &job.log, &denials);
                self.live = Some(live);
                (ended, cost)
            }
            // It may have ended in its start function, which is part of its run.
            Err(Done { ended, cost, denials }) => {
                self.denials.record(&self.core, &self.worker, &job.log, &denials);
                (ended, cost)
            }
        };
        captured.stdout.finish_lines();
        captured.stderr.finish_lines();
        let ended = self.core.components.place(loaded, ended).await;
        let standing = match &ended {
            Ended::Exited(code) => Some(Standing::Exited(*code)),
            _ => Some(Standing::Idle),
        };
        let outcome = ending::outcome(ended, Some(&captured), &job.limits);
        TurnEnd { outcome, cost, standing, keeps_state: true }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the parts of one instance")]
    pub(super) async fn connect(
        &mut self,
        job: &TurnJob,
        loaded: &Loaded,
        spec: GuestSpec,
        turn: Box<DurableTurn>,
        lines: Arc<Mutex<Weak<TurnLog>>>,
        stdout: stdio::GuestOutput,
        stderr: stdio::GuestOutput,
    ) -> Result<LiveInstance, Done> {
        // Reserves the peak of earlier turns; the guest must request more as it grows.
        let expected = self.worker.state().usage.memory_peak_bytes.max(LEAST_MEMORY_BYTES);
        let residence = self.core.residency.admit(expected, job.limits.memory_bytes);
        let residence = job.kill.unless_thrown(residence).await.map_err(Ended::from)?;
        let fault = |error: StoreError| Ended::HostFault(error.to_string());
        let mounts = self.mounts(&job.record, &job.limits).await.map_err(fault)?;
        let files = FileCalls::new(FileThread::Pool);
        let limits = job.limits;
        let (admission, http) =
            (residence.admission(), guest_access::http(&self.core, &job.record));
        let spec = GuestSpec { mounts, files: files.clone(), http, limits, admission, ..spec };
        let connected = self.core.sandbox.connect(loaded, spec, turn, job.kill.clone()).await;
        let instance = match connected {
            Ok(instance) => instance,
            Err(done) => {
                stdout.finish_lines();
                stderr.finish_lines();
                self.orphaned_files = Some(files);
                return Err(done);
            }
        };
        Ok(LiveInstance { instance, turn: lines, stdout, stderr, files, residence })
    }

    /// Returns the guest's directories. The first connect creates its own.
    pub(super) async fn mounts(
        &mut self,
        record: &WorkerRecord,
        limits: &Limits,
    ) -> Result<Vec<Mount>, StoreError> {
        let mounts = guest_access::mounts(&self.core, &self.worker, record, limits).await?;
        // The directory may already exist, because files can be written before the first connect.
        if !record.has_directory || self.worker.state().usage.turns == 0 {
            self.reason = ConnectReason::Created;
        }
        Ok(mounts)
    }

    pub(super) async fn loaded(
        &mut self,
        record: &WorkerRecord,
        limits: &Limits,
    ) -> Result<Ready, NotReady> {
        let profile = Components::profile(limits);
        self.core.components.load(record.spec.component, profile).await
    }

    /// Returns the end of a turn whose component cannot be loaded. Marks the worker as failed if no
    /// attempt can succeed.
    pub(super) fn not_ready(&mut self, error: &NotReady, limits: &Limits) -> TurnEnd {
        tracing::warn!(%error, worker_id = %self.worker.id, "failed to load a component");
        if !error.is_final() {
            let mut end = not_run(Ended::HostFault(error.to_string()), limits);
            if let Some(told) = &mut end.outcome.error {
                told.message = format!("the component could not be loaded: {}", error.told());
            }
            return end;
        }
        let message = "the component cannot be loaded; update the worker to another component";
        let code = DiagnosticCode::Uninstantiable;
        self.core.diagnose(code, message, Some(self.worker.id));
        let mut end = not_run(Ended::HostFault("the component cannot be loaded".into()), limits);
        if let Some(error) = &mut end.outcome.error {
            error.code = FailedReason::Uninstantiable.as_str().into();
            error.message = message.into();
        }
        end.standing = Some(Standing::Failed(FailedReason::Uninstantiable));
        end
    }

    /// Returns the end of a turn whose instance failed before it handled the input.
    async fn not_connected(&mut self, job: &TurnJob, loaded: &Loaded, done: Done) -> TurnEnd {
        let Done { ended, cost, denials } = done;
        self.denials.record(&self.core, &self.worker, &job.log, &denials);
        let ended = self.core.components.place(loaded, ended).await;
        TurnEnd { cost, ..not_run(ended, &job.limits) }
    }

    /// Waits for the file calls of an ended instance, which outlive it.
    pub(super) async fn wait_for_file_calls(&mut self, limits: &Limits) -> Option<TurnEnd> {
        let stays_live = |live: &LiveInstance| {
            live.instance.is_usable() && self.worker.kind == ComponentKind::Service
        };
        if self.live.as_ref().is_some_and(stays_live) {
            return None;
        }
        let files = match self.live.take() {
            Some(live) => live.files.clone(),
            None => self.orphaned_files.take()?,
        };
        self.worker.state().connected = false;
        let began = Instant::now();
        while files.under_way() > 0 {
            if began.elapsed() > STUCK_AFTER {
                let message = "a file call of an ended turn did not return";
                let code = DiagnosticCode::HostCallStuck;
                self.core.diagnose(code, message, Some(self.worker.id));
                let mut end = not_run(Ended::HostFault(message.into()), limits);
                end.standing = Some(Standing::Failed(FailedReason::HostCallStuck));
                return Some(end);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        None
    }

    pub(super) fn durable_turn(
        &self,
        record: &WorkerRecord,
        log: &Arc<TurnLog>,
        input: Option<skep_protocol::InputId>,
        attempt: u32,
    ) -> Result<Box<DurableTurn>, StoreError> {
        let config = guest_access::config(&self.core, record)?;
        let identity = Identity {
            runtime_id: self.core.runtime_id.to_string(),
            worker_id: self.worker.id.to_string(),
            input_id: input.map(|id| id.to_string()),
            attempt,
        };
        Ok(Box::new(DurableTurn {
            identity,
            config,
            store: self.core.store.clone(),
            worker: self.worker.number,
            log: log.clone(),
            cache: self.state_cache.clone(),
        }))
    }
}
