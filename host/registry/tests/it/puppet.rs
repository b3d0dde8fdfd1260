//! An in-memory runtime that can be told to disappear, hang, lie and restart.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, stream};
use skep_conformance::fake::{FakeDisk, FakeRuntime, FakeSubject};
use skep_conformance::{Guest, Subject as _};
use skep_protocol::*;
use tokio::sync::watch;

/// The behaviour of a puppet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Works normally.
    Well,
    /// Every verb fails with this error, and streams end with it.
    Says(Error),
    /// Every verb hangs until the mood changes.
    Hangs,
    /// Lists hang until the mood changes.
    ListsHang,
    /// Answers as another runtime.
    Is(RuntimeId),
}

pub(crate) struct Puppet {
    disk: FakeDisk,
    runtime: Mutex<FakeRuntime>,
    host: Mutex<u64>,
    mood: watch::Sender<Mood>,
    calls: AtomicU64,
    cursors: Mutex<Vec<Option<String>>>,
    held: Mutex<BTreeMap<WorkerId, Grants>>,
}

impl Puppet {
    pub(crate) fn new(id: &str) -> Arc<Self> {
        let disk = FakeDisk::new(id.parse().unwrap());
        let runtime = Mutex::new(FakeRuntime::open(&disk));
        let mood = watch::Sender::new(Mood::Well);
        let (calls, cursors, held) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
        Arc::new(Self { disk, runtime, host: Mutex::new(0), mood, calls, cursors, held })
    }

    pub(crate) fn is(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Simulates another process on the same disk.
    pub(crate) fn restart(&self) {
        *self.runtime.lock().unwrap() = FakeRuntime::open(&self.disk);
        *self.host.lock().unwrap() += 1;
    }

    /// Returns the number of calls.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Returns the cursors that change streams were opened with.
    pub(crate) fn cursors(&self) -> Vec<Option<String>> {
        self.cursors.lock().unwrap().clone()
    }

    /// Returns the runtime behind it, which ignores the mood.
    pub(crate) fn behind(&self) -> FakeRuntime {
        self.runtime.lock().unwrap().clone()
    }

    /// Creates a worker, without counting as a call.
    pub(crate) async fn worker(&self) -> WorkerId {
        self.worker_of(Guest::Scribe).await
    }

    /// Creates an HTTP worker, without counting as a call.
    pub(crate) async fn http_worker(&self) -> WorkerId {
        self.worker_of(Guest::Responder).await
    }

    async fn worker_of(&self, guest: Guest) -> WorkerId {
        let wasm = FakeSubject::new().wasm(guest);
        let wasm = stream::iter([Ok(wasm.into())]).boxed();
        let component = self.behind().put_component(wasm, Role::Admin).await.unwrap().item.digest;
        let spec = WorkerSpec::new(component);
        let request = CreateWorker { worker_id: None, spec };
        self.behind().create(request).await.unwrap().item.worker_id
    }

    /// Makes a worker appear to have these grants.
    pub(crate) fn hold(&self, worker: WorkerId, grants: Grants) {
        self.held.lock().unwrap().insert(worker, grants);
    }

    async fn well(&self) -> Result<FakeRuntime, Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mut moods = self.mood.subscribe();
        let mood = moods.wait_for(|mood| *mood != Mood::Hangs).await.unwrap().clone();
        match mood {
            Mood::Says(error) => Err(error),
            _ => Ok(self.behind()),
        }
    }

    /// Returns when the mood becomes an error.
    fn bad(&self) -> impl Future<Output = Error> + Send + 'static {
        let mut moods = self.mood.subscribe();
        async move {
            let bad = moods.wait_for(|mood| matches!(mood, Mood::Says(_))).await;
            match bad.map(|mood| mood.clone()) {
                Ok(Mood::Says(error)) => error,
                _ => Error::RuntimeUnavailable,
            }
        }
    }

    fn shown(&self, mut view: WorkerView) -> WorkerView {
        if let Mood::Is(id) = &*self.mood.borrow() {
            view.runtime_id = id.clone();
        }
        if let Some(grants) = self.held.lock().unwrap().get(&view.worker_id) {
            view.spec.grants = grants.clone();
        }
        view
    }
}

impl Layer for Puppet {
    async fn pass<A: Send + 'static, T: Answer>(
        &self,
        mut invocation: Invocation<A, T>,
    ) -> Result<T, Error> {
        let is_list = matches!(invocation.verb(), Verb::list { .. });
        if let Verb::changes { from } = invocation.verb() {
            self.cursors.lock().unwrap().push(from.after.clone());
        }
        let runtime = Arc::new(self.well().await?);
        if is_list {
            let mut moods = self.mood.subscribe();
            moods.wait_for(|mood| *mood != Mood::ListsHang).await.unwrap();
        }
        let mut answer = invocation.forward(runtime).await?;
        if let Some(view) = answer.description() {
            view.host_id = format!("{}-{}", view.runtime_id, self.host.lock().unwrap()).parse()?;
            if let Mood::Is(id) = &*self.mood.borrow() {
                view.runtime_id = id.clone();
            }
        }
        for view in answer.workers() {
            *view = self.shown(view.clone());
        }
        Ok(answer.map_changes(|changes| {
            let open = Some((changes, Box::pin(self.bad())));
            stream::unfold(open, |open| async move {
                let (mut changes, mut bad) = open?;
                tokio::select! {
                    error = &mut bad => Some((Err(error), None)),
                    change = changes.next() => change.map(|change| (change, Some((changes, bad)))),
                }
            })
            .boxed()
        }))
    }
}
