//! A sandbox that the tests of a process share, and the opening of stores.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use skep_protocol::{Limits, RuntimeId, Timestamp};
use skep_sandbox::{InProcessCompiler, Incremental, Outbound, Sandbox, SandboxParts, Wasi03};
use skep_store::{NoFaults, OpenError, Store, StoreParts};

/// The wait for the lock of a closed store. A process that another test is starting holds all open
/// descriptors until its exec.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// The sandbox that all tests share, so that each component is compiled once.
pub(crate) fn sandbox() -> Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| sandbox_of(2)).clone()
}

/// Starts a separate sandbox with this many cores.
pub(crate) fn sandbox_of(cores: usize) -> Sandbox {
    Sandbox::start(sandbox_parts(cores)).unwrap()
}

/// Returns the parts of a separate sandbox.
pub(crate) fn sandbox_parts(cores: usize) -> SandboxParts {
    let cache = skep_harness::shared_cache();
    std::fs::create_dir_all(&cache).unwrap();
    SandboxParts {
        cores,
        workers: 64,
        compiler: Arc::new(InProcessCompiler),
        cache: Some(Dir::open_ambient_dir(cache, ambient_authority()).unwrap()),
        incremental: Incremental::Off,
        limits: Limits::default(),
        outbound: Outbound::default(),
        wasi_0_3: Wasi03::Off,
    }
}

/// Opens the store in a directory, and creates it if there is none.
pub(crate) fn store(dir: &Path) -> Store {
    let id: RuntimeId = "test-runtime".parse().unwrap();
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        let opened = Store::open(StoreParts {
            dir: Dir::open_ambient_dir(dir, ambient_authority()).unwrap(),
            now: Timestamp(1_700_000_000_000),
            new_runtime_id: id.clone(),
            faults: Arc::new(NoFaults),
            vfs: None,
        });
        match opened {
            Err(OpenError::InUse) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.unwrap(),
        }
    }
}
