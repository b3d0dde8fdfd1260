//! Commands of callers, carried out between two turns.

use std::time::{Duration, Instant};

use skep_protocol::{
    Conflict, Desired, DiagnosticCode, EntryKind, Error, FailedReason, Grants, Version,
    VersionChange, WorkerSpec,
};
use skep_store::record::{SharedWrite, Standing, WorkerRecord, WorkerWrite};

use skep_sandbox::ConnectReason;

use super::task::{Driver, entry, json_payload, new_entry};
use crate::clock::now;
use crate::roster::worker::{DriverCommand, QueuedCommand};

/// Time that the requests of a stopped HTTP worker get to end.
const LANES_GRACE: Duration = Duration::from_secs(1);

/// The interval at which a stop looks for requests in flight.
const LANES_INTERVAL: Duration = Duration::from_millis(10);

impl Driver {
    /// Carries out the first queued command.
    pub(super) async fn command(&mut self) {
        let queued = {
            let mut state = self.worker.state();
            // A held input is submitted first: the command may take long, and the sender waits for
            // acceptance.
            self.core.submit_held(&self.worker, &mut state);
            state.commands.pop_front()
        };
        let Some(QueuedCommand { command, done }) = queued else {
            self.worker.state().machine.command_done();
            return;
        };
        let (removal, is_seen) = (
            matches!(command, DriverCommand::Remove),
            !matches!(command, DriverCommand::Files | DriverCommand::Fork(..)),
        );
        let result = match command {
            DriverCommand::Start => self.start().await,
            DriverCommand::Stop => self.stop().await,
            DriverCommand::Change(change) => {
                let before = self.worker.state().record.spec.clone();
                let spec = change.apply(before.clone());
                match change.check_before(&before) {
                    Ok(()) => self.respec(spec, &before, EntryKind::Updated).await,
                    Err(conflict) => Err(conflict.into()),
                }
            }
            DriverCommand::Rollback => self.rollback().await,
            DriverCommand::Remove => self.remove().await,
            DriverCommand::Fork(id, request) => self.fork(id, &request).await,
            DriverCommand::Files => self.files_written().await,
        };
        self.worker.state().machine.command_done();
        if is_seen {
            self.core.changes.note(self.worker.id);
        }
        if removal && result.is_ok() {
            self.core.forget(self.worker.id);
        }
        // The caller may have gone.
        drop(done.send(result));
    }

    pub(super) async fn start(&mut self) -> Result<(), Error> {
        let mut record = self.worker.state().record.clone();
        let was_failed = matches!(record.standing, Standing::Failed(_));
        if record.desired == Desired::Running && !was_failed {
            return Ok(());
        }
        record.desired = Desired::Running;
        record.standing = Standing::Idle;
        self.put(record, vec![entry(EntryKind::Started, None)]).await?;
        for code in [
            DiagnosticCode::CrashLoop,
            DiagnosticCode::Uninstantiable,
            DiagnosticCode::HostCallStuck,
        ] {
            if was_failed {
                drop(self.core.store.submit_shared(SharedWrite::Clear(code, self.worker.id)));
            }
        }
        Ok(())
    }

    pub(super) async fn stop(&mut self) -> Result<(), Error> {
        let mut record = self.worker.state().record.clone();
        if record.desired == Desired::Stopped {
            return Ok(());
        }
        record.desired = Desired::Stopped;
        record.standing = Standing::Stopped;
        self.put(record, vec![entry(EntryKind::Stopped, None)]).await?;
        self.disconnect().await;
        self.close_lanes(LANES_GRACE).await;
        Ok(())
    }

    /// Makes the next request of an HTTP worker find its new version. Those in flight go on as they
    /// began.
    fn retire_lanes(&mut self) {
        let (present, done) = {
            let mut state = self.worker.state();
            (state.lanes.clone(), state.retire_lanes())
        };
        if let Some(present) = present {
            present.retire();
        }
        drop(done);
    }

    /// Ends the lanes of an HTTP worker. Requests in flight get a grace time.
    async fn close_lanes(&mut self, grace: Duration) {
        let all: Vec<_> = {
            let mut state = self.worker.state();
            let draining = std::mem::take(&mut state.draining);
            state.lanes.take().into_iter().chain(draining).collect()
        };
        for lanes in &all {
            lanes.close();
        }
        let is_busy = || all.iter().any(|lanes| lanes.is_busy());
        for grace in [grace, LANES_GRACE] {
            let until = Instant::now() + grace;
            while is_busy() && Instant::now() < until {
                tokio::time::sleep(LANES_INTERVAL).await;
            }
            for lanes in &all {
                lanes.cancel();
            }
        }
    }

