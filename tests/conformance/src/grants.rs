//! Grants, and changes to them.

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, Worker, answer, body};

fn http(texts: &[&str]) -> Grants {
    let http = texts.iter().map(|text| text.parse().unwrap()).collect();
    Grants { http, ..Grants::default() }
}

fn scope(name: &str, guest: &str) -> Grants {
    let (name, guest) = (name.parse().unwrap(), guest.parse().unwrap());
    let scopes = vec![ScopeGrant { name, guest, rights: Rights::ReadOnly }];
    Grants { scopes, ..Grants::default() }
}

fn to(grants: &Grants) -> WorkerChange {
    WorkerChange { grants: Some(grants.clone()), ..WorkerChange::default() }
}

async fn regrant(worker: Worker<'_>, grants: &Grants) -> WorkerView {
    let view = worker.runtime().update(worker.id, to(grants)).await.unwrap();
    assert_eq!(view.spec.grants, *grants);
    assert_eq!(worker.view().await.spec.grants, *grants);
    view
}

pub(crate) async fn grants_change_between_two_turns(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let created_at = worker.view().await.updated_at;
    let running = worker.post("nap 1").await;
    worker.running(running).await;
    let grants = http(&["GET,HEAD https://*.example.com", "http://127.0.0.1:8080"]);
    let view = regrant(worker, &grants).await;
    assert_eq!(view.previous, None, "there is nothing to roll back");
    assert!(view.updated_at >= created_at);
    assert_eq!(answer(&worker.outcome(running).await), "ok");
    assert_eq!(worker.input(running).await.attempt, 1, "the change disturbed a turn");
    let said = worker.entries_of(EntryKind::Updated).await;
    assert_eq!((said.len(), said[0].label.as_deref()), (1, Some("grants")));
    assert_eq!(said[0].payload.content_type, "application/json");
    assert_eq!(serde_json::from_str::<Grants>(&body(&said[0])).unwrap(), grants);
}

pub(crate) async fn grants_can_be_revoked(trial: &Trial<'_>) {
    let grants = http(&["https://a.example.com", "https://b.example.com"]);
    let spec = WorkerSpec { grants: grants.clone(), ..trial.spec(Guest::Scribe).await };
    let worker = trial.create(spec).await;
    assert_eq!(worker.view().await.spec.grants, grants);
    regrant(worker, &http(&["https://b.example.com"])).await;
    regrant(worker, &Grants::default()).await;
    assert_eq!(worker.entries_of(EntryKind::Updated).await.len(), 2);
    assert_eq!(worker.ask("echo on").await, "on");
}

pub(crate) async fn a_worker_with_other_grants_has_another_instance(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("echo connect").await;
    assert_eq!(worker.turns_of_instance().await, 2);
    regrant(worker, &http(&["https://a.example.com"])).await;
    assert_eq!(worker.turns_of_instance().await, 1, "changed between two turns");
    let running = worker.post("nap 0.5").await;
    worker.running(running).await;
    regrant(worker, &Grants::default()).await;
    worker.outcome(running).await;
    assert_eq!(worker.turns_of_instance().await, 1, "changed in a turn");
}

pub(crate) async fn the_same_grants_change_nothing(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let grants = http(&["https://a.example.com"]);
    regrant(worker, &grants).await;
    worker.ask("echo connect").await;
    let before = worker.entries().await.len();
    regrant(worker, &grants).await;
    assert_eq!(worker.entries().await.len(), before);
    assert_eq!(worker.turns_of_instance().await, 2, "the instance was replaced without a reason");
}

pub(crate) async fn invalid_grants_are_refused(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    regrant(worker, &http(&["https://a.example.com"])).await;
    let before = (worker.view().await, worker.entries().await.len());
    let mut same_place = scope("one", "/src");
    same_place.scopes.extend(scope("other", "/src").scopes);
    let secrets = vec!["no-such-secret".parse().unwrap()];
    let many = http(&vec!["https://a.example.com"; 65]);
    for (grants, why) in [
        (scope("no-such-scope", "/src"), Invalid::Scope),
        (scope("no-such-scope", "/data"), Invalid::GuestPath),
        (same_place, Invalid::GuestPath),
        (Grants { secrets, ..Grants::default() }, Invalid::Secret),
        (many, Invalid::TooManyGrants),
    ] {
        let refused = worker.runtime().update(worker.id, to(&grants)).await;
        assert_eq!(refused, Err(why.into()));
        let spec = WorkerSpec { grants, ..trial.spec(Guest::Scribe).await };
        let request = CreateWorker { worker_id: None, spec };
        assert_eq!(trial.runtime().create(request).await, Err(why.into()));
    }
    assert_eq!((worker.view().await, worker.entries().await.len()), before);
}

pub(crate) async fn a_change_based_on_other_grants_is_a_conflict(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let [none, one, two] = [&[][..], &["https://a.b"], &["https://c.d"]].map(http);
    let replace = async |before: &Grants, after: &Grants| {
        let change = WorkerChange { grants_before: Some(before.clone()), ..to(after) };
        worker.runtime().update(worker.id, change).await.map(|view| view.spec.grants)
    };
    assert_eq!(replace(&none, &one).await, Ok(one.clone()));
    assert_eq!(replace(&none, &two).await, Err(Conflict::Grants.into()));
    assert_eq!(replace(&none, &one).await, Ok(one.clone()), "a repeated request succeeds");
    assert_eq!(worker.view().await.spec.grants, one);
    assert_eq!(replace(&one, &two).await, Ok(two));
}

pub(crate) async fn a_rollback_leaves_the_grants(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let first = worker.view().await.spec.component;
    let grants = http(&["https://a.example.com"]);
    let change = WorkerChange {
        component: Some(trial.component(Guest::Echo).await),
        grants: Some(grants.clone()),
        ..WorkerChange::default()
    };
    let view = worker.runtime().update(worker.id, change).await.unwrap();
    assert_eq!(view.spec.grants, grants);
    let labels: Vec<_> = worker.entries_of(EntryKind::Updated).await;
    let labels: Vec<_> = labels.iter().map(|entry| entry.label.as_deref()).collect();
    assert_eq!(labels, [None, Some("grants")]);
    let view = worker.runtime().rollback(worker.id).await.unwrap();
    assert_eq!((view.spec.component, view.spec.grants), (first, grants));
}

pub(crate) async fn a_stopped_workers_grants_change(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.runtime().stop(worker.id).await.unwrap();
    let view = regrant(worker, &http(&["https://a.example.com"])).await;
    assert_eq!((view.desired, view.observed), (Desired::Stopped, Observed::Stopped));
}

pub(crate) async fn a_create_is_repeated_by_the_grants_that_it_had(trial: &Trial<'_>) {
    let grants = http(&["https://a.example.com"]);
    let spec = WorkerSpec { grants: grants.clone(), ..trial.spec(Guest::Scribe).await };
    let request = CreateWorker { worker_id: Some(crate::trial::worker_id()), spec };
    let id = trial.runtime().create(request.clone()).await.unwrap().item.worker_id;
    let view = trial.runtime().update(id, to(&Grants::default())).await.unwrap();
    // A caller who retries a create does not know of later changes.
    let again = trial.runtime().create(request.clone()).await.unwrap();
    assert_eq!(again, Stored { item: view, created: false });
    let spec = WorkerSpec { grants: Grants::default(), ..request.spec.clone() };
    let other = trial.runtime().create(CreateWorker { spec, ..request }).await;
    assert_eq!(other, Err(Error::Conflict(Conflict::Worker)));
}
