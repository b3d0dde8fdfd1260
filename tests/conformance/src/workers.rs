//! Creating, listing and viewing workers.

use skep_protocol::*;

use crate::Guest;
use crate::trial::{
    Trial, answer, body, eventually, input_id, labels, message, no_digest, upload, worker_id,
};

pub(crate) async fn describe_names_the_runtime_and_counts_its_workers(trial: &Trial<'_>) {
    let empty = trial.runtime().describe().await.unwrap();
    assert_eq!((empty.workers, empty.connected), (0, 0));
    assert!(!empty.version.is_empty() && !empty.host_id.as_str().is_empty());
    let one = trial.worker(Guest::Scribe).await;
    let other = trial.worker(Guest::Echo).await;
    other.ask("hello").await;
    let both = trial.runtime().describe().await.unwrap();
    assert_eq!((both.workers, both.connected), (2, 1));
    assert_eq!(both.runtime_id, empty.runtime_id);
    assert_eq!(one.view().await.runtime_id, empty.runtime_id);
    eventually("the runtime is ready", async || {
        trial.runtime().describe().await.unwrap().ready.then_some(())
    })
    .await;
    trial.runtime().remove(one.id).await.unwrap();
    assert_eq!(trial.runtime().describe().await.unwrap().workers, 1);
}

pub(crate) async fn a_new_worker_is_idle_and_unconnected(trial: &Trial<'_>) {
    let spec = WorkerSpec {
        display_ref: Some("Build № 7".parse().unwrap()),
        labels: labels(&[("ci/job", "7")]),
        config: Some(trial.config(&[("a", "1")]).await),
        ..trial.spec(Guest::Scribe).await
    };
    let request = CreateWorker { worker_id: None, spec: spec.clone() };
    let Stored { item: view, created } = trial.runtime().create(request).await.unwrap();
    assert!(created);
    assert_eq!(view.kind, ComponentKind::Service);
    assert_eq!(view.spec, spec);
    assert_eq!((view.desired, &view.observed), (Desired::Running, &Observed::Idle));
    assert_eq!(view.execution, Execution::Unconnected);
    assert_eq!((view.previous, view.queued_inputs), (None, 0));
    assert!(view.created_at.as_millis() > 0);
    assert_eq!(trial.runtime().get(view.worker_id).await, Ok(view));
    let command = trial.worker(Guest::Hello).await.view().await;
    assert_eq!((command.kind, command.observed), (ComponentKind::Command, Observed::Idle));
}

pub(crate) async fn creating_the_same_worker_again_returns_it(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Scribe).await;
    let request = CreateWorker { worker_id: Some(worker_id()), spec };
    let first = trial.runtime().create(request.clone()).await.unwrap();
    assert!(first.created);
    assert_eq!(Some(first.item.worker_id), request.worker_id);
    let again = trial.runtime().create(request).await.unwrap();
    assert_eq!(again, Stored { created: false, ..first });
    assert_eq!(trial.listed().await.len(), 1);
}

pub(crate) async fn creating_another_under_the_same_id_is_a_conflict(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Scribe).await;
    let request = CreateWorker { worker_id: Some(worker_id()), spec };
    let view = trial.runtime().create(request.clone()).await.unwrap().item;
    let echo = trial.component(Guest::Echo).await;
    let limits = LimitChanges([(LimitName::state_bytes, 1_000)].into());
    for spec in [
        WorkerSpec { component: echo, ..request.spec.clone() },
        WorkerSpec { labels: labels(&[("a", "1")]), ..request.spec.clone() },
        WorkerSpec { limits, ..request.spec.clone() },
    ] {
        let other = CreateWorker { spec, ..request.clone() };
        let refused = trial.runtime().create(other).await;
        assert_eq!(refused, Err(Error::Conflict(Conflict::Worker)));
    }
    assert_eq!(trial.runtime().get(view.worker_id).await, Ok(view));
}

pub(crate) async fn concurrent_creates_make_one_worker(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Scribe).await;
    let request = CreateWorker { worker_id: Some(worker_id()), spec };
    let all = (0..8).map(|_| {
        let (runtime, request) = (trial.runtime(), request.clone());
        tokio::spawn(async move { runtime.create(request).await.unwrap() })
    });
    let mut created = 0;
    for one in all.collect::<Vec<_>>() {
        created += usize::from(one.await.unwrap().created);
    }
    assert_eq!((created, trial.listed().await.len()), (1, 1));
}

