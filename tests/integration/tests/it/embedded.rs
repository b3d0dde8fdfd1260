//! An embedded runtime driven by a test, and its conformance.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use skep_conformance::{Guest, Restart, Subject};
use skep_harness::{TestDir, killed, test_dir};
use skep_protocol::{RuntimeHandle, SecretName};
use skep_runtime::{Embedded, EmbeddedParts, Options};
use skep_sandbox::{OperatorSecret, Sandbox};

pub(crate) use crate::opening::{sandbox, sandbox_of, store};

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

mod of_http_workers {
    use super::{EmbeddedSubject, open};

    skep_conformance::http_conformance!(EmbeddedSubject::by(open).await);
}
