//! The test bed: a registry in a temporary directory, two runtimes, and the API on a socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use skep_api::{ApiParts, Console, Metrics, ServerLimits, Surface, router, serve};
use skep_conformance::fake::FakeSubject;
use skep_conformance::{Guest, Subject as _};
use skep_protocol::ci::CiRuns;
use skep_protocol::{CreateToken, Role, RuntimeHandle, Timestamp};
use skep_registry::{
    Connect, ConnectError, EmbeddedRuntime, Registry, RegistryParts, RemoteSpec, SiteSpec,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Ask, LONG};
use crate::puppet::Puppet;

/// Part of the path of the store's directory.
pub(crate) const ROOT_MARK: &str = "mark-of-the-store-root";
/// Part of the address of the remote.
pub(crate) const ENDPOINT_MARK: &str = "mark-of-the-endpoint";
/// Part of the paths of the remote's files.
pub(crate) const FILE_MARK: &str = "mark-of-a-secret-file";

/// A console as its build writes it.
const CONSOLE: &[(&str, &[u8])] = &[
    ("assets/app-5a1c.js", b"\"use strict\";"),
    ("assets/app-5a1c.js.br", b"brotli"),
    ("assets/app-5a1c.js.gz", b"gzip"),
    ("assets/app-9f00.css", b"body {}"),
    ("index.html", b"<!doctype html><title>Skep</title>"),
    ("index.html.br", b"page in brotli"),
];

pub(crate) struct Bed {
    pub(crate) addr: SocketAddr,
    pub(crate) registry: Registry,
    /// The embedded runtime, `home`.
    pub(crate) home: Arc<Puppet>,
    /// The remote, `far`.
    pub(crate) far: Arc<Puppet>,
    /// An admin's token.
    pub(crate) admin: String,
    pub(crate) surface: Surface,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

struct Near(Arc<Puppet>);

impl Connect for Near {
    fn connect(&self, _spec: &RemoteSpec) -> Result<Arc<dyn RuntimeHandle>, ConnectError> {
        Ok(Arc::clone(&self.0) as Arc<dyn RuntimeHandle>)
    }
}

fn now() -> Timestamp {
    Timestamp::since_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

impl Bed {
    pub(crate) async fn browser() -> Self {
        Self::of(Surface::Browser, ServerLimits::default()).await
    }

    pub(crate) async fn runtime() -> Self {
        Self::of(Surface::Runtime, ServerLimits::default()).await
    }

    pub(crate) async fn of(surface: Surface, limits: ServerLimits) -> Self {
        Self::serving(Console::of(CONSOLE).unwrap(), surface, limits).await
    }

    /// Starts a bed that serves this console.
    pub(crate) async fn serving(console: Console, surface: Surface, limits: ServerLimits) -> Self {
        Self::with_runs(crate::ci::runs(), console, surface, limits).await
    }

    /// Starts a bed with these runs of pipelines.
    pub(crate) async fn with_runs(
        ci_runs: Option<Arc<dyn CiRuns>>,
        console: Console,
        surface: Surface,
        limits: ServerLimits,
    ) -> Self {
        let temp = tempfile::Builder::new().prefix(ROOT_MARK).tempdir().unwrap();
        let authority = cap_std::ambient_authority();
        let dir = cap_std::fs::Dir::open_ambient_dir(temp.path(), authority).unwrap();
        let (home, far) = (Arc::new(Puppet::new("home")), Arc::new(Puppet::new("far")));
        let embedded = EmbeddedRuntime {
            handle: Arc::clone(&home) as Arc<dyn RuntimeHandle>,
            runtime_id: "home".parse().unwrap(),
            host_id: "fake-host".parse().unwrap(),
            display_name: "Home".parse().unwrap(),
        };
        let remote = RemoteSpec {
            runtime_id: "far".parse().unwrap(),
            endpoint: format!("http://{ENDPOINT_MARK}.example:7171"),
            token_file: Some(format!("/{FILE_MARK}/token").into()),
            ca_file: Some(format!("/{FILE_MARK}/ca.pem").into()),
            insecure: true,
            display_name: None,
        };
        let main = SiteSpec { name: "main".parse().unwrap(), public: false, routes: Vec::new() };
        let registry = Registry::open(RegistryParts {
            dir,
            embedded: Some(embedded),
            remotes: vec![remote],
            local: None,
            sites: vec![main],
            connect: Arc::new(Near(Arc::clone(&far))),
            discovery: None,
            now,
            deadline: Duration::from_millis(500),
            ceilings: None,
            policy: None,
            audit: None,
            shared: None,
        })
        .unwrap();
        let admin = token(&registry, Role::Admin, None);
        let router = router(ApiParts {
            registry: registry.clone(),
            surface,
            allowed_hosts: vec!["skep.example".into()],
            limits,
            metrics: Metrics::default(),
            console,
            ci_runs,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move {
            serve(listener, router, limits, stopped).await.unwrap();
        });
        let stop = Some(stop);
        Self { addr, registry, home, far, admin, surface, stop, served, _dir: temp }
    }

    /// Creates a token of another role.
    pub(crate) fn token(&self, role: Role, runtimes: Option<&str>) -> String {
        token(&self.registry, role, runtimes)
    }

    /// Creates a request without a credential.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask {
        Ask::new(self.addr, method, path)
    }

    /// Creates a request with the admin's token.
    pub(crate) fn admin(&self, method: &str, path: &str) -> Ask {
        self.ask(method, path).bearer(&self.admin)
    }

    /// Returns a path below the embedded runtime.
    pub(crate) fn at(&self, rest: &str) -> String {
        match self.surface {
            Surface::Browser => format!("/api/runtimes/home{rest}"),
            Surface::Runtime => format!("/v1{rest}"),
        }
    }

    /// Stores a guest's component, and returns its digest.
    pub(crate) async fn push(&self, guest: Guest) -> String {
        let wasm = FakeSubject::new().wasm(guest);
        let said = self.admin("POST", &self.at("/components")).body(wasm).send().await;
        assert!(matches!(said.status, 200 | 201), "{said:?}");
        said.json()["digest"].as_str().unwrap().to_owned()
    }

    /// Creates a worker, and returns its path.
    pub(crate) async fn worker(&self, guest: Guest) -> String {
        let digest = self.push(guest).await;
        let spec = serde_json::json!({ "component": digest });
        let said = self.admin("POST", &self.at("/workers")).json(&spec).send().await.is(201);
        self.at(&format!("/workers/{}", said.json()["worker_id"].as_str().unwrap()))
    }

    /// Sends an input to a worker and waits for the outcome.
    pub(crate) async fn handle(&self, worker: &str, input: &str) -> serde_json::Value {
        let path = format!("{worker}/inputs?wait_ms=10000");
        self.admin("POST", &path).body(input.to_owned()).send().await.is(200).json()
    }

    /// Shuts down, and returns the time it took.
    pub(crate) async fn shut_down(&mut self) -> Duration {
        let began = std::time::Instant::now();
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(LONG, &mut self.served).await.unwrap().unwrap();
        began.elapsed()
    }
}

fn token(registry: &Registry, role: Role, runtimes: Option<&str>) -> String {
    let runtimes = runtimes.map(|id| vec![id.parse().unwrap()]);
    let new = CreateToken { role, name: None, runtimes, expires_at: None };
    registry.access().create_token(new).unwrap().0.expose().to_owned()
}
