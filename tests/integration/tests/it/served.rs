//! Runtimes in separate processes, and the conformance of both ways to reach one: the runtime
//! protocol of `skep runtime`, and the browser's API of `skep up`, each through the client that the
//! registry and the command line use.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use skep_client::{Client, Endpoint, Prefix, Token};
use skep_conformance::{Guest, Restart, Subject};
use skep_harness::{TestDir, test_dir};
use skep_protocol::{Artifacts, Role, RuntimeHandle, RuntimeId};

/// The two commands that serve a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serves {
    /// `skep runtime`.
    Runtime,
    /// `skep up`.
    Up,
}

impl Serves {
    const fn verb(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Up => "up",
        }
    }
}

/// A `skep` that serves a store until it is dropped.
pub(crate) struct Served {
    child: Child,
    /// The address; empty for a runtime of a fleet, which has no port.
    pub(crate) url: String,
    pub(crate) runtime_id: RuntimeId,
    pub(crate) token: String,
    /// The addresses of HTTP workers.
    pub(crate) sites: Vec<String>,
}

impl Served {
    /// Starts a server and waits until it is ready.
    pub(crate) fn start(serves: Serves, dir: &Path) -> Self {
        Self::start_with(serves, dir, &[])
    }

    pub(crate) fn start_with(serves: Serves, dir: &Path, arguments: &[&str]) -> Self {
        Self::start_in(serves, dir, arguments, &[])
    }

    pub(crate) fn start_in(
        serves: Serves,
        dir: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let store = dir.join("store");
        let settings = dir.join("skep.toml");
        if !settings.exists() {
            std::fs::write(&settings, "[runtime]\nstop_grace_ms = 300\n").unwrap();
        }
        let mut child = Command::new(skep_harness::skep())
            .args([serves.verb(), "--output", "json", "--store"])
            .arg(&store)
            .arg("--settings")
            .arg(&settings)
            .args(arguments)
            .envs(environment.iter().copied())
            .env("SKEP_LISTEN", "127.0.0.1:0")
            .env("XDG_CACHE_HOME", dir.join("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!(
                "expected a ready line, got {line:?}; log: {}",
                std::fs::read_to_string(dir.join("log")).unwrap()
            )
        });
        // A runtime without a port leaves no note.
        let note = std::fs::read(store.join("host.json")).unwrap_or_else(|_| b"{}".to_vec());
        let note: serde_json::Value = serde_json::from_slice(&note).unwrap();
        Self {
            child,
            url: ready["url"].as_str().unwrap_or_default().into(),
            runtime_id: ready["runtime_id"].as_str().unwrap().parse().unwrap(),
            token: note["token"].as_str().unwrap_or_default().into(),
            sites: ready["sites"]
                .as_array()
                .map(|sites| sites.iter().map(|site| site.as_str().unwrap().into()).collect())
                .unwrap_or_default(),
        }
    }

    /// Makes a client of the runtime.
    pub(crate) fn client(&self, serves: Serves) -> Client {
        let prefix = match serves {
            Serves::Runtime => Prefix::V1,
            Serves::Up => Prefix::Runtime(self.runtime_id.clone()),
        };
        let (url, token) = (self.url.parse().unwrap(), Token::Text(self.token.clone()));
        Client::new(Endpoint { url, token, ca: None, insecure: false, prefix }).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(&mut self) {
        self.signal(Signal::TERM);
        let until = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the process, as a power cut would.
    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Makes a new store with the compiled code of the suite's components, which are compiled once for
/// all cases. The components themselves are not stored in it.
pub(crate) fn prepared() -> TestDir {
    static COMPILED: OnceLock<TestDir> = OnceLock::new();
    // A thread of its own, because the caller may be in a tokio runtime already.
    let compiled = COMPILED.get_or_init(|| std::thread::spawn(compiled).join().unwrap());
    let dir = test_dir();
    std::fs::create_dir(dir.join("store")).unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(compiled.join("store/compiled"))
        .arg(dir.join("store"))
        .status();
    assert!(copied.unwrap().success());
    dir
}

/// Makes a store in which the suite's components were compiled.
fn compiled() -> TestDir {
    let dir = test_dir();
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut served = Served::start(Serves::Runtime, &dir);
    threads.block_on(async {
        let client = served.client(Serves::Runtime);
        for guest in Guest::ALL {
            let wasm = std::fs::read(skep_harness::guest(guest.name())).unwrap();
            let bytes = futures_util::stream::once(async { Ok(wasm.into()) });
            client.put_component(Box::pin(bytes), Role::Admin).await.unwrap();
        }
    });
    served.terminate();
    dir
}

struct ServedSubject {
    serves: Serves,
    dir: TestDir,
    live: Mutex<Served>,
}

impl ServedSubject {
    async fn open(serves: Serves) -> Self {
        let opened = tokio::task::spawn_blocking(move || {
            let dir = prepared();
            let live = Mutex::new(Served::start(serves, &dir));
            Self { serves, dir, live }
        });
        opened.await.unwrap()
    }
}

#[async_trait::async_trait]
impl Subject for ServedSubject {
    fn runtime(&self) -> Arc<dyn RuntimeHandle> {
        Arc::new(self.live.lock().unwrap().client(self.serves))
    }

    async fn restart(&self, how: Restart) {
        let mut live = self.live.lock().unwrap();
        match how {
            Restart::Clean => live.terminate(),
            Restart::Crash => live.kill(),
        }
        *live = Served::start(self.serves, &self.dir);
    }

    fn wasm(&self, guest: Guest) -> Vec<u8> {
        std::fs::read(skep_harness::guest(guest.name())).unwrap()
    }
}

mod runtime {
    use super::{ServedSubject, Serves};

    skep_conformance::conformance!(ServedSubject::open(Serves::Runtime).await);

    mod of_pipelines {
        use super::{ServedSubject, Serves};

        skep_conformance::step_conformance!(ServedSubject::open(Serves::Runtime).await);
    }

    mod of_http_workers {
        use super::{ServedSubject, Serves};

        skep_conformance::http_conformance!(ServedSubject::open(Serves::Runtime).await);
    }
}

mod up {
    use super::{ServedSubject, Serves};

    skep_conformance::conformance!(ServedSubject::open(Serves::Up).await);

    mod of_pipelines {
        use super::{ServedSubject, Serves};

        skep_conformance::step_conformance!(ServedSubject::open(Serves::Up).await);
    }
}
