use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use skep_protocol::{ConfigValues, Denial, FailedReason, Grants, Labels, Version};

use super::*;
use crate::record::DENIALS;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into()));
    Labels::try_from(pairs.collect::<BTreeMap<_, _>>()).unwrap()
}

#[test]
fn workers_are_read_back_unchanged() {
    let mut kept = TestStore::new();
    let mut record = kept.create();
    assert_eq!(kept.worker(&record.id).unwrap(), Lookup::Found(Box::new(record.clone())));
    record.spec.labels = labels(&[("team", "red")]);
    record.spec.component = ComponentDigest::from_sha256([8; 32]);
    record.previous = Some(Version {
        component: ComponentDigest::from_sha256([7; 32]),
        config: Some(ConfigDigest::from_sha256([6; 32])),
    });
    record.desired = Desired::Stopped;
    record.standing = Standing::Failed(FailedReason::CrashLoop);
    record.has_directory = true;
    record.updated_at = Timestamp(7_000);
    kept.write(record.number, vec![WorkerWrite::Put(Box::new(record.clone()))]);
    for _ in 0..2 {
        assert_eq!(kept.worker(&record.id).unwrap(), Lookup::Found(Box::new(record.clone())));
        assert_eq!(kept.number(&record.id).unwrap(), Some(record.number));
        kept.reopen();
    }
    assert_eq!(kept.worker(&WorkerId::new(1, [0; 10])).unwrap(), Lookup::Unknown);
    for component in [7, 8] {
        let digest = ComponentDigest::from_sha256([component; 32]);
        assert!(kept.component_in_use(&digest).unwrap());
    }
}

#[test]
fn existing_workers_cannot_be_created_again() {
    let kept = TestStore::new();
    let record = kept.create();
    let create = |record: &WorkerRecord| {
        kept.try_write(record.number, vec![WorkerWrite::Create(Box::new(record.clone()))])
    };
    assert_eq!(refused(create(&record)), StoreRefusal::WorkerExists);
    let same_id = WorkerRecord { number: kept.next_number(), ..record.clone() };
    assert_eq!(refused(create(&same_id)), StoreRefusal::WorkerExists);
    let same_number = WorkerRecord { number: record.number, ..kept.record() };
    assert_eq!(refused(create(&same_number)), StoreRefusal::WorkerExists);
    let other = kept.record();
    let put = vec![WorkerWrite::Put(Box::new(other.clone()))];
    assert_eq!(refused(kept.try_write(record.number, put)), StoreRefusal::Malformed);
    let late = vec![event(b""), WorkerWrite::Create(Box::new(other.clone()))];
    assert_eq!(refused(kept.try_write(record.number, late)), StoreRefusal::Malformed);
    assert_eq!(
        refused(kept.try_write(other.number, vec![event(b"")])),
        StoreRefusal::UnknownWorker
    );
    assert_eq!(kept.worker_count().unwrap(), 1);
}

#[test]
fn numbers_are_never_reused() {
    let mut kept = TestStore::new();
    let (first, last) = (kept.create(), kept.create());
    kept.write(last.number, vec![WorkerWrite::Remove { at: Timestamp(2_000) }]);
    kept.reopen();
    assert!(kept.next_number() > last.number && last.number > first.number);
}

#[test]
fn workers_are_listed_by_id_and_label() {
    let kept = TestStore::new();
    let mut ids = Vec::new();
    for n in 0..25 {
        let mut record = kept.record();
        if n % 2 == 0 {
            record.spec.labels = labels(&[("team", "red"), ("n", &n.to_string())]);
        }
        kept.write(record.number, vec![WorkerWrite::Create(Box::new(record.clone()))]);
        ids.push(record.id);
    }
    let page = |after: Option<&WorkerId>, label| -> Vec<WorkerId> {
        let page = kept.workers(after, label, 10).unwrap();
        page.iter().map(|record| record.id).collect()
    };
    assert_eq!(page(None, None), ids[..10]);
    assert_eq!(page(Some(&ids[9]), None), ids[10..20]);
    assert_eq!(page(Some(&ids[24]), None), []);
    let red: Vec<_> = ids.iter().copied().step_by(2).collect();
    assert_eq!(page(None, Some(("team", "red"))), red[..10]);
    assert_eq!(page(Some(&red[9]), Some(("team", "red"))), red[10..]);
    assert_eq!(page(None, Some(("n", "4"))), [ids[4]]);
    assert_eq!(page(None, Some(("team", "blue"))), []);
    // A worker is not found by its former labels.
    let Lookup::Found(mut record) = kept.worker(&ids[4]).unwrap() else {
        panic!("the worker exists")
    };
    record.spec.labels = labels(&[("team", "blue")]);
    kept.write(record.number, vec![WorkerWrite::Put(record)]);
    assert_eq!(page(None, Some(("n", "4"))), []);
    assert_eq!(page(None, Some(("team", "blue"))), [ids[4]]);
}

