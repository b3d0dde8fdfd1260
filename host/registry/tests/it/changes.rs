//! The merged change stream.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use skep_protocol::FleetStream;
use skep_protocol::*;
use skep_registry::{Caller, LocalRun, RemoteSpec, RunRecord};

use crate::bed::{Bed, Net, far, id, now, spec};
use crate::puppet::Mood;

/// The state that a reader of the stream has built up.
#[derive(Default)]
struct Known {
    runtimes: BTreeMap<RuntimeId, RuntimeSummary>,
    workers: BTreeMap<(RuntimeId, WorkerId), WorkerView>,
    cursor: Option<String>,
    /// Number of changes read.
    changes: usize,
    /// True if the snapshots are complete.
    ready: bool,
}

impl Known {
    fn take(&mut self, event: FleetEvent) {
        let change = match event {
            FleetEvent::Change(change) => change,
            FleetEvent::Reset(ResetEvent { runtime_id }) => {
                self.workers.retain(|(of, _), _| *of != runtime_id);
                return;
            }
            FleetEvent::Ready(_) => {
                self.ready = true;
                return;
            }
            _ => return,
        };
        self.changes += 1;
        self.cursor = Some(change.cursor);
        match change.what {
            Changed::Runtime { runtime } => {
                self.runtimes.insert(runtime.runtime_id.clone(), *runtime);
            }
            Changed::RuntimeRemoved { runtime_id } => {
                assert!(
                    self.runtimes.remove(&runtime_id).is_some(),
                    "the runtime was reported before"
                );
                self.workers.retain(|(of, _), _| *of != runtime_id);
            }
            Changed::Worker { runtime_id, worker_id, worker } => {
                let key = (runtime_id, worker_id);
                match worker {
                    Some(worker) => drop(self.workers.insert(key, *worker)),
                    None => drop(self.workers.remove(&key)),
                }
            }
        }
    }

    async fn until(&mut self, stream: &mut FleetStream, is: impl Fn(&Self) -> bool) {
        while !is(self) {
            let change = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
            self.take(change.expect("timed out").unwrap().unwrap());
        }
    }

    fn has(&self, runtime: &str, worker: WorkerId) -> bool {
        self.workers.contains_key(&(id(runtime), worker))
    }

    fn status(&self, runtime: &str) -> Option<Status> {
        self.runtimes.get(&id(runtime)).map(|runtime| runtime.status)
    }
}

fn after(after: Option<String>) -> FollowFleet {
    let changes = FollowChanges { after, from_now: false };
    FollowFleet { changes, ..FollowFleet::default() }
}

impl Bed {
    async fn follow(&self, cursor: Option<String>) -> FleetStream {
        self.registry.events(&Caller::operator(), after(cursor)).await.unwrap()
    }
}

#[tokio::test]
async fn a_stream_starts_with_the_current_state() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::new(net, vec![spec("a")]);
    let (here, there) = (bed.home.worker().await, a.worker().await);
    let record = RunRecord {
        worker_id: WorkerId::new(1, [0; 10]),
        component: ComponentDigest::from_sha256([7; 32]),
        kind: ComponentKind::Command,
        display_ref: None,
        started_at: now(),
        pid: 1,
    };
    let run = LocalRun::register(&bed.runs, &record).unwrap();
    let mut stream = bed.follow(None).await;
    let mut known = Known::default();
    let all = |known: &Known| {
        known.has("home", here) && known.has("a", there) && known.has("local", record.worker_id)
    };
    known.until(&mut stream, all).await;
    assert_eq!(known.runtimes.len(), 3);
    for runtime in ["home", "a", "local"] {
        assert_eq!(known.status(runtime), Some(Status::Available), "{runtime}");
    }
    let new = a.worker().await;
    known.until(&mut stream, |known| known.has("a", new)).await;
    bed.at("a").stop(there).await.unwrap();
    let stopped = |known: &Known| known.workers[&(id("a"), there)].desired == Desired::Stopped;
    known.until(&mut stream, stopped).await;
    bed.at("home").remove(here).await.unwrap();
    known.until(&mut stream, |known| !known.has("home", here)).await;
    drop(run);
    known.until(&mut stream, |known| !known.has("local", record.worker_id)).await;
}

