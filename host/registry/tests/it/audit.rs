//! The audit of changes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use skep_protocol::Action;
use skep_protocol::*;
use skep_registry::{Audit, AuditRecord, Caller};

use crate::bed::{Bed, DEADLINE, Net, far, id, spec, until};
use crate::puppet::Mood;

#[tokio::test]
async fn every_change_is_audited_with_caller_and_outcome() {
    let net = Net::default();
    let [away] = far(&net, ["away"]);
    let bed = Bed::new(net, vec![spec("away")]);
    let worker = bed.home.worker().await;
    let component = bed.home.behind().get(worker).await.unwrap().spec.component;
    let (operator, viewer) = (bed.caller(Role::Operator, None), bed.caller(Role::Viewer, None));
    let runtime = bed.registry.own(&operator).unwrap();

    let request = CreateWorker { worker_id: None, spec: WorkerSpec::new(component) };
    let new = runtime.create(request.clone()).await.unwrap().item.worker_id;
    runtime.stop(new).await.unwrap();
    runtime.start(new).await.unwrap();
    let http = vec!["https://example.com".parse().unwrap()];
    let more = Some(Grants { http, ..Grants::default() });
    let more = WorkerChange { grants: more, ..WorkerChange::default() };
    runtime.update(new, more.clone()).await.unwrap_err();
    bed.registry.own(&Caller::operator()).unwrap().update(new, more).await.unwrap();
    let less = WorkerChange { grants: Some(Grants::default()), ..WorkerChange::default() };
    runtime.update(new, less).await.unwrap();
    runtime.remove_component(component).await.unwrap_err();
    runtime.rollback(new).await.unwrap_err();
    runtime.remove(new).await.unwrap();
    bed.registry.own(&viewer).unwrap().remove(worker).await.unwrap_err();
    away.is(Mood::Says(Error::StorageFull));
    let there = bed.registry.handle(&operator, &id("away")).unwrap();
    there.create(request).await.unwrap_err();
    // Reads and inputs are not audited.
    runtime.list(ListWorkers::default()).await.unwrap();
    let payload = Payload { content_type: String::new(), body: "?".into() };
    runtime.send(worker, NewInput { payload, key: None, wait: None, sender: None }).await.unwrap();

    let (operator, viewer) = (operator.token_id, viewer.token_id);
    let said: Vec<_> = bed.audit().into_iter().filter(|e| e.runtime_id.is_some()).rev().collect();
    let row = |entry: &AuditEntry| {
        let at_home = entry.runtime_id == Some(id("home"));
        let action = entry.action.clone();
        (action, at_home, entry.token_id == operator, entry.worker_id, entry.outcome.clone())
    };
    let rows: Vec<_> = said.iter().map(row).collect();
    let rows: Vec<_> =
        rows.iter().map(|(a, h, t, w, o)| (a.as_str(), *h, *t, *w, o.as_str())).collect();
    assert_eq!(
        rows,
        [
            ("worker.create", true, true, Some(new), "ok"),
            ("worker.stop", true, true, Some(new), "ok"),
            ("worker.start", true, true, Some(new), "ok"),
            ("worker.update", true, true, Some(new), "forbidden"),
            ("worker.update", true, false, Some(new), "ok"),
            ("worker.update", true, true, Some(new), "ok"),
            ("component.remove", true, true, None, "conflict"),
            ("worker.rollback", true, true, Some(new), "conflict"),
            ("worker.remove", true, true, Some(new), "ok"),
            ("worker.remove", true, false, Some(worker), "forbidden"),
            ("worker.create", false, true, None, "storage_full"),
        ]
    );
    let refused = said.iter().rfind(|entry| entry.outcome == "forbidden").unwrap();
    assert_eq!(refused.token_id, viewer);
}