#[test]
fn keys_refuse_other_inputs_while_they_are_remembered() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    let day = skep_protocol::Limits::default().idempotency_ms;
    let (first, second) = (kept.input_id(), kept.input_id());
    let key = "pay-7".parse().unwrap();
    let find = |now| {
        let found = kept.input_by_key(worker, &key, Timestamp(now), day).unwrap();
        found.map(|input| input.id)
    };
    assert_eq!(find(1_000), None);
    kept.write(worker, vec![accept_keyed(first, b"a", Some("pay-7"), 1_000)]);
    let again = || vec![accept_keyed(second, b"b", Some("pay-7"), 1_000 + day)];
    assert_eq!(refused(kept.try_write(worker, again())), StoreRefusal::KeyTaken);
    assert_eq!(find(1_000 + 2 * day), Some(first), "the input has not ended");
    kept.write(worker, vec![end(first, b"")]);
    assert_eq!((find(999 + day), find(1_000 + day)), (Some(first), None));
    kept.write(worker, again());
    assert_eq!(find(1_000 + day), Some(second));
    assert!(kept.input(worker, &first).unwrap().unwrap().key.is_none());
    // Each worker has its own keys.
    let other = kept.create().number;
    kept.write(other, vec![accept_keyed(kept.input_id(), b"c", Some("pay-7"), 1_000)]);
}

#[test]
fn state_keys_are_listed_in_order() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    let keys = ["a", "a/1", "a/2", "a/ü", "b", "é"];
    for key in keys.iter().rev() {
        kept.write(worker, vec![set(key, b"old"), set(key, key.as_bytes())]);
    }
    let list = |prefix, after, limit| kept.state_list(worker, prefix, after, limit).unwrap();
    assert_eq!(list("", None, 10), keys);
    assert_eq!(list("a/", None, 10), keys[1..4]);
    assert_eq!(list("a/", Some("a/1"), 1), ["a/2"]);
    assert_eq!(list("a/", Some("a"), 10), keys[1..4]);
    assert_eq!(list("a/", Some("b"), 10), [""; 0]);
    assert_eq!(kept.state_get(worker, "é").unwrap().unwrap(), "é".as_bytes());
    kept.write(worker, vec![WorkerWrite::DeleteState { key: "a/1".into() }]);
    assert_eq!(kept.state_get(worker, "a/1").unwrap(), None);
    assert_eq!(list("a/", None, 10), keys[2..4]);
    assert_eq!(kept.state_get(kept.create().number, "a").unwrap(), None);
}

#[test]
fn usage_is_stored_and_the_transcript_is_counted() {
    let mut kept = TestStore::new();
    let worker = kept.create().number;
    let usage = Usage { turns: 3, state_bytes: 5, transcript_bytes: 999, ..Usage::default() };
    kept.write(worker, vec![WorkerWrite::Usage(usage), event(&[0; 100])]);
    let before = kept.usage(worker).unwrap();
    assert_eq!((before.turns, before.state_bytes), (3, 5));
    kept.reopen();
    kept.write(worker, vec![event(&[0; 100])]);
    let after = kept.usage(worker).unwrap();
    let entry = after.transcript_bytes - before.transcript_bytes;
    assert!((100..200).contains(&entry), "{entry}");
    assert_eq!(after, Usage { transcript_bytes: after.transcript_bytes, ..before });
    assert_eq!(before.transcript_bytes, 2 * 64 + 100 + "word".len() as u64 + 10);
}