#[tokio::test]
async fn a_cursor_resumes_without_loss_or_repetition() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::with(net, vec![spec("a")], |parts| parts.local = None);
    let mut old = Vec::new();
    for _ in 0..5 {
        old.push((bed.home.worker().await, a.worker().await));
    }
    let mut stream = bed.follow(None).await;
    let mut known = Known::default();
    known.until(&mut stream, |known| known.workers.len() == 10).await;
    // Read past the snapshots, so that all old state is before the cursor.
    let marks = (bed.home.worker().await, a.worker().await);
    known.until(&mut stream, |known| known.has("home", marks.0) && known.has("a", marks.1)).await;
    drop(stream);

    let new = (bed.home.worker().await, a.worker().await);
    bed.at("a").remove(old[2].1).await.unwrap();
    let mut stream = bed.follow(known.cursor.clone()).await;
    let mut later = Known::default();
    let all = |known: &Known| known.has("home", new.0) && known.has("a", new.1);
    later.until(&mut stream, all).await;
    assert_eq!(later.workers.len(), 2, "known workers are not reported again");
    // Runtimes are reported again.
    assert_eq!(later.runtimes.len(), 2);
    assert!(a.cursors().last().unwrap().is_some());
    for bad in ["", "x", "AAAA"] {
        let refused = bed.registry.events(&Caller::operator(), after(Some(bad.into()))).await;
        assert_eq!(refused.err(), Some(Invalid::Cursor.into()), "{bad}");
    }
}

#[tokio::test]
async fn a_cursor_within_the_snapshot_resumes_there() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::with(net, vec![spec("a")], |parts| parts.local = None);
    for _ in 0..4 {
        bed.home.worker().await;
        a.worker().await;
    }
    // Reconnect after each change.
    let mut known = Known::default();
    for _ in 0..100 {
        if known.workers.len() == 8 {
            break;
        }
        let mut stream = bed.follow(known.cursor.clone()).await;
        let before = known.workers.len();
        known.until(&mut stream, |known| known.workers.len() > before).await;
    }
    assert_eq!(known.workers.len(), 8);
}

#[tokio::test]
async fn no_changes_are_lost_during_a_remotes_outage() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::with(net, vec![spec("a")], |parts| parts.local = None);
    let (kept, removed) = (a.worker().await, a.worker().await);
    let mut stream = bed.follow(None).await;
    let mut known = Known::default();
    known.until(&mut stream, |known| known.has("a", kept) && known.has("a", removed)).await;

    a.is(Mood::Says(Error::RuntimeUnavailable));
    known.until(&mut stream, |known| known.status("a") == Some(Status::Unavailable)).await;
    assert!(known.runtimes[&id("a")].unavailable_since.is_some());
    assert!(known.has("a", kept), "its workers stay listed");
    let here = bed.home.worker().await;
    known.until(&mut stream, |known| known.has("home", here)).await;

    // While it is away.
    let new = a.worker().await;
    a.behind().remove(removed).await.unwrap();
    a.behind().stop(kept).await.unwrap();
    a.is(Mood::Well);
    let caught_up = |known: &Known| {
        known.has("a", new)
            && !known.has("a", removed)
            && known.workers[&(id("a"), kept)].desired == Desired::Stopped
    };
    known.until(&mut stream, caught_up).await;
    assert_eq!(known.status("a"), Some(Status::Available));
    assert!(a.cursors().last().unwrap().is_some(), "the stream resumes: it is the same process");
}

#[tokio::test]
async fn a_restarted_remote_reports_all_workers() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::with(net, vec![spec("a")], |parts| parts.local = None);
    let (kept, removed) = (a.worker().await, a.worker().await);
    let mut stream = bed.follow(None).await;
    let mut known = Known::default();
    known.until(&mut stream, |known| known.has("a", kept) && known.has("a", removed)).await;
    let cursor = known.cursor.clone();

    a.is(Mood::Says(Error::RuntimeUnavailable));
    known.until(&mut stream, |known| known.status("a") == Some(Status::Unavailable)).await;
    a.restart();
    a.behind().remove(removed).await.unwrap();
    let new = a.worker().await;
    a.is(Mood::Well);
    // Nothing tells which workers are gone, so the client forgets all of them.
    let mut reset = false;
    while !(reset && known.has("a", new) && known.has("a", kept)) {
        let event = stream.next().await.unwrap().unwrap();
        reset |= matches!(&event, FleetEvent::Reset(reset) if reset.runtime_id == id("a"));
        known.take(event);
    }
    assert_eq!(known.runtimes[&id("a")].host_id.as_ref().unwrap().as_str(), "a-1");
    assert!(!known.has("a", removed));
    assert_eq!(a.cursors().last(), Some(&None), "the stream starts over: it is another process");

    // A client that resumes with an old cursor starts over.
    let mut stream = bed.follow(cursor).await;
    let mut later = Known::default();
    later.until(&mut stream, |known| known.has("a", new) && known.has("a", kept)).await;
}

