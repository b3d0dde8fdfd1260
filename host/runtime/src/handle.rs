//! The runtime's verbs: parse, ask the worker or the store, answer.

mod files;
mod follow;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use sha2::{Digest, Sha256};
use skep_protocol::{
    ByteStream, ChangeStream, ComponentDigest, ComponentKind, ComponentView, ConfigDigest,
    ConfigValues, ConfigView, Conflict, CreateWorker, Cursor, Desired, Diagnostic, Ending,
    EntryPage, EntryStream, Error, Execution, FileName, FileRange, FileView, Grants, Imported,
    InputId, InputState, InputView, Invalid, LimitName, ListFiles, ListWorkers, Listing, NewInput,
    Outcome, Page, Payload, Role, RuntimeHandle, RuntimeView, ScopeName, SecretName, Sent, Stored,
    Usage, WorkerChange, WorkerId, WorkerSpec, WorkerView,
};
use skep_store::record::{
    ConfigRecord, InputRecord, SharedEvent, Standing, Transaction, WorkerRecord, WorkerWrite,
};
use skep_store::{Followed, Lookup, Refusal as StoreRefusal, StoreError};
use tokio::sync::{oneshot, watch};

use skep_sandbox::KillReason;

use crate::embedded::Embedded;
use crate::roster::inner::{Inner, new_input_id, random};
use crate::roster::machine::{Admitted, Found, Refused};
use crate::roster::worker::{Progress, Waiting, What, Worker, observed, view};
use crate::turn::ending;
use crate::turn::log::now;
use crate::turn::run::Run;

/// Items of a page where the caller does not say.
const PAGE: usize = 100;

/// The most items of a page.
const LONGEST_PAGE: usize = 1_000;

/// How long a turn that is to be cancelled may take to begin or end before it is told again.
const AGAIN: Duration = Duration::from_millis(20);

/// When a full mailbox is worth another try.
const RETRY: Duration = Duration::from_secs(1);

