//! The runtimes of a registry.

mod circuit;
mod remote;
mod verbs;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use skep_protocol::{
    Capabilities, Diagnostic, DiagnosticCode, DisplayRef, Error, HostId, RuntimeHandle, RuntimeId,
    RuntimeSummary, RuntimeView, Source, Status, Timestamp,
};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub(crate) use self::remote::{Remote, RemoteEntry, RemoteHealth};
use self::verbs::RemoteHandle;
use crate::remotes::LOCAL;
use crate::{
    Connect, ConnectError, DiscoveredRuntime, Discovery, EmbeddedRuntime, RemoteSpec,
    UnusableRuntime,
};

/// One runtime, from any source.
pub(crate) struct Member {
    pub(crate) id: RuntimeId,
    pub(crate) source: Source,
    pub(crate) handle: Arc<dyn RuntimeHandle>,
    display_name: DisplayRef,
    /// Host id, if known without asking.
    host_id: Option<HostId>,
    remote: Option<Arc<Remote>>,
    /// Becomes true when the member has left the fleet.
    gone: watch::Sender<bool>,
    care: Option<AbortHandle>,
}

/// Sort key of a member in lists.
pub(crate) type Rank = (Source, RuntimeId);

impl Member {
    pub(crate) fn rank(&self) -> Rank {
        (self.source, self.id.clone())
    }

    pub(crate) fn remote(&self) -> Option<&Arc<Remote>> {
        self.remote.as_ref()
    }

    pub(crate) fn gone(&self) -> watch::Receiver<bool> {
        self.gone.subscribe()
    }

    /// Returns true if a list should not wait for this member.
    pub(crate) fn is_slow(&self) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.health().slow)
    }

    /// Returns the host id, if known.
    pub(crate) fn host(&self) -> Option<HostId> {
        match &self.remote {
            Some(remote) => remote.health().view.map(|view| view.host_id),
            None => self.host_id.clone(),
        }
    }

    /// Asks for the runtime's status, with a deadline.
    pub(crate) async fn ask(&self, deadline: Duration) -> RuntimeSummary {
        if self.is_slow() {
            return self.summary(None);
        }
        let answer = tokio::time::timeout(deadline, self.handle.describe()).await;
        if answer.is_err() {
            self.was_slow();
        }
        self.summary(answer.ok())
    }

    /// Records that the runtime missed a deadline.
    pub(crate) fn was_slow(&self) {
        if let Some(remote) = &self.remote {
            remote.was_slow();
        }
    }

    /// Builds the public summary, using a fresh description if there is one.
    fn summary(&self, answer: Option<Result<RuntimeView, Error>>) -> RuntimeSummary {
        let (view, status, since) = match &self.remote {
            Some(remote) => {
                let health = remote.health();
                (health.view.clone(), status(&health), health.since)
            }
            None => match answer {
                Some(Ok(view)) => {
                    let status = if view.ready { Status::Available } else { Status::Degraded };
                    (Some(view), status, None)
                }
                Some(Err(_)) | None => (None, Status::Degraded, None),
            },
        };
        let mutate = self.source != Source::Local;
        RuntimeSummary {
            runtime_id: self.id.clone(),
            display_name: self.display_name.clone(),
            source: self.source,
            status,
            unavailable_since: since,
            host_id: self.host(),
            capabilities: Capabilities { mutate, transcripts: mutate, files: mutate },
            version: view.as_ref().map(|v| v.version.clone()).filter(|v| !v.is_empty()),
            workers: view.as_ref().map(|view| view.workers),
            connected: view.as_ref().map(|view| view.connected),
        }
    }

    /// Builds the public summary without asking the runtime.
    pub(crate) fn known(&self) -> RuntimeSummary {
        self.summary(None)
    }

    fn leave(&self) {
        self.gone.send_replace(true);
        if let Some(care) = &self.care {
            care.abort();
        }
    }
}

fn status(health: &RemoteHealth) -> Status {
    let ready = health.view.as_ref().is_some_and(|view| view.ready);
    if health.since.is_some() || health.mismatch {
        Status::Unavailable
    } else if health.slow || !health.proven || !ready {
        Status::Degraded
    } else {
        Status::Available
    }
}

/// A snapshot of the members.
#[derive(Clone, Default)]
pub(crate) struct Members {
    by_rank: BTreeMap<Rank, Arc<Member>>,
    refused: Vec<RefusedEntry>,
}

/// An entry that is no member.
#[derive(Clone, Debug)]
pub(crate) struct RefusedEntry {
    pub(crate) id: RuntimeId,
    why: RefusalReason,
}

