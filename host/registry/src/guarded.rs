//! A runtime as one caller may use it.
//!
//! What changes something runs in a task of its own: a caller who goes away in the middle does not
//! keep it out of the audit.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{Stream, StreamExt, stream};
use skep_protocol::registry::audit_word;
use skep_protocol::*;
use tracing::Instrument;

use crate::{Access, Action, Audit, AuditRecord, Caller, Policy};

/// What lets callers through, and writes down what they did.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) audit: Arc<dyn Audit>,
    pub(crate) access: Access,
    pub(crate) now: fn() -> Timestamp,
}

/// What is behind an id for a caller.
#[derive(Clone)]
pub(crate) enum Target {
    /// The runtime.
    Seen(Arc<dyn RuntimeHandle>),
    /// A runtime that the caller does not see. Its answers are those of one that is not there.
    Unseen,
    /// None.
    Missing,
}

/// A runtime as one caller may use it.
#[derive(Clone)]
pub(crate) struct Guarded {
    pub(crate) gate: Gate,
    pub(crate) caller: Caller,
    pub(crate) runtime_id: RuntimeId,
    pub(crate) target: Target,
}

impl Guarded {
    /// The runtime, if the caller may do things of that kind there.
    fn enter(&self, needs: Role) -> Result<&Arc<dyn RuntimeHandle>, Error> {
        let Target::Seen(runtime) = &self.target else {
            return Err(Error::UnknownRuntime(self.runtime_id.clone()));
        };
        self.gate.policy.allows(&self.caller, needs)?;
        Ok(runtime)
    }

    fn read(&self) -> Result<&Arc<dyn RuntimeHandle>, Error> {
        self.enter(Role::Viewer)
    }

    /// Changes something, and writes that down.
    async fn change<T, F>(
        &self,
        action: Action,
        worker: Option<WorkerId>,
        verb: impl FnOnce(Self, Arc<dyn RuntimeHandle>) -> F + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Named + Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let guarded = self.clone();
        let change = async move {
            let runtime = guarded.enter(Role::Operator).cloned();
            let result = match runtime {
                Ok(runtime) => verb(guarded.clone(), runtime).await,
                Err(error) => Err(error),
            };
            let made = result.as_ref().ok().and_then(Named::worker);
            let record = guarded.record(action, worker.or(made), result.as_ref().err());
            match (result, guarded.gate.audit.record(record).await) {
                (Ok(_), Err(error)) => Err(error),
                (result, _) => result,
            }
        };
        let task = tokio::spawn(change.in_current_span());
        task.await.unwrap_or_else(|error| {
            tracing::error!(panicked = error.is_panic(), "a change did not come to its end");
            Err(Error::Internal)
        })
    }

    fn record(
        &self,
        action: Action,
        worker_id: Option<WorkerId>,
        error: Option<&Error>,
    ) -> AuditRecord {
        let unseen = matches!(self.target, Target::Unseen);
        let outcome = match worker_id {
            Some(worker) if unseen => audit_word(Some(&Error::WorkerNotVisible(worker))),
            _ => audit_word(error),
        };
        AuditRecord {
            at: (self.gate.now)(),
            token_id: self.caller.token_id.clone(),
            action,
            runtime_id: Some(self.runtime_id.clone()),
            worker_id,
            outcome,
        }
    }

    /// Whether the caller may decide what runs in that worker: it may have been given more than the
    /// caller could give it.
    async fn may_run_in(&self, runtime: &dyn RuntimeHandle, worker: WorkerId) -> Result<(), Error> {
        if self.caller.role >= Role::Admin {
            return Ok(());
        }
        self.gate.policy.allows_spec(&self.caller, &runtime.get(worker).await?.spec)
    }

    /// The stream, until the caller's token ends.
    fn while_good<T: Send + 'static>(
        &self,
        items: Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>,
    ) -> Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>> {
        while_good(&self.gate.access, &self.caller, items)
    }
}

