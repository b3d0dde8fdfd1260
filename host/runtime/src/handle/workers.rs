//! Workers of an embedded runtime: creating, changing and commanding them.

use async_trait::async_trait;
use skep_protocol::{
    ChangeStream, ComponentKind, Conflict, CreateWorker, Desired, Error, Execution, FollowChanges,
    ForkWorker, Grants, Invalid, ListState, ListWorkers, Listing, ScopeName, SecretName, StateItem,
    Stored, Usage, WorkerChange, WorkerHistory, WorkerId, WorkerPage, WorkerSpec, WorkerView,
    Workers,
};
use skep_store::record::{Standing, Transaction, WorkerRecord, WorkerWrite};
use skep_store::{Lookup, Store, StoreError, StoreRefusal};
use tokio::sync::oneshot;

use skep_lanes::HttpPolicy;
use skep_sandbox::{KillReason, handles_several};

use super::follow;
use super::page;
use crate::clock::now;
use crate::embedded::Embedded;
use crate::roster::core::{Core, random};
use crate::roster::history::INTERVAL_MS;
use crate::roster::worker::{DriverCommand, observed, view};

#[async_trait]
impl Workers for Embedded {
    async fn create(&self, request: CreateWorker) -> Result<Stored<WorkerView>, Error> {
        let core = &self.0;
        if core.is_closing() {
            return Err(core.busy());
        }
        let CreateWorker { worker_id, spec } = request;
        let id = match worker_id {
            Some(id) => id,
            None => WorkerId::new(now().as_millis(), random()?),
        };
        if let Some(existing) = self.existing(id, &spec)? {
            return Ok(existing);
        }
        let kind = self.check(&spec)?;
        self.check_grants(&spec.grants, &Grants::default())?;
        let at = now();
        let record = WorkerRecord {
            number: core.store.next_number(),
            id,
            kind,
            created_as: spec.clone(),
            spec,
            previous: None,
            desired: Desired::Running,
            standing: Standing::Idle,
            has_directory: false,
            created_at: at,
            updated_at: at,
        };
        let spec = record.spec.clone();
        let view =
            view(&record, &core.runtime_id, observed(Standing::Idle), Execution::Unconnected, 0);
        let worker = record.number;
        let writes = vec![WorkerWrite::Create(Box::new(record))];
        match core.store.submit(Transaction { worker, writes }).await {
            Ok(_) => {
                core.changes.note(id);
                Ok(Stored { item: view, created: true })
            }
            // A concurrent request created the same id first.
            Err(StoreError::Refused(StoreRefusal::WorkerExists)) => {
                self.existing(id, &spec)?.ok_or(Error::Internal)
            }
            Err(StoreError::Refused(StoreRefusal::WorkerRemoved)) => Err(Error::WorkerRemoved),
            Err(StoreError::Refused(StoreRefusal::UnknownConfig)) => match spec.config {
                Some(config) => Err(Error::UnknownConfig(config)),
                None => Err(Error::Internal),
            },
            Err(error) => Err(core.fault(error)),
        }
    }

    async fn fork(
        &self,
        worker: WorkerId,
        request: ForkWorker,
    ) -> Result<Stored<WorkerView>, Error> {
        self.fork_of(worker, request).await
    }

    async fn list(&self, query: ListWorkers) -> Result<WorkerPage, Error> {
        let position = query.position()?;
        let limit = page(query.limit);
        let core = self.0.clone();
        let after = position.as_ref().map(|position| position.follows());
        match after {
            // The database lists by id and label itself.
            None | Some(Some(_)) if query.is_plain() => {
                self.read(move |store| plain_page(&core, store, &query, after.flatten(), limit))
                    .await
            }
            _ => self.read(move |store| selected_page(&core, store, &query, limit)).await?,
        }
    }

    async fn get(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        let core = &self.0;
        let record = self.record(worker)?;
        core.view_of(record).map_err(|error| core.fault(error))
    }

