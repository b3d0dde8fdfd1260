//! The parts that a host is built of: a store, a listener, a sandbox, a runtime and a registry.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use skep_api::Surface;
use skep_protocol::{HostId, Limits, RuntimeId, ScopeName, SecretName};
use skep_registry::{
    Ceilings, Discovery, Network, Registry, RegistryParts, SharedAccess, SiteSpec,
};
use skep_runtime::{Embedded, EmbeddedParts, OperatorScope};
use skep_sandbox::{Incremental, OperatorSecret, Outbound, Sandbox, SandboxParts, Wall};
use skep_steps::{StepHost, StepHostParts};
use skep_store::{NoFaults, OpenError, Store, StoreParts};
use tokio::net::TcpListener;

use crate::clock;
use crate::failure::Failed;
use crate::settings::{ScopeSetting, Settings};
use crate::{ambient, child, remote};

/// The directory of the blobs and results of steps, in the store.
const STEPS: &str = "steps";

/// Time that the registry gives a remote runtime to answer.
const REMOTE_DEADLINE: Duration = Duration::from_secs(2);

/// The places of a host's native code.
pub(crate) struct NativeCode {
    /// The compiled components; the store's own directory if it is none.
    compiled: Option<Dir>,
    /// The compiled functions.
    functions: Incremental,
}

impl NativeCode {
    /// Returns the places for a host whose components may come from others.
    pub(super) fn of_host() -> Self {
        Self { compiled: None, functions: child::known_functions() }
    }

    /// Returns the places for an author's own host. Its store is in the project, where native code
    /// may have come with the source, so its code is in the user's cache.
    pub(crate) fn of_author() -> Self {
        Self { compiled: ambient::compiled_cache().ok(), functions: child::own_functions() }
    }
}

/// Opens the store, creating it if it is missing. `id` is the id of a new store's runtime.
pub(super) fn store(
    dir: &Dir,
    id: Option<RuntimeId>,
    settings: &Settings,
) -> Result<Store, Failed> {
    let new_runtime_id = match id {
        Some(id) => id,
        None => ambient::new_id("rt")?,
    };
    let parts = StoreParts {
        dir: dir.try_clone()?,
        now: clock::now(),
        new_runtime_id,
        faults: Arc::new(NoFaults),
        vfs: None,
    };
    Store::open(parts).map_err(|error| {
        let failed =
            Failed::here(format!("cannot open the store {}: {error}", settings.store.display()));
        match error {
            OpenError::InUse => failed.hint("another host runs on this store; use it or stop it"),
            _ => failed,
        }
    })
}

/// Binds the listening socket.
pub(super) async fn listener(address: &str) -> Result<TcpListener, Failed> {
    TcpListener::bind(address).await.map_err(|error| {
        Failed::here(format!("cannot listen on {address}: {error}")).hint(bind_hint(&error))
    })
}

fn bind_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are reserved for root; use a higher one"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; use 127.0.0.1 for this machine only, or \
             0.0.0.0 for all interfaces"
        }
        // The address did not parse, so no system call was made.
        _ if error.raw_os_error().is_none() => {
            "use an address or a name, and a port, such as 127.0.0.1:7070, [::1]:7070 or \
             localhost:7070; it comes from --listen, SKEP_LISTEN or `listen` in skep.toml"
        }
        _ => "another process may be using the port; --listen 127.0.0.1:0 picks a free one",
    }
}

/// Starts the sandbox and opens the runtime on the store. Native code is in the places
/// of `code`. Guests cannot connect to `own_address`.
pub(super) fn runtime(
    store: Store,
    code: NativeCode,
    secrets: BTreeMap<SecretName, OperatorSecret>,
    host_id: HostId,
    own_address: Option<SocketAddr>,
    settings: &Settings,
) -> Result<Embedded, Failed> {
    let mut limits = Limits::default();
    settings.runtime.set_limits(&mut limits);
    store.set_default_limits(&limits);
    if let Some(missing) = Wall::offered().missing() {
        tracing::warn!(missing, "this kernel lacks part of the second wall; see `skep doctor`");
    }
    let parts = EmbeddedParts {
        sandbox: sandbox(&store, code, &limits, own_address, settings)?,
        store,
        scopes: scopes(&settings.scopes)?,
        secrets,
        out_of_process: Some(child::out_of_process(settings.runtime.isolation()?)),
        options: settings.runtime.options(),
        host_id,
    };
    Embedded::open(parts)
        .map_err(|error| Failed::here(format!("cannot start the runtime on its store: {error}")))
}

