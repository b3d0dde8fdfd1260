//! Following all runtimes and their workers.
//!
//! Each runtime has a follower; their changes are merged as they come. A follower whose runtime goes
//! away says so, waits, and goes on from where it was: if it is another process then, with each
//! worker as it is, after naming those that are there no longer.
//!
//! Whoever comes back with a cursor of before a runtime was another process cannot be told which of
//! its workers went meanwhile: where a runtime is told of with another `host_id` than before, or with
//! none, all that was known of its workers is to be forgotten; each as it is follows.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, SelectAll};
use futures_util::{Stream, StreamExt};
use skep_protocol::{
    Change, ChangeStream, Changed, Error, FleetChange, Invalid, ListWorkers, RuntimeHandle,
    RuntimeId, RuntimeSummary, Status, WorkerId,
};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::cursor::{Mark, StreamPlace};
use crate::fleet::{Fleet, Health, Member};

/// Changes of runtimes and workers from some place on.
pub type FleetStream = Pin<Box<dyn Stream<Item = Result<FleetChange, Error>> + Send>>;

/// Between two attempts at a runtime whose changes cannot be had although it answers.
const RETRY: Duration = Duration::from_secs(1);
/// Between two looks at a runtime of this process that is restoring.
const LOOK: Duration = Duration::from_millis(500);

/// Something that a follower has to say, and where it is then.
struct Said {
    runtime_id: RuntimeId,
    mark: Option<Mark>,
    what: Changed,
}

impl Said {
    fn removed(runtime_id: RuntimeId) -> Self {
        let what = Changed::RuntimeRemoved { runtime_id: runtime_id.clone() };
        Self { runtime_id, mark: None, what }
    }
}

type SaidStream = Pin<Box<dyn Stream<Item = Said> + Send>>;

/// All runtimes of a fleet that are seen.
struct Merged {
    fleet: Arc<Fleet>,
    sees: Box<dyn Fn(&RuntimeId) -> bool + Send>,
    deadline: Duration,
    others: watch::Receiver<bool>,
    followers: SelectAll<SaidStream>,
    followed: Vec<Arc<Member>>,
    place: StreamPlace,
}

/// Follows the runtimes of a fleet that are seen.
pub(crate) fn changes(
    fleet: Arc<Fleet>,
    sees: Box<dyn Fn(&RuntimeId) -> bool + Send>,
    place: Option<StreamPlace>,
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
        place: place.unwrap_or_default(),
    };
    merged.name_the_gone();
    merged.look();
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
                    self.look();
                    continue;
                }
                Some(said) = self.followers.next() => said,
            };
            match (said.mark, &said.what) {
                (Some(mark), _) => drop(self.place.0.insert(said.runtime_id, mark)),
                // Another one has its place, and speaks for itself.
                (None, Changed::RuntimeRemoved { .. }) if self.follows(&said.runtime_id) => {
                    continue;
                }
                (None, Changed::RuntimeRemoved { .. }) => {
                    drop(self.place.0.remove(&said.runtime_id))
                }
                (None, _) => {}
            }
            return Some(FleetChange { cursor: self.place.to_text(), what: said.what });
        }
    }

    fn follows(&self, runtime: &RuntimeId) -> bool {
        (self.sees)(runtime) && self.fleet.members().get(runtime).is_some()
    }

    /// Names those that whoever comes back has heard of and that are there no longer, or not for
    /// them: what is not seen and what is not there are one.
    fn name_the_gone(&mut self) {
        let heard_of: Vec<_> = self.place.0.keys().cloned().collect();
        let gone = heard_of.into_iter().filter(|runtime| !self.follows(runtime));
        let gone: Vec<_> = gone.map(Said::removed).collect();
        self.followers.push(stream::iter(gone).boxed());
    }

    /// Follows those that are new. Those that have left end by themselves.
    fn look(&mut self) {
        let members = self.fleet.members();
        self.followed.retain(|old| members.iter().any(|member| Arc::ptr_eq(member, old)));
        for member in members.iter().filter(|member| (self.sees)(&member.id)) {
            if !self.followed.iter().any(|old| Arc::ptr_eq(member, old)) {
                self.followed.push(Arc::clone(member));
                let mark = self.place.0.get(&member.id).cloned();
                self.followers
                    .push(Follower::new(Arc::clone(member), mark, self.deadline).stream());
            }
        }
    }
}