#[async_trait]
impl RuntimeHandle for Embedded {
    async fn describe(&self) -> Result<RuntimeView, Error> {
        let inner = &self.0;
        Ok(RuntimeView {
            runtime_id: inner.runtime_id.clone(),
            host_id: inner.host_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            workers: inner.store.worker_count().map_err(|error| inner.fault(error))?,
            connected: inner.residency.connected() as u64,
            ready: self.is_ready(),
        })
    }

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
        match inner.store.submit(Transaction { worker, events }).await {
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
        let spec = changed(before.spec, &change);
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

    async fn send(&self, worker: WorkerId, input: NewInput) -> Result<Sent, Error> {
        let cell = self.0.worker(worker)?;
        let NewInput { payload, key, wait, sender } = input;
        let (id, progress) = self.admit(&cell, payload, key, sender, wait.is_some())?;
        let (id, progress) = match progress {
            Admission::Waiting(progress) => (id, progress),
            Admission::Ended(input) => return self.ended(&cell, &input),
        };
        self.follow(id, progress, wait).await
    }

    async fn cancel(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        let cell = self.0.worker(worker)?;
        loop {
            let (found, mut progress) = {
                let state = cell.state();
                let progress = state.inputs.get(&input).map(|w| w.progress.subscribe());
                (state.machine.locate(input), progress)
            };
            match (found, &mut progress) {
                (_, None) => {
                    let view = self.input(worker, input).await?;
                    return match view.state {
                        InputState::Done => Err(Conflict::Ended.into()),
                        InputState::Queued | InputState::Running => Err(Error::Internal),
                    };
                }
                (Found::Nowhere, Some(progress)) => {
                    // Someone else's cancellation of it is on its way to the disk.
                    let moved = tokio::time::timeout(AGAIN, progress.changed()).await;
                    drop(moved);
                }
                (Found::Queued, _) => {
                    // If its turn has begun meanwhile, that is to be ended.
                    if self.dequeue(&cell, input).await? {
                        return self.input(worker, input).await;
                    }
                }
                (Found::Running, Some(progress)) => {
                    if let Some(running) = &cell.state().running
                        && running.input == input
                    {
                        running.kill.throw(KillReason::Cancelled);
                    }
                    let ended =
                        |p: &Progress| matches!(p, Progress::Done(_) | Progress::Refused(_));
                    // It may be taken already and its guest not begun: then once more.
                    let told = tokio::time::timeout(AGAIN, progress.wait_for(ended)).await.is_ok();
                    if told {
                        let view = self.input(worker, input).await?;
                        let cancelled = |outcome: &Outcome| outcome.ending == Ending::Cancelled;
                        return match view.outcome.as_ref().is_some_and(cancelled) {
                            true => Ok(view),
                            // It was quicker.
                            false => Err(Conflict::Ended.into()),
                        };
                    }
                }
                (Found::Submitted, Some(progress)) => {
                    let moved = |p: &Progress| !matches!(p, Progress::Pending);
                    drop(progress.wait_for(moved).await);
                }
            }
        }
    }

    async fn input(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        let record = self.record(worker)?;
        let fault = |error| self.0.fault(error);
        let stored = self.0.store.input(record.number, &input).map_err(fault)?;
        let stored = stored.ok_or(Error::UnknownInput(input))?;
        let outcome = match stored.outcome_seq {
            None => None,
            Some(seq) => self.0.store.outcome(record.number, seq).map_err(fault)?,
        };
        let running = self.0.in_use(worker).is_some_and(|cell| {
            cell.state().running.as_ref().is_some_and(|running| running.input == input)
        });
        let state = match (stored.outcome_seq, running) {
            (Some(_), _) => InputState::Done,
            (None, true) => InputState::Running,
            (None, false) => InputState::Queued,
        };
        Ok(InputView { input_id: input, seq: stored.seq, state, attempt: stored.attempt, outcome })
    }

    async fn transcript(
        &self,
        worker: WorkerId,
        after: Cursor,
        limit: usize,
    ) -> Result<EntryPage, Error> {
        let record = self.record(worker)?;
        let limit = page(limit);
        self.read(move |store| store.entries(record.number, after, limit)).await
    }

    async fn subscribe(
        &self,
        worker: WorkerId,
        after: Option<Cursor>,
    ) -> Result<EntryStream, Error> {
        let record = self.record(worker)?;
        let store = self.0.store.clone();
        let feed = store.watch(record.number);
        let after = match after {
            Some(after) => after,
            None => store.last_seq(record.number).map_err(|error| self.0.fault(error))?,
        };
        let inner = self.0.clone();
        let batches = stream::unfold(Some((feed, after)), move |following| {
            let inner = inner.clone();
            async move {
                let (mut feed, after) = following?;
                let entries = match feed.next(after).await {
                    Followed::Ended => return None,
                    Followed::Entries(entries) => {
                        entries.iter().map(|entry| skep_protocol::Entry::clone(entry)).collect()
                    }
                    Followed::Behind => {
                        let read = tokio::task::spawn_blocking(move || {
                            let page = feed.read(after, PAGE);
                            (feed, page)
                        });
                        let Ok((back, page)) = read.await else { return None };
                        feed = back;
                        match page {
                            Ok(page) => page.entries,
                            Err(error) => return Some((vec![Err(inner.fault(error))], None)),
                        }
                    }
                };
                let after = entries.last().map_or(after, |entry: &skep_protocol::Entry| entry.seq);
                let entries = entries.into_iter().map(Ok).collect::<Vec<_>>();
                Some((entries, Some((feed, after))))
            }
        });
        Ok(batches.flat_map(stream::iter).boxed())
    }

    async fn changes(&self, cursor: Option<String>) -> Result<ChangeStream, Error> {
        let place = match cursor {
            None => None,
            Some(cursor) => Some(cursor.parse().map_err(|()| Invalid::Cursor)?),
        };
        Ok(follow::changes(self.clone(), place))
    }

    async fn put_component(
        &self,
        wasm: ByteStream,
        by: Role,
    ) -> Result<Stored<ComponentView>, Error> {
        self.store_component(wasm, by).await
    }

    async fn component(&self, digest: ComponentDigest) -> Result<ComponentView, Error> {
        let record = self.0.store.component(&digest).map_err(|error| self.0.fault(error))?;
        record.map(|record| self.0.components.view(record)).ok_or(Error::UnknownComponent(digest))
    }

    async fn components(&self, cursor: Option<String>) -> Result<Page<ComponentView>, Error> {
        let after = match cursor {
            None => None,
            Some(cursor) => Some(cursor.parse::<ComponentDigest>().map_err(|_| Invalid::Cursor)?),
        };
        let components = self.0.components.clone();
        self.read(move |store| {
            let mut records = store.components(after.as_ref(), PAGE + 1)?;
            let more = records.len() > PAGE;
            records.truncate(PAGE);
            let next_cursor = records.last().filter(|_| more).map(|r| r.digest.to_string());
            Ok(Page {
                items: records.into_iter().map(|record| components.view(record)).collect(),
                next_cursor,
            })
        })
        .await
    }

    async fn remove_component(&self, digest: ComponentDigest) -> Result<(), Error> {
        self.component(digest).await?;
        match self.0.store.submit_shared(SharedEvent::RemoveComponent(digest)).await {
            Ok(_) => {
                self.0.components.forget(&digest);
                Ok(())
            }
            Err(StoreError::Refused(StoreRefusal::InUse)) => Err(Conflict::InUse.into()),
            Err(error) => Err(self.0.fault(error)),
        }
    }

    async fn files(&self, worker: WorkerId, query: ListFiles) -> Result<Listing<FileView>, Error> {
        self.list_files(worker, query).await
    }

    async fn read_file(
        &self,
        worker: WorkerId,
        name: FileName,
        range: Option<FileRange>,
    ) -> Result<(FileView, ByteStream), Error> {
        self.open_file(worker, name, range).await
    }

    async fn write_file(
        &self,
        worker: WorkerId,
        name: FileName,
        bytes: ByteStream,
    ) -> Result<Stored<FileView>, Error> {
        self.put_file(worker, name, bytes).await
    }

    async fn remove_file(&self, worker: WorkerId, name: FileName) -> Result<(), Error> {
        self.delete_file(worker, name).await
    }

    async fn export(&self, worker: WorkerId) -> Result<ByteStream, Error> {
        self.pack(worker).await
    }

    async fn import(&self, worker: WorkerId, tar: ByteStream) -> Result<Imported, Error> {
        self.unpack(worker, tar).await
    }

    async fn put_config(&self, values: ConfigValues) -> Result<Stored<ConfigView>, Error> {
        let hash = Sha256::digest(values.canonical_bytes());
        let digest = ConfigDigest::from_sha256(hash.into());
        let fault = |error| self.0.fault(error);
        if let Some(known) = self.0.store.config(&digest).map_err(fault)? {
            return Ok(Stored { item: config_view(&known), created: false });
        }
        let record = ConfigRecord { digest, values: Arc::new(values), created_at: now() };
        let commit = self.0.store.submit_shared(SharedEvent::PutConfig(record.clone()));
        commit.await.map_err(fault)?;
        Ok(Stored { item: config_view(&record), created: true })
    }

    async fn config(&self, digest: ConfigDigest) -> Result<ConfigView, Error> {
        let record = self.0.store.config(&digest).map_err(|error| self.0.fault(error))?;
        record.as_ref().map(config_view).ok_or(Error::UnknownConfig(digest))
    }

    async fn configs(&self, cursor: Option<String>) -> Result<Page<ConfigView>, Error> {
        let after = match cursor {
            None => None,
            Some(cursor) => Some(cursor.parse::<ConfigDigest>().map_err(|_| Invalid::Cursor)?),
        };
        self.read(move |store| {
            let mut records = store.configs(after.as_ref(), PAGE + 1)?;
            let more = records.len() > PAGE;
            records.truncate(PAGE);
            let next_cursor = records.last().filter(|_| more).map(|r| r.digest.to_string());
            Ok(Page { items: records.iter().map(config_view).collect(), next_cursor })
        })
        .await
    }

    async fn remove_config(&self, digest: ConfigDigest) -> Result<(), Error> {
        self.config(digest).await?;
        match self.0.store.submit_shared(SharedEvent::RemoveConfig(digest)).await {
            Ok(_) => Ok(()),
            Err(StoreError::Refused(StoreRefusal::InUse)) => Err(Conflict::InUse.into()),
            Err(error) => Err(self.0.fault(error)),
        }
    }

    async fn diagnostics(&self, worker: Option<WorkerId>) -> Result<Vec<Diagnostic>, Error> {
        if let Some(worker) = worker {
            self.record(worker)?;
        }
        let mut found = self.0.not_restored(worker);
        found.extend(self.read(move |store| store.diagnostics(worker.as_ref())).await?);
        Ok(found)
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

/// What became of an input that was sent.
enum Admission {
    /// It has not ended.
    Waiting(watch::Receiver<Progress>),
    /// The same was sent before, and has ended.
    Ended(Box<InputRecord>),
}

impl Embedded {
    /// Reads the store on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&skep_store::Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            read(&inner.store).map_err(|error| inner.fault(error))
        });
        done.await.unwrap_or(Err(Error::Internal))
    }

