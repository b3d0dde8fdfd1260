use super::*;

fn says(result: Result<Store, OpenError>) -> String {
    result.map(drop).unwrap_err().to_string()
}

#[test]
fn a_second_open_is_refused_until_the_first_store_is_closed() {
    let mut kept = TestStore::new();
    assert!(matches!(open(&kept.dir), Err(OpenError::InUse)));
    assert!(says(open(&kept.dir)).contains("in use"));
    kept.reopen();
    assert!(matches!(open(&kept.dir), Err(OpenError::InUse)));
    drop(kept.store.take());
    open(&kept.dir).unwrap();
}

#[test]
fn a_store_keeps_its_identity() {
    let mut kept = TestStore::new();
    let reopened = || {
        Store::open(StoreParts {
            dir: kept.dir.try_clone().unwrap(),
            now: Timestamp(5_000),
            new_runtime_id: "another".parse().unwrap(),
            faults: Arc::new(NoFaults),
            vfs: None,
        })
    };
    kept.store.take().unwrap().close();
    assert_eq!(reopened().unwrap().runtime_id().as_str(), "rt-test");
    // As if the host had died while it created the store, or a user had deleted the file.
    kept.dir.remove_file("identity.json").unwrap();
    assert_eq!(reopened().unwrap().runtime_id().as_str(), "rt-test");
    let text = kept.dir.read_to_string("identity.json").unwrap();
    assert_eq!(text, "{\"format_version\":1,\"runtime_id\":\"rt-test\"}\n");
    kept.dir.write("identity.json", text.replace("rt-test", "other")).unwrap();
    assert!(matches!(reopened(), Err(OpenError::Damaged(_))));
}

#[test]
fn directories_that_are_not_a_store_are_left_unchanged() {
    let dir = cap_tempfile::tempdir(ambient_authority()).unwrap();
    dir.write("thesis.tex", b"precious").unwrap();
    assert!(matches!(open(&dir), Err(OpenError::NotAStore)));
    assert_eq!(dir.entries().unwrap().count(), 1, "the directory was changed");
}

#[test]
fn foreign_files_are_reported() {
    let mut kept = TestStore::new();
    kept.store.take();
    kept.dir.write("thesis.tex", b"precious").unwrap();
    kept.dir.write("registry.db-wal", b"").unwrap();
    kept.store = Some(open(&kept.dir).unwrap());
    let noticed = kept.diagnostics(None).unwrap();
    assert_eq!(noticed.len(), 1);
    assert_eq!(noticed[0].code, DiagnosticCode::ForeignFile);
    assert!(noticed[0].message.ends_with(": 1"), "{}", noticed[0].message);
}

#[test]
fn directories_without_a_worker_are_reported_and_kept() {
    let kept = TestStore::new();
    let known = kept.create();
    kept.worker_dir(&known.id).unwrap();
    let stray = WorkerId::new(1, [7; 10]);
    kept.worker_dir(&stray).unwrap().write("thesis.tex", b"precious").unwrap();
    kept.dir.write("workers/notes", b"").unwrap();
    kept.notice_strays().unwrap();
    let noticed = kept.diagnostics(None).unwrap();
    let subjects: BTreeSet<_> = noticed.iter().map(|one| one.worker()).collect();
    assert_eq!(subjects, BTreeSet::from([None, Some(stray)]));
    assert!(noticed.iter().all(|one| one.code == DiagnosticCode::ForeignFile));
    assert!(kept.dir.exists(format!("workers/{stray}/data/thesis.tex")));
}

#[test]
fn sweeping_deletes_unfinished_uploads_only() {
    let kept = TestStore::new();
    let id = kept.create().id;
    kept.sweep_incoming(&id).unwrap();
    assert!(kept.incoming_dir(&id).is_err(), "the worker has no directory yet");
    kept.worker_dir(&id).unwrap().write("file", b"kept").unwrap();
    kept.sweep_incoming(&id).unwrap();
    kept.incoming_dir(&id).unwrap().write("0", b"half").unwrap();
    kept.sweep_incoming(&id).unwrap();
    assert!(!kept.dir.exists(format!("workers/{id}/incoming")));
    assert_eq!(kept.worker_dir(&id).unwrap().read("file").unwrap(), b"kept");
}

#[test]
fn stores_of_a_later_format_are_refused() {
    let mut kept = TestStore::new();
    kept.store.take();
    let identity = kept.dir.read_to_string("identity.json").unwrap();
    kept.dir.write("identity.json", identity.replace(":1,", ":2,")).unwrap();
    assert!(matches!(open(&kept.dir), Err(OpenError::NewerFormat { found: 2 })));
    kept.dir.write("identity.json", identity).unwrap();
    kept.raw().pragma_update(None, "user_version", 77).unwrap();
    assert!(matches!(open(&kept.dir), Err(OpenError::NewerFormat { found: 77 })));
}