/// A follower of one runtime.
struct Follower {
    member: Arc<Member>,
    deadline: Duration,
    gone: watch::Receiver<bool>,
    health: Option<watch::Receiver<Health>>,
    mark: Option<Mark>,
    changes: Option<ChangeStream>,
    /// Workers that this follower has named, so that it can say which are no longer there.
    named: HashSet<WorkerId>,
    said: Option<RuntimeSummary>,
    ready: VecDeque<Said>,
    /// It is not to be tried again at once. What there is to say is said before that.
    waits: bool,
    ended: bool,
}

/// What a follower waits for.
enum Heard {
    Gone,
    Health,
    Change(Option<Result<Change, Error>>),
}

impl Follower {
    fn new(member: Arc<Member>, mark: Option<Mark>, deadline: Duration) -> Self {
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

    fn stream(self) -> SaidStream {
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
            self.ready.push_back(Said::removed(runtime_id));
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

    /// Takes up the runtime's changes, or waits until that may be tried again.
    async fn begin(&mut self) {
        let summary = self.member.ask(self.deadline).await;
        let status = summary.status;
        let host = summary.host_id.as_ref().map_or("", |host| host.as_str()).to_owned();
        // It says how it is before its workers follow.
        self.say(summary);
        if status == Status::Unavailable {
            self.waits = true;
            return;
        }
        let cursor = self.mark.as_ref().filter(|mark| mark.host == host && !host.is_empty());
        let cursor = cursor.and_then(|mark| mark.cursor.clone());
        let taken = take_up(&*self.member.handle, &self.named, cursor);
        match timeout(self.deadline, taken).await {
            Ok(Ok((changes, cursor, gone))) => {
                for worker_id in gone {
                    self.named.remove(&worker_id);
                    self.worker(Change { cursor: String::new(), worker_id, worker: None }, None);
                }
                self.mark = Some(Mark { host, cursor });
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
            () = told(&mut self.gone) => Heard::Gone,
            () = news(&mut self.health, restoring) => Heard::Health,
            change = changes.next() => Heard::Change(change),
        };
        match heard {
            Heard::Gone => {}
            Heard::Health => self.look().await,
            Heard::Change(Some(Ok(change))) => {
                let mark = Mark {
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
            Heard::Change(Some(Err(_)) | None) => {
                self.changes = None;
                self.look().await;
                self.waits = true;
            }
        }
    }

    /// Sees how the runtime is. If it is away, or another process, its changes are others.
    async fn look(&mut self) {
        let summary = match self.member.remote() {
            Some(_) => self.member.known(),
            None => self.member.ask(self.deadline).await,
        };
        let before = self.said.as_ref().and_then(|said| said.host_id.clone());
        let other = summary.host_id != before || summary.host_id.is_none();
        if summary.status == Status::Unavailable || other {
            self.changes = None;
        }
        self.say(summary);
    }

    /// Waits until something else is known of the runtime, or for a while.
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
            () = told(&mut self.gone) => {}
            () = news(&mut self.health, false) => {}
            () = while_there => {}
        }
    }

    /// Says how the runtime is, if that is news.
    fn say(&mut self, summary: RuntimeSummary) {
        let plain = |summary: &RuntimeSummary| {
            // Its workers say themselves how many they are.
            RuntimeSummary { workers: None, connected: None, ..summary.clone() }
        };
        if self.said.as_ref().map(plain) == Some(plain(&summary)) {
            return;
        }
        self.said = Some(summary.clone());
        self.ready.push_back(Said {
            runtime_id: self.member.id.clone(),
            mark: None,
            what: Changed::Runtime { runtime: Box::new(summary) },
        });
    }

    fn worker(&mut self, change: Change, mark: Option<Mark>) {
        let runtime_id = self.member.id.clone();
        let (worker_id, worker) = (change.worker_id, change.worker);
        let what = Changed::Worker { runtime_id: runtime_id.clone(), worker_id, worker };
        self.ready.push_back(Said { runtime_id, mark, what });
    }
}

/// A runtime's changes, after which of them, and who of the named has gone before the first.
async fn take_up(
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
    let gone = if named.is_empty() { Vec::new() } else { gone(handle, named.clone()).await? };
    Ok((handle.changes(None).await?, None, gone))
}

/// Those of the named that are not there. An id is not used twice, so they stay away.
async fn gone(
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

/// Returns when it is true.
async fn told(gone: &mut watch::Receiver<bool>) {
    // Where nobody can tell any more, the fleet itself is gone.
    let _told = gone.wait_for(|gone| *gone).await;
}

/// Returns when something may be known of a runtime that was not before.
async fn news(health: &mut Option<watch::Receiver<Health>>, restoring: bool) {
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