#[tokio::test]
async fn the_audit_is_paged_newest_first() {
    let bed = Bed::new(Net::default(), Vec::new());
    let worker = bed.home.worker().await;
    let stops = (0..120).map(|_| {
        let runtime = bed.at("home");
        async move { runtime.stop(worker).await.unwrap() }
    });
    futures_util::future::join_all(stops).await;
    let first = bed.registry.audit(&Caller::operator(), None).unwrap();
    assert_eq!(first.items.len(), 100);
    let seqs: Vec<_> = bed.audit().iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=120).rev().collect::<Vec<_>>());
    let garbage = bed.registry.audit(&Caller::operator(), Some("garbage"));
    assert_eq!(garbage, Err(Invalid::Cursor.into()));
    let limited = bed.caller(Role::Admin, Some(&["elsewhere"]));
    let seen = bed.registry.audit(&limited, None).unwrap();
    let seen: Vec<_> = seen.items.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(seen, ["token.create"], "entries of invisible runtimes are omitted");
}

#[tokio::test]
async fn the_audit_is_append_only() {
    let bed = Bed::new(Net::default(), Vec::new());
    let worker = bed.home.worker().await;
    bed.at("home").stop(worker).await.unwrap();
    let before = bed.audit();
    let file = rusqlite::Connection::open(bed.root().join("registry.db")).unwrap();
    for statement in [
        "UPDATE audit SET outcome = 'ok', token_id = NULL",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT seq, at, token_id, 'x', NULL, NULL, 'x' FROM audit",
    ] {
        let error = file.execute(statement, []).unwrap_err();
        assert!(error.to_string().contains("only added to"), "{statement}: {error}");
    }
    assert_eq!(bed.audit(), before);
}

#[tokio::test]
async fn a_change_is_audited_if_its_caller_disconnects() {
    let bed = Bed::new(Net::default(), Vec::new());
    let worker = bed.home.worker().await;
    bed.home.is(Mood::Hangs);
    let stopping = bed.at("home");
    let stop = tokio::time::timeout(Duration::from_millis(50), stopping.stop(worker)).await;
    assert!(stop.is_err());
    assert!(bed.audit().is_empty());
    bed.home.is(Mood::Well);
    until(async || bed.audit().pop().filter(|entry| entry.action == "worker.stop")).await;
    assert_eq!(bed.home.behind().get(worker).await.unwrap().desired, Desired::Stopped);

    // An upload that breaks off is audited too.
    let broken = Box::pin(stream::iter([Err(Error::InvalidRequest(Invalid::Body))]));
    bed.at("home").put_component(broken, Role::Admin).await.unwrap_err();
    assert_eq!(bed.audit()[0].outcome, "invalid_request");
}

/// An audit whose disk is full.
struct Full;

#[async_trait]
impl Audit for Full {
    async fn record(&self, record: AuditRecord) -> Result<(), Error> {
        assert!(Action::ALL.contains(&record.action));
        Err(Error::StorageFull)
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_audited_is_an_error() {
    let audit: Arc<dyn Audit> = Arc::new(Full);
    let bed = Bed::with(Net::default(), Vec::new(), |parts| parts.audit = Some(audit));
    let worker = bed.home.worker().await;
    assert_eq!(bed.at("home").stop(worker).await.err(), Some(Error::StorageFull));
    let nobody = WorkerId::new(1, [0; 10]);
    let unknown = bed.at("home").stop(nobody).await;
    assert_eq!(unknown.err(), Some(Error::UnknownWorker(nobody)));
    assert!(bed.at("home").get(worker).await.is_ok());
}

#[test]
fn every_action_has_its_own_name() {
    let words: std::collections::BTreeSet<_> = Action::ALL.iter().map(|a| a.as_str()).collect();
    assert_eq!(words.len(), Action::ALL.len());
}

#[tokio::test]
async fn the_audit_works_while_another_process_writes() {
    let bed = Bed::new(Net::default(), Vec::new());
    let worker = bed.home.worker().await;
    let registrar = bed.registrar();
    let adding = std::thread::spawn(move || {
        for n in 0..50 {
            registrar.remotes().add(&spec(&format!("r{n}"))).unwrap();
        }
    });
    for _ in 0..50 {
        bed.at("home").stop(worker).await.unwrap();
    }
    adding.join().unwrap();
    let stops = bed.audit().into_iter().filter(|entry| entry.action == "worker.stop").count();
    assert_eq!((stops, bed.audit().len()), (50, 100));
    assert!(DEADLINE < Duration::from_secs(1));
}
