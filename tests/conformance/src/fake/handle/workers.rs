//! The verbs of workers.

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use skep_protocol::*;

use super::{PAGE, follow};
use crate::fake::disk::{Disk, Row};
use crate::fake::{FakeRuntime, now, unique};

fn check(spec: &WorkerSpec) -> Result<(), Invalid> {
    check_grants(&spec.grants)?;
    match spec.limits.0.keys().find(|name| !name.is_per_worker()) {
        Some(name) => Err(Invalid::Limit(*name)),
        None => Ok(()),
    }
}

/// Checks grants. The fake has neither scopes nor secrets.
fn check_grants(grants: &Grants) -> Result<(), Invalid> {
    grants.check()?;
    if !grants.scopes.is_empty() {
        return Err(Invalid::Scope);
    }
    if grants.secrets.is_empty() { Ok(()) } else { Err(Invalid::Secret) }
}

impl FakeRuntime {
    /// Changes a worker.
    fn change(
        &self,
        worker: WorkerId,
        work: impl FnOnce(&mut Disk, WorkerId) -> Result<(), Error>,
    ) -> Result<WorkerView, Error> {
        self.with(|disk| {
            disk.worker(worker)?;
            work(disk, worker)?;
            disk.worker(worker)?.updated_at = now();
            let view = disk.touch(worker);
            self.pump(disk, worker);
            view
        })?
    }
}

#[async_trait]
impl Workers for FakeRuntime {
    async fn create(&self, request: CreateWorker) -> Result<Stored<WorkerView>, Error> {
        self.with(|disk| {
            let id = request.worker_id;
            let id = id.unwrap_or_else(|| WorkerId::new(now().as_millis(), unique()));
            match disk.worker(id) {
                Ok(row) if row.created_as == request.spec => {
                    return Ok(Stored { item: disk.view(id)?, created: false });
                }
                Ok(_) => return Err(Conflict::Worker.into()),
                Err(Error::UnknownWorker(_)) => {}
                Err(error) => return Err(error),
            }
            check(&request.spec)?;
            let version =
                Version { component: request.spec.component, config: request.spec.config };
            let kind = disk.kind_of(&version)?;
            disk.workers.insert(id, Row::new(id, kind, request.spec));
            Ok(Stored { item: disk.touch(id)?, created: true })
        })?
    }

    async fn fork(
        &self,
        worker: WorkerId,
        request: ForkWorker,
    ) -> Result<Stored<WorkerView>, Error> {
        self.with(|disk| {
            let origin = disk.worker(worker)?;
            let (spec, kind) = (request.spec(&origin.spec), origin.kind);
            let (state, files) = (origin.state.clone(), origin.files.clone());
            let usage = origin.usage;
            let id = request.worker_id;
            let id = id.unwrap_or_else(|| WorkerId::new(now().as_millis(), unique()));
            match disk.worker(id) {
                Ok(row) => {
                    let is_copy = row.entries[0].label == Some(worker.to_string());
                    return match is_copy && request.made(&row.created_as) {
                        true => Ok(Stored { item: disk.view(id)?, created: false }),
                        false => Err(Conflict::Worker.into()),
                    };
                }
                Err(Error::UnknownWorker(_)) => {}
                Err(error) => return Err(error),
            }
            check(&spec)?;
            let version = Version { component: spec.component, config: spec.config };
            if disk.kind_of(&version)? != kind {
                return Err(Conflict::Kind.into());
            }
            let mut row = Row::new(id, kind, spec);
            row.entries[0].label = Some(worker.to_string());
            (row.state, row.files) = (state, files);
            row.usage.state_bytes = usage.state_bytes;
            row.measure();
            disk.workers.insert(id, row);
            Ok(Stored { item: disk.touch(id)?, created: true })
        })?
    }

    async fn list(&self, query: ListWorkers) -> Result<WorkerPage, Error> {
        self.with(|disk| {
            let all =
                disk.workers.keys().map(|id| disk.view(*id)).collect::<Result<Vec<_>, _>>()?;
            let limit = if query.limit == 0 { PAGE } else { query.limit };
            Ok(query.page(&all, limit)?)
        })?
    }

    async fn get(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.with(|disk| disk.view(worker))?
    }

    async fn update(&self, worker: WorkerId, change: WorkerChange) -> Result<WorkerView, Error> {
        self.change(worker, |disk, worker| {
            let (old, kind) = {
                let row = disk.worker(worker)?;
                (row.version(), row.kind)
            };
            let component = change.component.unwrap_or(old.component);
            let new = Version { component, config: change.config.or(old.config) };
            if disk.kind_of(&new)? != kind {
                return Err(Conflict::Kind.into());
            }
            change.grants.as_ref().map_or(Ok(()), check_grants)?;
            let row = disk.worker(worker)?;
            change.check_before(&row.spec)?;
            let mut limits = change.limits.iter().flat_map(|limits| limits.0.keys());
            if let Some(name) = limits.find(|name| !name.is_per_worker()) {
                return Err(Invalid::Limit(*name).into());
            }
            if new != old {
                row.switch(new, EntryKind::Updated);
            }
            if let Some(grants) = change.grants {
                row.regrant(grants);
            }
            if let Some(limits) = change.limits {
                row.relimit(limits);
            }
            row.spec.display_ref = change.display_ref.or(row.spec.display_ref.take());
            row.spec.labels = change.labels.unwrap_or(std::mem::take(&mut row.spec.labels));
            Ok(())
        })
    }

