use super::*;

#[test]
fn entries_are_numbered_in_the_order_of_their_commits() {
    let mut kept = TestStore::new();
    let worker = kept.create().number;
    let commits: Vec<_> = (0..500)
        .map(|n: u32| {
            let writes = vec![event(&n.to_le_bytes()), event(b"x")];
            kept.submit(Transaction { worker, writes })
        })
        .collect();
    let seqs: Vec<_> = commits.into_iter().flat_map(|commit| commit.wait().unwrap().seqs).collect();
    assert_eq!(seqs, (2..=1_001).map(Cursor).collect::<Vec<_>>());
    kept.reopen();
    assert_eq!(kept.seqs(worker), (1..=1_001).collect::<Vec<_>>());
    for n in [0, 499] {
        let entry = kept.entry(worker, Cursor(2 + 2 * n)).unwrap().unwrap();
        assert_eq!(entry.payload.body[..], (n as u32).to_le_bytes());
    }
    assert_eq!(kept.write(worker, vec![event(b"next")]), [1_002]);
}

#[test]
fn transactions_are_atomic() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    let unknown = kept.input_id();
    let result = kept.try_write(worker, vec![event(b"a"), set("k", b"v"), end(unknown, b"")]);
    assert_eq!(refused(result), StoreRefusal::UnknownInput);
    assert_eq!(kept.seqs(worker), [1]);
    assert_eq!(kept.state_get(worker, "k").unwrap(), None);
    assert_eq!(kept.write(worker, vec![event(b"b")]), [2]);
}

#[test]
fn a_refused_transaction_does_not_affect_its_batch() {
    let mut kept = TestStore::new();
    let workers: Vec<_> = (0..20).map(|_| kept.create().number).collect();
    let mut commits = Vec::new();
    for round in 0..20 {
        for (place, worker) in workers.iter().enumerate() {
            let mut writes = vec![event(b"a"), set("k", &[round])];
            let bad = place % 7 == 3;
            if bad {
                writes.push(end(kept.input_id(), b"of nothing"));
            }
            commits.push((bad, kept.submit(Transaction { worker: *worker, writes })));
        }
    }
    for (bad, commit) in commits {
        let result = commit.wait();
        match bad {
            true => assert_eq!(refused(result), StoreRefusal::UnknownInput),
            false => assert_eq!(result.unwrap().seqs.len(), 1),
        }
    }
    kept.reopen();
    for (place, worker) in workers.iter().enumerate() {
        let expected = if place % 7 == 3 { 1 } else { 21 };
        assert_eq!(kept.seqs(*worker).len(), expected);
    }
}

#[test]
fn turns_read_the_same_from_one_transaction_or_three() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    let (one, three) = (kept.input_id(), kept.input_id());
    let begin = |id| WorkerWrite::Begin { id, attempt: 1, at: Timestamp(1_000) };
    let seqs =
        kept.write(worker, vec![accept(one, b"in"), begin(one), event(b"e"), end(one, b"out")]);
    assert_eq!(seqs, [2, 3, 4]);
    kept.write(worker, vec![accept(three, b"in")]);
    assert_eq!(kept.queue(worker).unwrap().len(), 1);
    assert_eq!(kept.unfinished().unwrap().len(), 1);
    kept.write(worker, vec![begin(three)]);
    assert_eq!(kept.queue(worker).unwrap()[0].attempt, 1);
    kept.write(worker, vec![end(three, b"out")]);
    assert!(kept.queue(worker).unwrap().is_empty() && kept.unfinished().unwrap().is_empty());

    let one = kept.input(worker, &one).unwrap().unwrap();
    let three = kept.input(worker, &three).unwrap().unwrap();
    assert_eq!((one.seq, one.outcome_seq, one.attempt), (Cursor(2), Some(Cursor(4)), 1));
    assert_eq!((three.seq, three.outcome_seq, three.attempt), (Cursor(5), Some(Cursor(6)), 1));
    let outcome =
        |input: InputRecord| kept.outcome(worker, input.outcome_seq.unwrap()).unwrap().unwrap();
    assert_eq!(outcome(one), outcome(three));
    assert_eq!(
        kept.outcome(worker, Cursor(4)).unwrap().unwrap(),
        Outcome {
            ending: Ending::Completed,
            output: Some(Output::Message(payload(b"out"))),
            error: None,
        }
    );
}

