//! The audit of changes.

use std::collections::BTreeMap;
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
    let first = bed.page_of_audit(ListAudit::default());
    assert_eq!(first.items.len(), 100);
    let seqs: Vec<_> = bed.audit().iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=120).rev().collect::<Vec<_>>());
    let garbage = ListAudit { cursor: Some("garbage".into()), ..ListAudit::default() };
    let garbage = bed.registry.audit(&Caller::operator(), &garbage);
    assert_eq!(garbage, Err(Invalid::Cursor.into()));
    let limited = bed.caller(Role::Admin, Some(&["elsewhere"]));
    let seen = bed.registry.audit(&limited, &ListAudit::default()).unwrap();
    let seen: Vec<_> = seen.items.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(seen, ["token.create"], "entries of invisible runtimes are omitted");
}

#[tokio::test]
async fn the_audit_is_filtered_by_caller_action_worker_outcome_and_time() {
    let bed = Bed::new(Net::default(), Vec::new());
    let (one, other) = (bed.home.worker().await, bed.home.worker().await);
    let operator = bed.caller(Role::Operator, None);
    let runtime = bed.registry.own(&operator).unwrap();
    runtime.stop(one).await.unwrap();
    runtime.rollback(one).await.unwrap_err();
    bed.at("home").stop(other).await.unwrap();
    let seqs = |query: ListAudit| {
        bed.page_of_audit(query).items.into_iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    let all = bed.audit();
    assert_eq!(seqs(ListAudit::default()), [4, 3, 2, 1]);
    let any = ListAudit::default;
    let middle = all[1].at;
    for (query, expected) in [
        (ListAudit { actor: operator.token_id.clone(), ..any() }, &[3, 2][..]),
        (ListAudit { actor: Some("local".parse().unwrap()), ..any() }, &[4, 1]),
        (ListAudit { action: Some("worker.stop".into()), ..any() }, &[4, 2]),
        (ListAudit { action: Some("worker".into()), ..any() }, &[]),
        (ListAudit { runtime_id: Some(id("home")), ..any() }, &[4, 3, 2]),
        (ListAudit { runtime_id: Some(id("far")), ..any() }, &[]),
        (ListAudit { worker_id: Some(one), ..any() }, &[3, 2]),
        (ListAudit { outcome: Some("conflict".into()), ..any() }, &[3]),
        (ListAudit { until: Some(Timestamp(1)), ..any() }, &[]),
        (ListAudit { since: Some(Timestamp(middle.0 + 60_000)), ..any() }, &[]),
    ] {
        assert_eq!(seqs(query.clone()), expected, "{query:?}");
    }
    let since = seqs(ListAudit { since: Some(middle), ..any() });
    let until = seqs(ListAudit { until: Some(middle), ..any() });
    assert!(since.starts_with(&[4, 3]) && until.ends_with(&[3, 2, 1]), "{since:?} {until:?}");
}

#[tokio::test]
async fn a_filter_reads_a_bounded_part_of_the_audit_at_once() {
    let bed = Bed::new(Net::default(), Vec::new());
    let worker = bed.home.worker().await;
    bed.at("home").stop(worker).await.unwrap();
    let file = rusqlite::Connection::open(bed.root().join("registry.db")).unwrap();
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)
         INSERT INTO audit (at, action, outcome) SELECT i, 'login', 'ok' FROM n";
    file.execute(many, []).unwrap();
    let mut query = ListAudit { worker_id: Some(worker), ..ListAudit::default() };
    let mut pages = Vec::new();
    loop {
        let page = bed.page_of_audit(query.clone());
        pages.push(page.items.len());
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, [0, 0, 1]);
}

#[tokio::test]
async fn changes_of_grants_and_labels_are_audited_with_both_states() {
    let bed = Bed::new(Net::default(), Vec::new());
    let worker = bed.home.worker().await;
    let runtime = bed.at("home");
    let labels =
        |text: &str| Some(Labels::try_from(BTreeMap::from([("a".into(), text.into())])).unwrap());
    let update = |change| runtime.update(worker, change);
    update(WorkerChange { labels: labels("1"), ..WorkerChange::default() }).await.unwrap();
    update(WorkerChange { labels: labels("2"), ..WorkerChange::default() }).await.unwrap();
    let grants = Grants { http: vec!["https://example.com".parse().unwrap()], ..Grants::default() };
    let change = WorkerChange { grants: Some(grants.clone()), ..WorkerChange::default() };
    update(change.clone()).await.unwrap();
    let name = WorkerChange { display_ref: Some("x".parse().unwrap()), ..WorkerChange::default() };
    update(name).await.unwrap();
    let limits = |most| Some(LimitChanges([(LimitName::memory_bytes, most)].into()));
    for most in [1 << 20, 2 << 20] {
        let change = WorkerChange { limits: limits(most), ..WorkerChange::default() };
        update(change).await.unwrap();
    }
    let viewer = bed.registry.own(&bed.caller(Role::Viewer, None)).unwrap();
    viewer.update(worker, change).await.unwrap_err();
    let all = bed.audit();
    let all: Vec<_> = all.iter().filter(|entry| entry.action == "worker.update").collect();
    let [refused, limited, _, name, granted, second, _] = all[..] else { panic!("{all:?}") };
    let state = |state: &Option<AuditedState>| state.clone().unwrap();
    assert_eq!(state(&second.before).labels, labels("1"));
    assert_eq!(state(&second.after).labels, labels("2"));
    assert_eq!(state(&second.after).grants, None, "what the change does not name is left out");
    assert_eq!(state(&granted.before).grants, Some(Grants::default()));
    assert_eq!(state(&granted.after).grants, Some(grants));
    assert_eq!((&name.before, &name.after), (&None, &None));
    assert_eq!(state(&limited.before).limits, limits(1 << 20));
    assert_eq!(state(&limited.after).limits, limits(2 << 20));
    assert_eq!((refused.outcome.as_str(), &refused.before), ("forbidden", &None));
}

#[tokio::test]
async fn a_step_is_audited_with_its_run_and_id() {
    let bed = Bed::new(Net::default(), Vec::new());
    let mut request = crate::roles::step();
    request.step.id = "greet[n=1]".into();
    bed.at("home").start_step(request.clone(), Role::Admin).await.unwrap_err();
    request.step.id = "x".repeat(10_000);
    let viewer = bed.registry.own(&bed.caller(Role::Viewer, None)).unwrap();
    viewer.start_step(request.clone(), Role::Admin).await.unwrap_err();
    let all = bed.audit();
    let all: Vec<_> = all.iter().filter(|entry| entry.action == "step.run").collect();
    let [refused, tried] = all[..] else { panic!("{all:?}") };
    let step = |entry: &AuditEntry| entry.after.clone().unwrap().step.unwrap();
    let expected = AuditedStep {
        run: request.run,
        id: "greet[n=1]".into(),
        component: request.step.component,
    };
    assert_eq!(step(tried), expected);
    assert_eq!((refused.outcome.as_str(), step(refused).id.chars().count()), ("forbidden", 201));
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
        "INSERT OR REPLACE INTO audit SELECT seq, at, token_id, 'x', NULL, NULL, 'x', NULL, NULL FROM audit",
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