    pub(super) async fn respec(
        &mut self,
        spec: WorkerSpec,
        before: &WorkerSpec,
        kind: EntryKind,
    ) -> Result<(), Error> {
        let mut record = self.worker.state().record.clone();
        let version =
            |spec: &WorkerSpec| Version { component: spec.component, config: spec.config };
        let switched = version(&spec) != version(before);
        let granted = spec.grants != before.grants;
        let limited = spec.limits != before.limits;
        let reused = spec.http != before.http;
        if switched {
            record.previous = Some(version(before));
        }
        record.spec = spec;
        if !switched && !granted && !limited {
            // Names and labels do not affect behaviour, and the use of instances only its cost, so the
            // transcript has no entry.
            self.put(record, Vec::new()).await?;
            if reused {
                self.retire_lanes();
            }
            return Ok(());
        }
        let mut entries = Vec::new();
        if switched {
            let change = VersionChange { from: version(before), to: version(&record.spec) };
            let mut entry = new_entry(kind, None);
            entry.payload = json_payload(serde_json::to_vec(&change));
            entries.push(WorkerWrite::Append(entry));
        }
        if granted {
            entries.push(grants_entry(&record.spec.grants));
        }
        if limited {
            let mut entry = new_entry(EntryKind::Updated, Some("limits"));
            entry.payload = json_payload(serde_json::to_vec(&record.spec.limits));
            entries.push(WorkerWrite::Append(entry));
        }
        // With another component the worker may start again.
        if switched && matches!(record.standing, Standing::Failed(FailedReason::Uninstantiable)) {
            record.standing = Standing::Idle;
        }
        // Grants and limits take effect when an instance is created.
        self.disconnect().await;
        self.put(record, entries).await?;
        // Requests in flight go on as they began; the next one finds no lanes and makes new ones.
        self.retire_lanes();
        if limited {
            // The next use opens the directory with the new quota.
            self.worker.directory.close();
        }
        self.reason = ConnectReason::Update;
        if granted {
            let grants = self.worker.state().record.spec.grants.clone();
            self.denials.review(&self.core, &self.worker, &grants);
        }
        Ok(())
    }

    pub(super) async fn rollback(&mut self) -> Result<(), Error> {
        let (before, previous) = {
            let state = self.worker.state();
            (state.record.spec.clone(), state.record.previous)
        };
        let Some(previous) = previous else {
            return Err(Conflict::NoPrevious.into());
        };
        let mut spec = before.clone();
        (spec.component, spec.config) = (previous.component, previous.config);
        self.respec(spec, &before, EntryKind::RolledBack).await
    }

    pub(super) async fn remove(&mut self) -> Result<(), Error> {
        if let Some(live) = self.live.take() {
            self.shut_down(live).await;
        }
        self.worker.state().removing = true;
        self.close_lanes(Duration::ZERO).await;
        let removal = self.worker.directory.begin_removal().await;
        if let Err(error) = self.submit(vec![WorkerWrite::Remove { at: now() }]).await {
            self.worker.directory.cancel_removal(removal);
            self.worker.state().removing = false;
            return Err(self.core.fault(error));
        }
        let mut state = self.worker.state();
        state.removed = true;
        state.connected = false;
        state.machine.clear();
        state.behind.clear();
        let inputs: Vec<_> = state.inputs.keys().copied().collect();
        for id in inputs {
            state.refuse(id, Error::WorkerRemoved);
        }
        Ok(())
    }

    /// Records the disk usage, and that the directory exists.
    async fn files_written(&mut self) -> Result<(), Error> {
        let Some(used) = self.worker.directory.usage() else { return Ok(()) };
        let (mut usage, mut record) = {
            let state = self.worker.state();
            (state.usage, state.record.clone())
        };
        let before = (usage.disk_bytes, usage.disk_entries);
        if record.has_directory && before == (used.bytes, used.entries) {
            return Ok(());
        }
        (usage.disk_bytes, usage.disk_entries) = (used.bytes, used.entries);
        let mut writes = vec![WorkerWrite::Usage(usage)];
        if !record.has_directory {
            record.has_directory = true;
            writes.push(WorkerWrite::Put(Box::new(record.clone())));
        }
        self.submit(writes).await.map_err(|error| self.core.fault(error))?;
        let mut state = self.worker.state();
        // Requests may have changed the rest meanwhile.
        (state.usage.disk_bytes, state.usage.disk_entries) = (used.bytes, used.entries);
        state.adopt(record);
        Ok(())
    }

    /// Commits a changed record together with its transcript entries, then adopts it.
    pub(super) async fn put(
        &mut self,
        mut record: WorkerRecord,
        entries: Vec<WorkerWrite>,
    ) -> Result<(), Error> {
        record.updated_at = now();
        let mut writes = vec![WorkerWrite::Put(Box::new(record.clone()))];
        writes.extend(entries);
        self.submit(writes).await.map_err(|error| self.core.fault(error))?;
        self.worker.state().adopt(record);
        Ok(())
    }

    /// Marks the worker as failed.
    pub(super) async fn fail_worker(
        &mut self,
        reason: FailedReason,
        code: DiagnosticCode,
        message: &str,
    ) {
        self.core.diagnose(code, message, Some(self.worker.id));
        let mut record = self.worker.state().record.clone();
        record.standing = Standing::Failed(reason);
        let writes = vec![
            WorkerWrite::Put(Box::new(record.clone())),
            entry(EntryKind::Failed, Some(reason.as_str())),
        ];
        if let Err(error) = self.submit(writes).await {
            self.core.fault(error);
        }
        self.worker.state().adopt(record);
        self.core.changes.note(self.worker.id);
    }
}

/// Returns the transcript entry for a change of grants.
fn grants_entry(grants: &Grants) -> WorkerWrite {
    let mut entry = new_entry(EntryKind::Updated, Some("grants"));
    entry.payload = json_payload(serde_json::to_vec(grants));
    WorkerWrite::Append(entry)
}