pub(crate) async fn an_id_is_chosen_where_the_caller_has_none(trial: &Trial<'_>) {
    let one = trial.worker(Guest::Scribe).await;
    let other = trial.worker(Guest::Scribe).await;
    assert_ne!(one.id, other.id);
    assert_eq!(other.view().await.worker_id, other.id);
}

pub(crate) async fn a_removed_id_is_not_used_again(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Scribe).await;
    let request = CreateWorker { worker_id: Some(worker_id()), spec };
    let view = trial.runtime().create(request.clone()).await.unwrap().item;
    trial.runtime().remove(view.worker_id).await.unwrap();
    assert_eq!(trial.runtime().create(request).await, Err(Error::WorkerRemoved));
    assert_eq!(trial.listed().await, []);
}

pub(crate) async fn a_refused_create_leaves_nothing(trial: &Trial<'_>) {
    let (component, config) =
        (ComponentDigest::from_sha256(no_digest()), ConfigDigest::from_sha256(no_digest()));
    let good = trial.spec(Guest::Scribe).await;
    let id = worker_id();
    let grants = |guest: &str| {
        let (name, guest) = ("no-such-scope".parse().unwrap(), guest.parse().unwrap());
        Grants {
            scopes: vec![ScopeGrant { name, guest, rights: Rights::ReadOnly }],
            ..Grants::default()
        }
    };
    let not_a_workers = LimitName::compile_wall_ms;
    let limits = LimitChanges([(not_a_workers, 1)].into());
    for (spec, error) in [
        (WorkerSpec { component, ..good.clone() }, Error::UnknownComponent(component)),
        (WorkerSpec { config: Some(config), ..good.clone() }, Error::UnknownConfig(config)),
        (WorkerSpec { grants: grants("/data"), ..good.clone() }, Invalid::GuestPath.into()),
        (WorkerSpec { grants: grants("/src"), ..good.clone() }, Invalid::Scope.into()),
        (WorkerSpec { limits, ..good.clone() }, Invalid::Limit(not_a_workers).into()),
    ] {
        let request = CreateWorker { worker_id: Some(id), spec };
        assert_eq!(trial.runtime().create(request).await, Err(error));
    }
    assert_eq!(trial.listed().await, []);
    assert_eq!(trial.runtime().get(id).await, Err(Error::UnknownWorker(id)));
    let request = CreateWorker { worker_id: Some(id), spec: good };
    assert!(trial.runtime().create(request).await.unwrap().created);
}

/// Returns the error of each verb on a worker that does not exist.
async fn said_by_every_verb(trial: &Trial<'_>, id: WorkerId) -> Vec<(&'static str, Option<Error>)> {
    let runtime = trial.runtime();
    let change = WorkerChange { labels: Some(labels(&[])), ..WorkerChange::default() };
    let file: FileName = "file".parse().unwrap();
    vec![
        ("get", runtime.get(id).await.err()),
        ("update", runtime.update(id, change).await.err()),
        ("rollback", runtime.rollback(id).await.err()),
        ("remove", runtime.remove(id).await.err()),
        ("start", runtime.start(id).await.err()),
        ("stop", runtime.stop(id).await.err()),
        ("send", runtime.send(id, message("echo")).await.err()),
        ("cancel", runtime.cancel(id, input_id()).await.err()),
        ("input", runtime.input(id, input_id()).await.err()),
        ("state", runtime.state(id, ListState::default()).await.err()),
        ("fork", runtime.fork(id, ForkWorker::default()).await.err()),
        ("transcript", runtime.transcript(id, ListEntries::after(Cursor(0), 10)).await.err()),
        ("entry", runtime.entry(id, Cursor(1)).await.err()),
        ("subscribe", runtime.subscribe(id, None, None).await.err()),
        ("diagnostics", runtime.diagnostics(Some(id)).await.err()),
        ("usage", runtime.usage(id).await.err()),
        ("files", runtime.files(id, ListFiles::default()).await.err()),
        ("read_file", runtime.read_file(id, file.clone(), None).await.err()),
        (
            "write_file",
            runtime.write_file(id, file.clone(), upload(vec![1]), FileCondition::Any).await.err(),
        ),
        ("remove_file", runtime.remove_file(id, file.clone(), RemoveFile::default()).await.err()),
        (
            "rename_file",
            runtime.rename_file(id, RenameFile { from: file.clone(), to: file }).await.err(),
        ),
        ("export", runtime.export(id).await.err()),
        ("import", runtime.import(id, upload(vec![0; 1_024])).await.err()),
    ]
}

