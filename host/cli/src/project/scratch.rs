//! A runtime in a temporary store, for test turns.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use skep_project::{Actual, Manifest, TestTurn};
use skep_protocol::{
    Artifacts, ComponentDigest, ComponentKind, ConfigValues, CreateWorker, Cursor, EntryKind,
    HostId, Limits, NewInput, Outcome, Output, Payload, Role, RunRequest, Sent, Turns, WorkerId,
    WorkerSpec, Workers,
};
use skep_runtime::{Embedded, EmbeddedParts};
use skep_sandbox::{Outbound, Sandbox, SandboxParts, Wasi03};
use skep_store::{NoFaults, Store, StoreParts};

use crate::failure::Failed;
use crate::temporary::TemporaryDir;
use crate::{ambient, child, clock, json};

/// Entries of a page of a transcript.
const PAGE: usize = 1_000;

/// Time to wait for a turn beyond its own deadline.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// A runtime whose store is removed with this value.
pub(super) struct ScratchRuntime {
    store: Store,
    runtime: Embedded,
    _dir: TemporaryDir,
}

/// A worker of a file of test turns.
pub(super) struct TestWorker<'a> {
    scratch: &'a ScratchRuntime,
    worker: WorkerId,
    kind: ComponentKind,
    seen: Cursor,
}

impl ScratchRuntime {
    /// Opens a runtime. Its native code is in the user's cache, not in the project: what is in a
    /// project may have come with the source.
    pub(super) fn open(wasi_0_3: Wasi03) -> Result<Self, Failed> {
        let dir = TemporaryDir::create()
            .map_err(|error| Failed::here(format!("cannot make a temporary store: {error}")))?;
        let parts = StoreParts {
            dir: dir.subdirectory("store")?,
            now: clock::now(),
            new_runtime_id: "test".parse().map_err(|error| Failed::internal(format!("{error}")))?,
            faults: Arc::new(NoFaults),
            vfs: None,
        };
        let store = Store::open(parts).map_err(|error| Failed::here(error.to_string()))?;
        let sandbox = Sandbox::start(SandboxParts {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            workers: 8,
            compiler: Arc::new(child::compiler()),
            cache: ambient::compiled_cache().ok(),
            incremental: child::own_functions(),
            limits: Limits::default().for_any_worker(),
            outbound: Outbound::default(),
            wasi_0_3,
        })
        .map_err(|error| Failed::here(format!("cannot start the sandbox: {error}")))?;
        let host_id = ambient::new_id::<HostId>("test")?;
        let runtime = Embedded::open(EmbeddedParts::new(store.clone(), sandbox, host_id))
            .map_err(|error| Failed::here(format!("cannot start the runtime: {error}")))?;
        Ok(Self { store, runtime, _dir: dir })
    }

    /// Stores a component, and waits until it is compiled.
    pub(super) async fn component(
        &self,
        path: &Path,
    ) -> Result<(ComponentDigest, ComponentKind), Failed> {
        let wasm = std::fs::read(path)?;
        let body = Box::pin(stream::once(async { Ok(wasm.into()) }));
        let stored = self.runtime.put_component(body, Role::Admin).await?.item;
        Ok((stored.digest, stored.kind))
    }

    /// Creates the worker of a file. `config` goes over the manifest's values.
    pub(super) async fn worker(
        &self,
        manifest: &Manifest,
        (component, kind): (ComponentDigest, ComponentKind),
        config: &BTreeMap<String, String>,
    ) -> Result<TestWorker<'_>, Failed> {
        let mut values = manifest.config.clone();
        values.extend(config.clone());
        let config = match values.is_empty() {
            true => None,
            false => {
                let values = ConfigValues::try_from(values)
                    .map_err(|error| Failed::here(format!("config: {error}")))?;
                Some(self.runtime.put_config(values).await?.item.digest)
            }
        };
        let mut grants = manifest.grants();
        // A test has no operator: scopes and secrets of a host do not exist here.
        grants.scopes.clear();
        grants.secrets.clear();
        let spec = WorkerSpec {
            display_ref: Some(manifest.display_ref()),
            config,
            grants,
            limits: manifest.limits(),
            ..WorkerSpec::new(component)
        };
        let worker = self.runtime.create(CreateWorker { worker_id: None, spec }).await?;
        let worker = worker.item.worker_id;
        Ok(TestWorker { scratch: self, worker, kind, seen: Cursor(0) })
    }
}

impl TestWorker<'_> {
    /// Runs one turn and collects what came of it.
    pub(super) async fn turn(&mut self, turn: &TestTurn) -> Result<Actual, Failed> {
        let payload = payload(turn, self.kind);
        let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
        let sent = self.scratch.runtime.send(self.worker, input).await?;
        let Sent::Done { outcome, .. } = sent else {
            return Err(Failed::here("the turn did not end within ten minutes"));
        };
        let mut actual = actual(outcome);
        self.collect_entries(&mut actual)?;
        for key in turn.expect.state.keys() {
            actual.state.insert(key.clone(), self.state(key)?);
        }
        Ok(actual)
    }

    fn state(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        let store = &self.scratch.store;
        let number = store.number(&self.worker).map_err(internal)?;
        let Some(number) = number else { return Ok(None) };
        store.state_get(number, key).map_err(internal)
    }

    /// Reads the entries that were written since the last turn.
    fn collect_entries(&mut self, actual: &mut Actual) -> Result<(), Failed> {
        let store = &self.scratch.store;
        let Some(number) = store.number(&self.worker).map_err(internal)? else { return Ok(()) };
        loop {
            let page = store.entries(number, self.seen, PAGE).map_err(internal)?;
            self.seen = page.next;
            for entry in page.entries {
                let body = entry.payload.body.to_vec();
                match entry.kind {
                    EntryKind::Event => {
                        actual.events.push((entry.label.unwrap_or_default(), body));
                    }
                    EntryKind::Log => {
                        actual.logs.push(String::from_utf8_lossy(&body).into_owned());
                    }
                    _ => {}
                }
            }
            if !page.more {
                return Ok(());
            }
        }
    }
}

fn internal(error: skep_store::StoreError) -> Failed {
    Failed::internal(error.to_string())
}

fn payload(turn: &TestTurn, kind: ComponentKind) -> Payload {
    let (body, content_type) = turn.payload();
    if kind == ComponentKind::Command {
        let stdin = String::from_utf8_lossy(&body).into_owned();
        let stdin = (!stdin.is_empty()).then_some(stdin);
        let run = RunRequest { args: turn.args.clone(), stdin, ..RunRequest::default() };
        let content_type = skep_protocol::input::RUN_REQUEST.into();
        return Payload { content_type, body: json::line(&run).into() };
    }
    Payload { content_type, body: body.into() }
}

fn actual(outcome: Outcome) -> Actual {
    let mut actual = Actual { outcome: outcome.ending.as_str().to_owned(), ..Actual::default() };
    match outcome.output {
        Some(Output::Message(payload)) => {
            actual.body = payload.body.to_vec();
            actual.content_type = Some(payload.content_type);
        }
        Some(Output::Run(run)) => {
            actual.exit_code = run.exit_code;
            actual.body = run.stdout;
        }
        None => {}
    }
    actual.error = outcome.error.map(|error| (error.code, error.message));
    actual
}
