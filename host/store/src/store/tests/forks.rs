//! Copies of directories, and crashes between their steps.

use std::io::Write as _;

use super::*;

fn fork(kept: &TestStore, origin: &WorkerRecord) -> (WorkerRecord, Vec<WorkerWrite>) {
    let mut record = kept.record();
    record.has_directory = true;
    let origin = origin.id.to_string();
    let write = WorkerWrite::Fork { record: Box::new(record.clone()), origin };
    (record, vec![write, set("key", b"value")])
}

/// Fills a copy with one file.
fn fill(kept: &TestStore, record: &WorkerRecord) {
    let dirs = kept.begin_fork(&record.id).unwrap();
    dirs.data.create("file").unwrap().write_all(b"content").unwrap();
}

fn content(kept: &TestStore, record: &WorkerRecord) -> Option<String> {
    let dir = kept.existing_worker_dir(&record.id).unwrap()?;
    Some(dir.read_to_string("file").unwrap())
}

#[test]
fn a_fork_names_its_origin_and_has_its_state() {
    let kept = TestStore::new();
    let origin = kept.create();
    let (record, writes) = fork(&kept, &origin);
    assert_eq!(kept.write(record.number, writes), [1]);
    let entry = kept.entry(record.number, Cursor(1)).unwrap().unwrap();
    assert_eq!((entry.kind, entry.label), (EntryKind::Created, Some(origin.id.to_string())));
    let state = kept.state(record.number).unwrap();
    assert_eq!(state, [("key".to_owned(), b"value".to_vec())]);
}

#[test]
fn a_crash_between_commit_and_move_is_made_good() {
    let mut kept = TestStore::new();
    let origin = kept.create();
    let (record, writes) = fork(&kept, &origin);
    fill(&kept, &record);
    kept.write(record.number, writes);
    assert_eq!(content(&kept, &record), None);
    kept.reopen();
    assert_eq!(content(&kept, &record).as_deref(), Some("content"));
    kept.reopen();
    assert_eq!(content(&kept, &record).as_deref(), Some("content"));
}

#[test]
fn a_crash_before_the_commit_leaves_nothing() {
    let mut kept = TestStore::new();
    let origin = kept.create();
    let (record, writes) = fork(&kept, &origin);
    fill(&kept, &record);
    kept.reopen();
    kept.notice_strays().unwrap();
    assert_eq!(kept.diagnostics(None).unwrap(), []);
    assert_eq!(content(&kept, &record), None);
    // The caller's retry finds nothing in its way.
    fill(&kept, &record);
    kept.write(record.number, writes);
    kept.finish_fork(&record.id).unwrap();
    assert_eq!(content(&kept, &record).as_deref(), Some("content"));
    while kept.janitor_step().unwrap() {}
    assert_eq!(content(&kept, &record).as_deref(), Some("content"));
}

#[test]
fn an_abandoned_copy_is_gone() {
    let kept = TestStore::new();
    let record = kept.record();
    kept.abandon_fork(&record.id).unwrap();
    fill(&kept, &record);
    kept.abandon_fork(&record.id).unwrap();
    let dirs = kept.begin_fork(&record.id).unwrap();
    assert_eq!(dirs.data.entries().unwrap().count(), 0);
}

#[test]
fn a_directory_that_is_there_already_is_not_replaced() {
    let kept = TestStore::new();
    let record = kept.record();
    kept.worker_dir(&record.id).unwrap();
    let refused = kept.begin_fork(&record.id).unwrap_err();
    assert!(matches!(refused, StoreError::Refused(StoreRefusal::WorkerExists)), "{refused:?}");
}
