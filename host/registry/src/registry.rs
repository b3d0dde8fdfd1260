//! The registry itself.

use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use skep_protocol::{
    AuditEntry, DisplayRef, Error, HostId, HostView, ListWorkers, Listing, Page, Role,
    RuntimeHandle, RuntimeId, RuntimeSummary, Source, Timestamp, WorkerEntry,
};

use crate::audit::{self, AuditLog};
use crate::changes;
use crate::cursor::{StreamPlace, audit_from_text, audit_to_text};
use crate::fleet::{self, Fleet, Member, Residents};
use crate::guarded::{Gate, Guarded, Target, while_valid};
use crate::list::{self, Wanted};
use crate::local::LocalRuntime;
use crate::watcher::Watcher;
use crate::{
    Access, Audit, Caller, Ceilings, Connect, FleetStream, Policy, Registrar, RegistryError,
    RemoteSpec, Remotes, RolePolicy,
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
    fleet: Arc<Fleet>,
    gate: Gate,
    log: Arc<AuditLog>,
    watcher: Watcher,
    deadline: Duration,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Otherwise remotes would be looked after for nobody.
        self.fleet.close();
    }
}

impl Registry {
    /// Opens a registry. Must be called within a tokio runtime, where it looks after its remotes
    /// until [`Registry::shutdown`].
    ///
    /// # Errors
    /// Where `registry.db` cannot be opened.
    pub fn open(parts: RegistryParts) -> Result<Self, RegistryError> {
        let (now, deadline) = (parts.now, parts.deadline);
        let registrar = Registrar::open_at(parts.dir, now)?;
        let log = Arc::new(AuditLog::open(&registrar.database)?);
        let gate = Gate {
            policy: parts.policy.unwrap_or_else(|| {
                let ceilings = parts.ceilings;
                Arc::new(RolePolicy { ceilings })
            }),
            audit: parts.audit.unwrap_or_else(|| {
                let log: Arc<AuditLog> = Arc::clone(&log);
                log
            }),
            access: registrar.access().clone(),
            now,
        };
        let local = parts.local.map(|dir| {
            let local: Arc<dyn RuntimeHandle> = Arc::new(LocalRuntime::new(dir, now));
            local
        });
        let residents = Residents { embedded: parts.embedded, local };
        let fleet = Fleet::new(residents, parts.remotes, parts.connect, now, deadline);
        let fleet = Arc::new(fleet);
        let watcher = Watcher::start(&registrar, Arc::clone(&fleet))?;
        Ok(Self(Arc::new(Inner { registrar, fleet, gate, log, watcher, deadline })))
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
    pub async fn runtimes(&self, caller: &Caller) -> Listing<RuntimeSummary> {
        let now = self.now();
        let mut list = list::runtimes(&self.seen(caller), self.0.deadline, now).await;
        for id in self.0.fleet.members().refused() {
            if self.0.gate.policy.sees(caller, id) {
                list.diagnostics.push(fleet::duplicate(id, now));
            }
        }
        list
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Error::UnknownRuntime`], also where the caller does not see it.
    pub async fn runtime(&self, caller: &Caller, id: &RuntimeId) -> Result<RuntimeSummary, Error> {
        let member = self.seen(caller).into_iter().find(|member| member.id == *id);
        let member = member.ok_or_else(|| Error::UnknownRuntime(id.clone()))?;
        Ok(member.ask(self.0.deadline).await)
    }

    /// The hosts of the runtimes that the caller sees, by id.
    pub async fn hosts(&self, caller: &Caller) -> Listing<HostView> {
        list::hosts(self.runtimes(caller).await)
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
        caller: &Caller,
        host: Option<&HostId>,
        query: ListWorkers,
        state: Option<&str>,
    ) -> Result<Listing<WorkerEntry>, Error> {
        let wanted = Wanted::new(query, state)?;
        let mut members = self.seen(caller);
        if let Some(host) = host {
            members.retain(|member| member.host().as_ref() == Some(host));
            if members.is_empty() {
                return Err(Error::UnknownHost(host.clone()));
            }
        }
        list::workers(&members, &wanted, self.0.deadline, self.now()).await
    }

    /// A runtime as the caller may use it. Each verb is refused or let through by the policy, and
    /// each change is in the audit before it is answered. Of a runtime that is unknown, or that the
    /// caller does not see, each verb is [`Error::UnknownRuntime`].
    ///
    /// # Errors
    /// None today: what is refused is refused by the verb, which the audit can name.
    pub fn handle(&self, caller: &Caller, id: &RuntimeId) -> Result<Arc<dyn RuntimeHandle>, Error> {
        let member = self.0.fleet.members().get(id).cloned();
        let seen = self.0.gate.policy.sees(caller, id);
        let target = match member {
            Some(member) if seen => Target::Seen(Arc::clone(&member.handle)),
            Some(_) => Target::Unseen,
            None => Target::Missing,
        };
        Ok(Arc::new(Guarded {
            gate: self.0.gate.clone(),
            caller: caller.clone(),
            runtime_id: id.clone(),
            target,
        }))
    }

    /// Where a runtime is from; where there is none, that is not told apart.
    pub fn source(&self, id: &RuntimeId) -> Source {
        let members = self.0.fleet.members();
        let found = members.iter().find(|member| member.id == *id);
        found.map_or(Source::Remote, |member| member.source)
    }

    /// The embedded runtime, as [`Registry::handle`].
    ///
    /// # Errors
    /// [`Error::RuntimeUnavailable`] where there is none.
    pub fn own(&self, caller: &Caller) -> Result<Arc<dyn RuntimeHandle>, Error> {
        let members = self.0.fleet.members();
        let embedded = members.iter().find(|member| member.source == Source::Embedded);
        self.handle(caller, &embedded.ok_or(Error::RuntimeUnavailable)?.id)
    }

    /// Follows the runtimes that the caller sees and their workers: first each as it is, then what
    /// changes. With the cursor of an earlier change, from there; runtimes are told of again. Where
    /// a runtime is told of with another `host_id` than before, or with none, all that was known of
    /// its workers is to be forgotten: each as it is follows. A runtime that is taken out of the
    /// registry changes to `unavailable` and is not heard of again.
    ///
    /// The stream ends with [`Error::Unauthenticated`] when the caller's token does.
    ///
    /// # Errors
    /// [`skep_protocol::Invalid::Cursor`].
    pub async fn changes(
        &self,
        caller: &Caller,
        cursor: Option<String>,
    ) -> Result<FleetStream, Error> {
        let place = cursor.as_deref().map(StreamPlace::from_text).transpose()?;
        let (policy, viewer) = (Arc::clone(&self.0.gate.policy), caller.clone());
        let sees = Box::new(move |id: &RuntimeId| policy.sees(&viewer, id));
        let deadline = self.0.deadline;
        let changes = changes::changes(Arc::clone(&self.0.fleet), sees, place, deadline);
        Ok(while_valid(self.access(), caller, changes))
    }

    /// What was changed and by whom, newest first; nothing of runtimes that the caller does not see,
    /// so a page may be short. For admins.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; [`skep_protocol::Invalid::Cursor`]; the file's.
    pub fn audit(&self, caller: &Caller, cursor: Option<&str>) -> Result<Page<AuditEntry>, Error> {
        self.0.gate.policy.allows(caller, Role::Admin)?;
        let before = cursor.map(audit_from_text).transpose()?;
        let read = |connection: &_| audit::page(connection, before);
        let (mut items, more) = self.0.registrar.database.read(read)?;
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|entry| audit_to_text(entry.seq));
        let policy = &self.0.gate.policy;
        items.retain(|e| e.runtime_id.as_ref().is_none_or(|id| policy.sees(caller, id)));
        Ok(Page { items, next_cursor })
    }

    /// Looks at `registry.db` again, soon. Changes of other processes are noticed within a second
    /// without it.
    pub fn reload(&self) {
        self.0.watcher.look();
    }

    /// Whether the embedded runtime has taken up what was unfinished.
    pub async fn is_ready(&self) -> bool {
        let members = self.0.fleet.members();
        match members.iter().find(|member| member.source == Source::Embedded) {
            Some(embedded) => embedded.handle.describe().await.is_ok_and(|view| view.ready),
            None => true,
        }
    }

    /// Lets go of all remotes, and writes what the audit has. What streams there are end.
    pub async fn shutdown(&self) {
        let inner = Arc::clone(&self.0);
        self.0.fleet.close();
        let close = tokio::task::spawn_blocking(move || {
            inner.watcher.close();
            inner.log.close();
        });
        if close.await.is_err() {
            tracing::error!("the registry did not close as it should");
        }
    }

    /// The runtimes that the caller sees, in their order.
    fn seen(&self, caller: &Caller) -> Vec<Arc<Member>> {
        let sees = |member: &&Arc<Member>| self.0.gate.policy.sees(caller, &member.id);
        self.0.fleet.members().iter().filter(sees).cloned().collect()
    }

    fn now(&self) -> Timestamp {
        (self.0.gate.now)()
    }
}