    async fn rollback(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.change(worker, |disk, worker| {
            let row = disk.worker(worker)?;
            let previous = row.previous.ok_or(Conflict::NoPrevious)?;
            row.switch(previous, EntryKind::RolledBack);
            Ok(())
        })
    }

    async fn remove(&self, worker: WorkerId) -> Result<(), Error> {
        self.with(|disk| {
            disk.worker(worker)?;
            disk.workers.remove(&worker);
            disk.revision += 1;
            disk.tombstones.insert(worker, disk.revision);
            Ok(())
        })?
    }

    async fn start(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.change(worker, |disk, worker| {
            let row = disk.worker(worker)?;
            let failed = matches!(row.observed, Observed::Failed { .. });
            if row.desired == Desired::Stopped || failed {
                row.append(EntryKind::Started, None, None, None, Vec::new());
                row.desired = Desired::Running;
                row.observed = Observed::Idle;
            }
            Ok(())
        })
    }

    async fn stop(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.change(worker, |disk, worker| {
            let row = disk.worker(worker)?;
            if row.desired == Desired::Running {
                row.append(EntryKind::Stopped, None, None, None, Vec::new());
                row.desired = Desired::Stopped;
            }
            if row.turn.take().is_none() {
                row.observed = Observed::Stopped;
                row.disconnect();
            }
            Ok(())
        })?;
        self.wait_for(|disk| {
            let view = disk.view(worker);
            let busy = view.as_ref().is_ok_and(|view| view.observed == Observed::Busy);
            (!busy).then_some(view)
        })
        .await
    }

    async fn changes(&self, from: FollowChanges) -> Result<ChangeStream, Error> {
        let after =
            from.after.map(|text| text.parse::<u64>().map_err(|_| Invalid::Cursor)).transpose()?;
        let newest = self.with(|disk| disk.revision)?;
        let start = after.unwrap_or(if from.from_now { newest } else { 0 });
        let cursor = start.max(newest).to_string();
        let ready = RuntimeEvent::Ready(ReadyEvent { cursor });
        // The changes until now are the snapshot.
        let mut snapshot = Vec::new();
        let mut at = start;
        while let Some((next, change)) =
            self.with(|disk| disk.change_after(at).filter(|(next, _)| *next <= newest))?
        {
            snapshot.push(Ok(RuntimeEvent::Change(change)));
            at = next;
        }
        let later = follow(self.clone(), at.max(newest), |runtime, after| async move {
            let next = runtime.wait_for(|disk| disk.change_after(after).map(Ok)).await;
            next.map(|(at, change)| (at, RuntimeEvent::Change(change)))
        });
        Ok(stream::iter(snapshot).chain(stream::iter([Ok(ready)])).chain(later).boxed())
    }

    async fn state(&self, worker: WorkerId, query: ListState) -> Result<Listing<StateItem>, Error> {
        let after = match query.cursor {
            None => None,
            Some(cursor) => Some(cursor.strip_prefix("after:").ok_or(Invalid::Cursor)?.to_owned()),
        };
        let prefix = query.prefix.unwrap_or_default();
        let limit = if query.limit == 0 { PAGE } else { query.limit };
        self.with(|disk| {
            let all = disk.worker(worker)?.state.iter();
            let wanted = |key: &str| key.starts_with(&prefix) && Some(key) > after.as_deref();
            let mut items: Vec<_> = all
                .filter(|(key, _)| wanted(key))
                .map(|(key, value)| StateItem::of(key.clone(), value))
                .take(limit + 1)
                .collect();
            let more = items.len() > limit;
            items.truncate(limit);
            let last = items.last().filter(|_| more);
            let next_cursor = last.map(|item| format!("after:{}", item.key));
            Ok(Listing { items, next_cursor, diagnostics: Vec::new() })
        })?
    }

    async fn usage_history(&self, worker: WorkerId) -> Result<WorkerHistory, Error> {
        let usage = self.usage(worker).await?;
        let sample = WorkerSample {
            at: now(),
            turns: usage.turns,
            cpu_us: usage.cpu_us,
            wall_us: usage.wall_us,
            memory_bytes: usage.memory_peak_bytes,
            disk_bytes: usage.disk_bytes,
            transcript_bytes: usage.transcript_bytes,
            queued_inputs: 0,
        };
        let items = if usage.turns == 0 { Vec::new() } else { vec![sample] };
        Ok(WorkerHistory { interval_ms: 10_000, items })
    }

    async fn usage(&self, worker: WorkerId) -> Result<Usage, Error> {
        self.with(|disk| disk.worker(worker).map(|row| row.usage))?
    }
}
