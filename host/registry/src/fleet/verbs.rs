//! The verbs of a remote, each through its circuit.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use skep_protocol::*;

use super::remote::Remote;

/// A remote as a runtime.
pub(crate) struct RemoteHandle(pub(crate) Arc<Remote>);

impl RemoteHandle {
    fn stored(&self, stored: Stored<WorkerView>) -> Result<Stored<WorkerView>, Error> {
        Ok(Stored { item: self.0.own(stored.item)?, created: stored.created })
    }
}

#[async_trait]
impl RuntimeHandle for RemoteHandle {
    async fn describe(&self) -> Result<RuntimeView, Error> {
        let view = self.0.call(|runtime| async move { runtime.describe().await }).await?;
        self.0.described(view)
    }

    async fn create(&self, request: CreateWorker) -> Result<Stored<WorkerView>, Error> {
        self.stored(self.0.call(|runtime| async move { runtime.create(request).await }).await?)
    }

    async fn list(&self, query: ListWorkers) -> Result<Page<WorkerView>, Error> {
        let page = self.0.call(|runtime| async move { runtime.list(query).await }).await?;
        let items =
            page.items.into_iter().map(|view| self.0.own(view)).collect::<Result<_, _>>()?;
        Ok(Page { items, next_cursor: page.next_cursor })
    }

    async fn get(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.0.own(self.0.call(|runtime| async move { runtime.get(worker).await }).await?)
    }

    async fn update(&self, worker: WorkerId, change: WorkerChange) -> Result<WorkerView, Error> {
        let updated = self.0.call(|runtime| async move { runtime.update(worker, change).await });
        self.0.own(updated.await?)
    }

    async fn rollback(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.0.own(self.0.call(|runtime| async move { runtime.rollback(worker).await }).await?)
    }

    async fn remove(&self, worker: WorkerId) -> Result<(), Error> {
        self.0.call(|runtime| async move { runtime.remove(worker).await }).await
    }

    async fn start(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.0.own(self.0.call(|runtime| async move { runtime.start(worker).await }).await?)
    }

    async fn stop(&self, worker: WorkerId) -> Result<WorkerView, Error> {
        self.0.own(self.0.call(|runtime| async move { runtime.stop(worker).await }).await?)
    }

    async fn send(&self, worker: WorkerId, input: NewInput) -> Result<Sent, Error> {
        self.0.call(|runtime| async move { runtime.send(worker, input).await }).await
    }

    async fn cancel(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        self.0.call(|runtime| async move { runtime.cancel(worker, input).await }).await
    }

    async fn input(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        self.0.call(|runtime| async move { runtime.input(worker, input).await }).await
    }

    async fn transcript(
        &self,
        worker: WorkerId,
        after: Cursor,
        limit: usize,
    ) -> Result<EntryPage, Error> {
        self.0.call(|runtime| async move { runtime.transcript(worker, after, limit).await }).await
    }

    async fn subscribe(
        &self,
        worker: WorkerId,
        after: Option<Cursor>,
    ) -> Result<EntryStream, Error> {
        self.0.call(|runtime| async move { runtime.subscribe(worker, after).await }).await
    }

    async fn changes(&self, cursor: Option<String>) -> Result<ChangeStream, Error> {
        let changes = self.0.call(|runtime| async move { runtime.changes(cursor).await }).await?;
        let remote = Arc::clone(&self.0);
        let own = move |change: Result<Change, Error>| {
            remote.heard(change.as_ref().err());
            let Change { cursor, worker_id, worker } = change?;
            let worker = worker.map(|worker| remote.own(*worker).map(Box::new)).transpose()?;
            Ok(Change { cursor, worker_id, worker })
        };
        Ok(changes.map(own).boxed())
    }

    async fn put_component(
        &self,
        wasm: ByteStream,
        by: Role,
    ) -> Result<Stored<ComponentView>, Error> {
        self.0.call(|runtime| async move { runtime.put_component(wasm, by).await }).await
    }

    async fn component(&self, digest: ComponentDigest) -> Result<ComponentView, Error> {
        self.0.call(|runtime| async move { runtime.component(digest).await }).await
    }

    async fn components(&self, cursor: Option<String>) -> Result<Page<ComponentView>, Error> {
        self.0.call(|runtime| async move { runtime.components(cursor).await }).await
    }

    async fn remove_component(&self, digest: ComponentDigest) -> Result<(), Error> {
        self.0.call(|runtime| async move { runtime.remove_component(digest).await }).await
    }

    async fn files(&self, worker: WorkerId, query: ListFiles) -> Result<Listing<FileView>, Error> {
        self.0.call(|runtime| async move { runtime.files(worker, query).await }).await
    }

    async fn read_file(
        &self,
        worker: WorkerId,
        name: FileName,
        range: Option<FileRange>,
    ) -> Result<(FileView, ByteStream), Error> {
        self.0.call(|runtime| async move { runtime.read_file(worker, name, range).await }).await
    }

    async fn write_file(
        &self,
        worker: WorkerId,
        name: FileName,
        bytes: ByteStream,
    ) -> Result<Stored<FileView>, Error> {
        self.0.call(|runtime| async move { runtime.write_file(worker, name, bytes).await }).await
    }

    async fn remove_file(&self, worker: WorkerId, name: FileName) -> Result<(), Error> {
        self.0.call(|runtime| async move { runtime.remove_file(worker, name).await }).await
    }

    async fn export(&self, worker: WorkerId) -> Result<ByteStream, Error> {
        self.0.call(|runtime| async move { runtime.export(worker).await }).await
    }

    async fn import(&self, worker: WorkerId, tar: ByteStream) -> Result<Imported, Error> {
        self.0.call(|runtime| async move { runtime.import(worker, tar).await }).await
    }

    async fn put_config(&self, values: ConfigValues) -> Result<Stored<ConfigView>, Error> {
        self.0.call(|runtime| async move { runtime.put_config(values).await }).await
    }

    async fn config(&self, digest: ConfigDigest) -> Result<ConfigView, Error> {
        self.0.call(|runtime| async move { runtime.config(digest).await }).await
    }

    async fn configs(&self, cursor: Option<String>) -> Result<Page<ConfigView>, Error> {
        self.0.call(|runtime| async move { runtime.configs(cursor).await }).await
    }

    async fn remove_config(&self, digest: ConfigDigest) -> Result<(), Error> {
        self.0.call(|runtime| async move { runtime.remove_config(digest).await }).await
    }

    async fn diagnostics(&self, worker: Option<WorkerId>) -> Result<Vec<Diagnostic>, Error> {
        self.0.call(|runtime| async move { runtime.diagnostics(worker).await }).await
    }

    async fn usage(&self, worker: WorkerId) -> Result<Usage, Error> {
        self.0.call(|runtime| async move { runtime.usage(worker).await }).await
    }
}