#[derive(Clone, Copy, Debug)]
enum RefusalReason {
    /// The operator's entry has the id of another member.
    IdTaken,
    /// A runtime that made itself known has the id of another member.
    DiscoveredIdTaken,
    Unusable(UnusableRuntime),
}

impl RefusedEntry {
    pub(crate) fn diagnostic(&self, at: Timestamp) -> Diagnostic {
        let id = &self.id;
        let message = match self.why {
            RefusalReason::IdTaken => {
                format!("duplicate remote id {id}; another runtime has it. Remove one of them")
            }
            RefusalReason::DiscoveredIdTaken => format!(
                "a runtime of the fleet has the id {id}, which another runtime of this host has; it is \
                 not used. Give one of them another id"
            ),
            RefusalReason::Unusable(UnusableRuntime::Duplicate) => format!(
                "two processes of the fleet say that they are {id}; neither is used. Stop one of them"
            ),
            RefusalReason::Unusable(UnusableRuntime::Unknown) => format!(
                "{id} is in the fleet, but this host has no token for it in that pool; add it to the file that \
                 `--fleet` names"
            ),
        };
        let subject = Some(id.clone().into());
        Diagnostic::new(DiagnosticCode::RuntimeMismatch, message, subject, at)
    }
}

impl Members {
    pub(crate) fn get(&self, id: &RuntimeId) -> Option<&Arc<Member>> {
        self.iter().find(|member| member.id == *id)
    }

    /// Iterates in list order: the embedded runtime, remotes by id, the local source.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.by_rank.values()
    }

    pub(crate) fn refused(&self) -> &[RefusedEntry] {
        &self.refused
    }

    fn refuse(&mut self, id: RuntimeId, why: RefusalReason) {
        self.refused.push(RefusedEntry { id, why });
    }
}

/// The members of a registry, and the means to connect new ones.
pub(crate) struct Fleet {
    members: RwLock<Arc<Members>>,
    /// Notified when members change; true once the fleet is closed.
    changed: watch::Sender<bool>,
    connect: Arc<dyn Connect>,
    discovery: Option<Arc<dyn Discovery>>,
    configured: Vec<RemoteSpec>,
    listed: Mutex<ListedRuntimes>,
    now: fn() -> Timestamp,
    deadline: Duration,
    tasks: Handle,
}

/// What the operator has added to `registry.db`, and what has made itself known.
#[derive(Default)]
struct ListedRuntimes {
    added: Vec<RemoteSpec>,
    discovered: Arc<Vec<DiscoveredRuntime>>,
}

/// The members that are fixed for the life of the process.
pub(crate) struct Residents {
    pub(crate) embedded: Option<EmbeddedRuntime>,
    pub(crate) local: Option<Arc<dyn RuntimeHandle>>,
}

impl Fleet {
    pub(crate) fn new(
        residents: Residents,
        configured: Vec<RemoteSpec>,
        connect: Arc<dyn Connect>,
        discovery: Option<Arc<dyn Discovery>>,
        now: fn() -> Timestamp,
        deadline: Duration,
    ) -> Self {
        let mut members = Members::default();
        let mut add = |member: Member| members.by_rank.insert(member.rank(), Arc::new(member));
        if let Some(embedded) = residents.embedded {
            add(Member {
                id: embedded.runtime_id,
                source: Source::Embedded,
                handle: embedded.handle,
                display_name: embedded.display_name,
                host_id: Some(embedded.host_id),
                remote: None,
                gone: watch::Sender::new(false),
                care: None,
            });
        }
        if let Some(handle) = residents.local {
            add(Member {
                id: LOCAL.parse().expect("that is a runtime's id"),
                source: Source::Local,
                handle,
                display_name: "foreground runs".parse().expect("that is plain text"),
                host_id: None,
                remote: None,
                gone: watch::Sender::new(false),
                care: None,
            });
        }
        Self {
            members: RwLock::new(Arc::new(members)),
            changed: watch::Sender::new(false),
            connect,
            discovery,
            configured,
            listed: Mutex::default(),
            now,
            deadline,
            tasks: Handle::current(),
        }
    }

    pub(crate) fn members(&self) -> Arc<Members> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns a receiver that is notified when members change, and is true once the fleet is
    /// closed.
    pub(crate) fn follow(&self) -> watch::Receiver<bool> {
        self.changed.subscribe()
    }

