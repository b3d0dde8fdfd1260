use super::*;

/// Changes one column of one row, like a failing disk.
fn damage(kept: &TestStore, sql: &str) {
    assert_eq!(kept.raw().execute(sql, []).unwrap(), 1, "{sql}");
}

fn names(error: StoreError, expected: &str, id: WorkerId) {
    match error {
        StoreError::Damaged { what, worker } => {
            assert_eq!((what, worker), (expected, Some(id)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn damaged_entries_are_detected_and_name_their_worker() {
    let changes = [
        "UPDATE entry SET body = x'00' WHERE seq = 2",
        "UPDATE entry SET at = at + 1 WHERE seq = 2",
        "UPDATE entry SET kind = 99 WHERE seq = 2",
        "UPDATE entry SET label = 'x' WHERE seq = 2",
        "UPDATE entry SET content_type = 'text/html' WHERE seq = 2",
        "UPDATE entry SET input = NULL WHERE seq = 2",
        "UPDATE entry SET flags = 1 WHERE seq = 2",
        "UPDATE entry SET ending = 3 WHERE seq = 2",
        "UPDATE entry SET crc = crc + 1 WHERE seq = 2",
        "UPDATE entry SET body = 'text' WHERE seq = 2",
        "DELETE FROM entry WHERE seq = 2",
    ];
    for change in changes {
        let kept = TestStore::new();
        let (record, other) = (kept.create(), kept.create());
        let id = kept.input_id();
        kept.write(record.number, vec![accept(id, b"in"), event(b"e")]);
        damage(&kept, change);
        names(kept.entries(record.number, Cursor(0), 10).unwrap_err(), "entry", record.id);
        assert_eq!(kept.seqs(other.number), [1]);
        if !change.starts_with("DELETE") {
            names(kept.entry(record.number, Cursor(2)).unwrap_err(), "entry", record.id);
        }
        // Both workers can still be written to.
        assert_eq!(kept.write(record.number, vec![event(b"x")]), [4], "{change}");
        assert_eq!(kept.write(other.number, vec![event(b"x")]), [2]);
    }
}

#[test]
fn damaged_inputs_are_detected() {
    for change in [
        "UPDATE input SET attempt = 3",
        "UPDATE input SET digest = zeroblob(32)",
        "UPDATE input SET key = 'other'",
        "UPDATE input SET bytes = bytes + 1",
        "UPDATE input SET seq = 3",
        "UPDATE input SET at = at + 1",
    ] {
        let kept = TestStore::new();
        let record = kept.create();
        let id = kept.input_id();
        kept.write(record.number, vec![accept_keyed(id, b"in", Some("key"), 1_000)]);
        damage(&kept, change);
        names(kept.input(record.number, &id).unwrap_err(), "input", record.id);
        names(kept.queue(record.number).unwrap_err(), "input", record.id);
        names(kept.try_write(record.number, vec![end(id, b"")]).unwrap_err(), "input", record.id);
        assert_eq!(kept.unfinished().unwrap(), [(record.id, record.number)]);
    }
}

#[test]
fn damaged_state_is_detected() {
    for change in ["UPDATE state SET value = x'00'", "UPDATE state SET crc = 1"] {
        let kept = TestStore::new();
        let record = kept.create();
        kept.write(record.number, vec![set("k", b"v")]);
        damage(&kept, change);
        names(kept.state_get(record.number, "k").unwrap_err(), "state", record.id);
    }
}

#[test]
fn damaged_workers_are_left_out_of_lists_and_can_be_removed() {
    for change in [
        "UPDATE worker SET desired = 2 WHERE number = 1",
        "UPDATE worker SET spec = '{' WHERE number = 1",
        "UPDATE worker SET component = zeroblob(32) WHERE number = 1",
        "UPDATE worker SET has_directory = 1 WHERE number = 1",
        "UPDATE worker SET standing = 77 WHERE number = 1",
    ] {
        let kept = TestStore::new();
        let (bad, good) = (kept.create(), kept.create());
        damage(&kept, change);
        names(kept.worker(&bad.id).unwrap_err(), "worker", bad.id);
        assert_eq!(kept.workers(None, None, 10).unwrap(), [good]);
        let noticed = kept.diagnostics(Some(&bad.id)).unwrap();
        assert_eq!(noticed.len(), 1, "{change}");
        assert_eq!(noticed[0].code, DiagnosticCode::Quarantined);
        let number = kept.number(&bad.id).unwrap().unwrap();
        kept.write(number, vec![WorkerWrite::Remove { at: Timestamp(2_000) }]);
        assert_eq!(kept.worker(&bad.id).unwrap(), Lookup::Removed);
    }
}

#[test]
fn damaged_components_and_configs_are_detected() {
    let kept = TestStore::new();
    let digest = kept.write_component(b"\0asm").unwrap();
    kept.dir.write(format!("components/{}.wasm", digest.hex()), b"\0asn").unwrap();
    let damaged = kept.component_bytes(&digest).unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { what: "component", worker: None }));
    // Writing it again repairs it.
    kept.write_component(b"\0asm").unwrap();
    assert!(kept.component_bytes(&digest).unwrap().is_some());

    let record = ConfigRecord {
        digest: ConfigDigest::from_sha256([0; 32]),
        values: Arc::default(),
        created_at: Timestamp(1_000),
    };
    kept.submit_shared(SharedWrite::PutConfig(record.clone())).wait().unwrap();
    let damaged = kept.config(&record.digest).unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { what: "config bundle", worker: None }));
}

#[test]
fn a_flipped_byte_is_an_error_or_harmless_but_never_a_panic() {
    let mut kept = TestStore::new();
    let mut records = Vec::new();
    for n in 0..6 {
        let record = kept.create();
        let id = kept.input_id();
        let body = [n; 300];
        kept.write(record.number, vec![accept(id, &body), set("k", &body), end(id, &body)]);
        records.push((record, id, body));
    }
    kept.store.take().unwrap().close();
    let good = kept.dir.read("state.db").unwrap();
    let mut found = 0;
    for at in (0..good.len()).step_by(1_009) {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        for name in ["state.db-wal", "state.db-shm", "state.db-journal"] {
            drop(kept.dir.remove_file(name));
        }
        kept.dir.write("state.db", bad).unwrap();
        let Ok(store) = open(&kept.dir) else {
            found += 1;
            continue;
        };
        let mut was_found = false;
        for (record, id, body) in &records {
            let number = record.number;
            match store.worker(&record.id) {
                Ok(Lookup::Found(found)) => assert_eq!(*found, *record, "byte {at}"),
                // A damaged index hides rows; checksums of rows cannot detect that.
                Ok(_) | Err(_) => was_found = true,
            }
            match store.state_get(number, "k") {
                Ok(Some(value)) => assert_eq!(value, body, "byte {at}"),
                Ok(None) | Err(_) => was_found = true,
            }
            match store.input(number, id) {
                Ok(Some(input)) => assert_eq!(input.id, *id, "byte {at}"),
                Ok(None) | Err(_) => was_found = true,
            }
            match store.entries(number, Cursor(0), 10) {
                Ok(page) => was_found |= page.entries.len() != 3,
                Err(_) => was_found = true,
            }
        }
        let _ = store.workers(None, None, 10);
        let _ = store.janitor_step();
        let write = Transaction { worker: records[0].0.number, writes: vec![event(b"x")] };
        let _ = store.submit(write).wait();
        found += u32::from(was_found);
    }
    assert!(found > 10, "only {found} flips were detected");
}
