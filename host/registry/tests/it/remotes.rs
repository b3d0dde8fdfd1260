//! Remotes that disappear, lie and come back.

use std::time::Instant;

use skep_protocol::*;
use skep_registry::{Caller, RemoteSpec};

use crate::bed::{Bed, DEADLINE, Net, PATIENT, far, id, now, spec, subjects, until};
use crate::puppet::Mood;

#[tokio::test]
async fn an_unavailable_remote_is_not_called_until_a_retry_is_due() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::new(net, vec![spec("a")]);
    let worker = a.worker().await;
    bed.until("a", Status::Available).await;
    let before = now();
    a.is(Mood::Says(Error::RuntimeUnavailable));
    assert_eq!(bed.at("a").get(worker).await.err(), Some(Error::RuntimeUnavailable));
    let summary = bed.summary("a").await.unwrap();
    assert_eq!(summary.status, Status::Unavailable);
    let since = summary.unavailable_since.unwrap();
    assert!(since >= before && since <= now());
    assert_eq!(summary.workers, Some(1), "the last known count");

    let calls = a.calls();
    for _ in 0..1000 {
        let refused = bed.at("a").get(worker).await;
        assert_eq!(refused.err(), Some(Error::RuntimeUnavailable));
    }
    assert!(a.calls() - calls < 5, "{}", a.calls() - calls);
    assert_eq!(bed.summary("a").await.unwrap().unavailable_since, Some(since));
    let list = bed.registry.runtimes(&Caller::operator()).await;
    let expected = [("a".to_owned(), DiagnosticCode::RuntimeUnavailable)];
    assert_eq!(subjects(&list.diagnostics), expected);

    a.is(Mood::Well);
    let summary = bed.until("a", Status::Available).await;
    assert_eq!(summary.unavailable_since, None);
    assert!(bed.at("a").get(worker).await.is_ok());
}

#[tokio::test]
async fn typed_errors_do_not_open_the_circuit() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::new(net, vec![spec("a")]);
    let worker = a.worker().await;
    bed.until("a", Status::Available).await;
    let answers = [
        Error::StorageFull,
        Error::Internal,
        Error::Forbidden(Need::Role(Role::Admin)),
        Error::Busy { retry_after: DEADLINE },
        Error::UnknownWorker(worker),
        Error::WorkerRemoved,
        Error::Conflict(Conflict::Ended),
    ];
    for error in answers {
        a.is(Mood::Says(error.clone()));
        assert_eq!(bed.at("a").get(worker).await.err(), Some(error.clone()));
        assert_eq!(bed.at("a").stop(worker).await.err(), Some(error.clone()));
        let status = bed.summary("a").await.unwrap().status;
        assert_eq!(status, Status::Available, "{error:?}");
        a.is(Mood::Well);
        assert!(bed.at("a").get(worker).await.is_ok(), "{error:?}");
    }
}

#[tokio::test]
async fn a_typed_error_on_first_contact_is_reported() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    a.is(Mood::Says(Error::StorageFull));
    let bed = Bed::new(net, vec![spec("a")]);
    let listed = bed.at("a").list(ListWorkers::default()).await;
    assert_eq!(listed.err(), Some(Error::StorageFull));
    assert_eq!(bed.summary("a").await.unwrap().status, Status::Degraded);
    a.is(Mood::Well);
    assert!(bed.at("a").list(ListWorkers::default()).await.is_ok());
}

#[tokio::test]
async fn a_refused_registry_token_does_not_look_like_the_callers() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    a.is(Mood::Says(Error::Unauthenticated));
    let bed = Bed::new(net, vec![spec("a")]);
    let listed = bed.at("a").list(ListWorkers::default()).await;
    assert_eq!(listed.err(), Some(Error::RuntimeUnavailable));
    bed.until("a", Status::Unavailable).await;
}

#[tokio::test]
async fn a_hanging_remote_is_slow_and_then_unavailable() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::patient(net, vec![spec("a")]);
    bed.until("a", Status::Available).await;
    a.is(Mood::Hangs);
    assert_eq!(bed.summary("a").await.unwrap().status, Status::Degraded);
    let began = Instant::now();
    bed.summary("a").await.unwrap();
    assert!(began.elapsed() < PATIENT / 2, "only the first call waits");
    bed.until("a", Status::Unavailable).await;
    a.is(Mood::Well);
    bed.until("a", Status::Available).await;
}

