//! The registry of a host's runtimes.

use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use skep_protocol::{
    AuditEntry, Error, FleetDiagnostic, FleetStream, FollowChanges, FollowFleet, Grantable, HostId,
    HostView, LimitName, LimitView, ListAudit, ListWorkers, Listing, Page, Role, RuntimeHandle,
    RuntimeId, RuntimeSummary, Source, Timestamp, WorkerListing,
};

use crate::audit::{self, AuditLog};
use crate::changes::{self, FleetStart};
use crate::conflate::conflated;
use crate::cursor::{StreamPosition, audit_from_text, audit_to_text};
use crate::database::RegistryDatabase;
use crate::fleet::{Fleet, Member, Residents};
use crate::guarded_handle::{Gate, GuardedHandle, HandleTarget, while_valid};
use crate::list;
use crate::local::LocalRuntime;
use crate::sites::{SiteSpec, Sites};
use crate::watch;
use crate::watcher::Watcher;
use crate::worker_list;
use crate::{
    Access, Audit, AuditRecord, Caller, Ceilings, Connect, Discovery, EmbeddedRuntime, Policy,
    Registrar, RegistryError, RemoteSpec, Remotes, RolePolicy, SharedLog,
};

/// The parts of a registry.
pub struct RegistryParts {
    /// Root of the store, with `registry.db`.
    pub dir: Dir,
    /// Runtime in this process, if there is one.
    pub embedded: Option<EmbeddedRuntime>,
    /// Remotes of the configuration file, in addition to those of `registry.db`.
    pub remotes: Vec<RemoteSpec>,
    /// Sites of the settings.
    pub sites: Vec<SiteSpec>,
    /// Directory of foreground runs' records, if they are to be listed.
    pub local: Option<Dir>,
    /// Creates handles for remotes.
    pub connect: Arc<dyn Connect>,
    /// Finds further runtimes, if any are to be found.
    pub discovery: Option<Arc<dyn Discovery>>,
    /// Clock.
    pub now: fn() -> Timestamp,
    /// Deadline for each runtime in a list; usually 2 s.
    pub deadline: Duration,
    /// Ceilings of what operators may give workers, if any.
    pub ceilings: Option<Ceilings>,
    /// Policy; [`crate::RolePolicy`] with these ceilings if absent.
    pub policy: Option<Arc<dyn Policy>>,
    /// Audit; `registry.db` if absent.
    pub audit: Option<Arc<dyn Audit>>,
    /// The fleet with which the host shares tokens, sessions and the audit, if it belongs to one.
    pub shared: Option<SharedAccess>,
}

/// What the hosts of a fleet share.
pub struct SharedAccess {
    /// Name of the fleet, of letters, digits and `-`. This host's copy is in `fleet-NAME.db` in the root of
    /// the store.
    pub fleet: String,
    /// The log.
    pub log: Arc<dyn SharedLog>,
}