#[test]
fn components_are_stored_and_removed_with_their_files() {
    let mut kept = TestStore::new();
    let digest = kept.write_component(b"\0asm").unwrap();
    assert_eq!(kept.write_component(b"\0asm").unwrap(), digest);
    let record = ComponentRecord {
        digest,
        kind: ComponentKind::Command,
        bytes: 4,
        imports: vec!["wasi:cli/run@0.2.0".into()],
        exports: vec!["\"quoted\"".into()],
        created_at: Timestamp(1_000),
        trusted: false,
    };
    kept.submit_shared(SharedWrite::PutComponent(record.clone())).wait().unwrap();
    let later = ComponentRecord { created_at: Timestamp(2_000), ..record.clone() };
    let trusted = ComponentRecord { trusted: true, ..later.clone() };
    let unchanged = kept.component(&digest).unwrap();
    assert_eq!(unchanged, Some(record.clone()));
    // A trusted component stays trusted.
    for again in [trusted, later] {
        kept.submit_shared(SharedWrite::PutComponent(again)).wait().unwrap();
    }
    let record = ComponentRecord { trusted: true, ..record };
    kept.reopen();
    assert_eq!(kept.component(&digest).unwrap(), Some(record.clone()));
    assert_eq!(kept.components(None, 10).unwrap(), std::slice::from_ref(&record));
    assert_eq!(kept.components(Some(&digest), 10).unwrap(), []);
    assert_eq!(kept.component_bytes(&digest).unwrap().unwrap(), b"\0asm");

    let mut worker = kept.record();
    worker.spec.component = digest;
    kept.write(worker.number, vec![WorkerWrite::Create(Box::new(worker.clone()))]);
    let removed = kept.submit_shared(SharedWrite::RemoveComponent(digest)).wait();
    assert_eq!(refused(removed), StoreRefusal::InUse);
    kept.write(worker.number, vec![WorkerWrite::Remove { at: Timestamp(2_000) }]);
    kept.submit_shared(SharedWrite::RemoveComponent(digest)).wait().unwrap();
    assert_eq!(kept.component(&digest).unwrap(), None);
    while kept.janitor_step().unwrap() {}
    assert_eq!(kept.component_bytes(&digest).unwrap(), None);
}

#[test]
fn failed_component_writes_leave_no_file() {
    for point in ["component.write", "component.rename"] {
        let faults = FailAt::new(point, io::ErrorKind::StorageFull);
        let kept = TestStore::with(faults.clone());
        faults.switch(true);
        assert!(matches!(kept.write_component(b"\0asm"), Err(StoreError::Full)), "{point}");
        let digest = ComponentDigest::from_sha256(Sha256::digest(b"\0asm").into());
        assert_eq!(kept.component_bytes(&digest).unwrap(), None);
        faults.switch(false);
        assert_eq!(kept.write_component(b"\0asm").unwrap(), digest);
        assert!(kept.component_bytes(&digest).unwrap().is_some());
    }
}

#[test]
fn configs_are_read_back_unchanged() {
    let kept = TestStore::new();
    let values = BTreeMap::from([("key \"".to_owned(), "välue\n".to_owned())]);
    let values = ConfigValues::try_from(values).unwrap();
    let digest = ConfigDigest::from_sha256(Sha256::digest(values.canonical_bytes()).into());
    let record = ConfigRecord { digest, values: Arc::new(values), created_at: Timestamp(1_000) };
    kept.submit_shared(SharedWrite::PutConfig(record.clone())).wait().unwrap();
    assert_eq!(kept.config(&digest).unwrap(), Some(record.clone()));
    assert_eq!(kept.configs(None, 10).unwrap(), [record]);
    assert_eq!(kept.config(&ConfigDigest::from_sha256([0; 32])).unwrap(), None);
}

#[test]
fn configs_in_use_cannot_be_removed() {
    let kept = TestStore::new();
    let config = |n: u8| {
        let values = BTreeMap::from([("n".to_owned(), n.to_string())]);
        let values = Arc::new(ConfigValues::try_from(values).unwrap());
        let digest = ConfigDigest::from_sha256(Sha256::digest(values.canonical_bytes()).into());
        let record = ConfigRecord { digest, values, created_at: Timestamp(1_000) };
        kept.submit_shared(SharedWrite::PutConfig(record)).wait().unwrap();
        digest
    };
    let (now, before, named) = (config(1), config(2), config(3));
    let remove = |digest| kept.submit_shared(SharedWrite::RemoveConfig(digest)).wait();
    let mut worker = kept.record();
    worker.spec.config = Some(now);
    let component = worker.spec.component;
    worker.previous = Some(Version { component, config: Some(before) });
    // A digest in a label does not count as use.
    let labels = BTreeMap::from([("config".to_owned(), named.hex()[..60].to_owned())]);
    worker.spec.labels = labels.try_into().unwrap();
    kept.write(worker.number, vec![WorkerWrite::Create(Box::new(worker.clone()))]);
    assert_eq!(refused(remove(now)), StoreRefusal::InUse);
    assert_eq!(refused(remove(before)), StoreRefusal::InUse);
    remove(named).unwrap();
    assert_eq!(kept.config(&named).unwrap(), None);
    let mut other = kept.record();
    other.spec.config = Some(named);
    let create = vec![WorkerWrite::Create(Box::new(other.clone()))];
    assert_eq!(refused(kept.try_write(other.number, create)), StoreRefusal::UnknownConfig);
    worker.spec.config = Some(named);
    let put = vec![WorkerWrite::Put(Box::new(worker.clone()))];
    assert_eq!(refused(kept.try_write(worker.number, put)), StoreRefusal::UnknownConfig);
    kept.write(worker.number, vec![WorkerWrite::Remove { at: Timestamp(2_000) }]);
    remove(now).unwrap();
    remove(before).unwrap();
    assert_eq!(kept.configs(None, 10).unwrap(), []);
}

