//! An embedded runtime under a test's own hands, and its conformance.

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
use skep_sandbox::{InProcessCompiler, OperatorSecret, Outbound, Sandbox, SandboxParts};
use skep_store::{NoFaults, OpenError, Store, StoreParts};

/// How long the lock of a store that was closed may be held still: by a process that another test is
/// about to start, which has all that is open here until it is another program.
const LETTING_GO: Duration = Duration::from_secs(10);

/// One sandbox for all tests: what a component costs to compile is paid once.
pub(crate) fn sandbox() -> Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| sandbox_of(2)).clone()
}

/// One of its own, with so many cores.
pub(crate) fn sandbox_of(cores: usize) -> Sandbox {
    let cache = skep_harness::shared_cache();
    std::fs::create_dir_all(&cache).unwrap();
    Sandbox::start(SandboxParts {
        cores,
        workers: 64,
        compiler: Arc::new(InProcessCompiler),
        cache: Some(Dir::open_ambient_dir(cache, ambient_authority()).unwrap()),
        limits: Limits::default(),
        outbound: Outbound::default(),
    })
    .unwrap()
}

/// The store in a directory, made where there is none.
pub(crate) fn store(dir: &Path) -> Store {
    let id: RuntimeId = "test-runtime".parse().unwrap();
    let until = Instant::now() + LETTING_GO;
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

/// A runtime over the store in a directory.
pub(crate) fn open(dir: &Path) -> Embedded {
    open_with(dir, Options { stop_grace: Duration::from_millis(300), ..Options::default() })
}

/// One with numbers of its own.
pub(crate) fn open_with(dir: &Path, options: Options) -> Embedded {
    open_on(dir, sandbox(), options)
}

/// One with a sandbox of its own.
pub(crate) fn open_on(dir: &Path, sandbox: Sandbox, options: Options) -> Embedded {
    open_knowing(dir, sandbox, BTreeMap::new(), options)
}

/// One that knows secrets besides.
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
    /// One that is opened, again and again, by `open`.
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
