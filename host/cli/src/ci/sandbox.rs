//! The executor of this process.

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_ci::Store;
use skep_protocol::{Limits, SecretName};
use skep_sandbox::{Isolation, OperatorSecret, Outbound, SandboxParts, Wasi03};
use skep_steps::{ExecutorParts, LazyExecutor, Scratch, StepExecutor};

use crate::temporary::TemporaryDir;
use crate::{ambient, child, terminal};

/// Creates an executor for this many steps at a time.
pub(crate) fn executor(
    store: &Store,
    jobs: usize,
    secrets: BTreeMap<SecretName, OperatorSecret>,
    outbound: Outbound,
    wasi_0_3: Wasi03,
) -> LazyExecutor {
    let store = store.clone();
    LazyExecutor::new(Box::new(move || {
        start(store.clone(), jobs, secrets.clone(), outbound.clone(), wasi_0_3)
    }))
}

fn start(
    store: Store,
    jobs: usize,
    secrets: BTreeMap<SecretName, OperatorSecret>,
    outbound: Outbound,
    wasi_0_3: Wasi03,
) -> Result<StepExecutor, String> {
    ambient::raise_descriptors();
    let cache = ambient::compiled_cache().inspect_err(|error| {
        terminal::say("note", &format!("the compiled code is not cached: {error}"));
    });
    let sandbox = SandboxParts {
        workers: u32::try_from(jobs).unwrap_or(u32::MAX).saturating_add(1),
        cache: cache.ok(),
        incremental: child::known_functions(),
        limits: Limits::default().for_any_worker(),
        outbound,
        wasi_0_3,
        ..SandboxParts::new(Arc::new(child::compiler()))
    };
    let temporary = TemporaryDir::create()
        .map_err(|error| format!("cannot create a temporary directory: {error}"))?;
    let dir = temporary.dir().try_clone().map_err(|error| error.to_string())?;
    StepExecutor::start(ExecutorParts {
        sandbox,
        out_of_process: child::out_of_process(Isolation::Process),
        store,
        scratch: Scratch { dir, guard: Box::new(temporary) },
        secrets,
    })
}