/// A stream until the token that it was asked for with ends.
pub(crate) fn while_good<T: Send + 'static>(
    access: &Access,
    caller: &Caller,
    items: Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>,
) -> Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>> {
    let Some(token) = caller.token_id.clone() else { return items };
    let access = access.clone();
    let ended = Box::pin(async move { access.ended(token).await });
    stream::unfold(Some((items, ended)), |open| async move {
        let (mut items, mut ended) = open?;
        tokio::select! {
            biased;
            () = &mut ended => Some((Err(Error::Unauthenticated), None)),
            item = items.next() => item.map(|item| (item, Some((items, ended)))),
        }
    })
    .boxed()
}

/// What may say which worker it is about, where the request did not.
trait Named {
    fn worker(&self) -> Option<WorkerId> {
        None
    }
}

impl Named for () {}
impl Named for Imported {}
impl Named for WorkerView {}
impl Named for Stored<ComponentView> {}
impl Named for Stored<ConfigView> {}
impl Named for Stored<FileView> {}
impl Named for Stored<WorkerView> {
    fn worker(&self) -> Option<WorkerId> {
        Some(self.item.worker_id)
    }
}

#[async_trait]
impl RuntimeHandle for Guarded {
    async fn describe(&self) -> Result<RuntimeView, Error> {
        self.read()?.describe().await
    }

    async fn create(&self, request: CreateWorker) -> Result<Stored<WorkerView>, Error> {
        self.change(Action::WorkerCreate, request.worker_id, async move |guarded, runtime| {
            guarded.gate.policy.allows_spec(&guarded.caller, &request.spec)?;
            runtime.create(request).await
        })
        .await
    }

    async fn list(&self, query: ListWorkers) -> Result<Page<WorkerView>, Error> {
        self.read()?.list(query).await
    }

    async fn get(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.read()?.get(worker).await
    }

    async fn update(&self, worker: WorkerId, change: WorkerChange) -> Result<WorkerView, Error> {
        self.change(Action::WorkerUpdate, Some(worker), async move |guarded, runtime| {
            let mut change = change;
            let decides = change.component.is_some() || change.config.is_some();
            if guarded.caller.role < Role::Admin && (decides || change.grants.is_some()) {
                let before = runtime.get(worker).await?.spec;
                let policy = &guarded.gate.policy;
                if decides {
                    policy.allows_spec(&guarded.caller, &before)?;
                }
                if let Some(grants) = &change.grants {
                    policy.allows_grants(&guarded.caller, &before.grants, grants)?;
                }
                if !change.is_for(&before.grants) {
                    return Err(Conflict::Grants.into());
                }
                // What was allowed is this change of a worker with these grants, not with what it
                // may have by then.
                change.grants_before = Some(before.grants);
            }
            runtime.update(worker, change).await
        })
        .await
    }

    async fn rollback(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.change(Action::WorkerRollback, Some(worker), async move |guarded, runtime| {
            guarded.may_run_in(&*runtime, worker).await?;
            runtime.rollback(worker).await
        })
        .await
    }

    async fn remove(&self, worker: WorkerId) -> Result<(), Error> {
        let remove = async move |_, runtime: Arc<dyn RuntimeHandle>| runtime.remove(worker).await;
        self.change(Action::WorkerRemove, Some(worker), remove).await
    }

    async fn start(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        let start = async move |_, runtime: Arc<dyn RuntimeHandle>| runtime.start(worker).await;
        self.change(Action::WorkerStart, Some(worker), start).await
    }

    async fn stop(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        let stop = async move |_, runtime: Arc<dyn RuntimeHandle>| runtime.stop(worker).await;
        self.change(Action::WorkerStop, Some(worker), stop).await
    }

    async fn send(&self, worker: WorkerId, input: NewInput) -> Result<Sent, Error> {
        let sender = match input.sender {
            // A registry says whose input it passes on; it comes with an admin's token.
            Some(sender) if self.caller.role == Role::Admin => Some(sender),
            _ => self.caller.token_id.clone(),
        };
        self.enter(Role::Operator)?.send(worker, NewInput { sender, ..input }).await
    }

    async fn cancel(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        self.enter(Role::Operator)?.cancel(worker, input).await
    }

    async fn input(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        self.read()?.input(worker, input).await
    }