fn sandbox(
    store: &Store,
    code: NativeCode,
    limits: &Limits,
    own_address: Option<SocketAddr>,
    settings: &Settings,
) -> Result<Sandbox, Failed> {
    let outbound = Outbound::default();
    if let Some(address) = own_address {
        outbound.shun(address);
    }
    let compiled = match code.compiled {
        Some(compiled) => compiled,
        None => store.compiled_dir().map_err(|error| Failed::here(error.to_string()))?,
    };
    let parts = SandboxParts {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        workers: settings.runtime.room(),
        compiler: Arc::new(child::compiler()),
        cache: Some(compiled),
        incremental: code.functions,
        limits: limits.for_any_worker(),
        outbound,
        wasi_0_3: settings.runtime.wasi_0_3(),
    };
    Sandbox::start(parts)
        .map_err(|error| Failed::here(format!("cannot start the sandbox: {error}")))
}

fn scopes(
    settings: &BTreeMap<ScopeName, ScopeSetting>,
) -> Result<BTreeMap<ScopeName, OperatorScope>, Failed> {
    let open = |(name, scope): (&ScopeName, &ScopeSetting)| {
        let dir = ambient::open_dir(&scope.path).map_err(|error| {
            let path = scope.path.display();
            Failed::here(format!("cannot open the directory {path} of the scope {name}: {error}"))
        })?;
        Ok((name.clone(), OperatorScope { dir, rights: scope.rights }))
    };
    settings.iter().map(open).collect()
}

/// Returns the host of steps. None if their store cannot be used: what workers need is elsewhere, so
/// they are served all the same.
pub(super) fn steps(
    dir: &Dir,
    runtime_id: &RuntimeId,
    secrets: BTreeMap<SecretName, OperatorSecret>,
    own_address: Option<SocketAddr>,
    settings: &Settings,
) -> Option<StepHost> {
    let opened = step_host(dir, runtime_id, secrets, own_address, settings);
    if let Err(error) = &opened {
        let store = settings.store.join(STEPS);
        tracing::error!(%error, store = %store.display(), "this host runs no steps: their store cannot be used");
    }
    opened.ok()
}

/// Opens the store of steps, and returns the host that runs them. Its programs start when the first
/// step comes.
fn step_host(
    dir: &Dir,
    runtime_id: &RuntimeId,
    secrets: BTreeMap<SecretName, OperatorSecret>,
    own_address: Option<SocketAddr>,
    settings: &Settings,
) -> io::Result<StepHost> {
    let dir = ambient::private_dir(dir, STEPS)?;
    let keep = settings.steps.keep();
    let store = StepHost::open_store(dir, &keep)?;
    let jobs = settings.steps.jobs();
    let names = secrets.keys().cloned().collect();
    let outbound = Outbound::default();
    if let Some(address) = own_address {
        outbound.shun(address);
    }
    Ok(StepHost::new(StepHostParts {
        executor: crate::ci::sandbox::executor(
            &store,
            jobs,
            secrets,
            outbound,
            settings.runtime.wasi_0_3(),
        ),
        store,
        secrets: names,
        name: runtime_id.to_string(),
        jobs,
        // All steps together have at most three quarters of this process's memory.
        most_memory: ambient::memory_bytes() / 4 * 3 / jobs as u64,
        most_stored: keep.bytes.saturating_mul(2),
    }))
}

/// The sites and the discovery of a registry.
pub(super) struct FoundElsewhere {
    pub(super) sites: Vec<SiteSpec>,
    pub(super) discovery: Option<Arc<dyn Discovery>>,
    pub(super) shared: Option<SharedAccess>,
}

/// Opens the registry over the runtime of this process. A browser's host also routes to remote
/// runtimes and shows the foreground runs of this machine.
pub(super) fn registry(
    dir: &Dir,
    runtime: skep_registry::EmbeddedRuntime,
    settings: &Settings,
    surface: Surface,
    elsewhere: FoundElsewhere,
) -> Result<Registry, Failed> {
    let (remotes, local) = match surface {
        Surface::Browser => (remote::of_settings(&settings.remotes)?, local_runs()),
        Surface::Runtime => (Vec::new(), None),
    };
    let ceilings = settings.operator.clone().map(|operator| Ceilings {
        scopes: operator.scopes,
        http: operator.http.into_iter().map(|grant| grant.0).collect(),
        secrets: operator.secrets,
        limits: operator.limits,
    });
    let parts = RegistryParts {
        dir: dir.try_clone()?,
        embedded: Some(runtime),
        remotes,
        sites: elsewhere.sites,
        local,
        connect: Arc::new(Network),
        discovery: elsewhere.discovery,
        ceilings,
        now: clock::now,
        deadline: REMOTE_DEADLINE,
        policy: None,
        audit: None,
        shared: elsewhere.shared,
    };
    Registry::open(parts).map_err(|error| {
        Failed::here(format!("cannot use the store {}: {error}", settings.store.display()))
    })
}

/// Opens the records of this user's foreground runs. A host without that directory shows no runs.
fn local_runs() -> Option<Dir> {
    let opened = ambient::local_runs();
    if let Err(error) = &opened {
        tracing::warn!(%error, "cannot show the `skep run` processes of this machine");
    }
    opened.ok()
}
