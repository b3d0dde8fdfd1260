//! The fake's implementation of the runtime handle.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use skep_protocol::*;

use super::disk::{Disk, InputRow, Row};
use super::{FakeRuntime, guest, now, unique};
use crate::Guest;

/// The number of items on a page by default.
const PAGE: usize = 100;

/// Returns a page of the ordered items after the cursor.
fn page<K: Ord + Copy + ToString + std::str::FromStr, V>(
    all: &BTreeMap<K, V>,
    cursor: Option<String>,
    limit: usize,
    show: impl Fn(&V) -> Option<K>,
) -> Result<(Vec<K>, Option<String>), Error> {
    let cursor = cursor.map(|text| text.parse::<K>().map_err(|_| Invalid::Cursor)).transpose()?;
    let after = |key: &K| cursor.as_ref().is_none_or(|cursor| key > cursor);
    let found = all.iter().filter(|(key, _)| after(key)).filter_map(|(_, value)| show(value));
    let limit = if limit == 0 { PAGE } else { limit };
    let mut keys: Vec<K> = found.take(limit + 1).collect();
    let more = keys.len() > limit;
    keys.truncate(limit);
    let next = keys.last().filter(|_| more).map(ToString::to_string);
    Ok((keys, next))
}

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

/// Accepts an input, or finds the one with its key.
fn accept(row: &mut Row, input: NewInput) -> Result<InputId, Error> {
    let limits = row.limits();
    if row.kind == ComponentKind::Command {
        guest::run_request(&input.payload)?;
    }
    let fresh = now().as_millis().saturating_sub(limits.idempotency_ms);
    row.keys.retain(|(_, _, at)| at.as_millis() > fresh);
    if let Some(key) = &input.key
        && let Some((_, known, _)) = row.keys.iter().find(|(known, _, _)| known == key)
    {
        let known = *known;
        let same = row.input(known)?.payload == input.payload;
        return if same { Ok(known) } else { Err(Conflict::IdempotencyKey.into()) };
    }
    if row.desired == Desired::Stopped {
        return Err(Error::WorkerStopped);
    }
    if matches!(row.observed, Observed::Failed { .. }) {
        return Err(Conflict::WorkerFailed.into());
    }
    let bytes = input.payload.body.len() as u64;
    if bytes > limits.input_bytes {
        return Err(Error::LimitExceeded {
            name: LimitName::input_bytes,
            limit: limits.input_bytes,
        });
    }
    let waiting = row.unfinished().map(|input| input.payload.body.len() as u64).sum::<u64>();
    let full = |name| Err(Error::MailboxFull { name, retry_after: Duration::from_secs(1) });
    if row.unfinished().count() as u64 >= limits.mailbox_inputs {
        return full(LimitName::mailbox_inputs);
    }
    if waiting + bytes > limits.mailbox_bytes {
        return full(LimitName::mailbox_bytes);
    }
    let id = InputId::new(now().as_millis(), unique());
    let body = input.payload.body.clone();
    let entry = row.append(EntryKind::Input, Some(id), None, None, body.to_vec());
    entry.payload.content_type.clone_from(&input.payload.content_type);
    let seq = entry.seq;
    let (payload, state) = (input.payload, InputState::Queued);
    row.inputs.push(InputRow {
        id,
        seq,
        payload,
        state,
        attempt: 0,
        started_at: None,
        outcome: None,
    });
    if let Some(key) = input.key {
        row.keys.push_back((key, id, now()));
        while row.keys.len() as u64 > limits.idempotency_keys {
            row.keys.pop_front();
        }
    }
    Ok(id)
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

    fn uses(disk: &Disk, component: ComponentDigest) -> bool {
        disk.workers.values().any(|row| {
            let previous = row.previous.map(|version| version.component);
            row.spec.component == component || previous == Some(component)
        })
    }
}

