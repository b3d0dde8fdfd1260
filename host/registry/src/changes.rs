//! The merged change stream of all runtimes and their workers.
//!
//! Each runtime has a follower; their changes are merged in order of arrival. If a runtime becomes
//! unavailable, its follower reports that, waits, and resumes where it stopped. If the runtime has
//! become another process, the follower first reports the workers that are gone, then every worker.
//!
//! A client that resumes with a cursor from an earlier process of a runtime cannot be told which
//! workers are gone. So whenever a runtime is reported with a different `host_id`, or with none,
//! the client must forget its workers; all of them follow.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, SelectAll};
use futures_util::{Stream, StreamExt};
use skep_protocol::{
    Change, ChangeStream, Changed, Error, FleetChange, FleetStream, Invalid, ListWorkers,
    RuntimeHandle, RuntimeId, RuntimeSummary, Status, WorkerId,
};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::cursor::{RuntimePosition, StreamPosition};
use crate::fleet::{Fleet, Member, RemoteHealth};

/// Delay before retrying a runtime that answers but whose change stream cannot be opened.
const RETRY: Duration = Duration::from_secs(1);
/// Interval for polling a runtime of this process while it is restoring.
const LOOK: Duration = Duration::from_millis(500);

/// A change reported by a follower, and the position after it.
struct FollowerChange {
    runtime_id: RuntimeId,
    mark: Option<RuntimePosition>,
    what: Changed,
}

impl FollowerChange {
    fn removed(runtime_id: RuntimeId) -> Self {
        let what = Changed::RuntimeRemoved { runtime_id: runtime_id.clone() };
        Self { runtime_id, mark: None, what }
    }
}

type FollowerStream = Pin<Box<dyn Stream<Item = FollowerChange> + Send>>;

/// The merged followers of all visible runtimes.
struct Merged {
    fleet: Arc<Fleet>,
    sees: Box<dyn Fn(&RuntimeId) -> bool + Send>,
    deadline: Duration,
    others: watch::Receiver<bool>,
    followers: SelectAll<FollowerStream>,
    followed: Vec<Arc<Member>>,
    position: StreamPosition,
}

/// Follows all visible runtimes of a fleet.
pub(crate) fn changes(
    fleet: Arc<Fleet>,
    sees: Box<dyn Fn(&RuntimeId) -> bool + Send>,
    position: Option<StreamPosition>,
    deadline: Duration,
) -> FleetStream {
    let others = fleet.follow();
    let mut merged = Merged {
        fleet,
        sees,
        deadline,
        others,
        followers: SelectAll::new(),
        followed: Vec::new(),
        position: position.unwrap_or_default(),
    };
    merged.report_removed_runtimes();
    merged.follow_new_members();
    stream::unfold(merged, |mut merged| async move {
        let change = merged.next().await?;
        Some((Ok(change), merged))
    })
    .boxed()
}

impl Merged {
    async fn next(&mut self) -> Option<FleetChange> {
        loop {
            if *self.others.borrow_and_update() {
                return None;
            }
            let said = tokio::select! {
                biased;
                changed = self.others.changed() => {
                    changed.ok()?;
                    self.follow_new_members();
                    continue;
                }
                Some(said) = self.followers.next() => said,
            };
            match (said.mark, &said.what) {
                (Some(mark), _) => drop(self.position.0.insert(said.runtime_id, mark)),
                // A new member has this id, and its own follower reports it.
                (None, Changed::RuntimeRemoved { .. }) if self.follows(&said.runtime_id) => {
                    continue;
                }
                (None, Changed::RuntimeRemoved { .. }) => {
                    drop(self.position.0.remove(&said.runtime_id))
                }
                (None, _) => {}
            }
            return Some(FleetChange { cursor: self.position.to_text(), what: said.what });
        }
    }

    fn follows(&self, runtime: &RuntimeId) -> bool {
        (self.sees)(runtime) && self.fleet.members().get(runtime).is_some()
    }

    /// Reports runtimes that the cursor mentions and that are gone or no longer visible to the
    /// caller. The two cases look the same.
    fn report_removed_runtimes(&mut self) {
        let heard_of: Vec<_> = self.position.0.keys().cloned().collect();
        let gone = heard_of.into_iter().filter(|runtime| !self.follows(runtime));
        let gone: Vec<_> = gone.map(FollowerChange::removed).collect();
        self.followers.push(stream::iter(gone).boxed());
    }

