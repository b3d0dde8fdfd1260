//! The merged change stream of all runtimes and their workers.
//!
//! Each runtime has a follower; their events are merged in order of arrival. If a runtime becomes
//! unavailable, its follower reports that, waits, and resumes where it stopped. If the runtime has
//! become another process, nothing tells which workers are gone: the follower reports a reset, and
//! the client forgets the runtime's workers; all of them follow.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, SelectAll};
use futures_util::{Stream, StreamExt};
use skep_protocol::{
    Change, ChangeStream, Changed, Error, FleetChange, FleetCompiledEvent, FleetDiagnostic,
    FleetEvent, FleetStream, FollowChanges, Invalid, ReadyEvent, ResetEvent, RuntimeEvent,
    RuntimeHandle, RuntimeId, RuntimeSummary, Status,
};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::cursor::{RuntimePosition, StreamPosition};
use crate::fleet::{Fleet, Member, RemoteHealth};

/// Delay before retrying a runtime that answers but whose change stream cannot be opened.
const RETRY: Duration = Duration::from_secs(1);
/// Interval for polling a runtime of this process while it is restoring.
const LOOK: Duration = Duration::from_millis(500);

/// A report of a follower.
struct Report {
    runtime_id: RuntimeId,
    /// Position after it, if it has one.
    mark: Option<RuntimePosition>,
    what: Reported,
}

/// The subject of a report.
enum Reported {
    /// A runtime or worker changed.
    Change(Changed),
    /// Another event, without a cursor.
    Event(Box<FleetEvent>),
    /// The snapshot of the runtime is complete, or will be late.
    Settled,
}

impl Report {
    fn removed(runtime_id: RuntimeId) -> Self {
        let what = Changed::RuntimeRemoved { runtime_id: runtime_id.clone() };
        Self { runtime_id, mark: None, what: Reported::Change(what) }
    }
}

type FollowerStream = Pin<Box<dyn Stream<Item = Report> + Send>>;

/// The start of a merged stream.
pub(crate) struct FleetStart {
    /// Returns true for runtimes that the client sees.
    pub(crate) sees: Box<dyn Fn(&RuntimeId) -> bool + Send>,
    /// Position to resume at.
    pub(crate) position: Option<StreamPosition>,
    /// True if the client wants no snapshots.
    pub(crate) from_now: bool,
    /// Deadline of each runtime.
    pub(crate) deadline: Duration,
}

/// The merged followers of all visible runtimes.
struct Merged {
    fleet: Arc<Fleet>,
    sees: Box<dyn Fn(&RuntimeId) -> bool + Send>,
    deadline: Duration,
    from_now: bool,
    others: watch::Receiver<bool>,
    followers: SelectAll<FollowerStream>,
    followed: Vec<Arc<Member>>,
    position: StreamPosition,
    /// Runtimes whose snapshots are to come before the stream is ready. None once it is.
    unsettled: Option<BTreeSet<RuntimeId>>,
}

/// Follows all visible runtimes of a fleet.
pub(crate) fn events(fleet: Arc<Fleet>, start: FleetStart) -> FleetStream {
    let FleetStart { sees, position, from_now, deadline } = start;
    let others = fleet.follow();
    let mut merged = Merged {
        fleet,
        sees,
        deadline,
        from_now,
        others,
        followers: SelectAll::new(),
        followed: Vec::new(),
        position: position.unwrap_or_default(),
        unsettled: None,
    };
    merged.follow_new_members();
    merged.report_removed_runtimes();
    merged.unsettled = Some(merged.followed.iter().map(|member| member.id.clone()).collect());
    stream::unfold(merged, |mut merged| async move {
        let event = merged.next().await?;
        Some((Ok(event), merged))
    })
    .boxed()
}

impl Merged {
    async fn next(&mut self) -> Option<FleetEvent> {
        loop {
            if *self.others.borrow_and_update() {
                return None;
            }
            if self.unsettled.as_ref().is_some_and(BTreeSet::is_empty) {
                self.unsettled = None;
                return Some(FleetEvent::Ready(ReadyEvent { cursor: self.position.to_text() }));
            }
            let report = tokio::select! {
                biased;
                changed = self.others.changed() => {
                    changed.ok()?;
                    self.follow_new_members();
                    continue;
                }
                Some(report) = self.followers.next() => report,
            };
            if let Some(event) = self.take(report) {
                return Some(event);
            }
        }
    }

    /// Returns the event of a report, if it has one.
    fn take(&mut self, report: Report) -> Option<FleetEvent> {
        let Report { runtime_id, mark, what } = report;
        if let Reported::Change(Changed::RuntimeRemoved { .. }) = &what {
            self.settled(&runtime_id);
            if self.follows(&runtime_id) {
                // A new member has this id, and its own follower reports it.
                return None;
            }
            self.position.0.remove(&runtime_id);
        }
        if let Some(mark) = mark {
            self.position.0.insert(runtime_id.clone(), mark);
        }
        match what {
            Reported::Change(what) => {
                Some(FleetEvent::Change(FleetChange { cursor: self.position.to_text(), what }))
            }
            Reported::Event(event) => Some(*event),
            Reported::Settled => {
                self.settled(&runtime_id);
                None
            }
        }
    }