#[tokio::test]
async fn added_and_removed_remotes_are_reported() {
    let net = Net::default();
    let [a, b] = far(&net, ["a", "b"]);
    let bed = Bed::with(net, Vec::new(), |parts| parts.local = None);
    let registrar = bed.registrar();
    let mut stream = bed.follow(None).await;
    let mut known = Known::default();
    known.until(&mut stream, |known| known.status("home").is_some()).await;
    registrar.remotes().add(&spec("a")).unwrap();
    let worker = a.worker().await;
    known.until(&mut stream, |known| known.has("a", worker)).await;
    registrar.remotes().remove(&id("a")).unwrap();
    known.until(&mut stream, |known| known.status("a").is_none()).await;
    assert!(!known.has("a", worker));
    registrar.remotes().add(&spec("b")).unwrap();
    let other = b.worker().await;
    known.until(&mut stream, |known| known.has("b", other)).await;
    registrar.remotes().add(&spec("a")).unwrap();
    known.until(&mut stream, |known| known.has("a", worker)).await;
    assert_eq!(known.status("a"), Some(Status::Available));
}

#[tokio::test]
async fn a_changed_entry_is_not_reported_as_removed() {
    let net = Net::default();
    let [a, other] = far(&net, ["a", "other"]);
    let bed = Bed::with(net.clone(), Vec::new(), |parts| parts.local = None);
    let registrar = bed.registrar();
    registrar.remotes().add(&spec("a")).unwrap();
    let mut stream = bed.follow(None).await;
    let mut known = Known::default();
    let worker = a.worker().await;
    known.until(&mut stream, |known| known.has("a", worker)).await;
    let moved = RemoteSpec { endpoint: "https://elsewhere.example".into(), ..spec("a") };
    net.put(&moved.endpoint, &other);
    registrar.remotes().add(&moved).unwrap();
    while known.status("a") != Some(Status::Unavailable) {
        let event = stream.next().await.unwrap().unwrap();
        let removed = matches!(&event, FleetEvent::Change(change)
            if matches!(change.what, Changed::RuntimeRemoved { .. }));
        assert!(!removed, "{event:?}");
        known.take(event);
    }
}

#[tokio::test]
async fn a_resuming_client_is_told_which_runtimes_are_gone() {
    let net = Net::default();
    let [a, b] = far(&net, ["a", "b"]);
    let bed = Bed::with(net, Vec::new(), |parts| parts.local = None);
    let registrar = bed.registrar();
    for remote in ["a", "b"] {
        registrar.remotes().add(&spec(remote)).unwrap();
    }
    let mut stream = bed.follow(None).await;
    let mut known = Known::default();
    let workers = [("a", a.worker().await), ("b", b.worker().await)];
    let all = |known: &Known| workers.iter().all(|(of, worker)| known.has(of, *worker));
    known.until(&mut stream, all).await;
    drop(stream);
    registrar.remotes().remove(&id("a")).unwrap();
    bed.registry.reload();
    let mut stream = bed.follow(known.cursor.clone()).await;
    known.until(&mut stream, |known| known.status("a").is_none()).await;
    assert!(known.has("b", workers[1].1));
    // Reported only once.
    let mut stream = bed.follow(known.cursor.clone()).await;
    let more = b.worker().await;
    known.until(&mut stream, |known| known.has("b", more)).await;

    // A runtime that is no longer visible looks like one that is gone.
    let caller = bed.caller(Role::Viewer, Some(&["home"]));
    let mut stream = bed.registry.events(&caller, after(known.cursor.clone())).await.unwrap();
    known.until(&mut stream, |known| known.status("b").is_none()).await;
}

