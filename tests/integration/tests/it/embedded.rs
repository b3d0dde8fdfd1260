//! An embedded runtime driven by a test, and its conformance.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use skep_conformance::{Guest, Restart, Subject};
use skep_harness::{TestDir, killed, test_dir};
use skep_protocol::{Limits, RuntimeHandle, RuntimeId, SecretName, Timestamp};
use skep_runtime::{Embedded, EmbeddedParts, Options};
use skep_sandbox::{
    InProcessCompiler, Incremental, OperatorSecret, Outbound, Sandbox, SandboxParts,
};
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
    let cache = skep_harness::shared_cache();
    std::fs::create_dir_all(&cache).unwrap();
    Sandbox::start(SandboxParts {
        cores,
        workers: 64,
        compiler: Arc::new(InProcessCompiler),
        cache: Some(Dir::open_ambient_dir(cache, ambient_authority()).unwrap()),
        incremental: Incremental::Off,
        limits: Limits::default(),
        outbound: Outbound::default(),
    })
    .unwrap()
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

/// Opens a runtime over the store in a directory.
pub(crate) fn open(dir: &Path) -> Embedded {
    open_with(dir, Options { stop_grace: Duration::from_millis(300), ..Options::default() })
}

/// Opens a runtime with these options.
pub(crate) fn open_with(dir: &Path, options: Options) -> Embedded {
    open_on(dir, sandbox(), options)
}

/// Opens a runtime with a sandbox of its own.
pub(crate) fn open_on(dir: &Path, sandbox: Sandbox, options: Options) -> Embedded {
    open_knowing(dir, sandbox, BTreeMap::new(), options)
}

/// Opens a runtime with secrets.
pub(crate) fn open_knowing(
    dir: &Path,
    sandbox: Sandbox,
    secrets: BTreeMap<SecretName, OperatorSecret>,
    options: Options,
) -> Embedded {
    let (store, scopes) = (store(dir), BTreeMap::new());
    let host_id = "test-host".parse().unwrap();
    let out_of_process = None;
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

pub(crate) struct EmbeddedSubject(Mutex<Live>);

struct Live {
    dir: TestDir,
    open: fn(&Path) -> Embedded,
    runtime: Option<Embedded>,
}

impl EmbeddedSubject {
    /// Makes a subject that is opened and reopened by `open`.
    pub(crate) async fn by(open: fn(&Path) -> Embedded) -> Self {
        let dir = test_dir();
        let runtime = Some(open(&dir));
        Self(Mutex::new(Live { dir, open, runtime }))
    }
}

#[async_trait::async_trait]
impl Subject for EmbeddedSubject {
    fn runtime(&self) -> Arc<dyn RuntimeHandle> {
        Arc::new(self.0.lock().unwrap().runtime.clone().unwrap())
    }

    async fn restart(&self, how: Restart) {
        let before = self.0.lock().unwrap().runtime.take().unwrap();
        match how {
            Restart::Clean => before.shutdown(Duration::from_secs(5)).await,
            Restart::Crash => {
                {
                    let mut live = self.0.lock().unwrap();
                    live.dir = killed(&live.dir);
                }
                before.shutdown(Duration::ZERO).await;
            }
        }
        let mut live = self.0.lock().unwrap();
        live.runtime = Some((live.open)(&live.dir));
    }

    fn wasm(&self, guest: Guest) -> Vec<u8> {
        std::fs::read(skep_harness::guest(guest.name())).unwrap()
    }
}

skep_conformance::conformance!(EmbeddedSubject::by(open).await);
