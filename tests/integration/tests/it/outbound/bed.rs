//! A runtime with a test network, and workers of the guest `caller`.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::StreamExt;
use skep_harness::{TestDir, Wrap, test_dir};
use skep_protocol::worker::LimitChanges;
use skep_protocol::{
    Artifacts, CreateWorker, Cursor, Entry, EntryKind, LimitName, Limits, ListEntries, NewInput,
    Outcome, Output, Payload, Role, SecretName, Sent, Turns, WorkerId, WorkerSpec, Workers,
};
use skep_runtime::{Embedded, Options};
use skep_sandbox::{
    InProcessCompiler, Incremental, OperatorSecret, Outbound, Resolver, Sandbox, SandboxParts,
    SystemResolver, Wasi03,
};

use crate::embedded::open_knowing;
use crate::served::Served;

const PATIENCE: Duration = Duration::from_secs(60);

/// A resolver that gives these addresses for every name.
pub(crate) struct Names(Vec<IpAddr>);

impl Names {
    pub(crate) fn of(addresses: &[&str]) -> Arc<Self> {
        Arc::new(Self(addresses.iter().map(|address| address.parse().unwrap()).collect()))
    }
}

impl Resolver for Names {
    fn addresses(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.clone())
    }
}

pub(crate) struct Bed {
    pub(crate) runtime: Embedded,
    pub(crate) dir: TestDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::make(Arc::new(SystemResolver), &[], BTreeMap::new())
    }

    pub(crate) fn with(names: Arc<dyn Resolver>, authorities: &[Vec<u8>]) -> Self {
        Self::make(names, authorities, BTreeMap::new())
    }

    pub(crate) fn knowing(secrets: BTreeMap<SecretName, OperatorSecret>) -> Self {
        Self::make(Arc::new(SystemResolver), &[], secrets)
    }

    fn make(
        names: Arc<dyn Resolver>,
        authorities: &[Vec<u8>],
        secrets: BTreeMap<SecretName, OperatorSecret>,
    ) -> Self {
        let dir = test_dir();
        let cache = skep_harness::shared_cache();
        std::fs::create_dir_all(&cache).unwrap();
        let sandbox = Sandbox::start(SandboxParts {
            cores: 2,
            workers: 8,
            compiler: Arc::new(InProcessCompiler),
            cache: Some(Dir::open_ambient_dir(cache, ambient_authority()).unwrap()),
            incremental: Incremental::Off,
            limits: Limits::default(),
            outbound: Outbound::new(names, authorities.to_vec()),
            wasi_0_3: Wasi03::Off,
        });
        let runtime = open_knowing(&dir, sandbox.unwrap(), secrets, Options::default());
        Self { runtime, dir }
    }

    /// Creates a worker with these grants, limits and secrets.
    pub(crate) async fn caller(
        &self,
        grants: &[&str],
        limits: &[(LimitName, u64)],
        secrets: &[&str],
    ) -> WorkerId {
        let wasm = std::fs::read(skep_harness::guest("caller")).unwrap();
        let bytes = futures_util::stream::iter([Ok(wasm.into())]).boxed();
        let component = self.runtime.put_component(bytes, Role::Admin).await.unwrap().item;
        let mut spec = WorkerSpec::new(component.digest);
        spec.limits = LimitChanges(limits.iter().copied().collect());
        spec.grants.http = grants.iter().map(|grant| grant.parse().unwrap()).collect();
        spec.grants.secrets = secrets.iter().map(|name| name.parse().unwrap()).collect();
        let request = CreateWorker { worker_id: None, spec };
        self.runtime.create(request).await.unwrap().item.worker_id
    }

    pub(crate) async fn send(&self, worker: WorkerId, command: &str) -> Outcome {
        let payload =
            Payload { content_type: "text/plain".into(), body: command.to_owned().into() };
        let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
        match self.runtime.send(worker, input).await.unwrap() {
            Sent::Done { outcome, .. } => outcome,
            Sent::Accepted { .. } => panic!("{command} took longer than {PATIENCE:?}"),
        }
    }

    pub(crate) async fn ask(&self, worker: WorkerId, command: &str) -> String {
        match self.send(worker, command).await {
            Outcome { output: Some(Output::Message(payload)), .. } => {
                String::from_utf8(payload.body.to_vec()).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Returns the entries of one kind.
    pub(crate) async fn entries(&self, worker: WorkerId, kind: EntryKind) -> Vec<Entry> {
        let page =
            self.runtime.transcript(worker, ListEntries::after(Cursor(0), 1_000)).await.unwrap();
        page.entries.into_iter().filter(|entry| entry.kind == kind).collect()
    }
}

/// Parses the body of an entry.
pub(crate) fn json(entry: &Entry) -> serde_json::Value {
    serde_json::from_slice(&entry.payload.body).unwrap()
}

pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Creates the worker `asker` on a host.
pub(crate) fn create_on(host: &Served, component: &str, grant: &str) {
    use crate::served::Serves;
    let mut spec = WorkerSpec::new(component.parse().unwrap());
    spec.display_ref = Some("asker".parse().unwrap());
    spec.grants.http = vec![grant.parse().unwrap()];
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let request = CreateWorker { worker_id: None, spec };
    threads.block_on(host.client(Serves::Up).create(request)).unwrap();
}

/// Wraps a connection in TLS with this certificate.
pub(crate) fn tls(key: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Wrap {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private.into());
    let config = Arc::new(config.unwrap());
    Arc::new(move |stream| {
        let session = rustls::ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        Ok(Box::new(rustls::StreamOwned::new(session, stream)))
    })
}