    /// Starts followers for new members. Those of removed members end by themselves.
    fn follow_new_members(&mut self) {
        let members = self.fleet.members();
        self.followed.retain(|old| members.iter().any(|member| Arc::ptr_eq(member, old)));
        for member in members.iter().filter(|member| (self.sees)(&member.id)) {
            if !self.followed.iter().any(|old| Arc::ptr_eq(member, old)) {
                self.followed.push(Arc::clone(member));
                let mark = self.position.0.get(&member.id).cloned();
                self.followers
                    .push(RuntimeFollower::new(Arc::clone(member), mark, self.deadline).stream());
            }
        }
    }
}

/// A follower of one runtime.
struct RuntimeFollower {
    member: Arc<Member>,
    deadline: Duration,
    gone: watch::Receiver<bool>,
    health: Option<watch::Receiver<RemoteHealth>>,
    mark: Option<RuntimePosition>,
    changes: Option<ChangeStream>,
    /// Workers reported by this follower, to find those that are gone after a restart.
    named: HashSet<WorkerId>,
    said: Option<RuntimeSummary>,
    ready: VecDeque<FollowerChange>,
    /// True if the follower must wait before the next attempt. Queued changes are reported first.
    waits: bool,
    ended: bool,
}

/// An event that a follower waits for.
enum FollowerEvent {
    Gone,
    Health,
    Change(Option<Result<Change, Error>>),
}

impl RuntimeFollower {
    fn new(member: Arc<Member>, mark: Option<RuntimePosition>, deadline: Duration) -> Self {
        let health = member.remote().map(|remote| remote.follow());
        Self {
            gone: member.gone(),
            member,
            deadline,
            health,
            mark,
            changes: None,
            named: HashSet::new(),
            said: None,
            ready: VecDeque::new(),
            waits: false,
            ended: false,
        }
    }

    fn stream(self) -> FollowerStream {
        stream::unfold(self, |mut follower| async move {
            loop {
                if let Some(said) = follower.ready.pop_front() {
                    return Some((said, follower));
                }
                if follower.ended {
                    return None;
                }
                follower.advance().await;
            }
        })
        .boxed()
    }

    async fn advance(&mut self) {
        if self.has_left() {
            let runtime_id = self.member.id.clone();
            self.ready.push_back(FollowerChange::removed(runtime_id));
            self.ended = true;
        } else if std::mem::take(&mut self.waits) {
            self.pause().await;
        } else if self.changes.is_some() {
            self.follow().await;
        } else {
            self.begin().await;
        }
    }

    fn has_left(&self) -> bool {
        *self.gone.borrow()
    }

    /// Opens the runtime's change stream, or schedules a wait before the next attempt.
    async fn begin(&mut self) {
        let summary = self.member.ask(self.deadline).await;
        let status = summary.status;
        let host = summary.host_id.as_ref().map_or("", |host| host.as_str()).to_owned();
        // The runtime is reported before its workers.
        self.report(summary);
        if status == Status::Unavailable {
            self.waits = true;
            return;
        }
        let cursor = self.mark.as_ref().filter(|mark| mark.host == host && !host.is_empty());
        let cursor = cursor.and_then(|mark| mark.cursor.clone());
        let taken = open_changes(&*self.member.handle, &self.named, cursor);
        match timeout(self.deadline, taken).await {
            Ok(Ok((changes, cursor, gone))) => {
                for worker_id in gone {
                    self.named.remove(&worker_id);
                    self.worker(Change { cursor: String::new(), worker_id, worker: None }, None);
                }
                self.mark = Some(RuntimePosition { host, cursor });
                self.changes = Some(changes);
            }
            Ok(Err(_)) | Err(_) => self.waits = true,
        }
    }

    async fn follow(&mut self) {
        let Some(changes) = &mut self.changes else { return };
        let restoring = self.said.as_ref().is_some_and(|said| said.status == Status::Degraded);
        let heard = tokio::select! {
            biased;
            () = wait_until_gone(&mut self.gone) => FollowerEvent::Gone,
            () = health_changed(&mut self.health, restoring) => FollowerEvent::Health,
            change = changes.next() => FollowerEvent::Change(change),
        };
        match heard {
            FollowerEvent::Gone => {}
            FollowerEvent::Health => self.refresh().await,
            FollowerEvent::Change(Some(Ok(change))) => {
                let mark = RuntimePosition {
                    host: self.mark.take().map(|mark| mark.host).unwrap_or_default(),
                    cursor: Some(change.cursor.clone()),
                };
                self.mark = Some(mark.clone());
                match &change.worker {
                    Some(_) => self.named.insert(change.worker_id),
                    None => self.named.remove(&change.worker_id),
                };
                self.worker(change, Some(mark));
            }
            FollowerEvent::Change(Some(Err(_)) | None) => {
                self.changes = None;
                self.refresh().await;
                self.waits = true;
            }
        }
    }