    async fn transcript(
        &self,
        worker: WorkerId,
        after: Cursor,
        limit: usize,
    ) -> Result<EntryPage, Error> {
        self.read()?.transcript(worker, after, limit).await
    }

    async fn subscribe(
        &self,
        worker: WorkerId,
        after: Option<Cursor>,
    ) -> Result<EntryStream, Error> {
        Ok(self.while_good(self.read()?.subscribe(worker, after).await?))
    }

    async fn changes(&self, cursor: Option<String>) -> Result<ChangeStream, Error> {
        Ok(self.while_good(self.read()?.changes(cursor).await?))
    }

    async fn put_component(
        &self,
        wasm: ByteStream,
        by: Role,
    ) -> Result<Stored<ComponentView>, Error> {
        // Nobody brings it with more than their own role.
        let by = by.min(self.caller.role);
        let put =
            async move |_, runtime: Arc<dyn RuntimeHandle>| runtime.put_component(wasm, by).await;
        self.change(Action::ComponentPut, None, put).await
    }

    async fn component(&self, digest: ComponentDigest) -> Result<ComponentView, Error> {
        self.read()?.component(digest).await
    }

    async fn components(&self, cursor: Option<String>) -> Result<Page<ComponentView>, Error> {
        self.read()?.components(cursor).await
    }

    async fn remove_component(&self, digest: ComponentDigest) -> Result<(), Error> {
        let remove =
            async move |_, runtime: Arc<dyn RuntimeHandle>| runtime.remove_component(digest).await;
        self.change(Action::ComponentRemove, None, remove).await
    }

    async fn files(&self, worker: WorkerId, query: ListFiles) -> Result<Listing<FileView>, Error> {
        self.read()?.files(worker, query).await
    }

    async fn read_file(
        &self,
        worker: WorkerId,
        name: FileName,
        range: Option<FileRange>,
    ) -> Result<(FileView, ByteStream), Error> {
        self.read()?.read_file(worker, name, range).await
    }

    async fn write_file(
        &self,
        worker: WorkerId,
        name: FileName,
        bytes: ByteStream,
    ) -> Result<Stored<FileView>, Error> {
        self.change(Action::FileWrite, Some(worker), async move |_, runtime| {
            runtime.write_file(worker, name, bytes).await
        })
        .await
    }

    async fn remove_file(&self, worker: WorkerId, name: FileName) -> Result<(), Error> {
        self.change(Action::FileRemove, Some(worker), async move |_, runtime| {
            runtime.remove_file(worker, name).await
        })
        .await
    }

    async fn export(&self, worker: WorkerId) -> Result<ByteStream, Error> {
        self.read()?.export(worker).await
    }

    async fn import(&self, worker: WorkerId, tar: ByteStream) -> Result<Imported, Error> {
        self.change(Action::FilesImport, Some(worker), async move |_, runtime| {
            runtime.import(worker, tar).await
        })
        .await
    }

    async fn put_config(&self, values: ConfigValues) -> Result<Stored<ConfigView>, Error> {
        let put = async move |_, runtime: Arc<dyn RuntimeHandle>| runtime.put_config(values).await;
        self.change(Action::ConfigPut, None, put).await
    }

    async fn config(&self, digest: ConfigDigest) -> Result<ConfigView, Error> {
        self.read()?.config(digest).await
    }

    async fn configs(&self, cursor: Option<String>) -> Result<Page<ConfigView>, Error> {
        self.read()?.configs(cursor).await
    }

    async fn remove_config(&self, digest: ConfigDigest) -> Result<(), Error> {
        let remove =
            async move |_, runtime: Arc<dyn RuntimeHandle>| runtime.remove_config(digest).await;
        self.change(Action::ConfigRemove, None, remove).await
    }

    async fn diagnostics(&self, worker: Option<WorkerId>) -> Result<Vec<Diagnostic>, Error> {
        self.read()?.diagnostics(worker).await
    }

    async fn usage(&self, worker: WorkerId) -> Result<Usage, Error> {
        self.read()?.usage(worker).await
    }
}