#[test]
fn diagnostics_are_bounded_and_replace_each_other() {
    let kept = TestStore::new();
    let worker = kept.create();
    let diagnose = |code: DiagnosticCode, subject: Option<WorkerId>, at| {
        let (message, subject) = (format!("at {at}"), subject.map(Into::into));
        SharedWrite::Diagnose(Diagnostic::new(code, message, subject, Timestamp(at)))
    };
    for at in 1..=3 {
        let event = diagnose(DiagnosticCode::CrashLoop, Some(worker.id), at);
        kept.submit_shared(event).wait().unwrap();
    }
    let of_worker = kept.diagnostics(Some(&worker.id)).unwrap();
    assert_eq!(of_worker.len(), 1);
    assert_eq!((of_worker[0].at, &*of_worker[0].message), (Timestamp(3), "at 3"));
    for at in 10..1_310 {
        let subject = WorkerId::new(at, [1; 10]);
        kept.submit_shared(diagnose(DiagnosticCode::DirectoryMissing, Some(subject), at));
    }
    kept.submit_shared(diagnose(DiagnosticCode::ForeignFile, None, 2_000)).wait().unwrap();
    let all = kept.diagnostics(None).unwrap();
    assert_eq!((all.len(), all[0].at, all[0].worker()), (1_000, Timestamp(2_000), None));
    assert_eq!(all[1].at, Timestamp(1_309));
    let last = all[1].worker().unwrap();
    kept.submit_shared(SharedWrite::Clear(DiagnosticCode::DirectoryMissing, last)).wait().unwrap();
    assert!(kept.diagnostics(Some(&last)).unwrap().is_empty());
}

#[test]
fn denials_keep_their_grant_and_displace_nothing_worse() {
    let mut kept = TestStore::new();
    let worker = kept.create();
    let http = vec!["GET https://*.example.com".parse().unwrap()];
    let grant = Some(Grants { http, ..Grants::default() });
    let denied = |id: WorkerId, at| {
        let (code, at) = (DiagnosticCode::Denied, Timestamp(at));
        let mut denied = Diagnostic::new(code, "it was denied that", Some(id.into()), at);
        let denial = Denial { wanted: Some("that".into()), grant: grant.clone() };
        denied.denial = Some(Box::new(denial));
        denied
    };
    let crash = Diagnostic::new(DiagnosticCode::CrashLoop, "bad", None, Timestamp(1));
    kept.submit_shared(SharedWrite::Diagnose(crash.clone())).wait().unwrap();
    for at in 10..1_100 {
        kept.submit_shared(SharedWrite::Diagnose(denied(WorkerId::new(at, [1; 10]), at)));
    }
    let last = denied(worker.id, 2_000);
    kept.submit_shared(SharedWrite::Diagnose(last.clone())).wait().unwrap();
    let all = kept.diagnostics(None).unwrap();
    assert_eq!((all.len(), all.last()), (1_000, Some(&crash)));
    kept.reopen();
    assert_eq!(kept.diagnostics(Some(&worker.id)).unwrap(), [last]);
}

