use super::*;

fn work_off(store: &Store) {
    for _ in 0..10_000 {
        if !store.janitor_step().unwrap() {
            return;
        }
    }
    panic!("the janitor never finishes");
}

fn rows(kept: &TestStore, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    kept.raw().query_row(&sql, [], |row| row.get(0)).unwrap()
}

fn limited(kept: &TestStore, name: skep_protocol::LimitName, value: u64) -> WorkerRecord {
    let mut record = kept.record();
    record.spec.limits.0.insert(name, value);
    kept.write(record.number, vec![WorkerWrite::Create(Box::new(record.clone()))]);
    record
}

#[test]
fn transcripts_over_their_bound_are_trimmed_and_show_a_gap() {
    let mut kept = TestStore::new();
    let worker = limited(&kept, skep_protocol::LimitName::transcript_bytes, 100_000).number;
    for _ in 0..300 {
        let id = kept.input_id();
        kept.write(worker, vec![accept(id, &[1; 500]), end(id, &[2; 500])]);
    }
    assert!(kept.usage(worker).unwrap().transcript_bytes > 300_000);
    work_off(&kept);
    let usage = kept.usage(worker).unwrap();
    assert!((80_000..=100_000).contains(&usage.transcript_bytes), "{usage:?}");
    for _ in 0..2 {
        let page = kept.entries(worker, Cursor(0), usize::MAX).unwrap();
        let (gap, rest) = page.entries.split_first().unwrap();
        assert_eq!((gap.kind, gap.seq.0 + 1), (EntryKind::Gap, rest[0].seq.0));
        assert_eq!(rest.last().unwrap().seq, Cursor(601));
        let page = kept.entries(worker, Cursor(300), 1).unwrap();
        assert_eq!((page.entries[0].seq, page.next, page.more), (gap.seq, gap.seq, true));
        assert_eq!(kept.entries(worker, gap.seq, 1).unwrap().entries[0].seq.0, gap.seq.0 + 1);
        kept.reopen();
    }
    assert_eq!(kept.write(worker, vec![event(b"next")]), [602]);
    // Inputs are deleted together with their outcomes.
    assert!(rows(&kept, "input") < 100);
    assert_eq!(kept.outcome(worker, Cursor(3)).unwrap(), None);
}

#[test]
fn queued_inputs_and_the_last_entry_are_not_trimmed() {
    let kept = TestStore::new();
    let worker = limited(&kept, skep_protocol::LimitName::transcript_bytes, 1).number;
    let waiting = kept.input_id();
    kept.write(worker, vec![event(b"a"), accept(waiting, b"message"), event(b"b")]);
    work_off(&kept);
    let queued = kept.queue(worker).unwrap().remove(0);
    assert_eq!(kept.entry(worker, queued.seq).unwrap().unwrap().payload.body[..], *b"message");
    kept.write(worker, vec![end(waiting, b"")]);
    work_off(&kept);
    assert_eq!(kept.last_seq(worker).unwrap(), Cursor(5));
    assert_eq!(kept.seqs(worker), [4, 5], "a gap and the last entry");
    assert_eq!(kept.write(worker, vec![event(b"c")]), [6]);
}

#[test]
fn keys_are_bounded_in_number() {
    let kept = TestStore::new();
    let worker = limited(&kept, skep_protocol::LimitName::idempotency_keys, 50).number;
    for n in 0..200 {
        let id = kept.input_id();
        let key = format!("key-{n}");
        kept.write(worker, vec![accept_keyed(id, b"", Some(&key), 1_000), end(id, b"")]);
    }
    work_off(&kept);
    let known = |n: u32| {
        let key = format!("key-{n}").parse().unwrap();
        kept.input_by_key(worker, &key, Timestamp(1_000), 1_000).unwrap().is_some()
    };
    assert!(known(199) && !known(0));
    let left = (0..200).filter(|n| known(*n)).count();
    assert!((50..=50 + 50 / 16 + 1).contains(&left), "{left}");
    assert!((0..200).rev().take(left).all(known), "the oldest go first");
}

#[test]
fn keys_are_bounded_in_time() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    let hour = 3_600_000;
    for n in 0..300 {
        let id = kept.input_id();
        let key = format!("key-{n}");
        kept.write(worker, vec![accept_keyed(id, b"", Some(&key), n * hour), end(id, b"")]);
    }
    work_off(&kept);
    let sql = "SELECT count(*) FROM input WHERE key IS NOT NULL";
    let keyed: i64 = kept.raw().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(keyed, 24);
    assert_eq!(rows(&kept, "input"), 300, "their outcomes still exist");
}