#[test]
fn inputs_end_once() {
    let kept = TestStore::new();
    let (worker, other) = (kept.create().number, kept.create().number);
    let id = kept.input_id();
    let twice = kept.try_write(worker, vec![accept(id, b""), end(id, b""), end(id, b"")]);
    assert_eq!(refused(twice), StoreRefusal::InputEnded);
    kept.write(worker, vec![accept(id, b"")]);
    assert_eq!(refused(kept.try_write(worker, vec![accept(id, b"")])), StoreRefusal::InputExists);
    assert_eq!(refused(kept.try_write(other, vec![end(id, b"")])), StoreRefusal::UnknownInput);
    kept.write(worker, vec![end(id, b"")]);
    assert_eq!(refused(kept.try_write(worker, vec![end(id, b"")])), StoreRefusal::InputEnded);
    let begin = vec![WorkerWrite::Begin { id, attempt: 2, at: Timestamp(2_000) }];
    assert_eq!(refused(kept.try_write(worker, begin)), StoreRefusal::InputEnded);
}

#[test]
fn writes_work_again_after_a_full_disk() {
    let faults = FailAt::new("commit.before", io::ErrorKind::StorageFull);
    let mut kept = TestStore::with(faults.clone());
    let worker = kept.create().number;
    faults.switch(true);
    let failed = kept.try_write(worker, vec![event(b"a")]);
    assert!(matches!(failed, Err(StoreError::Full)));
    faults.switch(false);
    assert_eq!(kept.write(worker, vec![event(b"b")]), [2]);
    kept.reopen();
    assert_eq!(kept.seqs(worker), [1, 2]);
}

#[test]
fn writes_work_again_after_a_disk_failure() {
    let faults = FailAt::new("commit.before", io::ErrorKind::Other);
    let kept = TestStore::with(faults.clone());
    let worker = kept.create().number;
    for _ in 0..3 {
        faults.switch(true);
        let failed = kept.try_write(worker, vec![event(b"a")]);
        assert!(matches!(failed, Err(StoreError::Io(_))));
        faults.switch(false);
        kept.write(worker, vec![event(b"b")]);
    }
    assert_eq!(kept.seqs(worker), [1, 2, 3, 4]);
}

#[test]
fn durable_commits_are_never_reported_as_failed() {
    let faults = FailAt::new("commit.after", io::ErrorKind::Other);
    let kept = TestStore::with(faults.clone());
    faults.switch(true);
    let worker = kept.create().number;
    assert_eq!(kept.seqs(worker), [1]);
}

#[test]
fn queued_transactions_are_written_before_the_store_closes() {
    let mut kept = TestStore::new();
    let worker = kept.create().number;
    let commits: Vec<_> = (0..1_000)
        .map(|_| kept.submit(Transaction { worker, writes: vec![event(b"a")] }))
        .collect();
    let clone = (*kept).clone();
    kept.reopen();
    assert!(commits.into_iter().all(|commit| commit.wait().is_ok()));
    assert_eq!(kept.seqs(worker).len(), 1_001);
    let late = clone.submit(Transaction { worker, writes: vec![event(b"late")] });
    assert!(matches!(late.wait(), Err(StoreError::Closed)));
    assert!(matches!(clone.worker_count(), Err(StoreError::Closed)));
}

#[test]
fn dropped_commits_are_still_written() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    drop(kept.submit(Transaction { worker, writes: vec![event(b"a")] }));
    assert_eq!(kept.write(worker, vec![event(b"b")]), [3]);
    assert_eq!(kept.queued_bytes(), 0);
}

#[test]
fn transactions_larger_than_a_batch_are_written() {
    let kept = TestStore::new();
    let worker = kept.create().number;
    let writes = (0..2_000).map(|_| event(&[1; 3_000])).collect();
    assert_eq!(kept.write(worker, writes).len(), 2_000);
    let page = kept.entries(worker, Cursor(0), usize::MAX).unwrap();
    assert!(page.more && page.entries.len() < 2_001 && page.entries.len() > 1_000);
}
