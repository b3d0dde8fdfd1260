//! Opens a store and a runtime over it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use skep_protocol::{Limits, Timestamp};
use skep_runtime::{Embedded, EmbeddedParts, Options};
use skep_sandbox::{InProcessCompiler, Incremental, Outbound, Sandbox, SandboxParts, Wasi03};
use skep_store::{Faults, OpenError, Store, StoreError, StoreParts};

/// Starts the sandbox of this process.
pub(crate) fn sandbox(cache: &Path) -> Sandbox {
    std::fs::create_dir_all(cache).unwrap();
    let parts = SandboxParts {
        cores: 2,
        workers: 64,
        compiler: Arc::new(InProcessCompiler),
        cache: Some(Dir::open_ambient_dir(cache, ambient_authority()).unwrap()),
        incremental: Incremental::Off,
        limits: Limits::default(),
        outbound: Outbound::default(),
        wasi_0_3: Wasi03::Off,
    };
    Sandbox::start(parts).unwrap()
}

pub(crate) fn store(dir: &Path, faults: Arc<dyn Faults>) -> Result<Store, OpenError> {
    Store::open(StoreParts {
        dir: Dir::open_ambient_dir(dir, ambient_authority()).unwrap(),
        now: now(),
        new_runtime_id: "crash".parse().unwrap(),
        faults,
        vfs: None,
    })
}

/// Opens a runtime with small limits, so that instances are evicted and turns interrupted.
pub(crate) fn runtime(store: Store, sandbox: Sandbox) -> Result<Embedded, StoreError> {
    let options = Options {
        instances: 24,
        idle: Duration::from_millis(60),
        stop_grace: Duration::from_millis(20),
        reconnects: 4,
        ..Options::default()
    };
    let host_id = "crash-test".parse().expect("the id is valid");
    let (scopes, secrets, out_of_process) = (BTreeMap::new(), BTreeMap::new(), None);
    Embedded::open(EmbeddedParts {
        store,
        sandbox,
        scopes,
        secrets,
        out_of_process,
        options,
        host_id,
    })
}

/// Returns the current time.
pub(crate) fn now() -> Timestamp {
    Timestamp::since_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}