#[tokio::test]
async fn a_remote_with_another_id_is_not_used() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    a.is(Mood::Is(id("b")));
    let bed = Bed::new(net, vec![spec("a")]);
    let worker = a.worker().await;
    assert_eq!(bed.at("a").get(worker).await.err(), Some(Error::RuntimeUnavailable));
    assert_eq!(bed.at("a").stop(worker).await.err(), Some(Error::RuntimeUnavailable));
    assert_eq!(a.behind().get(worker).await.unwrap().desired, Desired::Running);
    let list = bed.registry.runtimes(&Caller::operator()).await;
    let expected = [("a".to_owned(), DiagnosticCode::RuntimeMismatch)];
    assert_eq!(subjects(&list.diagnostics), expected);
    assert_eq!(list.items[1].status, Status::Unavailable);
    let workers = ListWorkers::default();
    let list = bed.registry.workers(&Caller::operator(), None, workers).await.unwrap();
    assert!(list.items.is_empty());
    assert_eq!(subjects(&list.diagnostics), expected);
    a.is(Mood::Well);
    bed.until("a", Status::Available).await;
    assert!(bed.at("a").get(worker).await.is_ok());
}

#[tokio::test]
async fn a_remote_that_reports_foreign_workers_is_not_trusted() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::new(net, vec![spec("a")]);
    let worker = a.worker().await;
    bed.until("a", Status::Available).await;
    a.is(Mood::Is(id("home")));
    assert_eq!(bed.at("a").get(worker).await.err(), Some(Error::RuntimeUnavailable));
    let list = bed.registry.runtimes(&Caller::operator()).await;
    let expected = [("a".to_owned(), DiagnosticCode::RuntimeMismatch)];
    assert_eq!(subjects(&list.diagnostics), expected);
}

#[tokio::test]
async fn duplicate_remote_ids_are_refused() {
    let net = Net::default();
    let [a, other] = far(&net, ["a", "other"]);
    let second = RemoteSpec { endpoint: spec("other").endpoint, ..spec("a") };
    let remotes = vec![spec("a"), spec("a"), second, spec("home"), spec("local")];
    let bed = Bed::new(net, remotes);
    let worker = a.worker().await;
    let list = bed.registry.runtimes(&Caller::operator()).await;
    let ids: Vec<_> = list.items.iter().map(|runtime| runtime.runtime_id.as_str()).collect();
    assert_eq!(ids, ["home", "a", "local"]);
    assert_eq!(list.items[0].source, Source::Embedded);
    let mismatch = |id: &str| (id.to_owned(), DiagnosticCode::RuntimeMismatch);
    let expected = [mismatch("a"), mismatch("home"), mismatch("local")];
    assert_eq!(subjects(&list.diagnostics), expected);
    assert!(bed.at("a").get(worker).await.is_ok());
    assert_eq!(other.calls(), 0);
}

#[tokio::test]
async fn an_unusable_entry_has_a_diagnostic() {
    let bed = Bed::new(Net::default(), vec![spec("a")]);
    let listed = bed.at("a").list(ListWorkers::default()).await;
    assert_eq!(listed.err(), Some(Error::RuntimeUnavailable));
    let list = bed.registry.runtimes(&Caller::operator()).await;
    let expected = [("a".to_owned(), DiagnosticCode::RuntimeUnavailable)];
    assert_eq!(subjects(&list.diagnostics), expected);
    assert_eq!(list.items[1].status, Status::Unavailable);
}

#[tokio::test]
async fn a_hanging_remote_does_not_affect_the_embedded_runtime() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::patient(net, vec![spec("a")]);
    let worker = bed.home.worker().await;
    a.is(Mood::Hangs);
    let hanging = bed.at("a");
    let waiting = tokio::spawn(async move { hanging.stop(WorkerId::new(1, [0; 10])).await });
    let began = Instant::now();
    assert!(bed.at("home").stop(worker).await.is_ok());
    assert!(began.elapsed() < PATIENT);
    assert!(bed.registry.is_ready().await);
    let refused = waiting.await.unwrap();
    assert_eq!(refused.err(), Some(Error::RuntimeUnavailable), "calls do not wait indefinitely");
    until(async || bed.audit().into_iter().find(|e| e.outcome == "runtime_unavailable")).await;
}

#[tokio::test]
async fn no_runtime_is_called_after_a_shutdown() {
    let net = Net::default();
    let [a] = far(&net, ["a"]);
    let bed = Bed::new(net, vec![spec("a")]);
    let worker = bed.home.worker().await;
    bed.until("a", Status::Available).await;
    bed.registry.shutdown().await;
    bed.registry.shutdown().await;
    bed.registry.reload();
    a.is(Mood::Says(Error::RuntimeUnavailable));
    assert_eq!(
        bed.at("home").stop(worker).await.err(),
        Some(Error::Internal),
        "changes cannot be audited any more"
    );
}
