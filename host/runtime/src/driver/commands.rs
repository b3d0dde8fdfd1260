//! What a person asked for, carried out between two turns.

use skep_protocol::{
    Conflict, Desired, DiagnosticCode, EntryKind, Error, FailedReason, Grants, Payload, Version,
    WorkerSpec,
};
use skep_store::record::{SharedWrite, Standing, WorkerRecord, WorkerWrite};

use skep_sandbox::ConnectReason;

use super::task::{Driver, entry, new_entry};
use crate::clock::now;
use crate::roster::worker::{Command, What};

impl Driver {
    /// Carries out a person's command.
    pub(super) async fn command(&mut self) {
        let command = {
            let mut state = self.worker.state();
            // It may wait for long, and whoever sent it wants to know that it is there.
            self.inner.submit_held(&self.worker, &mut state);
            state.commands.pop_front()
        };
        let Some(Command { what, done }) = command else {
            self.worker.state().machine.command_done();
            return;
        };
        let (removal, is_seen) = (matches!(what, What::Remove), !matches!(what, What::Files));
        let result = match what {
            What::Start => self.start().await,
            What::Stop => self.stop().await,
            What::Change(change) => {
                let before = self.worker.state().record.spec.clone();
                let spec = change.apply(before.clone());
                match change.is_for(&before.grants) {
                    true => self.respec(spec, &before, EntryKind::Updated).await,
                    false => Err(Conflict::Grants.into()),
                }
            }
            What::Rollback => self.rollback().await,
            What::Remove => self.remove().await,
            What::Files => self.files_written().await,
        };
        self.worker.state().machine.command_done();
        if is_seen {
            self.inner.changes.note(self.worker.id);
        }
        if removal && result.is_ok() {
            self.inner.forget(self.worker.id);
        }
        // Whoever asked may have gone.
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
                drop(self.inner.store.submit_shared(SharedWrite::Clear(code, self.worker.id)));
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
        self.let_go().await;
        Ok(())
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
        if switched {
            record.previous = Some(version(before));
        }
        record.spec = spec;
        if !switched && !granted {
            // What people call it is no part of what it does: the transcript does not tell.
            return self.put(record, Vec::new()).await;
        }
        let mut entries = Vec::new();
        if switched {
            entries.push(entry(kind, None));
        }
        if granted {
            entries.push(grants_entry(&record.spec.grants));
        }
        // A worker that could not be instantiated may be able to now.
        if switched && matches!(record.standing, Standing::Failed(FailedReason::Uninstantiable)) {
            record.standing = Standing::Idle;
        }
        // Directories and the rest are given to an instance when it comes to be.
        self.let_go().await;
        self.put(record, entries).await?;
        self.reason = ConnectReason::Update;
        if granted {
            let grants = self.worker.state().record.spec.grants.clone();
            self.review_denials(&grants);
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
        if let Some(seat) = self.seat.take() {
            self.goodbye(seat).await;
        }
        let taken = self.worker.directory.take().await;
        if let Err(error) = self.submit(vec![WorkerWrite::Remove { at: now() }]).await {
            self.worker.directory.give_back(taken);
            return Err(self.inner.fault(error));
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

    /// Records what the directory holds, and that there is one.
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
        let mut events = vec![WorkerWrite::Usage(usage)];
        if !record.has_directory {
            record.has_directory = true;
            events.push(WorkerWrite::Put(Box::new(record.clone())));
        }
        self.submit(events).await.map_err(|error| self.inner.fault(error))?;
        let mut state = self.worker.state();
        state.usage = usage;
        state.adopt(record);
        Ok(())
    }

    /// Puts a changed record on disk, with what the transcript says of it, and takes it over.
    pub(super) async fn put(
        &mut self,
        mut record: WorkerRecord,
        entries: Vec<WorkerWrite>,
    ) -> Result<(), Error> {
        record.updated_at = now();
        let mut events = vec![WorkerWrite::Put(Box::new(record.clone()))];
        events.extend(entries);
        self.submit(events).await.map_err(|error| self.inner.fault(error))?;
        self.worker.state().adopt(record);
        Ok(())
    }

    /// Lets a worker run no more.
    pub(super) async fn fail_worker(
        &mut self,
        reason: FailedReason,
        code: DiagnosticCode,
        message: &str,
    ) {
        self.inner.diagnose(code, message, Some(self.worker.id));
        let mut record = self.worker.state().record.clone();
        record.standing = Standing::Failed(reason);
        let events = vec![
            WorkerWrite::Put(Box::new(record.clone())),
            entry(EntryKind::Failed, Some(reason.as_str())),
        ];
        if let Err(error) = self.submit(events).await {
            self.inner.fault(error);
        }
        self.worker.state().adopt(record);
        self.inner.changes.note(self.worker.id);
    }
}

/// Says in the transcript what a worker may do from now on.
fn grants_entry(grants: &Grants) -> WorkerWrite {
    let mut entry = new_entry(EntryKind::Updated, Some("grants"));
    // They are made of texts and lists, which can be written.
    let body = serde_json::to_vec(grants).unwrap_or_default();
    entry.payload = Payload { content_type: "application/json".into(), body: body.into() };
    WorkerWrite::Append(entry)
}