#[test]
fn removed_workers_leave_nothing_behind() {
    let mut kept = TestStore::new();
    let (gone, stays) = (kept.create(), kept.create());
    for record in [&gone, &stays] {
        let worker = record.number;
        for n in 0..200 {
            let id = kept.input_id();
            let key = (n % 3 == 0).then(|| format!("key-{n}"));
            let mut writes = vec![
                accept_keyed(id, b"in", key.as_deref(), 1_000),
                set(&format!("k{n}"), &[1; 3_000]),
            ];
            if n % 5 != 0 {
                writes.push(end(id, b"out"));
            }
            kept.write(worker, writes);
        }
        let dir = kept.worker_dir(&record.id).unwrap();
        for n in 0..50 {
            dir.create_dir_all(format!("{n}/deep/er")).unwrap();
            dir.write(format!("{n}/deep/er/file"), b"x").unwrap();
        }
    }
    kept.write(
        gone.number,
        vec![WorkerWrite::Connected(true), WorkerWrite::Remove { at: Timestamp(2_000) }],
    );
    assert_eq!(kept.worker(&gone.id).unwrap(), Lookup::Removed);
    assert_eq!(kept.worker_count().unwrap(), 1);
    // The work continues after a restart.
    kept.janitor_step().unwrap();
    kept.reopen();
    work_off(&kept);
    assert_eq!(rows(&kept, "input"), 200);
    assert_eq!(rows(&kept, "state"), 200);
    assert_eq!(rows(&kept, "usage"), 1);
    assert_eq!(rows(&kept, "connected"), 0);
    let others: i64 = kept
        .raw()
        .query_row("SELECT count(*) FROM entry WHERE worker = ?", [gone.number.0], |row| row.get(0))
        .unwrap();
    assert_eq!(others, 0);
    assert!(kept.existing_worker_dir(&gone.id).unwrap().is_none());
    assert!(kept.dir.read_dir("trash").unwrap().next().is_none());
    assert!(kept.existing_worker_dir(&stays.id).unwrap().unwrap().exists("49/deep/er/file"));

    let again = WorkerRecord { number: kept.next_number(), ..gone };
    let again = kept.try_write(again.number, vec![WorkerWrite::Create(Box::new(again.clone()))]);
    assert_eq!(refused(again), StoreRefusal::WorkerRemoved);
    assert_eq!(
        refused(kept.try_write(gone.number, vec![event(b"late")])),
        StoreRefusal::WorkerRemoved
    );
}

#[test]
fn failed_removals_are_retried() {
    for point in ["remove.rename", "remove.delete"] {
        let faults = FailAt::new(point, io::ErrorKind::Other);
        let kept = TestStore::with(faults.clone());
        let record = kept.create();
        kept.worker_dir(&record.id).unwrap().write("file", b"x").unwrap();
        kept.write(record.number, vec![WorkerWrite::Remove { at: Timestamp(2_000) }]);
        faults.switch(true);
        let failed = (0..5).any(|_| kept.janitor_step().is_err());
        assert!(failed, "{point}");
        faults.switch(false);
        work_off(&kept);
        assert!(kept.dir.read_dir("trash").unwrap().next().is_none(), "{point}");
        assert!(kept.existing_worker_dir(&record.id).unwrap().is_none(), "{point}");
    }
}

#[test]
fn undeletable_files_do_not_stop_other_deletions() {
    use std::os::unix::ffi::OsStrExt;

    let kept = TestStore::new();
    kept.dir.create_dir_all("trash").unwrap();
    let trash = kept.dir.open_dir("trash").unwrap();
    // The janitor expects only directories named after workers here.
    let foreign = std::ffi::OsStr::from_bytes(b"\xff");
    trash.create_dir(foreign).unwrap();
    let mut gone = Vec::new();
    for _ in 0..20 {
        let record = kept.create();
        kept.worker_dir(&record.id).unwrap().write("file", b"x").unwrap();
        kept.write(record.number, vec![WorkerWrite::Remove { at: Timestamp(2_000) }]);
        gone.push(record.id);
    }
    let failed = (0..1_000).filter(|_| kept.janitor_step().is_err()).count();
    assert!(failed > 0, "the foreign directory was deleted");
    assert_eq!(trash.entries().unwrap().count(), 1);
    for id in gone {
        assert!(kept.existing_worker_dir(&id).unwrap().is_none());
    }
}

#[test]
fn component_files_without_a_row_are_deleted_unless_new() {
    let mut kept = TestStore::new();
    let digest = kept.write_component(b"\0asm").unwrap();
    work_off(&kept);
    assert!(kept.component_bytes(&digest).unwrap().is_some(), "its row may be committed next");
    kept.reopen();
    kept.dir.write("components/0.tmp", b"not ours").unwrap();
    work_off(&kept);
    assert_eq!(kept.component_bytes(&digest).unwrap(), None);
    assert!(kept.dir.exists("components/0.tmp"));
}

#[test]
fn failed_component_deletions_are_retried() {
    let faults = FailAt::new("component.delete", io::ErrorKind::Other);
    let mut kept = TestStore::with(faults.clone());
    let digest = kept.write_component(b"\0asm").unwrap();
    kept.store.take().unwrap().close();
    kept.store = Some(open_with(&kept.dir, faults.clone()).unwrap());
    faults.switch(true);
    assert!(matches!(kept.janitor_step(), Err(StoreError::Io(_))));
    faults.switch(false);
    work_off(&kept);
    assert_eq!(kept.component_bytes(&digest).unwrap(), None);
}

#[test]
fn idle_janitor_steps_write_nothing() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    kept.write(worker, vec![event(b"x")]);
    work_off(&kept);
    let before = kept.dir.metadata("state.db-wal").unwrap();
    work_off(&kept);
    let after = kept.dir.metadata("state.db-wal").unwrap();
    assert_eq!(
        (before.len(), before.modified().unwrap()),
        (after.len(), after.modified().unwrap())
    );
}