pub(crate) async fn an_unknown_worker_is_unknown_to_every_verb(trial: &Trial<'_>) {
    let id = worker_id();
    for (verb, error) in said_by_every_verb(trial, id).await {
        assert_eq!(error, Some(Error::UnknownWorker(id)), "{verb}");
    }
}

pub(crate) async fn a_removed_worker_is_removed_to_every_verb(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("set a 1").await;
    trial.runtime().remove(worker.id).await.unwrap();
    for (verb, error) in said_by_every_verb(trial, worker.id).await {
        assert_eq!(error, Some(Error::WorkerRemoved), "{verb}");
    }
}

pub(crate) async fn workers_are_listed_in_the_order_of_their_ids(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Scribe).await;
    let mut ids: Vec<_> = (0..7).map(|_| worker_id()).collect();
    // Created in another order than they are listed in.
    ids.sort();
    ids.reverse();
    for &id in &ids {
        let request = CreateWorker { worker_id: Some(id), spec: spec.clone() };
        trial.runtime().create(request).await.unwrap();
    }
    ids.reverse();
    assert_eq!(trial.listed().await, ids);
    for limit in [1, 3, 7, 100] {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let query = ListWorkers { limit, cursor, ..ListWorkers::default() };
            let page = trial.runtime().list(query).await.unwrap();
            assert!(page.items.len() <= limit);
            seen.extend(page.items.iter().map(|view| view.worker_id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
            assert!(!page.items.is_empty(), "an empty page has a next page");
        }
        assert_eq!(seen, ids, "{limit} on a page");
    }
}

fn with_label(label: &str) -> WorkerFilter {
    WorkerFilter { label: Some(label.parse().unwrap()), ..WorkerFilter::default() }
}

pub(crate) async fn workers_are_found_by_label(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Scribe).await;
    let mut wanted = Vec::new();
    for n in 0..6 {
        let value = if n % 2 == 0 { "even" } else { "odd" };
        let labels = labels(&[("job", value), ("n", &n.to_string())]);
        let worker = trial.create(WorkerSpec { labels, ..spec.clone() }).await;
        if n % 2 == 0 {
            wanted.push(worker.id);
        }
    }
    wanted.sort();
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let filter = with_label("job=even");
        let query = ListWorkers { limit: 2, cursor, filter, ..ListWorkers::default() };
        let page = trial.runtime().list(query).await.unwrap();
        seen.extend(page.items.iter().map(|view| view.worker_id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, wanted);
    for label in ["job=none", "even=job"] {
        let query = ListWorkers { filter: with_label(label), ..ListWorkers::default() };
        assert_eq!(trial.runtime().list(query).await.unwrap().items, []);
    }
}

pub(crate) async fn an_invented_list_cursor_is_refused(trial: &Trial<'_>) {
    trial.worker(Guest::Scribe).await;
    for cursor in ["", "x", "../..", "18446744073709551616"] {
        let query = ListWorkers { cursor: Some(cursor.to_owned()), ..ListWorkers::default() };
        let refused = trial.runtime().list(query).await;
        assert_eq!(refused, Err(Error::InvalidRequest(Invalid::Cursor)), "{cursor:?}");
    }
}

pub(crate) async fn labels_and_display_ref_change_without_disturbing(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("echo connect").await;
    let nap = worker.post("nap 3").await;
    worker.running(nap).await;
    let before = worker.entries().await.len();
    let change = WorkerChange {
        display_ref: Some("another".parse().unwrap()),
        labels: Some(labels(&[("b", "2")])),
        ..WorkerChange::default()
    };
    let view = worker.runtime().update(worker.id, change).await.unwrap();
    assert_eq!(view.spec.display_ref, Some("another".parse().unwrap()));
    assert_eq!(view.spec.labels, labels(&[("b", "2")]));
    assert_eq!(view.previous, None, "there is nothing to roll back");
    assert_eq!(answer(&worker.outcome(nap).await), "ok");
    assert_eq!(worker.input(nap).await.attempt, 1);
    let after = worker.entries().await;
    let kinds: Vec<_> = after[before..].iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::Output], "{}", body(&after[before]));

    let labels_only = WorkerChange { labels: Some(labels(&[])), ..WorkerChange::default() };
    let view = worker.runtime().update(worker.id, labels_only).await.unwrap();
    assert_eq!(view.spec.labels, labels(&[]));
    assert_eq!(view.spec.display_ref, Some("another".parse().unwrap()));
    assert_eq!(worker.view().await.spec, view.spec);
}