/// Returns true if the store in this directory has the file of a fleet.
///
/// # Errors
/// If the directory cannot be listed.
pub fn follows_fleet(dir: &Dir) -> std::io::Result<bool> {
    for entry in dir.entries()? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("fleet-") && name.ends_with(".db") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The runtimes of one workspace, restricted to what each caller may do.
#[derive(Clone)]
pub struct Registry(Arc<RegistryState>);

struct RegistryState {
    registrar: Registrar,
    access: Access,
    fleet: Arc<Fleet>,
    gate: Gate,
    /// The audit in `registry.db`, unless the fleet has it.
    log: Option<Arc<AuditLog>>,
    sites: Arc<Sites>,
    watcher: Watcher,
    deadline: Duration,
}

impl Drop for RegistryState {
    fn drop(&mut self) {
        // Otherwise the tasks that check remotes would outlive the registry.
        self.fleet.close();
    }
}

impl Registry {
    /// Opens a registry. Must be called within a tokio runtime, on which it checks its remotes
    /// until [`Registry::shutdown`].
    ///
    /// # Errors
    /// If `registry.db` cannot be opened.
    pub fn open(parts: RegistryParts) -> Result<Self, RegistryError> {
        let (now, deadline) = (parts.now, parts.deadline);
        let shared_dir = parts.dir.try_clone().map_err(|_| RegistryError::Io)?;
        let registrar = Registrar::open_at(parts.dir, now)?;
        let access = match parts.shared {
            None => registrar.access().clone(),
            Some(SharedAccess { fleet, log }) => {
                if registrar.access().has_tokens().unwrap_or(false) {
                    tracing::warn!(
                        "the tokens that this store had before its host joined a fleet are not valid \
                         there; create others"
                    );
                }
                let file = RegistryDatabase::open(shared_dir, &format!("fleet-{fleet}.db"))?;
                Access::shared(Arc::new(file), log, now)?
            }
        };
        let (audit, log) = match access.shared_audit() {
            Some(shared) => (shared, None),
            None => {
                let log = Arc::new(AuditLog::open(&registrar.database)?);
                let audit: Arc<dyn Audit> = Arc::clone(&log) as _;
                (audit, Some(log))
            }
        };
        let gate = Gate {
            policy: parts.policy.unwrap_or_else(|| {
                let ceilings = parts.ceilings;
                Arc::new(RolePolicy { ceilings })
            }),
            audit: parts.audit.unwrap_or(audit),
            access: access.clone(),
            now,
        };
        let local = parts.local.map(|dir| {
            let local: Arc<dyn RuntimeHandle> = Arc::new(LocalRuntime::new(dir, now));
            local
        });
        let residents = Residents { embedded: parts.embedded, local };
        let (connect, discovery) = (parts.connect, parts.discovery);
        let fleet = Fleet::new(residents, parts.remotes, connect, discovery, now, deadline);
        let fleet = Arc::new(fleet);
        Fleet::follow_discovery(&fleet);
        let sites = Arc::new(Sites::open(Arc::clone(&registrar.database), parts.sites)?);
        let watcher = Watcher::start(&registrar, Arc::clone(&fleet), Arc::clone(&sites))?;
        let state = RegistryState { registrar, access, fleet, gate, log, sites, watcher, deadline };
        Ok(Self(Arc::new(state)))
    }

    /// Returns tokens, sessions and login codes.
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// Returns the remotes of `registry.db`.
    pub fn remotes(&self) -> &Remotes {
        self.0.registrar.remotes()
    }

    /// Lists the runtimes that the caller sees: the embedded one, remotes by id, the local source.
    pub async fn runtimes(&self, caller: &Caller) -> Listing<RuntimeSummary> {
        let now = self.now();
        let mut list = list::runtimes(&self.seen(caller), self.0.deadline, now).await;
        for refused in self.0.fleet.members().refused() {
            if self.0.gate.policy.sees(caller, &refused.id) {
                list.diagnostics.push(refused.diagnostic(now));
            }
        }
        list
    }

    /// Describes one runtime.
    ///
    /// # Errors
    /// [`Error::UnknownRuntime`], also if the caller may not see it.
    pub async fn runtime(&self, caller: &Caller, id: &RuntimeId) -> Result<RuntimeSummary, Error> {
        let member = self.seen(caller).into_iter().find(|member| member.id == *id);
        let member = member.ok_or_else(|| Error::UnknownRuntime(id.clone()))?;
        Ok(member.ask(self.0.deadline).await)
    }

    /// Lists the hosts of the runtimes that the caller sees, by id.
    pub async fn hosts(&self, caller: &Caller) -> Listing<HostView> {
        list::hosts(self.runtimes(caller).await)
    }

    /// Lists workers of all runtimes that the caller sees, or of those on one host. With an order,
    /// workers of all runtimes are merged; without one, they are listed runtime by runtime, and
    /// within each by id. A runtime that does not answer in time is omitted, and a diagnostic
    /// reports it. A page may be short; the list ends when there is no cursor.
    ///
    /// # Errors
    /// [`Error::UnknownHost`]; [`skep_protocol::Invalid::Cursor`].
    pub async fn workers(
        &self,
        caller: &Caller,
        host: Option<&HostId>,
        query: ListWorkers,
    ) -> Result<WorkerListing, Error> {
        let mut members = self.seen(caller);
        if let Some(host) = host {
            members.retain(|member| member.host().as_ref() == Some(host));
            if members.is_empty() {
                return Err(Error::UnknownHost(host.clone()));
            }
        }
        worker_list::workers(&members, &query, self.0.deadline, self.now()).await
    }

    /// Lists workers of all runtimes that the caller sees, or of one.
    pub(crate) async fn workers_of(
        &self,
        caller: &Caller,
        runtime: Option<&RuntimeId>,
        query: ListWorkers,
    ) -> Result<WorkerListing, Error> {
        let mut members = self.seen(caller);
        if let Some(runtime) = runtime {
            members.retain(|member| member.id == *runtime);
            if members.is_empty() {
                return Err(Error::UnknownRuntime(runtime.clone()));
            }
        }
        worker_list::workers(&members, &query, self.0.deadline, self.now()).await
    }

    /// Checks that the caller has the permissions of a role.
    pub(crate) fn may(&self, caller: &Caller, needs: Role) -> Result<(), Error> {
        self.0.gate.policy.allows(caller, needs)
    }

    /// Lists the limits, with the ceilings of the caller's role.
    pub fn limits(&self, caller: &Caller) -> Vec<LimitView> {
        let policy = &self.0.gate.policy;
        let view = |&name| LimitView::new(name, policy.ceiling(caller, name));
        LimitName::ALL.iter().map(view).collect()
    }

    /// Returns the grants that the caller may give workers.
    pub fn grantable(&self, caller: &Caller) -> Grantable {
        self.0.gate.policy.grantable(caller)
    }

    /// Lists the diagnostics of all runtimes that the caller sees, newest first. The list's own
    /// diagnostics name the runtimes that do not answer.
    pub async fn diagnostics(&self, caller: &Caller) -> Listing<FleetDiagnostic> {
        list::diagnostics(&self.seen(caller), self.0.deadline, self.now()).await
    }

    /// Returns a handle restricted to the caller. The policy checks each verb, and each change is
    /// in the audit before it is answered. If the runtime is unknown or not visible to the caller,
    /// every verb fails with [`Error::UnknownRuntime`].
    ///
    /// # Errors
    /// None at present: verbs are refused when they are called, so that the audit can name them.
    pub fn handle(&self, caller: &Caller, id: &RuntimeId) -> Result<Arc<dyn RuntimeHandle>, Error> {
        let member = self.0.fleet.members().get(id).cloned();
        let seen = self.0.gate.policy.sees(caller, id);
        let target = match member {
            Some(member) if seen => HandleTarget::Seen(Arc::clone(&member.handle)),
            Some(_) => HandleTarget::Unseen,
            None => HandleTarget::Missing,
        };
        Ok(Arc::new(GuardedHandle {
            gate: self.0.gate.clone(),
            caller: caller.clone(),
            runtime_id: id.clone(),
            target,
        }))
    }

    /// Returns the source of a runtime; [`Source::Remote`] if it is unknown.
    pub fn source(&self, id: &RuntimeId) -> Source {
        let members = self.0.fleet.members();
        let found = members.iter().find(|member| member.id == *id);
        found.map_or(Source::Remote, |member| member.source)
    }

    /// Returns the embedded runtime, like [`Registry::handle`].
    ///
    /// # Errors
    /// [`Error::RuntimeUnavailable`] if there is none.
    pub fn own(&self, caller: &Caller) -> Result<Arc<dyn RuntimeHandle>, Error> {
        self.handle(caller, &self.own_id().ok_or(Error::RuntimeUnavailable)?)
    }

    /// Returns the id of the embedded runtime.
    pub(crate) fn own_id(&self) -> Option<RuntimeId> {
        let members = self.0.fleet.members();
        let embedded = members.iter().find(|member| member.source == Source::Embedded);
        embedded.map(|member| member.id.clone())
    }

    /// Follows the runtimes that the caller sees and their workers: first the current state of
    /// each, then changes. With the cursor of an earlier change, resumes after it; the runtimes are
    /// reported again. After a reset the client must forget the runtime's workers; all of them
    /// follow, unless the client follows from now on. A runtime that is removed from the registry
    /// changes to `unavailable` and is not reported again. The entries of watched workers are part of
    /// the stream.
    ///
    /// The stream ends with [`Error::Unauthenticated`] when the caller's token ends.
    ///
    /// # Errors
    /// [`skep_protocol::Invalid::Cursor`].
    pub async fn events(&self, caller: &Caller, follow: FollowFleet) -> Result<FleetStream, Error> {
        let FollowFleet { changes: FollowChanges { after, from_now }, interval, watched, preview } =
            follow;
        let position = after.as_deref().map(StreamPosition::from_text).transpose()?;
        let (policy, viewer) = (Arc::clone(&self.0.gate.policy), caller.clone());
        let sees = Box::new(move |id: &RuntimeId| policy.sees(&viewer, id));
        let (fleet, deadline) = (Arc::clone(&self.0.fleet), self.0.deadline);
        let start = FleetStart { sees, position, from_now, deadline };
        let mut events = changes::events(fleet, start);
        if let Some(interval) = interval {
            events = conflated(events, interval);
        }
        let entries = watched.into_iter().map(|watched| {
            let runtime = self.handle(caller, &watched.runtime_id)?;
            Ok(watch::entries(runtime, watched, preview))
        });
        let entries = entries.collect::<Result<Vec<_>, Error>>()?;
        let events = watch::with_entries(events, entries);
        Ok(while_valid(self.access(), caller, events))
    }

    /// Returns a page of the audit, newest first, for admins. It omits entries of runtimes that the
    /// caller may not see. A page may be short; the list ends when there is no cursor.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; [`skep_protocol::Invalid::Cursor`]; any error of `registry.db`.
    pub fn audit(&self, caller: &Caller, query: &ListAudit) -> Result<Page<AuditEntry>, Error> {
        self.0.gate.policy.allows(caller, Role::Admin)?;
        let before = query.cursor.as_deref().map(audit_from_text).transpose()?;
        let policy = &self.0.gate.policy;
        self.access().catch_up_blocking()?;
        let has = |entry: &AuditEntry| {
            let seen = entry.runtime_id.as_ref().is_none_or(|id| policy.sees(caller, id));
            seen && query.has(entry)
        };
        let read = |connection: &_| audit::page(connection, before, has);
        let (items, next) = self.0.access.database().read(read)?;
        Ok(Page { items, next_cursor: next.map(audit_to_text) })
    }

    /// Makes the registry reread `registry.db` at once. Without it, changes of other processes are
    /// noticed within a second.
    pub fn reload(&self) {
        self.0.watcher.check_now();
    }

    /// Returns true if the embedded runtime has finished restoring its workers.
    pub async fn is_ready(&self) -> bool {
        let members = self.0.fleet.members();
        match members.iter().find(|member| member.source == Source::Embedded) {
            Some(embedded) => embedded.handle.describe().await.is_ok_and(|view| view.ready),
            None => true,
        }
    }

    /// Drops all remotes, writes pending audit records and ends all streams.
    pub async fn shutdown(&self) {
        let inner = Arc::clone(&self.0);
        self.0.fleet.close();
        let close = tokio::task::spawn_blocking(move || {
            inner.watcher.close();
            if let Some(log) = &inner.log {
                log.close();
            }
        });
        if close.await.is_err() {
            tracing::error!("closing the registry panicked");
        }
    }

    /// Checks that the caller has the permissions of a role.
    pub(crate) fn allows(&self, caller: &Caller, needs: Role) -> Result<(), Error> {
        self.0.gate.policy.allows(caller, needs)
    }

    /// Returns true if the caller may know that the runtime exists.
    pub(crate) fn sees(&self, caller: &Caller, runtime: &RuntimeId) -> bool {
        self.0.gate.policy.sees(caller, runtime)
    }

    /// Writes a record to the audit.
    pub(crate) async fn record(&self, record: AuditRecord) -> Result<(), Error> {
        self.0.gate.audit.record(record).await
    }

    /// Returns the sites with their routes.
    pub(crate) fn sites(&self) -> &Arc<Sites> {
        &self.0.sites
    }

    /// Returns the members that the caller sees, in list order.
    fn seen(&self, caller: &Caller) -> Vec<Arc<Member>> {
        let sees = |member: &&Arc<Member>| self.0.gate.policy.sees(caller, &member.id);
        self.0.fleet.members().iter().filter(sees).cloned().collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0.gate.now)()
    }
}
