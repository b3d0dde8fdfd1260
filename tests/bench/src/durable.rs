//! A durable runtime over a store on disk, as in a host, and helpers for measurements.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::stream;
use skep_protocol::{
    Artifacts, ComponentDigest, CreateWorker, Ending, Limits, NewInput, Output, Payload, Role,
    RuntimeId, Sent, Timestamp, Turns, WorkerId, WorkerSpec, Workers,
};
use skep_runtime::{Embedded, EmbeddedParts, Options};
use skep_sandbox::{
    InProcessCompiler, Incremental, OutOfProcess, Outbound, Sandbox, SandboxParts, Wasi03,
};
use skep_store::{NoFaults, Store, StoreParts};

use crate::Failure;
use crate::tools::guest;

/// The time after which a turn counts as failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the host's threads, which are separate from those of the guests.
pub(crate) fn host() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Opens the store in a folder, and creates it if there is none.
pub(crate) fn store(folder: &Path) -> Result<Store, Failure> {
    let new_runtime_id: RuntimeId = "bench".parse()?;
    Ok(Store::open(StoreParts {
        dir: Dir::open_ambient_dir(folder, ambient_authority())?,
        now: now(),
        new_runtime_id,
        faults: Arc::new(NoFaults),
        vfs: None,
    })?)
}

/// Starts a sandbox with room for this many instances, which keeps compiled code in the store.
pub(crate) fn sandbox(store: &Store, workers: u32) -> Result<Sandbox, Failure> {
    Ok(Sandbox::start(SandboxParts {
        cores: std::thread::available_parallelism()?.get(),
        workers,
        compiler: Arc::new(InProcessCompiler),
        cache: Some(store.compiled_dir()?),
        incremental: Incremental::Off,
        limits: Limits::default(),
        outbound: Outbound::default(),
        wasi_0_3: Wasi03::Off,
    })?)
}

/// Opens a runtime. Must be called within a host's tokio runtime.
pub(crate) fn open(store: Store, sandbox: Sandbox, options: Options) -> Result<Embedded, Failure> {
    open_out_of_process(store, sandbox, options, None)
}

fn open_out_of_process(
    store: Store,
    sandbox: Sandbox,
    options: Options,
    out_of_process: Option<OutOfProcess>,
) -> Result<Embedded, Failure> {
    let (scopes, secrets) = (BTreeMap::new(), BTreeMap::new());
    let host_id = "bench".parse().expect("the id is valid");
    let parts = EmbeddedParts { store, sandbox, scopes, secrets, out_of_process, options, host_id };
    Ok(Embedded::open(parts)?)
}

/// Stores a guest of this tree.
pub(crate) async fn component(runtime: &Embedded, name: &str) -> Result<ComponentDigest, Failure> {
    let wasm = std::fs::read(guest(name)?)?;
    let bytes = stream::once(async { Ok(wasm.into()) });
    Ok(runtime.put_component(Box::pin(bytes), Role::Admin).await?.item.digest)
}

/// Creates a worker.
pub(crate) async fn worker(
    runtime: &Embedded,
    component: ComponentDigest,
) -> Result<WorkerId, Failure> {
    let request = CreateWorker { worker_id: None, spec: WorkerSpec::new(component) };
    Ok(runtime.create(request).await?.item.worker_id)
}

/// Sends an input and waits for its answer.
pub(crate) async fn ask(
    runtime: &Embedded,
    worker: WorkerId,
    text: &str,
) -> Result<Vec<u8>, Failure> {
    let payload =
        Payload { content_type: "text/plain".into(), body: text.as_bytes().to_vec().into() };
    let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
    match runtime.send(worker, input).await? {
        Sent::Done { outcome, .. } if outcome.ending == Ending::Completed => match outcome.output {
            Some(Output::Message(answer)) => Ok(answer.body.to_vec()),
            other => Err(format!("the turn answered {other:?}").into()),
        },
        other => Err(format!("the turn ended otherwise: {other:?}").into()),
    }
}

/// A runtime for measurements, removed with its folder on drop.
pub(crate) struct Live {
    // In this order: the threads end before their files are removed.
    pub(crate) runtime: Embedded,
    pub(crate) host: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Live {
    /// Starts a runtime with a host's defaults.
    pub(crate) fn start() -> Result<Self, Failure> {
        Self::start_with(None)
    }

    /// Starts a runtime that may run commands out of process.
    pub(crate) fn start_with(out_of_process: Option<OutOfProcess>) -> Result<Self, Failure> {
        let folder = crate::tools::folder()?;
        let host = host()?;
        let store = store(folder.path())?;
        let sandbox = sandbox(&store, 1_100)?;
        let runtime = {
            let _entered = host.enter();
            open_out_of_process(store, sandbox, Options::default(), out_of_process)?
        };
        Ok(Self { runtime, host, _folder: folder })
    }

    /// Runs a task on the host's threads, as a server of callers does.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        self.host.block_on(self.host.spawn(task))?
    }
}

/// Returns the current time.
pub(crate) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::since_epoch(now.unwrap_or_default())
}