#[test]
fn damaged_databases_are_refused_with_a_next_step() {
    let mut kept = TestStore::new();
    let record = kept.create();
    for n in 0..2_000_u32 {
        kept.submit(Transaction { worker: record.number, writes: vec![event(&n.to_le_bytes())] });
    }
    kept.store.take().unwrap().close();
    let good = kept.dir.read("state.db").unwrap();
    assert!(good.len() > 100_000 && !kept.dir.exists("state.db-wal"));
    let no_magic = [b"precious", &good[8..]].concat();
    let cut = &good[..good.len() / 2];
    for bad in [&[][..], b"precious", cut, &good[..4_096], &no_magic] {
        kept.dir.write("state.db", bad).unwrap();
        let sentence = says(open(&kept.dir));
        assert!(sentence.contains("backup") && sentence.contains("state.db"), "{sentence}");
        assert_eq!(kept.dir.read("state.db").unwrap(), bad, "the file was changed");
    }
    kept.dir.remove_file("state.db").unwrap();
    assert!(says(open(&kept.dir)).contains("state.db is missing"));
    kept.dir.write("state.db", good).unwrap();
    kept.store = Some(open(&kept.dir).unwrap());
    assert_eq!(kept.seqs(record.number).len(), 2_001);
}

#[test]
fn a_link_to_the_database_is_not_followed() {
    let mut kept = TestStore::new();
    kept.store.take();
    kept.dir.rename("state.db", &kept.dir, "elsewhere.db").unwrap();
    kept.dir.symlink("elsewhere.db", "state.db").unwrap();
    assert!(matches!(open(&kept.dir), Err(OpenError::Damaged(_))));
}

#[test]
fn reading_never_writes() {
    let mut kept = TestStore::new();
    let record = kept.create();
    let id = kept.input_id();
    kept.write(record.number, vec![accept(id, b"in"), set("k", b"v"), end(id, b"out")]);
    for _ in 0..2 {
        let times = || {
            let names = ["state.db", "state.db-wal", "identity.json", "lock"];
            names.map(|name| kept.dir.metadata(name).ok().map(|m| m.modified().unwrap()))
        };
        let before = times();
        kept.workers(None, None, 10).unwrap();
        kept.workers(None, Some(("a", "b")), 10).unwrap();
        kept.worker(&record.id).unwrap();
        kept.entries(record.number, Cursor(0), 10).unwrap();
        kept.state_list(record.number, "", None, 10).unwrap();
        kept.usage(record.number).unwrap();
        kept.input(record.number, &id).unwrap();
        kept.diagnostics(None).unwrap();
        kept.components(None, 10).unwrap();
        kept.unfinished().unwrap();
        assert_eq!(before, times());
        assert!(before[0].is_some());
        kept.reopen();
    }
}

#[test]
fn faults_while_opening_leave_a_store_that_opens() {
    for point in ["open", "identity.write"] {
        let dir = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let faults = FailAt::new(point, io::ErrorKind::StorageFull);
        faults.switch(true);
        assert!(matches!(open_with(&dir, faults), Err(OpenError::Full)), "{point}");
        open(&dir).unwrap();
    }
}

#[test]
fn connected_workers_are_known_after_a_restart() {
    let mut kept = TestStore::new();
    let (lost, left) = (kept.create(), kept.create());
    for record in [&lost, &left] {
        kept.write(record.number, vec![WorkerWrite::Connected(true)]);
    }
    kept.write(left.number, vec![WorkerWrite::Connected(false)]);
    assert!(kept.lost_execution().is_empty(), "no execution was lost yet");
    kept.reopen();
    assert_eq!(kept.lost_execution(), [lost.id]);
    assert!(kept.was_connected(lost.number) && !kept.was_connected(left.number));
}

#[test]
fn only_the_owner_can_read_the_files() {
    use cap_std::fs::MetadataExt;
    let kept = TestStore::new();
    let record = kept.create();
    kept.worker_dir(&record.id).unwrap();
    kept.compiled_dir().unwrap();
    kept.write_component(b"\0asm").unwrap();
    let mut names = vec!["workers".to_owned(), format!("workers/{}/data", record.id)];
    names.extend(
        ["state.db", "state.db-wal", "state.db-shm", "lock", "identity.json"].map(Into::into),
    );
    names.extend(["components", "compiled"].map(Into::into));
    for name in names {
        assert_eq!(kept.dir.metadata(&name).unwrap().mode() & 0o077, 0, "{name}");
    }
}