    pub(crate) fn record(&self, id: WorkerId) -> Result<WorkerRecord, Error> {
        if let Some(cell) = self.0.in_use(id) {
            let state = cell.state();
            return match state.removed {
                true => Err(Error::WorkerRemoved),
                false => Ok(state.record.clone()),
            };
        }
        match self.0.store.worker(&id).map_err(|error| self.0.fault(error))? {
            Lookup::Found(record) => Ok(*record),
            Lookup::Removed => Err(Error::WorkerRemoved),
            Lookup::Unknown => Err(Error::UnknownWorker(id)),
        }
    }

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

    fn admit(
        &self,
        cell: &Arc<Worker>,
        payload: Payload,
        key: Option<skep_protocol::IdempotencyKey>,
        sender: Option<skep_protocol::TokenId>,
        waits: bool,
    ) -> Result<(InputId, Admission), Error> {
        let inner = &self.0;
        let bytes = payload.body.len() as u64;
        let content_digest = content_digest(&payload);
        let id = new_input_id()?;
        let mut state = cell.state();
        if state.removed {
            return Err(Error::WorkerRemoved);
        }
        if bytes > state.limits.input_bytes {
            let (name, limit) = (LimitName::input_bytes, state.limits.input_bytes);
            return Err(Error::LimitExceeded { name, limit });
        }
        if let Some(key) = &key {
            // Under the lock: what is not in the mailbox any more is on disk.
            if let Some((id, waiting)) = state.with_key(key) {
                if waiting.content_digest != content_digest {
                    return Err(Conflict::IdempotencyKey.into());
                }
                return Ok((id, Admission::Waiting(waiting.progress.subscribe())));
            }
            let oldest = state.limits.idempotency_ms;
            let known = inner.store.input_by_key(cell.number, key, now(), oldest);
            if let Some(known) = known.map_err(|error| inner.fault(error))? {
                if known.content_digest != content_digest {
                    return Err(Conflict::IdempotencyKey.into());
                }
                return Ok((known.id, Admission::Ended(Box::new(known))));
            }
        }
        if cell.kind == ComponentKind::Command {
            Run::parse(&payload)?;
        }
        if inner.is_closing() || inner.residency.is_overrun() {
            return Err(inner.busy());
        }
        let admitted =
            state.machine.admit(bytes, waits, &state.limits).map_err(|refused| match refused {
                Refused::Stopped => Error::WorkerStopped,
                Refused::Failed => Conflict::WorkerFailed.into(),
                Refused::Closing => inner.busy(),
                Refused::Full(name) => Error::MailboxFull { name, retry_after: RETRY },
            })?;
        state.machine.enqueue(id, bytes, admitted);
        let (done, progress) = watch::channel(Progress::Pending);
        let payload = Some(payload);
        let waiting = Waiting { payload, content_digest, key, sender, progress: done };
        let accept = match admitted {
            Admitted::Held => None,
            Admitted::First => Some(waiting.acceptance(id, 1)),
            Admitted::Behind => Some(waiting.acceptance(id, 0)),
        };
        state.inputs.insert(id, waiting);
        match accept {
            None => {
                drop(state);
                inner.drive(cell);
            }
            Some(accept) if state.machine.is_ahead() || !state.behind.is_empty() => {
                state.behind.push((id, accept));
            }
            Some(accept) => {
                inner.submit_held(cell, &mut state);
                inner.submit(cell, id, accept);
            }
        }
        Ok((id, Admission::Waiting(progress)))
    }

