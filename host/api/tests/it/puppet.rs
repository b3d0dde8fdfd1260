//! The runtime in memory with files, and with an error of the test's choice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use skep_conformance::fake::{FakeDisk, FakeRuntime};
use skep_protocol::*;

/// See the module's documentation.
pub(crate) struct Puppet {
    runtime: FakeRuntime,
    files: Mutex<BTreeMap<(WorkerId, FileName), Vec<u8>>>,
    removed: Mutex<BTreeSet<ConfigDigest>>,
    /// What every verb answers, if it is to fail.
    fails: Mutex<Option<Error>>,
}

impl Puppet {
    pub(crate) fn new(id: &str) -> Self {
        let runtime = FakeRuntime::open(&FakeDisk::new(id.parse().unwrap()));
        Self {
            runtime,
            files: Mutex::default(),
            removed: Mutex::default(),
            fails: Mutex::default(),
        }
    }

    /// Has every verb fail from now on, or none.
    pub(crate) fn fail(&self, error: Option<Error>) {
        *self.fails.lock().unwrap() = error;
    }

    fn well(&self) -> Result<&FakeRuntime, Error> {
        match self.fails.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => Ok(&self.runtime),
        }
    }

    fn view(name: &FileName, bytes: &[u8]) -> FileView {
        FileView { name: name.clone(), bytes: bytes.len() as u64, modified_at: Timestamp(0) }
    }
}

async fn all(mut bytes: ByteStream) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(some) = bytes.next().await {
        all.extend(some?);
    }
    Ok(all)
}

fn one(bytes: Vec<u8>) -> ByteStream {
    stream::iter([Ok(Bytes::from(bytes))]).boxed()
}

macro_rules! passed_on {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl RuntimeHandle for Puppet {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$answer, Error> {
                self.well()?.$name($($arg),*).await
            })*

            async fn config(&self, digest: ConfigDigest) -> Result<ConfigView, Error> {
                let there = !self.removed.lock().unwrap().contains(&digest);
                let found = self.well()?.config(digest).await?;
                there.then_some(found).ok_or(Error::UnknownConfig(digest))
            }

            async fn remove_config(&self, digest: ConfigDigest) -> Result<(), Error> {
                self.config(digest).await?;
                self.removed.lock().unwrap().insert(digest);
                Ok(())
            }

            async fn files(
                &self,
                worker: WorkerId,
                query: ListFiles,
            ) -> Result<Listing<FileView>, Error> {
                self.well()?.get(worker).await?;
                let prefix = query.prefix.unwrap_or_default();
                let files = self.files.lock().unwrap();
                let of = files.iter().filter(|((of, _), _)| *of == worker);
                let of = of.filter(|((_, name), _)| name.as_str().starts_with(&prefix));
                let items = of.map(|((_, name), bytes)| Self::view(name, bytes)).collect();
                Ok(Listing { items, next_cursor: None, diagnostics: Vec::new() })
            }

            async fn read_file(
                &self,
                worker: WorkerId,
                name: FileName,
                range: Option<FileRange>,
            ) -> Result<(FileView, ByteStream), Error> {
                self.well()?.get(worker).await?;
                let files = self.files.lock().unwrap();
                let bytes = files.get(&(worker, name.clone())).ok_or(Error::UnknownFile)?;
                let view = Self::view(&name, bytes);
                let range = range.unwrap_or(FileRange { start: 0, bytes: None });
                let rest = bytes.iter().skip(range.start as usize);
                let most = range.bytes.unwrap_or(u64::MAX) as usize;
                Ok((view, one(rest.take(most).copied().collect())))
            }

            async fn write_file(
                &self,
                worker: WorkerId,
                name: FileName,
                bytes: ByteStream,
            ) -> Result<Stored<FileView>, Error> {
                self.well()?.get(worker).await?;
                let bytes = all(bytes).await?;
                let item = Self::view(&name, &bytes);
                let before = self.files.lock().unwrap().insert((worker, name), bytes);
                Ok(Stored { item, created: before.is_none() })
            }

            async fn remove_file(&self, worker: WorkerId, name: FileName) -> Result<(), Error> {
                self.well()?.get(worker).await?;
                let removed = self.files.lock().unwrap().remove(&(worker, name));
                removed.map(drop).ok_or(Error::UnknownFile)
            }

            async fn export(&self, worker: WorkerId) -> Result<ByteStream, Error> {
                self.well()?.get(worker).await?;
                Ok(one(b"a tar archive".to_vec()))
            }

            async fn import(&self, worker: WorkerId, tar: ByteStream) -> Result<Imported, Error> {
                self.well()?.get(worker).await?;
                Ok(Imported { files: 1, bytes: all(tar).await?.len() as u64 })
            }
        }
    };
}

passed_on! {
    describe() -> RuntimeView;
    create(request: CreateWorker) -> Stored<WorkerView>;
    list(query: ListWorkers) -> Page<WorkerView>;
    get(worker: WorkerId) -> WorkerView;
    update(worker: WorkerId, change: WorkerChange) -> WorkerView;
    rollback(worker: WorkerId) -> WorkerView;
    remove(worker: WorkerId) -> ();
    start(worker: WorkerId) -> WorkerView;
    stop(worker: WorkerId) -> WorkerView;
    send(worker: WorkerId, input: NewInput) -> Sent;
    cancel(worker: WorkerId, input: InputId) -> InputView;
    input(worker: WorkerId, input: InputId) -> InputView;
    transcript(worker: WorkerId, after: Cursor, limit: usize) -> EntryPage;
    subscribe(worker: WorkerId, after: Option<Cursor>) -> EntryStream;
    changes(cursor: Option<String>) -> ChangeStream;
    put_component(wasm: ByteStream, by: Role) -> Stored<ComponentView>;
    component(digest: ComponentDigest) -> ComponentView;
    components(cursor: Option<String>) -> Page<ComponentView>;
    remove_component(digest: ComponentDigest) -> ();
    put_config(values: ConfigValues) -> Stored<ConfigView>;
    configs(cursor: Option<String>) -> Page<ConfigView>;
    diagnostics(worker: Option<WorkerId>) -> Vec<Diagnostic>;
    usage(worker: WorkerId) -> Usage;
}