    fn settled(&mut self, runtime: &RuntimeId) {
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.remove(runtime);
        }
    }

    fn follows(&self, runtime: &RuntimeId) -> bool {
        (self.sees)(runtime) && self.fleet.members().get(runtime).is_some()
    }

    /// Reports runtimes that the cursor mentions and that are gone or no longer visible to the
    /// caller. The two cases look the same. One that is removed from now on has a follower, which
    /// reports it; asking the fleet again here would miss one that was removed in between.
    fn report_removed_runtimes(&mut self) {
        let is_followed =
            |runtime: &RuntimeId| self.followed.iter().any(|member| member.id == *runtime);
        let gone = self.position.0.keys().filter(|runtime| !is_followed(runtime)).cloned();
        let gone: Vec<_> = gone.map(Report::removed).collect();
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
                let (member, from_now) = (Arc::clone(member), self.from_now);
                let follower = RuntimeFollower::new(member, mark, from_now, self.deadline);
                self.followers.push(follower.stream());
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
    from_now: bool,
    said: Option<RuntimeSummary>,
    ready: VecDeque<Report>,
    /// True if the follower must wait before the next attempt. Queued changes are reported first.
    waits: bool,
    ended: bool,
}

/// An event that a follower waits for.
enum FollowerEvent {
    Gone,
    Health,
    Event(Option<Result<RuntimeEvent, Error>>),
}

impl RuntimeFollower {
    fn new(
        member: Arc<Member>,
        mark: Option<RuntimePosition>,
        from_now: bool,
        deadline: Duration,
    ) -> Self {
        let health = member.remote().map(|remote| remote.follow());
        Self {
            gone: member.gone(),
            member,
            deadline,
            health,
            mark,
            changes: None,
            from_now,
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
            self.ready.push_back(Report::removed(runtime_id));
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
            self.wait();
            return;
        }
        let known = self.mark.as_ref().filter(|mark| mark.host == host && !host.is_empty());
        let after = known.and_then(|mark| mark.cursor.clone());
        let had = self.mark.is_some();
        let taken = open_changes(&*self.member.handle, after, self.from_now);
        match timeout(self.deadline, taken).await {
            Ok(Ok((changes, cursor))) => {
                // A reader who knows workers of an earlier process, or of a forgotten position.
                if had && cursor.is_none() {
                    self.reset();
                }
                self.mark = Some(RuntimePosition { host, cursor });
                self.changes = Some(changes);
            }
            Ok(Err(_)) | Err(_) => self.wait(),
        }
    }

    /// Waits before the next attempt. The client's stream does not wait for this runtime.
    fn wait(&mut self) {
        self.waits = true;
        self.push(None, Reported::Settled);
    }

    fn reset(&mut self) {
        let runtime_id = self.member.id.clone();
        self.push(None, Reported::Event(Box::new(FleetEvent::Reset(ResetEvent { runtime_id }))));
    }

    async fn follow(&mut self) {
        let Some(changes) = &mut self.changes else { return };
        let restoring = self.said.as_ref().is_some_and(|said| said.status == Status::Degraded);
        let heard = tokio::select! {
            biased;
            () = wait_until_gone(&mut self.gone) => FollowerEvent::Gone,
            () = health_changed(&mut self.health, restoring) => FollowerEvent::Health,
            event = changes.next() => FollowerEvent::Event(event),
        };
        match heard {
            FollowerEvent::Gone => {}
            FollowerEvent::Health => self.refresh().await,
            FollowerEvent::Event(Some(Ok(event))) => self.take(event),
            FollowerEvent::Event(Some(Err(_)) | None) => {
                self.changes = None;
                self.refresh().await;
                self.wait();
            }
        }
    }

    /// Reports an event of the runtime.
    fn take(&mut self, event: RuntimeEvent) {
        let runtime_id = self.member.id.clone();
        let (mark, what) = match event {
            RuntimeEvent::Change(Change { cursor, worker_id, worker }) => {
                let what = Changed::Worker { runtime_id, worker_id, worker };
                (Some(self.moved(cursor)), Reported::Change(what))
            }
            RuntimeEvent::Ready(ReadyEvent { cursor }) => {
                (Some(self.moved(cursor)), Reported::Settled)
            }
            RuntimeEvent::Reset => return self.reset(),
            RuntimeEvent::Compiled(event) => {
                let event = FleetCompiledEvent { runtime_id, event };
                (None, Reported::Event(Box::new(FleetEvent::Compiled(event))))
            }
            RuntimeEvent::Diagnostic(diagnostic) => {
                let event = FleetDiagnostic { runtime_id, diagnostic: *diagnostic };
                (None, Reported::Event(Box::new(FleetEvent::Diagnostic(event))))
            }
        };
        self.push(mark, what);
    }

    /// Moves the position, and returns it.
    fn moved(&mut self, cursor: String) -> RuntimePosition {
        let host = self.mark.take().map(|mark| mark.host).unwrap_or_default();
        self.mark.insert(RuntimePosition { host, cursor: Some(cursor) }).clone()
    }

    fn push(&mut self, mark: Option<RuntimePosition>, what: Reported) {
        self.ready.push_back(Report { runtime_id: self.member.id.clone(), mark, what });
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
        let what = Changed::Runtime { runtime: Box::new(summary) };
        self.push(None, Reported::Change(what));
    }
}

/// Opens a runtime's change stream. Returns it with the cursor that it resumes after, if it does.
async fn open_changes(
    handle: &dyn RuntimeHandle,
    after: Option<String>,
    from_now: bool,
) -> Result<(ChangeStream, Option<String>), Error> {
    let from = FollowChanges { after: after.clone(), from_now };
    match handle.changes(from).await {
        Err(Error::InvalidRequest(Invalid::Cursor)) if after.is_some() => {}
        changes => return Ok((changes?, after)),
    }
    Ok((handle.changes(FollowChanges { after: None, from_now }).await?, None))
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