    /// Waits for as much as the sender wants to know.
    async fn follow(
        &self,
        id: InputId,
        mut progress: watch::Receiver<Progress>,
        wait: Option<Duration>,
    ) -> Result<Sent, Error> {
        let ended = |p: &Progress| matches!(p, Progress::Done(_) | Progress::Refused(_));
        if let Some(wait) = wait
            && let Ok(Ok(last)) = tokio::time::timeout(wait, progress.wait_for(ended)).await
        {
            return answer(id, &last);
        }
        let moved = |p: &Progress| !matches!(p, Progress::Pending);
        match progress.wait_for(moved).await {
            Ok(last) => answer(id, &last),
            Err(_) => Err(self.0.busy()),
        }
    }

    fn ended(&self, cell: &Worker, input: &InputRecord) -> Result<Sent, Error> {
        let Some(seq) = input.outcome_seq else {
            return Ok(Sent::Accepted { input_id: input.id, seq: input.seq });
        };
        let outcome = self.0.store.outcome(cell.number, seq).map_err(|e| self.0.fault(e))?;
        // Trimmed away: that it ended is all that is known.
        let outcome = outcome.ok_or(Error::Conflict(Conflict::Ended))?;
        Ok(Sent::Done { input_id: input.id, outcome })
    }

    /// Ends an input that waits in the queue. Returns whether it did still.
    async fn dequeue(&self, cell: &Arc<Worker>, input: InputId) -> Result<bool, Error> {
        let outcome = ending::cancelled();
        let (queued, commit) = {
            let mut state = cell.state();
            if state.machine.locate(input) != Found::Queued {
                return Ok(false);
            }
            let Some(queued) = state.machine.get(input).cloned() else { return Ok(false) };
            state.machine.drop_queued(input);
            let events = vec![WorkerWrite::End {
                id: input,
                at: now(),
                ending: outcome.ending,
                output: None,
                error: outcome.error.clone(),
            }];
            (queued, self.0.store.submit(Transaction { worker: cell.number, events }))
        };
        let committed = commit.await;
        let mut state = cell.state();
        match committed {
            Ok(_) => {
                state.done(input, outcome);
                drop(state);
                self.0.changes.note(cell.id);
                Ok(true)
            }
            Err(error) => {
                state.machine.restore(queued);
                drop(state);
                self.0.drive(cell);
                Err(self.0.fault(error))
            }
        }
    }
}