    async fn update(&self, worker: WorkerId, change: WorkerChange) -> Result<WorkerView, Error> {
        let before = self.record(worker)?;
        if let Some(grants) = &change.grants {
            self.check_grants(grants, &before.spec.grants)?;
        }
        let spec = change.apply(before.spec);
        if self.check(&spec)? != before.kind {
            return Err(Conflict::Kind.into());
        }
        self.command(worker, DriverCommand::Change(Box::new(change))).await?;
        self.get(worker).await
    }

    async fn rollback(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.command(worker, DriverCommand::Rollback).await?;
        self.get(worker).await
    }

    async fn remove(&self, worker: WorkerId) -> Result<(), Error> {
        let worker = self.0.worker(worker)?;
        let done = worker.command(DriverCommand::Remove);
        if let Some(running) = &worker.state().running {
            running.kill.throw(KillReason::Cancelled);
        }
        self.0.drive(&worker);
        // Even if the queue of commands is full, the turn that they wait for now ends.
        self.commanded(done.ok_or_else(|| self.0.busy())?).await
    }

    async fn start(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        // Its turn may be waiting for another attempt to load the component.
        self.0.components.retry_now(&self.record(worker)?.spec.component);
        self.command(worker, DriverCommand::Start).await?;
        self.get(worker).await
    }

    async fn stop(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        let worker = self.0.worker(worker)?;
        let mut done = worker.command(DriverCommand::Stop).ok_or_else(|| self.0.busy())?;
        self.0.drive(&worker);
        let grace = self.0.options.stop_grace;
        let result = match tokio::time::timeout(grace, &mut done).await {
            Ok(result) => result.unwrap_or(Err(self.0.busy())),
            Err(_) => {
                if let Some(running) = &worker.state().running {
                    running.kill.throw(KillReason::Cancelled);
                }
                self.commanded(done).await
            }
        };
        result?;
        self.get(worker.id).await
    }

    async fn changes(&self, from: FollowChanges) -> Result<ChangeStream, Error> {
        let cursor = from.after.map(|cursor| cursor.parse().map_err(|()| Invalid::Cursor));
        Ok(follow::changes(self.clone(), cursor.transpose()?, from.from_now))
    }

    async fn state(&self, worker: WorkerId, query: ListState) -> Result<Listing<StateItem>, Error> {
        self.state_of(worker, query).await
    }

    async fn usage_history(&self, worker: WorkerId) -> Result<WorkerHistory, Error> {
        self.record(worker)?;
        Ok(WorkerHistory { interval_ms: INTERVAL_MS, items: self.0.samples.of(worker) })
    }

    async fn usage(&self, worker: WorkerId) -> Result<Usage, Error> {
        let record = self.record(worker)?;
        let mut usage = self.0.store.usage(record.number).map_err(|error| self.0.fault(error))?;
        // The guest may be writing, and the stored usage is only updated at the end of a turn.
        let Some(worker) = self.0.in_use(worker) else { return Ok(usage) };
        if worker.kind == ComponentKind::Http {
            // That of requests is stored once in a while.
            usage = Usage { transcript_bytes: usage.transcript_bytes, ..worker.state().usage };
        }
        if let Some(used) = worker.directory.usage() {
            (usage.disk_bytes, usage.disk_entries) = (used.bytes, used.entries);
        }
        Ok(usage)
    }
}

/// Reads a page of a list by id from the database.
fn plain_page(
    core: &Core,
    store: &Store,
    query: &ListWorkers,
    after: Option<WorkerId>,
    limit: usize,
) -> Result<WorkerPage, StoreError> {
    let label = query.filter.label.as_ref();
    let label = label.map(|label| (label.key.as_str(), label.value.as_str()));
    let mut records = store.workers(after.as_ref(), label, limit + 1)?;
    let more = records.len() > limit;
    records.truncate(limit);
    let next_cursor = records.last().filter(|_| more).map(|record| record.id.to_string());
    let items = records.into_iter().map(|record| core.view_of(record));
    Ok(WorkerPage { items: items.collect::<Result<_, _>>()?, next_cursor, counts: None })
}