#[test]
fn the_newest_denials_of_a_worker_are_kept_once_each() {
    let mut kept = TestStore::new();
    let (worker, other) = (kept.create().id, kept.create().id);
    let denied = |id: WorkerId, what: &str, at| {
        let (code, at) = (DiagnosticCode::Denied, Timestamp(at));
        let mut denied = Diagnostic::new(code, what, Some(id.into()), at);
        let denial = Denial { wanted: Some(what.into()), grant: None };
        denied.denial = Some(Box::new(denial));
        denied
    };
    let crash = Diagnostic::new(DiagnosticCode::CrashLoop, "x", Some(worker.into()), Timestamp(1));
    kept.submit_shared(SharedWrite::Diagnose(crash));
    kept.submit_shared(SharedWrite::Diagnose(denied(other, "theirs", 2)));
    for at in 10..40 {
        let what = format!("{}", at % 20);
        kept.submit_shared(SharedWrite::Diagnose(denied(worker, &what, at))).wait().unwrap();
    }
    kept.reopen();
    let found = |id| {
        let found = kept.diagnostics(Some(&id)).unwrap();
        found.into_iter().map(|one| (one.message, one.at.as_millis())).collect::<Vec<_>>()
    };
    let latest = (32..40).rev().map(|at| (format!("{}", at % 20), at));
    let expected: Vec<_> = latest.chain([("x".to_owned(), 1)]).collect();
    assert_eq!((expected.len(), found(worker)), (DENIALS + 1, expected));
    kept.submit_shared(SharedWrite::Clear(DiagnosticCode::Denied, worker)).wait().unwrap();
    assert_eq!((found(worker).len(), found(other).len()), (1, 1));
}

#[test]
fn failures_keep_their_error() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    let id = kept.input_id();
    let error = TurnError {
        code: "trap".into(),
        message: "unreachable".into(),
        limit: None,
        frames: vec!["main".into()],
        stderr: vec!["lost".into()],
    };
    kept.write(
        worker,
        vec![
            accept(id, b"in"),
            WorkerWrite::End {
                id,
                at: Timestamp(1_001),
                ending: Ending::Trapped,
                output: None,
                error: Some(error.clone()),
            },
        ],
    );
    let entry = kept.entry(worker, Cursor(3)).unwrap().unwrap();
    assert_eq!((entry.kind, entry.ending), (EntryKind::Failure, Some(Ending::Trapped)));
    let outcome = kept.outcome(worker, Cursor(3)).unwrap().unwrap();
    assert_eq!(outcome, Outcome { ending: Ending::Trapped, output: None, error: Some(error) });
}

#[test]
fn worker_directories_are_created_on_demand() {
    let faults = FailAt::new("directory.create", io::ErrorKind::Other);
    let kept = TestStore::with(faults.clone());
    let record = kept.create();
    assert!(kept.existing_worker_dir(&record.id).unwrap().is_none());
    faults.switch(true);
    assert!(matches!(kept.worker_dir(&record.id), Err(StoreError::Io(_))));
    faults.switch(false);
    kept.worker_dir(&record.id).unwrap().write("file", b"x").unwrap();
    assert!(kept.existing_worker_dir(&record.id).unwrap().unwrap().exists("file"));
    assert!(kept.worker_dir(&record.id).unwrap().exists("file"));
}

#[test]
fn recent_inputs_are_paged_newest_first_across_long_runs_of_events() {
    let mut kept = TestStore::new();
    let worker = kept.create().number;
    let other = kept.create().number;
    let id = |at: u64| InputId::new(at, [0; 10]);
    kept.write(worker, vec![accept(id(1), b"one"), end(id(1), b"done")]);
    kept.write(other, vec![accept(id(9), b"another worker's")]);
    for _ in 0..21 {
        kept.write(worker, (0..500).map(|_| event(b"e")).collect());
    }
    kept.write(worker, vec![accept(id(2), b"two"), accept(id(3), b"three")]);
    for _ in 0..2 {
        let (mut before, mut ids, mut pages) = (Cursor(u64::MAX), Vec::new(), 0);
        loop {
            let page = kept.recent_inputs(worker, before, 2).unwrap();
            pages += 1;
            ids.extend(page.inputs.iter().map(|input| input.record.id));
            let Some(next) = page.next else { break };
            assert!(next < before, "the pages make progress");
            before = next;
        }
        assert_eq!(ids, [id(3), id(2), id(1)], "each input once, and no other worker's");
        assert!(pages > 1, "10,500 events are more than one page looks through");
        let oldest = kept.recent_inputs(worker, Cursor(before.0), 2).unwrap().inputs;
        assert_eq!(oldest[0].end.map(|(_, ending)| ending), Some(Ending::Completed));
        kept.reopen();
    }
}
