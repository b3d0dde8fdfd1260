//! The host of `skep dev`: a worker in the project's own store, and its versions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::stream;
use skep_project::Builder;
use skep_protocol::{
    Artifacts, Compiled, ComponentDigest, ConfigDigest, ConfigValues, CreateWorker, Grants, Limits,
    ListWorkers, NewInput, Payload, Rights, Role, ScopeGrant, ScopeName, Turns, WorkerChange,
    WorkerId, WorkerSpec, WorkerView, Workers,
};
use skep_runtime::Embedded;

use super::build::build_and_inspect;
use super::version::{self, VERSION_KEY};
use crate::ambient;
use crate::failure::Failed;

/// The scope of the bundled source, and its place in the guest.
const APP_SCOPE: &str = "skep-app";
const APP: &str = "/app";

/// Time between two looks at whether a component is compiled.
const LOOK: Duration = Duration::from_millis(50);

/// The way from the source to a running worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The language's runner evaluates the bundled source: nothing is compiled.
    Runner,
    /// The component is built and compiled, as it will be shipped.
    Exact,
}

/// A worker under development.
pub(super) struct DevWorker {
    pub(super) runtime: Embedded,
    pub(super) way: Way,
    place: PathBuf,
    worker: Option<WorkerId>,
    runner: Option<ComponentDigest>,
}

/// The folder of the bundles, which is also the operator's directory for the scope.
pub(super) fn app_place(private: &Path) -> PathBuf {
    private.join("dev/app")
}

/// Returns the name of the scope of the bundles.
pub(super) fn app_scope() -> ScopeName {
    APP_SCOPE.parse().expect("it is a valid name")
}

impl DevWorker {
    /// Finds the worker of an earlier session.
    pub(super) async fn find(
        runtime: Embedded,
        builder: &Builder,
        way: Way,
    ) -> Result<Self, Failed> {
        let query = ListWorkers { limit: 1_000, ..ListWorkers::default() };
        let name = &builder.project().manifest().name;
        let named = |view: &WorkerView| {
            view.spec.display_ref.as_ref().is_some_and(|shown| shown.as_str() == name)
        };
        let found = runtime.list(query).await?.items.into_iter().find(named);
        let place = app_place(&builder.project().private());
        let worker = found.map(|view| view.worker_id);
        Ok(Self { runtime, way, place, worker, runner: None })
    }

    /// Returns the worker's id, once it exists.
    pub(super) fn id(&self) -> Option<WorkerId> {
        self.worker
    }

    /// Builds the project and gives the worker its new version, which takes effect between two
    /// turns. Creates the worker if it does not exist. Returns true if something changed.
    pub(super) async fn deploy(&mut self, builder: &Builder) -> Result<bool, Failed> {
        let manifest = builder.project().manifest();
        let (component, version) = match self.way {
            Way::Runner => {
                (self.runner(builder).await?, Some(version::bundle(builder, &self.place)?))
            }
            Way::Exact => {
                let (built, _) = build_and_inspect(builder)?;
                (self.put(&built.path).await?, None)
            }
        };
        let mut values = manifest.config.clone();
        values.extend(version.map(|version| (VERSION_KEY.to_owned(), version)));
        let config = self.config(values).await?;
        let mut grants = manifest.grants();
        if self.way == Way::Runner {
            let guest = APP.parse().expect("it is a valid path");
            grants.scopes.push(ScopeGrant { name: app_scope(), guest, rights: Rights::ReadOnly });
        }
        match self.worker {
            None => self.create(builder, component, config, grants).await.map(|()| true),
            Some(worker) => self.update(worker, component, config, grants).await,
        }
    }

    async fn create(
        &mut self,
        builder: &Builder,
        component: ComponentDigest,
        config: ConfigDigest,
        grants: Grants,
    ) -> Result<(), Failed> {
        let manifest = builder.project().manifest();
        let spec = WorkerSpec {
            component,
            display_ref: Some(manifest.display_ref()),
            labels: manifest.labels(),
            config: Some(config),
            grants,
            limits: manifest.limits(),
            http: manifest.http,
        };
        let created = self.runtime.create(CreateWorker { worker_id: None, spec }).await?;
        self.worker = Some(created.item.worker_id);
        Ok(())
    }

    async fn update(
        &self,
        worker: WorkerId,
        component: ComponentDigest,
        config: ConfigDigest,
        grants: Grants,
    ) -> Result<bool, Failed> {
        let before = self.runtime.get(worker).await?.spec;
        let change = WorkerChange {
            component: (before.component != component).then_some(component),
            config: (before.config != Some(config)).then_some(config),
            grants: (before.grants != grants).then_some(grants),
            ..WorkerChange::default()
        };
        if change == WorkerChange::default() {
            return Ok(false);
        }
        self.runtime.update(worker, change).await?;
        Ok(true)
    }

    async fn config(&self, values: BTreeMap<String, String>) -> Result<ConfigDigest, Failed> {
        let values = ConfigValues::try_from(values)
            .map_err(|error| Failed::here(format!("config: {error}")))?;
        Ok(self.runtime.put_config(values).await?.item.digest)
    }

    /// Returns the stored runner of the language.
    async fn runner(&mut self, builder: &Builder) -> Result<ComponentDigest, Failed> {
        if let Some(runner) = self.runner {
            return Ok(runner);
        }
        let place = ambient::cache_path("runners");
        let place = place.unwrap_or_else(|| builder.project().private().join("runners"));
        let runner = builder.runner(&place, &mut |_| {})?;
        let digest = self.put(&runner).await?;
        self.runner = Some(digest);
        Ok(digest)
    }

    /// Stores a component, and waits until it is compiled.
    async fn put(&self, path: &Path) -> Result<ComponentDigest, Failed> {
        let wasm = std::fs::read(path)?;
        let body = Box::pin(stream::once(async { Ok(wasm.into()) }));
        let mut view = self.runtime.put_component(body, Role::Admin).await?.item;
        while view.compiled == Compiled::Pending {
            tokio::time::sleep(LOOK).await;
            view = self.runtime.component(view.digest).await?;
        }
        Ok(view.digest)
    }

    /// Gives the worker a line as an input, without waiting for the outcome.
    pub(super) async fn send(&self, line: String) -> Result<(), Failed> {
        let Some(worker) = self.worker else {
            return Err(Failed::here("there is no worker yet: its first build has failed"));
        };
        let payload =
            Payload { content_type: "text/plain; charset=utf-8".into(), body: line.into() };
        let input = NewInput { payload, key: None, wait: None, sender: None };
        self.runtime.send(worker, input).await?;
        Ok(())
    }
}

/// Returns true if the limits of a manifest are not those that the worker was created with.
pub(super) fn limits_differ(builder: &Builder, view: &WorkerView) -> bool {
    let wanted = builder.project().manifest().limits().over(&Limits::default());
    wanted != view.spec.limits.over(&Limits::default())
}
