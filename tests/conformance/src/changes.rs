//! The stream of changes to a runtime's workers.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, labels, next, until, worker_id};

type Changes = std::pin::Pin<Box<dyn stream::Stream<Item = Result<Change, Error>> + Send>>;

fn after(cursor: Option<&str>) -> FollowChanges {
    FollowChanges { after: cursor.map(str::to_owned), from_now: false }
}

/// Follows the changes alone.
async fn follow(trial: &Trial<'_>, cursor: Option<&str>) -> Changes {
    let events = trial.runtime().changes(after(cursor)).await.unwrap();
    only_changes(events)
}

/// Leaves out all events but changes.
pub(crate) fn only_changes(events: ChangeStream) -> Changes {
    let change = |event: Result<RuntimeEvent, Error>| {
        std::future::ready(match event {
            Ok(RuntimeEvent::Change(change)) => Some(Ok(change)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    };
    events.filter_map(change).boxed()
}

/// Returns a predicate for changes that show this worker in this state.
fn shows(id: WorkerId, what: impl Fn(&WorkerView) -> bool) -> impl Fn(&Change) -> bool {
    move |change| change.worker_id == id && change.worker.as_deref().is_some_and(&what)
}

pub(crate) async fn changes_begin_with_a_snapshot_of_each_worker(trial: &Trial<'_>) {
    let one = trial.worker(Guest::Scribe).await;
    let other = trial.worker(Guest::Hello).await;
    let gone = trial.worker(Guest::Scribe).await;
    trial.runtime().remove(gone.id).await.unwrap();
    let mut stream = follow(trial, None).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let change = next(&mut stream).await.unwrap();
        let view = trial.runtime().get(change.worker_id).await.unwrap();
        assert_eq!(change.worker.as_deref(), Some(&view));
        seen.push(change.worker_id);
    }
    seen.sort();
    let mut expected = [one.id, other.id];
    expected.sort();
    assert_eq!(seen, expected);
}

pub(crate) async fn every_change_of_a_worker_is_streamed(trial: &Trial<'_>) {
    let component = trial.component(Guest::Scribe).await;
    let mut stream = follow(trial, None).await;
    let worker = trial.create(WorkerSpec::new(component)).await;
    let id = worker.id;
    until(&mut stream, shows(id, |view| view.desired == Desired::Running)).await;
    let wanted = labels(&[("a", "1")]);
    let change = WorkerChange { labels: Some(wanted.clone()), ..WorkerChange::default() };
    trial.runtime().update(id, change).await.unwrap();
    until(&mut stream, shows(id, |view| view.spec.labels == wanted)).await;
    let running = worker.post("spin").await;
    until(&mut stream, shows(id, |view| view.observed == Observed::Busy)).await;
    trial.runtime().cancel(id, running).await.unwrap();
    until(&mut stream, shows(id, |view| view.observed == Observed::Idle)).await;
    trial.runtime().stop(id).await.unwrap();
    until(&mut stream, shows(id, |view| view.observed == Observed::Stopped)).await;
    trial.runtime().remove(id).await.unwrap();
    until(&mut stream, |change| change.worker_id == id && change.worker.is_none()).await;
}

pub(crate) async fn changes_resume_from_a_cursor(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Scribe).await;
    let quiet = trial.create(spec.clone()).await;
    let changing = trial.create(spec.clone()).await;
    let gone = trial.create(spec.clone()).await;
    let mut stream = follow(trial, None).await;
    for _ in 0..3 {
        next(&mut stream).await.unwrap();
    }
    // The cursor of a change after the snapshot.
    trial.runtime().stop(changing.id).await.unwrap();
    let stopped = shows(changing.id, |view| view.observed == Observed::Stopped);
    let seen = until(&mut stream, stopped).await;
    let cursor = &seen.last().unwrap().cursor;
    drop(stream);

    trial.runtime().start(changing.id).await.unwrap();
    trial.runtime().remove(gone.id).await.unwrap();
    let new = trial.create(spec).await;
    let mut stream = follow(trial, Some(cursor)).await;
    let seen = until(&mut stream, shows(new.id, |_| true)).await;
    let of = |id| seen.iter().rfind(|change: &&Change| change.worker_id == id);
    let changed = of(changing.id).unwrap().worker.as_ref().unwrap();
    assert_eq!(changed.desired, Desired::Running);
    assert_eq!(of(gone.id).unwrap().worker, None);
    assert_eq!(of(quiet.id), None, "it did not change");
}

pub(crate) async fn changes_resume_within_the_snapshot(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Scribe).await;
    let mut missing = BTreeSet::new();
    for _ in 0..5 {
        missing.insert(trial.create(spec.clone()).await.id);
    }
    let mut cursor = None;
    while !missing.is_empty() {
        let mut stream = follow(trial, cursor.as_deref()).await;
        let change = until(&mut stream, |change| missing.contains(&change.worker_id)).await.pop();
        let change = change.expect("the last change is the expected one");
        missing.remove(&change.worker_id);
        cursor = Some(change.cursor);
    }
}