#[tokio::test]
async fn a_stream_shows_visible_runtimes_until_the_token_ends() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::new(net, vec![spec("a")]);
    let (here, there) = (bed.home.worker().await, a.worker().await);
    let caller = bed.caller(Role::Viewer, Some(&["a"]));
    let mut stream = bed.registry.events(&caller, after(None)).await.unwrap();
    let mut known = Known::default();
    known.until(&mut stream, |known| known.has("a", there)).await;
    assert_eq!(known.runtimes.len(), 1);
    assert!(!known.has("home", here));

    let runtime = bed.registry.handle(&caller, &id("a")).unwrap();
    let mut entries = runtime.subscribe(there, None, None).await.unwrap();
    let mut changes = runtime.changes(FollowChanges::default()).await.unwrap();
    while !matches!(changes.next().await.unwrap().unwrap(), RuntimeEvent::Ready(_)) {}
    // The snapshot of a runtime that was not known to answer at first comes late.
    if !known.ready {
        until_ready(&mut stream).await;
    }
    // From another process.
    bed.registrar().access().revoke(&caller.token_id.unwrap()).unwrap();
    let end = async |said: Option<Error>| assert_eq!(said, Some(Error::Unauthenticated));
    end(entries.next().await.and_then(Result::err)).await;
    end(changes.next().await.and_then(Result::err)).await;
    end(stream.next().await.and_then(Result::err)).await;
    assert!(stream.next().await.is_none());
    assert!(entries.next().await.is_none());
}

#[tokio::test]
async fn foreground_runs_are_reported_again_on_resumption() {
    let bed = Bed::new(Net::default(), Vec::new());
    let record = |n| RunRecord {
        worker_id: WorkerId::new(n, [0; 10]),
        component: ComponentDigest::from_sha256([7; 32]),
        kind: ComponentKind::Command,
        display_ref: None,
        started_at: now(),
        pid: 1,
    };
    let (ended, running) = (record(1), record(2));
    let first = LocalRun::register(&bed.runs, &ended).unwrap();
    let _second = LocalRun::register(&bed.runs, &running).unwrap();
    let mut stream = bed.follow(None).await;
    let mut known = Known::default();
    known.until(&mut stream, |known| known.workers.len() == 2).await;
    drop((stream, first));
    let mut stream = bed.follow(known.cursor.clone()).await;
    let caught_up = |known: &Known| {
        known.has("local", running.worker_id) && !known.has("local", ended.worker_id)
    };
    known.until(&mut stream, caught_up).await;
}

#[tokio::test]
async fn streams_end_when_the_registry_does() {
    let bed = Bed::new(Net::default(), Vec::new());
    let mut stream = bed.follow(None).await;
    stream.next().await.unwrap().unwrap();
    bed.registry.shutdown().await;
    let rest = async {
        while let Some(change) = stream.next().await {
            change.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), rest).await.expect("the streams end");
    assert!(bed.follow(None).await.next().await.is_none());
}

/// Reads events until the stream is ready, and returns them.
async fn until_ready(stream: &mut FleetStream) -> (Vec<FleetEvent>, String) {
    let mut seen = Vec::new();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
        match event.expect("timed out").unwrap().unwrap() {
            FleetEvent::Ready(ready) => return (seen, ready.cursor),
            event => seen.push(event),
        }
    }
}

#[tokio::test]
async fn ready_follows_the_snapshots_of_all_runtimes_that_answer() {
    let net = Net::default();
    let [a, b] = far(&net, ["a", "b"]);
    let bed = Bed::with(net, vec![spec("a"), spec("b")], |parts| parts.local = None);
    for _ in 0..3 {
        bed.home.worker().await;
        a.worker().await;
    }
    bed.until("a", Status::Available).await;
    b.is(Mood::Hangs);
    let mut stream = bed.follow(None).await;
    let (events, cursor) = until_ready(&mut stream).await;
    let mut known = Known::default();
    events.into_iter().for_each(|event| known.take(event));
    assert_eq!((known.workers.len(), known.runtimes.len()), (6, 3));
    // Nothing is repeated from its cursor on.
    let mut stream = bed.follow(Some(cursor)).await;
    let mut later = Known::default();
    let new = bed.home.worker().await;
    later.until(&mut stream, |known| known.has("home", new)).await;
    assert_eq!(later.workers.len(), 1);
}

