//! A registry in a temporary directory, over puppets.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use cap_std::ambient_authority;
use cap_tempfile::TempDir;
use futures_util::FutureExt;
use skep_protocol::{
    AuditEntry, CreateToken, Diagnostic, DiagnosticCode, Error, ListAudit, Page, Role,
    RuntimeHandle, RuntimeId, RuntimeSummary, Status, Timestamp,
};
use skep_registry::{
    Caller, Connect, ConnectError, EmbeddedRuntime, Registrar, Registry, RegistryParts, RemoteSpec,
};

use crate::puppet::Puppet;

/// Deadline of lists in these tests.
pub(crate) const DEADLINE: Duration = Duration::from_millis(300);

/// A deadline for tests that measure durations, long enough for a busy machine.
pub(crate) const PATIENT: Duration = Duration::from_secs(3);

/// Timeout for anything that should happen soon.
const SOON: Duration = Duration::from_secs(20);

/// Remotes by address.
#[derive(Clone, Default)]
pub(crate) struct Net(Arc<Mutex<BTreeMap<String, Arc<Puppet>>>>);

impl Net {
    pub(crate) fn put(&self, endpoint: &str, puppet: &Arc<Puppet>) {
        self.0.lock().unwrap().insert(endpoint.into(), Arc::clone(puppet));
    }
}

impl Connect for Net {
    fn connect(&self, spec: &RemoteSpec) -> Result<Arc<dyn RuntimeHandle>, ConnectError> {
        let puppet = self.0.lock().unwrap().get(&spec.endpoint).cloned().ok_or(ConnectError)?;
        Ok(puppet)
    }
}

pub(crate) struct Bed {
    pub(crate) registry: Registry,
    pub(crate) home: Arc<Puppet>,
    pub(crate) store: TempDir,
    pub(crate) runs: TempDir,
}

pub(crate) fn now() -> Timestamp {
    Timestamp::since_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

pub(crate) fn id(text: &str) -> RuntimeId {
    text.parse().unwrap()
}

pub(crate) fn spec(name: &str) -> RemoteSpec {
    RemoteSpec {
        runtime_id: id(name),
        endpoint: format!("https://{name}.example"),
        token_file: None,
        ca_file: None,
        insecure: false,
        display_name: None,
    }
}

/// Creates puppets with these names, at the addresses of their entries.
pub(crate) fn far<const N: usize>(net: &Net, names: [&str; N]) -> [Arc<Puppet>; N] {
    names.map(|name| {
        let puppet = Puppet::new(name);
        net.put(&spec(name).endpoint, &puppet);
        puppet
    })
}

impl Bed {
    /// Creates a registry with `home` embedded, the local source, and these remotes.
    pub(crate) fn new(net: Net, remotes: Vec<RemoteSpec>) -> Self {
        Self::with(net, remotes, |_| {})
    }

    /// Creates the same with the deadline [`PATIENT`].
    pub(crate) fn patient(net: Net, remotes: Vec<RemoteSpec>) -> Self {
        Self::with(net, remotes, |parts| parts.deadline = PATIENT)
    }

    pub(crate) fn with(
        net: Net,
        remotes: Vec<RemoteSpec>,
        change: impl FnOnce(&mut RegistryParts),
    ) -> Self {
        let store = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let runs = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let home = Puppet::new("home");
        let handle: Arc<dyn RuntimeHandle> = Arc::clone(&home) as _;
        let mut parts = RegistryParts {
            dir: store.try_clone().unwrap(),
            embedded: Some(EmbeddedRuntime {
                handle,
                runtime_id: id("home"),
                host_id: "here".parse().unwrap(),
                display_name: "this machine".parse().unwrap(),
            }),
            remotes,
            local: Some(runs.try_clone().unwrap()),
            sites: Vec::new(),
            connect: Arc::new(net),
            discovery: None,
            now,
            deadline: DEADLINE,
            ceilings: None,
            policy: None,
            audit: None,
            shared: None,
        };
        change(&mut parts);
        let registry = Registry::open(parts).unwrap();
        Self { registry, home, store, runs }
    }

    /// Opens the file like another process.
    pub(crate) fn registrar(&self) -> Registrar {
        Registrar::open(self.store.try_clone().unwrap()).unwrap()
    }

    /// Returns the path of the store.
    pub(crate) fn root(&self) -> PathBuf {
        let dir = self.store.try_clone().unwrap();
        std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())).unwrap()
    }

    /// Creates a caller with a token.
    pub(crate) fn caller(&self, role: Role, runtimes: Option<&[&str]>) -> Caller {
        let runtimes = runtimes.map(|ids| ids.iter().map(|text| id(text)).collect());
        let new = CreateToken { role, name: None, runtimes, expires_at: None };
        let (secret, _) = self.registry.access().create_token(new).unwrap();
        let found = self.registry.access().bearer([10, 1, 1, 1].into(), secret.expose());
        found.now_or_never().expect("a host without a fleet waits for nothing").unwrap()
    }

    /// Returns a runtime's handle for the local operator.
    pub(crate) fn at(&self, runtime: &str) -> Arc<dyn RuntimeHandle> {
        self.registry.handle(&Caller::operator(), &id(runtime)).unwrap()
    }

    pub(crate) fn page_of_audit(&self, query: ListAudit) -> Page<AuditEntry> {
        self.registry.audit(&Caller::operator(), &query).unwrap()
    }

    /// Returns the whole audit, newest first.
    pub(crate) fn audit(&self) -> Vec<AuditEntry> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.page_of_audit(ListAudit { cursor, ..ListAudit::default() });
            all.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return all;
            }
        }
    }

    pub(crate) async fn summary(&self, runtime: &str) -> Result<RuntimeSummary, Error> {
        self.registry.runtime(&Caller::operator(), &id(runtime)).await
    }

    /// Waits until a runtime has a status.
    pub(crate) async fn until(&self, runtime: &str, status: Status) -> RuntimeSummary {
        let look = async || self.summary(runtime).await.ok().filter(|seen| seen.status == status);
        until(look).await
    }
}

/// Polls until there is a result.
pub(crate) async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < SOON, "timed out");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns subjects and codes of diagnostics.
pub(crate) fn subjects(diagnostics: &[Diagnostic]) -> Vec<(String, DiagnosticCode)> {
    let subject = |diagnostic: &Diagnostic| match &diagnostic.subject {
        Some(skep_protocol::Subject::Runtime(id)) => id.to_string(),
        Some(skep_protocol::Subject::Worker(id)) => id.to_string(),
        None => String::new(),
    };
    diagnostics.iter().map(|diagnostic| (subject(diagnostic), diagnostic.code)).collect()
}
