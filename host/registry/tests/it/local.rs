//! Foreground runs, read-only.

use skep_protocol::*;
use skep_registry::{Caller, LocalRun, RunRecord};

use crate::bed::{Bed, Net, id, now, subjects};

fn record(n: u64) -> RunRecord {
    RunRecord {
        worker_id: WorkerId::new(n, [0; 10]),
        component: ComponentDigest::from_sha256([7; 32]),
        kind: ComponentKind::Command,
        display_ref: Some("hello.wasm".parse().unwrap()),
        started_at: now(),
        pid: 1,
    }
}

#[tokio::test]
async fn a_run_is_listed_while_it_runs() {
    let bed = Bed::new(Net::default(), Vec::new());
    let (first, second) = (record(1), record(2));
    let one = LocalRun::register(&bed.runs, &first).unwrap();
    let other = LocalRun::register(&bed.runs, &second).unwrap();
    let view = bed.at("local").get(first.worker_id).await.unwrap();
    assert_eq!(view.runtime_id, id("local"));
    assert_eq!((view.kind, view.spec.component), (first.kind, first.component));
    assert_eq!(view.spec.display_ref, first.display_ref);
    assert_eq!((view.observed, view.execution), (Observed::Busy, Execution::Connected));
    let summary = bed.summary("local").await.unwrap();
    assert_eq!((summary.workers, summary.status), (Some(2), Status::Available));
    assert_eq!(summary.host_id, None);

    let page = |limit, cursor| ListWorkers { limit, cursor, ..ListWorkers::default() };
    let list = bed.at("local").list(page(1, None)).await.unwrap();
    assert_eq!(list.items[0].worker_id, first.worker_id);
    let list = bed.at("local").list(page(1, list.next_cursor)).await.unwrap();
    assert_eq!(list.items[0].worker_id, second.worker_id);
    assert_eq!(list.next_cursor, None);
    let label = Some("a=b".parse().unwrap());
    let filter = WorkerFilter { label, ..WorkerFilter::default() };
    let labelled = ListWorkers { filter, ..page(0, None) };
    assert!(bed.at("local").list(labelled).await.unwrap().items.is_empty());

    drop(one);
    let gone = bed.at("local").get(first.worker_id).await;
    assert_eq!(gone.err(), Some(Error::UnknownWorker(first.worker_id)));
    let all = bed.registry.workers(&Caller::operator(), None, page(0, None)).await.unwrap();
    assert_eq!(all.items.len(), 1);
    assert_eq!(all.items[0].source, Source::Local);
    drop(other);
    assert_eq!(bed.runs.entries().unwrap().count(), 0);
}

#[tokio::test]
async fn a_leftover_record_is_a_diagnostic() {
    let bed = Bed::new(Net::default(), Vec::new());
    let (dead, living) = (record(1), record(2));
    let name = format!("{}.json", dead.worker_id);
    let run = LocalRun::register(&bed.runs, &dead).unwrap();
    // Simulate a process that was killed.
    bed.runs.hard_link(&name, &bed.runs, "kept").unwrap();
    drop(run);
    bed.runs.rename("kept", &bed.runs, &name).unwrap();
    let _living = LocalRun::register(&bed.runs, &living).unwrap();

    bed.runs.write("notes.txt", "hello").unwrap();
    bed.runs.write(format!("{}.json", WorkerId::new(3, [0; 10])), "{").unwrap();
    bed.runs.write(format!("{}.json", WorkerId::new(4, [0; 10])), vec![b' '; 1 << 20]).unwrap();
    let other = bed.runs.read(&name).unwrap();
    bed.runs.write(format!("{}.json", WorkerId::new(5, [0; 10])), other).unwrap();
    bed.runs.symlink("nowhere", format!("{}.json", WorkerId::new(6, [0; 10]))).unwrap();
    bed.runs.create_dir(format!("{}.json", WorkerId::new(7, [0; 10]))).unwrap();
    let later = r#"{"format_version": 2}"#;
    bed.runs.write(format!("{}.json", WorkerId::new(8, [0; 10])), later).unwrap();

    let all = ListWorkers::default();
    let list = bed.registry.workers(&Caller::operator(), None, all).await.unwrap();
    let ids: Vec<_> = list.items.iter().map(|entry| entry.worker.worker_id).collect();
    assert_eq!(ids, [living.worker_id]);
    let mut expected = vec![(dead.worker_id.to_string(), DiagnosticCode::StaleRecord)];
    expected.extend((0..7).map(|_| ("local".to_owned(), DiagnosticCode::InvalidRecord)));
    assert_eq!(subjects(&list.diagnostics), expected);
    let listed = bed.registry.runtimes(&Caller::operator()).await.diagnostics;
    assert_eq!(subjects(&listed), expected);
    let of_it = bed.at("local").diagnostics(Some(dead.worker_id)).await.unwrap();
    assert_eq!(subjects(&of_it), expected[..1]);
    assert!(bed.at("local").get(dead.worker_id).await.is_err());
}

#[tokio::test]
async fn a_run_cannot_be_changed() {
    let bed = Bed::new(Net::default(), Vec::new());
    let run = record(1);
    let _run = LocalRun::register(&bed.runs, &run).unwrap();
    let (local, worker) = (bed.at("local"), run.worker_id);
    let spec = WorkerSpec::new(run.component);
    let input = InputId::new(1, [0; 10]);
    let payload = Payload::default();
    let new = NewInput { payload, key: None, wait: None, sender: None };
    let unsupported = [
        local.create(CreateWorker { worker_id: None, spec }).await.err(),
        local.update(worker, WorkerChange::default()).await.err(),
        local.rollback(worker).await.err(),
        local.remove(worker).await.err(),
        local.start(worker).await.err(),
        local.stop(worker).await.err(),
        local.send(worker, new).await.err(),
        local.cancel(worker, input).await.err(),
        local.transcript(worker, ListEntries::after(Cursor(0), 1)).await.err(),
        local.files(worker, ListFiles::default()).await.err(),
        local.components(None).await.err(),
    ];
    for error in unsupported {
        assert_eq!(error, Some(Error::OperationUnsupported));
    }
    assert!(local.get(worker).await.is_ok());
}