    /// Replaces the remotes from `registry.db`: connects new ones and drops those that are gone.
    /// Unchanged entries, and those of the configuration, stay as they are.
    pub(crate) fn set_added(&self, added: Vec<RemoteSpec>) {
        self.update(|listed| listed.added = added);
    }

    /// Follows the runtimes that make themselves known, until the fleet is closed.
    pub(crate) fn follow_discovery(fleet: &Arc<Self>) {
        let Some(discovery) = &fleet.discovery else { return };
        let (mut found, mut closed) = (discovery.follow(), fleet.follow());
        let weak = Arc::downgrade(fleet);
        fleet.tasks.spawn(async move {
            loop {
                let discovered = found.borrow_and_update().clone();
                let Some(fleet) = weak.upgrade() else { return };
                fleet.update(|listed| listed.discovered = discovered);
                drop(fleet);
                tokio::select! {
                    changed = found.changed() => if changed.is_err() { return },
                    _ = closed.wait_for(|closed| *closed) => return,
                }
            }
        });
    }

    /// Changes what is listed, and makes that the members.
    fn update(&self, change: impl FnOnce(&mut ListedRuntimes)) {
        // Held until the members are replaced, so that a later list is not replaced by an earlier one.
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut listed);
        let before = self.members();
        let mut after = Members::default();
        let stay = |member: &&Arc<Member>| member.remote.is_none();
        after.by_rank.extend(before.iter().filter(stay).map(|m| (m.rank(), Arc::clone(m))));
        let mut entries: BTreeMap<RuntimeId, RemoteEntry> = BTreeMap::new();
        for spec in self.configured.iter().chain(&listed.added).cloned() {
            let (id, entry) = (spec.runtime_id.clone(), RemoteEntry::Added(spec));
            let taken = id.as_str() == LOCAL || after.get(&id).is_some();
            match entries.get(&id) {
                Some(first) if *first == entry => {}
                None if !taken => drop(entries.insert(id, entry)),
                Some(_) | None => after.refuse(id, RefusalReason::IdTaken),
            }
        }
        for DiscoveredRuntime { runtime_id: id, unusable } in listed.discovered.iter().cloned() {
            let taken =
                id.as_str() == LOCAL || after.get(&id).is_some() || entries.contains_key(&id);
            match unusable {
                _ if taken => after.refuse(id, RefusalReason::DiscoveredIdTaken),
                Some(why) => after.refuse(id, RefusalReason::Unusable(why)),
                None => drop(entries.insert(id.clone(), RemoteEntry::Discovered(id))),
            }
        }
        for entry in entries.into_values() {
            let old = before.get(entry.id());
            let same = old.filter(|old| old.remote.as_ref().is_some_and(|r| r.entry == entry));
            let member = same.map_or_else(|| Arc::new(self.remote(entry)), Arc::clone);
            after.by_rank.insert(member.rank(), member);
        }
        let is_in = |members: &Members, member: &Arc<Member>| {
            members.by_rank.get(&member.rank()).is_some_and(|other| Arc::ptr_eq(other, member))
        };
        let left: Vec<_> = before.iter().filter(|m| !is_in(&after, m)).cloned().collect();
        let news = !left.is_empty() || after.iter().any(|member| !is_in(&before, member));
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        for member in left {
            member.leave();
        }
        if news {
            self.changed.send_modify(|_| {});
        }
    }

    /// Drops all members.
    pub(crate) fn close(&self) {
        self.changed.send_replace(true);
        for member in self.members().iter() {
            member.leave();
        }
    }

    fn remote(&self, entry: RemoteEntry) -> Member {
        let _entered = self.tasks.enter();
        let (id, source) = (entry.id().clone(), entry.source());
        let (runtime, name) = match &entry {
            RemoteEntry::Added(spec) => (self.connect.connect(spec), spec.display_name.clone()),
            RemoteEntry::Discovered(id) => {
                let discovery = self.discovery.as_ref().ok_or(ConnectError);
                (discovery.and_then(|discovery| discovery.connect(id)), None)
            }
        };
        let named = || id.as_str().parse().expect("an id is plain text");
        let display_name = name.unwrap_or_else(named);
        let remote = Arc::new(Remote::new(entry, runtime, self.now, self.deadline));
        let cared = Arc::clone(&remote);
        let care = self.tasks.spawn(async move { cared.monitor().await }).abort_handle();
        Member {
            id,
            source,
            handle: Arc::new(RemoteHandle(Arc::clone(&remote))),
            display_name,
            host_id: None,
            remote: Some(remote),
            gone: watch::Sender::new(false),
            care: Some(care),
        }
    }
}