pub(crate) async fn an_invented_changes_cursor_is_refused(trial: &Trial<'_>) {
    for cursor in ["", "x", "-1"] {
        let refused = trial.runtime().changes(after(Some(cursor))).await.err();
        assert_eq!(refused, Some(Error::InvalidRequest(Invalid::Cursor)), "{cursor:?}");
    }
}

pub(crate) async fn no_worker_is_left_out_while_many_are_made(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Scribe).await;
    let mut stream = follow(trial, None).await;
    let mut ids: Vec<_> = (0..40).map(|_| worker_id()).collect();
    for part in ids.chunks(10) {
        let (runtime, spec, part) = (trial.runtime(), spec.clone(), part.to_owned());
        tokio::spawn(async move {
            for id in part {
                let request = CreateWorker { worker_id: Some(id), spec: spec.clone() };
                runtime.create(request).await.unwrap();
            }
        });
    }
    let mut seen = Vec::new();
    while seen.len() < ids.len() {
        let change = next(&mut stream).await.unwrap();
        assert!(change.worker.is_some());
        seen.push(change.worker_id);
        seen.sort();
        seen.dedup();
    }
    ids.sort();
    assert_eq!(seen, ids);
}

pub(crate) async fn a_snapshot_ends_with_ready(trial: &Trial<'_>) {
    let one = trial.worker(Guest::Scribe).await;
    let other = trial.worker(Guest::Scribe).await;
    let mut stream = trial.runtime().changes(FollowChanges::default()).await.unwrap();
    let mut seen = BTreeSet::new();
    let ready = loop {
        match next(&mut stream).await.unwrap() {
            RuntimeEvent::Change(change) => drop(seen.insert(change.worker_id)),
            RuntimeEvent::Ready(ready) => break ready,
            event => panic!("{event:?} within a snapshot"),
        }
    };
    assert_eq!(seen, BTreeSet::from([one.id, other.id]));
    drop(stream);
    // Its cursor leads behind the snapshot.
    let new = trial.worker(Guest::Scribe).await;
    let mut stream = follow(trial, Some(&ready.cursor)).await;
    assert_eq!(next(&mut stream).await.unwrap().worker_id, new.id);
}

pub(crate) async fn a_stream_from_now_has_no_snapshot(trial: &Trial<'_>) {
    let old = trial.worker(Guest::Scribe).await;
    let from = FollowChanges { after: None, from_now: true };
    let mut stream = trial.runtime().changes(from).await.unwrap();
    assert!(matches!(next(&mut stream).await, Some(RuntimeEvent::Ready(_))));
    let new = trial.worker(Guest::Scribe).await;
    let mut stream = only_changes(stream);
    assert_eq!(next(&mut stream).await.unwrap().worker_id, new.id);
    trial.runtime().stop(old.id).await.unwrap();
    until(&mut stream, shows(old.id, |view| view.desired == Desired::Stopped)).await;
}