/// Streams the items that `next` finds after a position, each with the position after it.
fn follow<T, F>(
    runtime: FakeRuntime,
    from: u64,
    next: impl Fn(FakeRuntime, u64) -> F + Send + 'static,
) -> std::pin::Pin<Box<dyn stream::Stream<Item = Result<T, Error>> + Send>>
where
    T: Send + 'static,
    F: Future<Output = Result<(u64, T), Error>> + Send + 'static,
{
    // Any later error means that the worker or the runtime is gone, which ends the stream.
    let step = move |(runtime, at): (FakeRuntime, u64)| {
        let found = next(runtime.clone(), at);
        async move { found.await.ok().map(|(at, item)| (Ok(item), (runtime, at))) }
    };
    stream::unfold((runtime, from), step).boxed()
}

/// Collects the bytes of a stream up to a bound.
async fn gather(mut stream: ByteStream, limit: u64, past: &Error) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend(piece?);
        if bytes.len() as u64 > limit {
            return Err(past.clone());
        }
    }
    Ok(bytes)
}

fn pieces(bytes: &[u8]) -> ByteStream {
    let pieces: Vec<_> = bytes.chunks(64 << 10).map(|c| Ok(c.to_vec().into())).collect();
    stream::iter(pieces).boxed()
}

#[async_trait]
impl Overview for FakeRuntime {
    async fn describe(&self) -> Result<RuntimeView, Error> {
        self.with(|disk| RuntimeView {
            runtime_id: disk.runtime_id.clone(),
            host_id: "fake-host".parse().expect("the id is valid"),
            version: env!("CARGO_PKG_VERSION").into(),
            workers: disk.workers.len() as u64,
            connected: disk.workers.values().filter(|row| row.instance.is_some()).count() as u64,
            ready: true,
        })
    }

    async fn load_history(&self) -> Result<RuntimeHistory, Error> {
        let view = self.describe().await?;
        let turns = self.with(|disk| disk.workers.values().map(|row| row.usage.turns).sum())?;
        let sample = RuntimeSample {
            at: now(),
            workers: view.workers,
            connected: view.connected,
            memory_bytes: 0,
            turns,
            queued_inputs: 0,
        };
        Ok(RuntimeHistory { interval_ms: 10_000, items: vec![sample] })
    }