/// Selects a page in the index.
fn selected_page(
    core: &Core,
    store: &Store,
    query: &ListWorkers,
    limit: usize,
) -> Result<Result<WorkerPage, Error>, StoreError> {
    let selected = match core.select(query, limit)? {
        Ok(selected) => selected,
        Err(invalid) => return Ok(Err(invalid.into())),
    };
    let mut items = Vec::with_capacity(selected.ids.len());
    for id in selected.ids {
        // A worker may have been removed meanwhile.
        if let Lookup::Found(record) = store.worker(&id)? {
            items.push(core.view_of(*record)?);
        }
    }
    let counts = query.counts.then_some(selected.counts);
    Ok(Ok(WorkerPage { items, next_cursor: selected.next_cursor, counts }))
}

impl Embedded {
    /// Returns the existing worker if this create request repeats an earlier one.
    fn existing(
        &self,
        id: WorkerId,
        spec: &WorkerSpec,
    ) -> Result<Option<Stored<WorkerView>>, Error> {
        match self.record(id) {
            Ok(record) if record.created_as == *spec => {
                let item = self.0.view_of(record).map_err(|error| self.0.fault(error))?;
                Ok(Some(Stored { item, created: false }))
            }
            Ok(_) => Err(Conflict::Worker.into()),
            Err(Error::UnknownWorker(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Checks that a worker can have this spec, and returns its kind.
    pub(super) fn check(&self, spec: &WorkerSpec) -> Result<ComponentKind, Error> {
        let fault = |error| self.0.fault(error);
        let component = self.0.store.component(&spec.component).map_err(fault)?;
        let component = component.ok_or(Error::UnknownComponent(spec.component))?;
        if let Some(config) = spec.config {
            self.0.store.config(&config).map_err(fault)?.ok_or(Error::UnknownConfig(config))?;
        }
        for &name in spec.limits.0.keys() {
            if !name.is_per_worker() {
                return Err(Invalid::Limit(name).into());
            }
        }
        let several = handles_several(&component.exports);
        if let Some(why) = HttpPolicy::refusal(spec.http.instances, several) {
            return Err(Error::ComponentRefused { reason: why.into() });
        }
        Ok(component.kind)
    }

    /// Checks that a worker that has `before` can be given these grants. It may keep grants that
    /// the operator no longer offers, so that others can still be revoked.
    fn check_grants(&self, grants: &Grants, before: &Grants) -> Result<(), Invalid> {
        grants.check()?;
        let has = |name: &ScopeName| before.scopes.iter().any(|before| before.name == *name);
        let offered = |name: &ScopeName| self.0.scopes.contains_key(name) || has(name);
        if !grants.scopes.iter().all(|grant| offered(&grant.name)) {
            return Err(Invalid::Scope);
        }
        let known =
            |name: &SecretName| self.0.secrets.contains_key(name) || before.secrets.contains(name);
        if !grants.secrets.iter().all(known) {
            return Err(Invalid::Secret);
        }
        Ok(())
    }

    /// Queues a command for the driver and waits until it is carried out.
    pub(super) async fn command(
        &self,
        worker: WorkerId,
        command: DriverCommand,
    ) -> Result<(), Error> {
        let worker = self.0.worker(worker)?;
        let done = worker.command(command).ok_or_else(|| self.0.busy())?;
        self.0.drive(&worker);
        self.commanded(done).await
    }

    async fn commanded(&self, done: oneshot::Receiver<Result<(), Error>>) -> Result<(), Error> {
        // The driver drops a command without a result only when the host shuts down.
        done.await.unwrap_or(Err(self.0.busy()))
    }
}
