//! The runtime under test, opened on a bed's directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use skep_protocol::{Limits, Rights, Timestamp};
use skep_runtime::{Embedded, EmbeddedParts, OperatorScope, Options};
use skep_sandbox::{
    ChildCompiler, Incremental, Isolation, OutOfProcess, Outbound, Sandbox, SandboxParts, Wasi03,
};
use skep_store::{NoFaults, Store, StoreParts};

/// The time that a turn gets to end by itself when its worker is stopped.
pub(crate) const STOP_GRACE: Duration = Duration::from_millis(100);

/// The environment variable with the path of the built `skep`.
pub const SKEP: &str = "SKEP_HOSTILE_SKEP";

/// The subcommands of `skep` for the child that compiles and the child that runs.
const COMPILE: &str = "__compile";
pub(crate) const RUN: &str = "__run";

/// Opens the store and the operator directories in a bed's directory.
pub(crate) fn open(
    dir: &Path,
    limits: Limits,
    outbound: &Outbound,
    isolation: Isolation,
) -> Embedded {
    let access = |name: &str| Dir::open_ambient_dir(dir.join(name), ambient_authority()).unwrap();
    let store = Store::open(StoreParts {
        dir: access("store"),
        now: Timestamp(1_700_000_000_000),
        new_runtime_id: "bed".parse().unwrap(),
        faults: Arc::new(NoFaults),
        vfs: None,
    })
    .unwrap();
    let sandbox = Sandbox::start(sandbox_parts(&limits, outbound)).unwrap();
    let scope = |name, rights| OperatorScope { dir: access(name), rights };
    let scopes = BTreeMap::from([
        ("read".parse().unwrap(), scope("read", Rights::ReadOnly)),
        ("write".parse().unwrap(), scope("write", Rights::ReadWrite)),
    ]);
    let options = Options {
        stop_grace: STOP_GRACE,
        compile_wait: Duration::from_secs(150),
        ..Options::default()
    };
    let out_of_process = Some(OutOfProcess::new(program(), vec![RUN.into()], isolation));
    let (host_id, secrets) = ("bed-host".parse().unwrap(), BTreeMap::new());
    Embedded::open(EmbeddedParts {
        store,
        sandbox,
        scopes,
        secrets,
        out_of_process,
        options,
        host_id,
    })
    .unwrap()
}

/// Returns the parts of a sandbox with the real compiler.
pub(crate) fn sandbox_parts(limits: &Limits, outbound: &Outbound) -> SandboxParts {
    let cache = skep_harness::shared_cache();
    std::fs::create_dir_all(&cache).unwrap();
    SandboxParts {
        cores: 2,
        workers: 64,
        compiler: Arc::new(ChildCompiler::new(program(), vec![COMPILE.into()], 2)),
        cache: Some(Dir::open_ambient_dir(cache, ambient_authority()).unwrap()),
        incremental: Incremental::Off,
        limits: limits.for_any_worker(),
        outbound: outbound.clone(),
        wasi_0_3: Wasi03::On,
    }
}

/// Returns the path of the built `skep`, which compiles and runs.
pub(crate) fn program() -> PathBuf {
    match std::env::var_os(SKEP) {
        Some(path) => path.into(),
        None => skep_harness::skep().to_owned(),
    }
}
