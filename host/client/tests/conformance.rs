//! The conformance suite over a remote in-memory runtime: behind `/v1` as a remote, and behind a
//! registry's API as for the command line.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use skep_api::{ApiParts, Console, Metrics, ServerLimits, Surface};
use skep_client::{Client, Endpoint, Prefix, Refusals, Token};
use skep_conformance::fake::FakeSubject;
use skep_conformance::{Guest, Subject};
use skep_protocol::{Role, RuntimeHandle, Timestamp};
use skep_registry::{Connect, ConnectError, EmbeddedRuntime, Registry, RegistryParts, RemoteSpec};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// An in-memory runtime, a server in front of it, and a client.
struct Distant {
    fake: FakeSubject,
    client: Client,
    _stop: oneshot::Sender<()>,
    _store: TempDir,
}

/// A connector for a test without remotes.
struct Nowhere;

impl Connect for Nowhere {
    fn connect(&self, _spec: &RemoteSpec) -> Result<Arc<dyn RuntimeHandle>, ConnectError> {
        panic!("this test has no remotes")
    }
}

fn now() -> Timestamp {
    Timestamp::since_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

impl Distant {
    async fn start(surface: Surface) -> Self {
        let fake = FakeSubject::new();
        let store = tempfile::tempdir().unwrap();
        let handle = fake.runtime();
        let view = handle.describe().await.unwrap();
        let runtime_id = view.runtime_id.clone();
        let registry = Registry::open(RegistryParts {
            dir: Dir::open_ambient_dir(store.path(), ambient_authority()).unwrap(),
            embedded: Some(EmbeddedRuntime {
                handle,
                runtime_id: view.runtime_id,
                host_id: view.host_id,
                display_name: "fake".parse().unwrap(),
            }),
            remotes: Vec::new(),
            local: None,
            sites: Vec::new(),
            connect: Arc::new(Nowhere),
            discovery: None,
            now,
            deadline: Duration::from_secs(10),
            ceilings: None,
            policy: None,
            audit: None,
            shared: None,
        })
        .unwrap();
        let token = registry.access().process_token(Role::Admin).unwrap();
        let limits = ServerLimits::default();
        let router = skep_api::router(ApiParts {
            registry,
            surface,
            allowed_hosts: Vec::new(),
            limits,
            metrics: Metrics::default(),
            ci_runs: None,
            console: Console::built_in(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(skep_api::serve(listener, router, limits, stopped));
        let client = Client::new(Endpoint {
            url: url.parse().unwrap(),
            token: Token::Text(token.expose().to_owned()),
            ca: None,
            insecure: false,
            prefix: match surface {
                Surface::Runtime => Prefix::V1,
                Surface::Browser => Prefix::Runtime(runtime_id),
            },
        });
        let client = client.unwrap().with_refusals(Refusals::Told);
        Self { fake, client, _stop: stop, _store: store }
    }
}

#[async_trait]
impl Subject for Distant {
    fn runtime(&self) -> Arc<dyn RuntimeHandle> {
        Arc::new(self.client.clone())
    }

    fn wasm(&self, guest: Guest) -> Vec<u8> {
        self.fake.wasm(guest)
    }
}

mod as_a_remote {
    use super::*;

    skep_conformance::conformance!(Distant::start(Surface::Runtime).await, without restarts);

    /// The browser's API answers a browser, so a client passes no requests through it.
    mod of_http_workers {
        use super::*;

        skep_conformance::http_conformance!(Distant::start(Surface::Runtime).await);
    }
}

mod behind_a_registry {
    use super::*;

    skep_conformance::conformance!(Distant::start(Surface::Browser).await, without restarts);
}
