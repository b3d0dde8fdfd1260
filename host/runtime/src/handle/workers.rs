//! Workers of an embedded runtime: creating, changing and commanding them.

use async_trait::async_trait;
use skep_protocol::{
    ChangeStream, ComponentKind, Conflict, CreateWorker, Desired, Error, Execution, Grants,
    Invalid, ListWorkers, Page, ScopeName, SecretName, Stored, Usage, WorkerChange, WorkerId,
    WorkerSpec, WorkerView, Workers,
};
use skep_store::record::{Standing, Transaction, WorkerRecord, WorkerWrite};
use skep_store::{StoreError, StoreRefusal};
use tokio::sync::oneshot;

use skep_sandbox::KillReason;

use super::follow;
use super::page;
use crate::clock::now;
use crate::embedded::Embedded;
use crate::roster::core::random;
use crate::roster::worker::{What, observed, view};

#[async_trait]
impl Workers for Embedded {
    async fn create(&self, request: CreateWorker) -> Result<Stored<WorkerView>, Error> {
        let inner = &self.0;
        if inner.is_closing() {
            return Err(inner.busy());
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
            number: inner.store.next_number(),
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
            view(&record, &inner.runtime_id, observed(Standing::Idle), Execution::Unconnected, 0);
        let worker = record.number;
        let events = vec![WorkerWrite::Create(Box::new(record))];
        match inner.store.submit(Transaction { worker, writes: events }).await {
            Ok(_) => {
                inner.changes.note(id);
                Ok(Stored { item: view, created: true })
            }
            // Someone else was quicker with the same id.
            Err(StoreError::Refused(StoreRefusal::WorkerExists)) => {
                self.existing(id, &spec)?.ok_or(Error::Internal)
            }
            Err(StoreError::Refused(StoreRefusal::WorkerRemoved)) => Err(Error::WorkerRemoved),
            Err(StoreError::Refused(StoreRefusal::UnknownConfig)) => match spec.config {
                Some(config) => Err(Error::UnknownConfig(config)),
                None => Err(Error::Internal),
            },
            Err(error) => Err(inner.fault(error)),
        }
    }

    async fn list(&self, query: ListWorkers) -> Result<Page<WorkerView>, Error> {
        let after = match &query.cursor {
            None => None,
            Some(cursor) => Some(cursor.parse::<WorkerId>().map_err(|_| Invalid::Cursor)?),
        };
        let limit = page(query.limit);
        let inner = self.0.clone();
        self.read(move |store| {
            let label = query.label.as_ref().map(|(key, value)| (key.as_str(), value.as_str()));
            let mut records = store.workers(after.as_ref(), label, limit + 1)?;
            let more = records.len() > limit;
            records.truncate(limit);
            let next_cursor = records.last().filter(|_| more).map(|record| record.id.to_string());
            let items = records.into_iter().map(|record| inner.view_of(record));
            Ok(Page { items: items.collect::<Result<_, _>>()?, next_cursor })
        })
        .await
    }

    async fn get(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        let inner = &self.0;
        let record = self.record(worker)?;
        inner.view_of(record).map_err(|error| inner.fault(error))
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
        self.command(worker, What::Change(Box::new(change))).await?;
        self.get(worker).await
    }

    async fn rollback(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.command(worker, What::Rollback).await?;
        self.get(worker).await
    }

    async fn remove(&self, worker: WorkerId) -> Result<(), Error> {
        let cell = self.0.worker(worker)?;
        let done = cell.command(What::Remove);
        if let Some(running) = &cell.state().running {
            running.kill.throw(KillReason::Cancelled);
        }
        self.0.drive(&cell);
        // Where too many wait, they no longer do so for that turn.
        self.commanded(done.ok_or_else(|| self.0.busy())?).await
    }

    async fn start(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.command(worker, What::Start).await?;
        self.get(worker).await
    }

    async fn stop(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        let cell = self.0.worker(worker)?;
        let mut done = cell.command(What::Stop).ok_or_else(|| self.0.busy())?;
        self.0.drive(&cell);
        let grace = self.0.options.stop_grace;
        let result = match tokio::time::timeout(grace, &mut done).await {
            Ok(result) => result.unwrap_or(Err(self.0.busy())),
            Err(_) => {
                if let Some(running) = &cell.state().running {
                    running.kill.throw(KillReason::Cancelled);
                }
                self.commanded(done).await
            }
        };
        result?;
        self.get(worker).await
    }

    async fn changes(&self, cursor: Option<String>) -> Result<ChangeStream, Error> {
        let place = match cursor {
            None => None,
            Some(cursor) => Some(cursor.parse().map_err(|()| Invalid::Cursor)?),
        };
        Ok(follow::changes(self.clone(), place))
    }

    async fn usage(&self, worker: WorkerId) -> Result<Usage, Error> {
        let record = self.record(worker)?;
        let mut usage = self.0.store.usage(record.number).map_err(|error| self.0.fault(error))?;
        // Its directory may be written to while nothing is recorded.
        if let Some(used) = self.0.in_use(worker).and_then(|cell| cell.directory.usage()) {
            (usage.disk_bytes, usage.disk_entries) = (used.bytes, used.entries);
        }
        Ok(usage)
    }
}

impl Embedded {
    /// The worker with this id, where a create of it is a repetition.
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

    /// Whether a worker can be made so, and of which kind it is.
    fn check(&self, spec: &WorkerSpec) -> Result<ComponentKind, Error> {
        let fault = |error| self.0.fault(error);
        let component = self.0.store.component(&spec.component).map_err(fault)?;
        let component = component.ok_or(Error::UnknownComponent(spec.component))?;
        if component.kind == ComponentKind::Http {
            return Err(Error::OperationUnsupported);
        }
        if let Some(config) = spec.config {
            self.0.store.config(&config).map_err(fault)?.ok_or(Error::UnknownConfig(config))?;
        }
        for &name in spec.limits.0.keys() {
            if !name.is_per_worker() {
                return Err(Invalid::Limit(name).into());
            }
        }
        Ok(component.kind)
    }

    /// Whether a worker that has `before` can be given these. What the operator offers no more it
    /// may keep, so that something else can be taken from it.
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

    /// Has the driver carry something out between two turns.
    async fn command(&self, worker: WorkerId, what: What) -> Result<(), Error> {
        let cell = self.0.worker(worker)?;
        let done = cell.command(what).ok_or_else(|| self.0.busy())?;
        self.0.drive(&cell);
        self.commanded(done).await
    }

    async fn commanded(&self, done: oneshot::Receiver<Result<(), Error>>) -> Result<(), Error> {
        // The driver drops what it does not answer only when the host goes down.
        done.await.unwrap_or(Err(self.0.busy()))
    }
}