    async fn diagnostics(&self, worker: Option<WorkerId>) -> Result<Vec<Diagnostic>, Error> {
        self.with(|disk| match worker {
            Some(worker) => Ok(disk.worker(worker)?.diagnostics.iter().rev().cloned().collect()),
            None => {
                let all = disk.workers.values().flat_map(|row| row.diagnostics.iter().cloned());
                let mut all: Vec<_> = all.collect();
                all.sort_by_key(|diagnostic| std::cmp::Reverse(diagnostic.at));
                Ok(all)
            }
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

#[async_trait]
impl Turns for FakeRuntime {
    async fn send(&self, worker: WorkerId, input: NewInput) -> Result<Sent, Error> {
        let wait = input.wait;
        let sent = self.with(|disk| {
            let row = disk.worker(worker)?;
            let id = accept(row, input)?;
            let sent = row.input(id)?.sent();
            disk.touch(worker)?;
            self.pump(disk, worker);
            Ok::<_, Error>(sent)
        })??;
        let (id, wait) = match (&sent, wait) {
            (Sent::Accepted { input_id, .. }, Some(wait)) => (*input_id, wait),
            _ => return Ok(sent),
        };
        let done = self.wait_for(|disk| {
            let input = disk.worker(worker).and_then(|row| row.input(id).map(|input| input.sent()));
            (!matches!(input, Ok(Sent::Accepted { .. }))).then_some(input)
        });
        tokio::time::timeout(wait, done).await.unwrap_or(Ok(sent))
    }

    async fn cancel(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        self.with(|disk| {
            let row = disk.worker(worker)?;
            match row.input(input)?.state {
                InputState::Done => return Err(Error::from(Conflict::Ended)),
                InputState::Running => drop(row.turn.take()),
                InputState::Queued => {
                    row.settle(input, guest::Ended::cut(Ending::Cancelled).outcome);
                    disk.touch(worker)?;
                }
            }
            Ok(())
        })??;
        let view = self
            .wait_for(|disk| {
                let row = disk.worker(worker).and_then(|row| row.input(input));
                let view = row.map(|row| row.view());
                let running = view.as_ref().is_ok_and(|view| view.state == InputState::Running);
                (!running).then_some(view)
            })
            .await?;
        match view.outcome.as_ref().is_some_and(|outcome| outcome.ending == Ending::Cancelled) {
            true => Ok(view),
            // The turn ended first.
            false => Err(Conflict::Ended.into()),
        }
    }

    async fn input(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        self.with(|disk| disk.worker(worker)?.input(input).map(|row| row.view()))?
    }

    async fn inputs(
        &self,
        worker: WorkerId,
        query: ListInputs,
    ) -> Result<Page<InputSummary>, Error> {
        let before = match query.cursor {
            None => u64::MAX,
            Some(cursor) => cursor.parse().map_err(|_| Invalid::Cursor)?,
        };
        let limit = if query.limit == 0 { 100 } else { query.limit };
        self.with(|disk| {
            let row = disk.worker(worker)?;
            let mut found: Vec<_> =
                row.inputs.iter().rev().filter(|input| input.seq.0 < before).collect();
            let more = found.len() > limit;
            found.truncate(limit);
            let next_cursor = found.last().filter(|_| more).map(|input| input.seq.0.to_string());
            let items = found.into_iter().map(|input| {
                let entry = row.entries.iter().find(|entry| entry.seq == input.seq);
                let entry = entry.ok_or(Error::Internal)?;
                let end = row.entries.iter().find(|entry| {
                    entry.input_id == Some(input.id)
                        && matches!(entry.kind, EntryKind::Output | EntryKind::Failure)
                });
                Ok(InputSummary {
                    input_id: input.id,
                    seq: input.seq,
                    state: input.state,
                    attempt: input.attempt,
                    sender: entry.label.as_ref().and_then(|id| id.parse().ok()),
                    accepted_at: entry.at,
                    started_at: input.started_at,
                    ended_at: end.map(|entry| entry.at),
                    ending: input.outcome.as_ref().map(|outcome| outcome.ending),
                    content_type: entry.payload.content_type.clone(),
                    bytes: entry.payload.body.len() as u64,
                })
            });
            Ok(Page { items: items.collect::<Result<_, Error>>()?, next_cursor })
        })?
    }

    async fn transcript(&self, worker: WorkerId, query: ListEntries) -> Result<EntryPage, Error> {
        self.with(|disk| Ok(disk.worker(worker)?.page(&query)))?
    }

    async fn entry(&self, worker: WorkerId, seq: Cursor) -> Result<Entry, Error> {
        self.with(|disk| {
            let row = disk.worker(worker)?;
            let is_it = |entry: &&Entry| entry.seq == seq && entry.kind != EntryKind::Gap;
            let found = row.entries.iter().find(is_it).cloned();
            let trimmed = (1..=row.last_seq).contains(&seq.0);
            found.ok_or(Error::UnknownEntry { seq, trimmed })
        })?
    }

    async fn subscribe(
        &self,
        worker: WorkerId,
        after: Option<Cursor>,
        preview: Option<Preview>,
    ) -> Result<EntryStream, Error> {
        let cut = move |entry: &Entry| {
            let entry = std::sync::Arc::new(entry.clone());
            preview.map_or_else(|| entry.clone(), |preview| preview.cut_shared(entry.clone()))
        };
        let last = self.with(|disk| disk.worker(worker).map(|row| row.last_seq))??;
        let after = after.map_or(last, |cursor| cursor.0);
        Ok(follow(self.clone(), after, move |runtime, after| async move {
            let look = |disk: &mut Disk| match disk.worker(worker) {
                Ok(row) => {
                    let next = row.entries.iter().find(|entry| entry.seq.0 > after);
                    next.map(|entry| Ok((entry.seq.0, cut(entry))))
                }
                Err(error) => Some(Err(error)),
            };
            runtime.wait_for(look).await
        }))
    }
}

/// Returns the kind of a guest and its main export.
fn kind_of(guest: Guest) -> (ComponentKind, &'static str) {
    match guest {
        Guest::Scribe | Guest::Echo => (ComponentKind::Service, "skep:worker/handler@0.1.0"),
        Guest::Hello | Guest::Probe => (ComponentKind::Command, "wasi:cli/run@0.2.12"),
    }
}

#[async_trait]
impl Artifacts for FakeRuntime {
    async fn put_component(
        &self,
        wasm: ByteStream,
        _by: Role,
    ) -> Result<Stored<ComponentView>, Error> {
        let bytes = gather(wasm, u64::MAX, &Error::Internal).await?;
        let read = guest::read(&bytes);
        let guest = read.map_err(|why| Error::ComponentRefused { reason: why.into() })?;
        let digest = ComponentDigest::from_sha256(Sha256::digest(&bytes).into());
        let (kind, export) = kind_of(guest);
        self.with(|disk| {
            let created = !disk.components.contains_key(&digest);
            let (view, _) = disk.components.entry(digest).or_insert_with(|| {
                let (imports, exports) = (Vec::new(), vec![export.into()]);
                let (bytes, created_at) = (bytes.len() as u64, now());
                let compiled = Compiled::Ready;
                let view = ComponentView {
                    digest,
                    kind,
                    bytes,
                    imports,
                    exports,
                    created_at,
                    compiled,
                    compiled_bytes: Some(4_096),
                    compile_ms: Some(0),
                };
                (view, guest)
            });
            Stored { item: view.clone(), created }
        })
    }

    async fn check_component(&self, wasm: ByteStream) -> Result<ComponentCheck, Error> {
        let bytes = gather(wasm, u64::MAX, &Error::Internal).await?;
        let read = guest::read(&bytes);
        let refused = |why: &str| Error::ComponentRefused { reason: why.into() };
        let found = read.as_ref().ok().map(|guest| kind_of(*guest));
        self.with(|_| ComponentCheck {
            digest: ComponentDigest::from_sha256(Sha256::digest(&bytes).into()),
            kind: found.map(|(kind, _)| kind),
            bytes: bytes.len() as u64,
            imports: Vec::new(),
            exports: found.map(|(_, export)| export.into()).into_iter().collect(),
            grants: Vec::new(),
            refusal: read.err().map(|why| ComponentRefusal::from(&refused(why))),
        })
    }

    async fn component(&self, digest: ComponentDigest) -> Result<ComponentView, Error> {
        let found = self.with(|disk| disk.components.get(&digest).map(|(view, _)| view.clone()))?;
        found.ok_or(Error::UnknownComponent(digest))
    }

    async fn components(&self, cursor: Option<String>) -> Result<Page<ComponentView>, Error> {
        self.with(|disk| {
            let all = &disk.components;
            let (keys, next_cursor) = page(all, cursor, 0, |(view, _)| Some(view.digest))?;
            Ok(Page { items: keys.iter().map(|key| all[key].0.clone()).collect(), next_cursor })
        })?
    }

    async fn remove_component(&self, digest: ComponentDigest) -> Result<(), Error> {
        self.with(|disk| {
            if Self::uses(disk, digest) {
                return Err(Conflict::InUse.into());
            }
            let removed = disk.components.remove(&digest);
            removed.map(drop).ok_or(Error::UnknownComponent(digest))
        })?
    }

    async fn put_config(&self, values: ConfigValues) -> Result<Stored<ConfigView>, Error> {
        let digest = ConfigDigest::from_sha256(Sha256::digest(values.canonical_bytes()).into());
        self.with(|disk| {
            let created = !disk.configs.contains_key(&digest);
            let view = ConfigView { digest, values, created_at: now() };
            Stored { item: disk.configs.entry(digest).or_insert(view).clone(), created }
        })
    }

    async fn config(&self, digest: ConfigDigest) -> Result<ConfigView, Error> {
        let found = self.with(|disk| disk.configs.get(&digest).cloned())?;
        found.ok_or(Error::UnknownConfig(digest))
    }

    async fn configs(&self, cursor: Option<String>) -> Result<Page<ConfigView>, Error> {
        self.with(|disk| {
            let all = &disk.configs;
            let (keys, next_cursor) = page(all, cursor, 0, |view| Some(view.digest))?;
            Ok(Page { items: keys.iter().map(|key| all[key].clone()).collect(), next_cursor })
        })?
    }

    async fn remove_config(&self, digest: ConfigDigest) -> Result<(), Error> {
        self.with(|disk| {
            let used = disk.workers.values().any(|row| {
                let previous = row.previous.and_then(|version| version.config);
                row.spec.config == Some(digest) || previous == Some(digest)
            });
            if used {
                return Err(Conflict::InUse.into());
            }
            disk.configs.remove(&digest).map(drop).ok_or(Error::UnknownConfig(digest))
        })?
    }
}

#[async_trait]
impl Files for FakeRuntime {
    async fn files(&self, worker: WorkerId, query: ListFiles) -> Result<FileListing, Error> {
        self.with(|disk| disk.worker(worker)?.files.list(&query))?
    }

    async fn read_file(
        &self,
        worker: WorkerId,
        name: FileName,
        range: Option<FileRange>,
    ) -> Result<(FileView, ByteStream), Error> {
        let (view, content) =
            self.with(|disk| disk.worker(worker)?.files.read(name.as_str()))??;
        let FileRange { start, bytes } = range.unwrap_or(FileRange { start: 0, bytes: None });
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(content.len());
        let most = bytes.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let end = start.saturating_add(most).min(content.len());
        Ok((view, pieces(&content[start..end])))
    }

    async fn write_file(
        &self,
        worker: WorkerId,
        name: FileName,
        bytes: ByteStream,
        condition: FileCondition,
    ) -> Result<Stored<FileView>, Error> {
        // Checked before the body is read.
        let limit = self.with(|disk| disk.worker(worker).map(|row| row.limits().disk_bytes))??;
        let past = Error::LimitExceeded { name: LimitName::disk_bytes, limit };
        let content = gather(bytes, limit, &past).await?;
        self.with(|disk| {
            let row = disk.worker(worker)?;
            let limits = row.limits();
            row.files.check(name.as_str(), condition)?;
            let created = row.files.write(name.as_str(), content, &limits)?;
            row.measure();
            let (item, _) = row.files.read(name.as_str())?;
            Ok(Stored { item, created })
        })?
    }

    async fn remove_file(
        &self,
        worker: WorkerId,
        name: FileName,
        how: RemoveFile,
    ) -> Result<(), Error> {
        self.with(|disk| {
            let row = disk.worker(worker)?;
            if how.recursive && how.condition == FileCondition::Any {
                row.files.remove_all(name.as_str())?;
            } else {
                row.files.read(name.as_str())?;
                row.files.check(name.as_str(), how.condition)?;
                row.files.remove(name.as_str())?;
            }
            row.measure();
            Ok(())
        })?
    }

    async fn rename_file(&self, worker: WorkerId, names: RenameFile) -> Result<(), Error> {
        self.with(|disk| {
            let row = disk.worker(worker)?;
            row.files.rename(names.from.as_str(), names.to.as_str())?;
            row.measure();
            Ok(())
        })?
    }

    async fn export(&self, worker: WorkerId) -> Result<ByteStream, Error> {
        self.with(|disk| Ok(pieces(&disk.worker(worker)?.files.pack())))?
    }

    async fn import(&self, worker: WorkerId, tar: ByteStream) -> Result<Imported, Error> {
        self.with(|disk| disk.worker(worker).map(drop))??;
        let tar = gather(tar, u64::MAX, &Error::Internal).await?;
        self.with(|disk| {
            let row = disk.worker(worker)?;
            let limits = row.limits();
            let done = row.files.unpack(&tar, &limits);
            row.measure();
            done
        })?
    }
}
