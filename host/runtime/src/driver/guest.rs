//! The guest's side of a driver: making an instance, having it handle one input, letting it go.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use skep_protocol::{
    ComponentKind, DiagnosticCode, EntryKind, FailedReason, Limits, Payload, Rights, SecretName,
};
use skep_scope::{Disk, Quota, Scope};
use skep_store::StoreError;
use skep_store::record::{Standing, WorkerRecord, WorkerWrite};

use skep_sandbox::Done;
use skep_sandbox::Ended;
use skep_sandbox::GuestSpec;
use skep_sandbox::HttpAccess;
use skep_sandbox::Identity;
use skep_sandbox::Loaded;
use skep_sandbox::Mount;
use skep_sandbox::{ConnectReason, stdio};
use skep_sandbox::{FileCalls, FileThread};

use super::task::{Driver, Job, Ran, Seat, entry, ran};
use crate::components::{Components, NotReady};
use crate::turn::ending::{self, Captured};
use crate::turn::log::{Lines, TurnLog};
use crate::turn::record::DurableTurn;
use crate::turn::run::Run;

/// How long a healthy instance may take to say goodbye.
const GOODBYE: Duration = Duration::from_millis(200);

/// Memory that an instance is expected to need of which nothing is known, in bytes.
const LEAST_MEMORY_BYTES: u64 = 2 << 20;

/// How long the file calls of an ended turn may take to come back.
const STUCK: Duration = Duration::from_secs(5);