#[tokio::test]
async fn a_stream_from_now_has_the_runtimes_and_no_snapshot() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::with(net, vec![spec("a")], |parts| parts.local = None);
    let (old, there) = (bed.home.worker().await, a.worker().await);
    bed.until("a", Status::Available).await;
    let changes = FollowChanges { after: None, from_now: true };
    let from_now = FollowFleet { changes, ..FollowFleet::default() };
    let mut stream = bed.registry.events(&Caller::operator(), from_now).await.unwrap();
    let (events, _) = until_ready(&mut stream).await;
    let mut known = Known::default();
    events.into_iter().for_each(|event| known.take(event));
    assert_eq!((known.runtimes.len(), known.workers.len()), (2, 0));
    bed.at("home").stop(old).await.unwrap();
    known.until(&mut stream, |known| known.has("home", old)).await;

    // A restarted runtime is forgotten, and not reported anew.
    a.is(Mood::Says(Error::RuntimeUnavailable));
    known.until(&mut stream, |known| known.status("a") == Some(Status::Unavailable)).await;
    a.restart();
    a.is(Mood::Well);
    loop {
        let event = stream.next().await.unwrap().unwrap();
        if matches!(&event, FleetEvent::Reset(reset) if reset.runtime_id == id("a")) {
            break;
        }
        known.take(event);
    }
    let new = a.worker().await;
    known.until(&mut stream, |known| known.has("a", new)).await;
    assert!(!known.has("a", there));
}

#[tokio::test]
async fn changes_within_an_interval_become_the_last() {
    let bed = Bed::with(Net::default(), Vec::new(), |parts| parts.local = None);
    let (busy, other) = (bed.home.worker().await, bed.home.worker().await);
    let interval = Some(Duration::from_millis(400));
    let changes = FollowChanges { after: None, from_now: true };
    let slow = FollowFleet { changes, interval, ..FollowFleet::default() };
    let mut stream = bed.registry.events(&Caller::operator(), slow).await.unwrap();
    until_ready(&mut stream).await;
    for n in 0..20 {
        let name = Some(format!("name {n}").parse().unwrap());
        let change = WorkerChange { display_ref: name, ..WorkerChange::default() };
        bed.at("home").update(busy, change).await.unwrap();
    }
    bed.at("home").stop(other).await.unwrap();
    let mut seen = Known::default();
    seen.until(&mut stream, |known| known.has("home", other)).await;
    let name = seen.workers[&(id("home"), busy)].spec.display_ref.clone();
    assert_eq!(name, Some("name 19".parse().unwrap()));
    assert!(seen.changes < 20, "{} changes", seen.changes);
}

#[tokio::test]
async fn entries_of_watched_workers_are_part_of_the_stream() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::with(net, vec![spec("a")], |parts| parts.local = None);
    let (here, there) = (bed.home.worker().await, a.worker().await);
    bed.until("a", Status::Available).await;
    let unknown = WorkerId::new(1, [0; 10]);
    let watch = |runtime: &str, worker_id, after| WatchedWorker {
        runtime_id: id(runtime),
        worker_id,
        after,
    };
    let watched = vec![
        watch("home", here, Some(Cursor(0))),
        watch("a", there, None),
        watch("home", unknown, None),
        watch("nowhere", here, None),
    ];
    let changes = FollowChanges { after: None, from_now: true };
    let follow = FollowFleet { changes, watched, ..FollowFleet::default() };
    let mut stream = bed.registry.events(&Caller::operator(), follow.clone()).await.unwrap();
    let (mut entries, mut problems, mut removed) = (Vec::new(), Vec::new(), false);
    while !(entries.len() >= 2 && problems.len() >= 3) {
        match stream.next().await.unwrap().unwrap() {
            FleetEvent::Entry(entry) => entries.push((entry.worker_id, entry.entry.kind)),
            FleetEvent::EntryProblem(problem) => problems.push(problem.problem.code),
            FleetEvent::Ready(_) => {
                bed.at("a").stop(there).await.unwrap();
                bed.at("home").stop(here).await.unwrap();
            }
            _ => {}
        }
        if entries.len() >= 3 && !std::mem::replace(&mut removed, true) {
            bed.at("home").remove(here).await.unwrap();
        }
    }
    assert!(entries.contains(&(here, EntryKind::Created)), "{entries:?}");
    problems.sort();
    assert_eq!(problems, ["unknown_runtime", "unknown_worker", "worker_removed"]);

    // Runtimes that a caller does not see are unknown to it.
    let caller = bed.caller(Role::Viewer, Some(&["a"]));
    let watched = vec![watch("home", here, None)];
    let follow = FollowFleet { watched, ..follow };
    let mut stream = bed.registry.events(&caller, follow).await.unwrap();
    loop {
        if let FleetEvent::EntryProblem(problem) = stream.next().await.unwrap().unwrap() {
            assert_eq!(problem.problem.code, "unknown_runtime");
            break;
        }
    }
}