    /// Refreshes the runtime's status. Closes the change stream if the runtime is unavailable or
    /// another process.
    async fn refresh(&mut self) {
        let summary = match self.member.remote() {
            Some(_) => self.member.known(),
            None => self.member.ask(self.deadline).await,
        };
        let before = self.said.as_ref().and_then(|said| said.host_id.clone());
        let other = summary.host_id != before || summary.host_id.is_none();
        if summary.status == Status::Unavailable || other {
            self.changes = None;
        }
        self.report(summary);
    }

    /// Waits until the runtime's health changes, or for [`RETRY`].
    async fn pause(&mut self) {
        let known = self.member.remote().map(|remote| remote.health());
        let away = known.is_some_and(|health| health.since.is_some());
        let while_there = async {
            if away {
                std::future::pending().await
            } else {
                sleep(RETRY).await;
            }
        };
        tokio::select! {
            () = wait_until_gone(&mut self.gone) => {}
            () = health_changed(&mut self.health, false) => {}
            () = while_there => {}
        }
    }

    /// Reports the runtime if its summary has changed.
    fn report(&mut self, summary: RuntimeSummary) {
        let plain = |summary: &RuntimeSummary| {
            // The counts change with every worker, and workers are reported by themselves.
            RuntimeSummary { workers: None, connected: None, ..summary.clone() }
        };
        if self.said.as_ref().map(plain) == Some(plain(&summary)) {
            return;
        }
        self.said = Some(summary.clone());
        self.ready.push_back(FollowerChange {
            runtime_id: self.member.id.clone(),
            mark: None,
            what: Changed::Runtime { runtime: Box::new(summary) },
        });
    }

    fn worker(&mut self, change: Change, mark: Option<RuntimePosition>) {
        let runtime_id = self.member.id.clone();
        let (worker_id, worker) = (change.worker_id, change.worker);
        let what = Changed::Worker { runtime_id: runtime_id.clone(), worker_id, worker };
        self.ready.push_back(FollowerChange { runtime_id, mark, what });
    }
}

/// Opens a runtime's change stream. Returns it with the cursor it starts after, and the named
/// workers that are gone.
async fn open_changes(
    handle: &dyn RuntimeHandle,
    named: &HashSet<WorkerId>,
    cursor: Option<String>,
) -> Result<(ChangeStream, Option<String>, Vec<WorkerId>), Error> {
    if cursor.is_some() {
        match handle.changes(cursor.clone()).await {
            Err(Error::InvalidRequest(Invalid::Cursor)) => {}
            changes => return Ok((changes?, cursor, Vec::new())),
        }
    }
    let gone =
        if named.is_empty() { Vec::new() } else { removed_workers(handle, named.clone()).await? };
    Ok((handle.changes(None).await?, None, gone))
}

/// Returns the named workers that no longer exist. Worker ids are never reused, so they stay gone.
async fn removed_workers(
    handle: &dyn RuntimeHandle,
    mut named: HashSet<WorkerId>,
) -> Result<Vec<WorkerId>, Error> {
    let mut query = ListWorkers::default();
    loop {
        let page = handle.list(query.clone()).await?;
        for view in &page.items {
            named.remove(&view.worker_id);
        }
        match page.next_cursor {
            Some(next) => query.cursor = Some(next),
            None => return Ok(named.into_iter().collect()),
        }
    }
}

/// Returns when `gone` becomes true.
async fn wait_until_gone(gone: &mut watch::Receiver<bool>) {
    // An error means that the fleet itself was dropped.
    let _closed = gone.wait_for(|gone| *gone).await;
}

/// Returns when the runtime's health may have changed.
async fn health_changed(health: &mut Option<watch::Receiver<RemoteHealth>>, restoring: bool) {
    match health {
        Some(health) => {
            if health.changed().await.is_err() {
                std::future::pending().await
            }
        }
        None if restoring => sleep(LOOK).await,
        None => std::future::pending().await,
    }
}