impl Driver {
    /// Has the instance say goodbye, and records that it went.
    pub(super) async fn let_go(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.goodbye(seat).await;
            self.disconnected().await;
        }
    }

    /// Records that there is no instance any more.
    pub(super) async fn disconnected(&mut self) {
        self.worker.state().connected = false;
        if std::mem::take(&mut self.recorded) {
            let events = vec![WorkerWrite::Connected(false), entry(EntryKind::Disconnected, None)];
            // If it is lost, the next start says what it knows.
            if let Err(error) = self.submit(events).await {
                self.inner.fault(error);
            }
        }
        self.inner.changes.note(self.worker.id);
    }

    pub(super) async fn goodbye(&mut self, mut seat: Seat) {
        if seat.instance.is_usable() && self.worker.kind == ComponentKind::Service {
            let (limits, record, usage) = {
                let state = self.worker.state();
                (state.limits, state.record.clone(), state.usage)
            };
            let log = self.log(limits, None, None, usage.state_bytes);
            log.open_state(false);
            if let Ok(turn) = self.durable_turn(&record, &log, None, 0) {
                *seat.turn.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&log);
                seat.instance.begin(turn, Arc::default());
                seat.instance.disconnecting(GOODBYE).await;
                seat.stdout.finish_lines();
                seat.stderr.finish_lines();
                self.parted(&log).await;
            }
        }
        drop(seat);
    }

    /// Records what an instance has said in parting, before it is said that it went.
    async fn parted(&mut self, log: &Arc<TurnLog>) {
        let said = match log.end().await {
            Ok(rest) if rest.events.is_empty() => return,
            Ok(rest) => self.submit(rest.events).await,
            Err(error) => Err(error),
        };
        if let Err(error) = said {
            self.inner.fault(error);
        }
    }

    /// Runs the guest. `None` where the host goes down in it.
    pub(super) async fn run(&mut self, job: &Job) -> Option<Ran> {
        let turn =
            self.durable_turn(&job.record, &job.log, Some(job.queued.id), job.queued.attempt);
        let turn = match turn {
            Ok(turn) => turn,
            Err(error) => return Some(ran(Ended::HostFault(error.to_string()), &job.limits)),
        };
        let ready = self.loaded(&job.record, &job.limits);
        let loaded = match job.kill.unless_thrown(ready).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) => return Some(self.not_ready(error, &job.limits).await),
            Err(reason) => return Some(ran(reason.into(), &job.limits)),
        };
        let mut ran = match self.worker.kind {
            ComponentKind::Service => self.call(job, &loaded, turn).await,
            ComponentKind::Command | ComponentKind::Http => self.execute(job, &loaded, turn).await,
        };
        if job.kill.reason().is_some() && self.worker.state().machine.is_closing() {
            return None;
        }
        if let Some(stuck) = self.settle_files(&job.limits).await {
            ran = stuck;
        }
        Some(ran)
    }

    /// One input of a service, on the instance that there is or on a new one.
    pub(super) async fn call(&mut self, job: &Job, loaded: &Loaded, turn: Box<DurableTurn>) -> Ran {
        if self.seat.as_ref().is_some_and(|seat| !seat.place.resume()) {
            self.let_go().await;
        }
        match &mut self.seat {
            Some(seat) => {
                *seat.turn.lock().unwrap_or_else(PoisonError::into_inner) =
                    Arc::downgrade(&job.log);
                seat.instance.begin(turn, job.kill.clone());
            }
            None => {
                let lines = Arc::new(Mutex::new(Arc::downgrade(&job.log)));
                let stdout = stdio::GuestOutput::lines(Lines::new("stdout", &lines));
                let stderr = stdio::GuestOutput::lines(Lines::new("stderr", &lines));
                let spec = GuestSpec {
                    stdout: stdout.clone(),
                    stderr: stderr.clone(),
                    ..GuestSpec::default()
                };
                let seat = self.connect(job, loaded, spec, turn, lines, stdout, stderr).await;
                let mut seat = match seat {
                    Ok(seat) => seat,
                    Err(done) => return self.not_connected(job, done),
                };
                job.log.note(WorkerWrite::Connected(true));
                job.log.append(EntryKind::Connected, None, Payload::default());
                job.log.open_state(false);
                let reason = std::mem::replace(&mut self.reason, ConnectReason::Input);
                let connected = seat.instance.connected(reason).await;
                job.log.open_state(true);
                self.recorded = true;
                self.worker.state().connected = true;
                self.inner.restored(self.worker.id);
                if let Err(done) = connected {
                    seat.stdout.finish_lines();
                    seat.stderr.finish_lines();
                    self.seat = Some(seat);
                    return self.not_connected(job, done);
                }
                self.seat = Some(seat);
            }
        }
        let seat = self.seat.as_mut().expect("it was just put there");
        let (ended, cost) = seat.instance.call(job.payload.clone()).await;
        seat.stdout.finish_lines();
        seat.stderr.finish_lines();
        let denials = seat.instance.take_denials();
        seat.instance.take_turn();
        self.record_denials(&job.log, &denials);
        let good = matches!(ended, Ended::Answered(_));
        Ran { outcome: ending::outcome(ended, None, &job.limits), cost, standing: None, good }
    }

    /// One run of a command, on an instance of its own.
    pub(super) async fn execute(
        &mut self,
        job: &Job,
        loaded: &Arc<Loaded>,
        turn: Box<DurableTurn>,
    ) -> Ran {
        let run = match Run::parse(&job.payload) {
            Ok(run) => run,
            // It was checked when it was sent.
            Err(error) => return ran(Ended::HostFault(error.to_string()), &job.limits),
        };
        let lines = Arc::new(Mutex::new(Arc::downgrade(&job.log)));
        let limit = usize::try_from(job.limits.output_bytes).unwrap_or(usize::MAX);
        let captured =
            |stream| stdio::GuestOutput::lines_and_captured(Lines::new(stream, &lines), limit);
        let (stdout, stderr) = (captured("stdout"), captured("stderr"));
        let captured = Captured { stdout: stdout.clone(), stderr: stderr.clone() };
        let name = job.record.spec.display_ref.as_ref().map_or("command", |name| name.as_str());
        let args = std::iter::once(name.to_owned()).chain(run.args).collect();
        let out_of_process = match self.out_of_process(job, loaded) {
            Ok(out_of_process) => out_of_process,
            Err(failure) => return ran(Ended::Failed(failure), &job.limits),
        };
        if let Some(out_of_process) = out_of_process {
            let run = Run { args, ..run };
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
        let seat = self.connect(job, loaded, spec, turn, lines, stdout, stderr).await;
        let (ended, cost) = match seat {
            Ok(mut seat) => {
                self.worker.state().connected = true;
                let (ended, cost) = seat.instance.run().await;
                let denials = seat.instance.take_denials();
                self.record_denials(&job.log, &denials);
                self.seat = Some(seat);
                (ended, cost)
            }
            // It may have ended in its start function, which is a part of its run.
            Err(Done { ended, cost, denials }) => {
                self.record_denials(&job.log, &denials);
                (ended, cost)
            }
        };
        captured.stdout.finish_lines();
        captured.stderr.finish_lines();
        let standing = match &ended {
            Ended::Exited(code) => Some(Standing::Exited(*code)),
            _ => Some(Standing::Idle),
        };
        let outcome = ending::outcome(ended, Some(&captured), &job.limits);
        Ran { outcome, cost, standing, good: true }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the parts of one seat")]
    pub(super) async fn connect(
        &mut self,
        job: &Job,
        loaded: &Loaded,
        spec: GuestSpec,
        turn: Box<DurableTurn>,
        lines: Arc<Mutex<Weak<TurnLog>>>,
        stdout: stdio::GuestOutput,
        stderr: stdio::GuestOutput,
    ) -> Result<Seat, Done> {
        // As much as it once needed is kept ready for it; more has to be had on the way.
        let expected = self.worker.state().usage.memory_peak_bytes.max(LEAST_MEMORY_BYTES);
        let place = self.inner.residency.place(expected, job.limits.memory_bytes);
        let place = job.kill.unless_thrown(place).await.map_err(Ended::from)?;
        let fault = |error: StoreError| Ended::HostFault(error.to_string());
        let mounts = self.mounts(&job.record, &job.limits).await.map_err(fault)?;
        let files = FileCalls::new(FileThread::Pool);
        let limits = job.limits;
        let (admission, http) = (place.admission(), self.http_access(&job.record));
        let spec = GuestSpec { mounts, files: files.clone(), http, limits, admission, ..spec };
        let connected = self.inner.sandbox.connect(loaded, spec, turn, job.kill.clone()).await;
        let instance = match connected {
            Ok(instance) => instance,
            Err(done) => {
                stdout.finish_lines();
                stderr.finish_lines();
                self.left_behind = Some(files);
                return Err(done);
            }
        };
        Ok(Seat { instance, turn: lines, stdout, stderr, files, place })
    }

    /// The guest's directories. The first connect makes its own.
    pub(super) async fn mounts(
        &mut self,
        record: &WorkerRecord,
        limits: &Limits,
    ) -> Result<Vec<Mount>, StoreError> {
        let quota = Quota { bytes: limits.disk_bytes, entries: limits.disk_entries };
        let data = self.inner.directory(&self.worker).await?.scope;
        // Someone may have put files there before it was ever connected.
        if !record.has_directory || self.worker.state().usage.turns == 0 {
            self.reason = ConnectReason::Created;
        }
        let mut mounts = vec![Mount { guest: "/data".into(), scope: data }];
        for grant in &record.spec.grants.scopes {
            let Some(scope) = self.inner.scopes.get(&grant.name) else { continue };
            let rights = match (scope.rights, grant.rights) {
                (Rights::ReadWrite, Rights::ReadWrite) => Rights::ReadWrite,
                _ => Rights::ReadOnly,
            };
            let dir = scope.dir.try_clone()?;
            let disk = Disk::new(quota);
            let scope = Scope::new(dir, rights, disk);
            mounts.push(Mount { guest: grant.guest.to_string(), scope });
        }
        Ok(mounts)
    }

    /// What it may ask others. A secret that the operator has no more is no more.
    fn http_access(&self, record: &WorkerRecord) -> HttpAccess {
        let grants = &record.spec.grants;
        let secret =
            |name: &SecretName| Some((name.clone(), self.inner.secrets.get(name)?.clone()));
        HttpAccess {
            grants: grants.http.clone(),
            secrets: grants.secrets.iter().filter_map(secret).collect(),
        }
    }

    pub(super) async fn loaded(
        &mut self,
        record: &WorkerRecord,
        limits: &Limits,
    ) -> Result<Arc<Loaded>, NotReady> {
        let profile = Components::profile(limits);
        self.inner.components.ready(record.spec.component, profile).await
    }

    /// The end of a turn whose component cannot be made ready: the worker runs no more, unless the
    /// host lacks something for now.
    pub(super) async fn not_ready(&mut self, error: NotReady, limits: &Limits) -> Ran {
        tracing::warn!(%error, worker_id = %self.worker.id, "a component is not ready");
        if let Some(why) = error.passes() {
            let why = format!("the component is not ready: {why}; send the input again");
            return ran(Ended::HostFault(why), limits);
        }
        let message = "the component cannot be made ready; update the worker to another one";
        let code = DiagnosticCode::Uninstantiable;
        self.inner.diagnose(code, message, Some(self.worker.id));
        let mut ran = ran(Ended::HostFault("the component cannot be made ready".into()), limits);
        if let Some(error) = &mut ran.outcome.error {
            error.code = FailedReason::Uninstantiable.as_str().into();
            error.message = message.into();
        }
        ran.standing = Some(Standing::Failed(FailedReason::Uninstantiable));
        ran
    }

    /// The end of a turn whose instance did not get to its input.
    fn not_connected(&mut self, job: &Job, Done { ended, cost, denials }: Done) -> Ran {
        self.record_denials(&job.log, &denials);
        Ran { cost, ..ran(ended, &job.limits) }
    }

    /// Waits for the file calls of an instance that ended; they outlive it.
    pub(super) async fn settle_files(&mut self, limits: &Limits) -> Option<Ran> {
        let goes_on =
            |seat: &Seat| seat.instance.is_usable() && self.worker.kind == ComponentKind::Service;
        if self.seat.as_ref().is_some_and(goes_on) {
            return None;
        }
        let files = match self.seat.take() {
            Some(seat) => seat.files.clone(),
            None => self.left_behind.take()?,
        };
        self.worker.state().connected = false;
        let began = Instant::now();
        while files.under_way() > 0 {
            if began.elapsed() > STUCK {
                let message = "a file call of an ended turn does not come back";
                let code = DiagnosticCode::HostCallStuck;
                self.inner.diagnose(code, message, Some(self.worker.id));
                let mut ran = ran(Ended::HostFault(message.into()), limits);
                ran.standing = Some(Standing::Failed(FailedReason::HostCallStuck));
                return Some(ran);
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
        let config = match &record.spec.config {
            None => Arc::default(),
            Some(digest) => match self.inner.store.config(digest)? {
                Some(config) => config.values,
                None => return Err(StoreError::Damaged { what: "config bundle", worker: None }),
            },
        };
        let identity = Identity {
            runtime_id: self.inner.runtime_id.to_string(),
            worker_id: self.worker.id.to_string(),
            input_id: input.map(|id| id.to_string()),
            attempt,
        };
        Ok(Box::new(DurableTurn {
            identity,
            config,
            store: self.inner.store.clone(),
            worker: self.worker.number,
            log: log.clone(),
            known: self.known.clone(),
        }))
    }
}