impl Inner {
    /// What anyone may see of a worker, live where it is in use.
    pub(crate) fn view_of(&self, record: WorkerRecord) -> Result<WorkerView, StoreError> {
        if let Some(cell) = self.in_use(record.id) {
            return Ok(cell.state().view(&self.runtime_id));
        }
        let queued = self.store.queue(record.number)?.len() as u64;
        let observed = observed(record.standing);
        Ok(view(&record, &self.runtime_id, observed, Execution::Unconnected, queued))
    }
}

fn answer(id: InputId, progress: &Progress) -> Result<Sent, Error> {
    match progress {
        Progress::Done(outcome) => {
            Ok(Sent::Done { input_id: id, outcome: Outcome::clone(outcome) })
        }
        Progress::Accepted(seq) => Ok(Sent::Accepted { input_id: id, seq: *seq }),
        Progress::Refused(error) => Err(error.clone()),
        Progress::Pending => Err(Error::Internal),
    }
}

fn content_digest(payload: &Payload) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(payload.content_type.as_bytes());
    hash.update([0]);
    hash.update(&payload.body);
    hash.finalize().into()
}

fn config_view(record: &ConfigRecord) -> ConfigView {
    let values = ConfigValues::clone(&record.values);
    ConfigView { digest: record.digest, values, created_at: record.created_at }
}

fn page(limit: usize) -> usize {
    match limit {
        0 => PAGE,
        limit => limit.min(LONGEST_PAGE),
    }
}

/// A spec with some parts changed.
pub(crate) fn changed(mut spec: WorkerSpec, change: &WorkerChange) -> WorkerSpec {
    if let Some(component) = change.component {
        spec.component = component;
    }
    if change.config.is_some() {
        spec.config = change.config;
    }
    if let Some(display_ref) = &change.display_ref {
        spec.display_ref = Some(display_ref.clone());
    }
    if let Some(labels) = &change.labels {
        spec.labels = labels.clone();
    }
    if let Some(grants) = &change.grants {
        spec.grants = grants.clone();
    }
    spec
}
