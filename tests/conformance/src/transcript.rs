//! A worker's transcript: complete, ordered, read from a cursor.

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, answer, assert_no_holes, body, bytes, trouble};

/// Removes the entries that vary: a runtime connects and disconnects instances as it likes, and may
/// log that.
fn of_the_turns(entries: Vec<Entry>) -> Vec<Entry> {
    let passing =
        |kind| matches!(kind, EntryKind::Connected | EntryKind::Disconnected | EntryKind::Log);
    entries.into_iter().filter(|entry| !passing(entry.kind)).collect()
}

pub(crate) async fn seq_counts_from_one_without_holes(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let new = worker.entries().await;
    assert_eq!(new.len(), 1);
    assert_eq!((new[0].seq, new[0].kind), (Cursor(1), EntryKind::Created));
    for text in ["emit-many 20", "panic", "fail a b", "echo hello"] {
        worker.say(text).await;
    }
    worker.runtime().stop(worker.id).await.unwrap();
    // `entries` checks that none is missing.
    let entries = worker.entries().await;
    assert_eq!(entries[0], new[0]);
    assert!(entries.len() > 28, "{}", entries.len());
    assert!(entries.windows(2).all(|pair| pair[0].at <= pair[1].at), "{entries:?}");
}

pub(crate) async fn a_turn_is_recorded_in_the_order_it_happened(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("emit-many 2").await;
    worker.say("fail some-code some text").await;
    let entries = of_the_turns(worker.entries().await);
    let kinds: Vec<_> = entries.iter().map(|entry| entry.kind).collect();
    let expected = [
        EntryKind::Created,
        EntryKind::Input,
        EntryKind::Event,
        EntryKind::Event,
        EntryKind::Output,
        EntryKind::Input,
        EntryKind::Failure,
    ];
    assert_eq!(kinds, expected);
    assert_eq!(entries[0].input_id, None);
    let turn: Vec<_> = entries[1..].iter().map(|entry| entry.input_id.unwrap()).collect();
    assert!(turn[..4].iter().all(|&input| input == turn[0]));
    assert!(turn[4..].iter().all(|&input| input == turn[4]) && turn[0] != turn[4]);
    let connected = worker.entries_of(EntryKind::Connected).await;
    assert_eq!(connected.len(), 1, "both turns used one instance");
}

pub(crate) async fn an_event_has_the_workers_word_and_body(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let input = worker.post("emit progress half way").await;
    worker.outcome(input).await;
    let [event] = &worker.entries_of(EntryKind::Event).await[..] else { panic!("one event") };
    assert_eq!(event.label.as_deref(), Some("progress"));
    assert_eq!((body(event).as_str(), event.input_id), ("half way", Some(input)));
    assert!(event.payload.content_type.starts_with("text/plain"), "{event:?}");
    assert_eq!((event.ending, event.truncated), (None, false));
}

pub(crate) async fn an_input_and_its_answer_are_there_as_they_were_sent(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Echo).await;
    let input = bytes("application/x-any", b"\x00\xff\xfe");
    worker.send(input.clone()).await;
    for kind in [EntryKind::Input, EntryKind::Output] {
        let [entry] = &worker.entries_of(kind).await[..] else { panic!("one {kind:?}") };
        assert_eq!(entry.payload, input.payload, "{kind:?}");
    }
}

pub(crate) async fn an_outcome_and_its_entry_say_the_same(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::turn_deadline_ms, 3_000)]).await;
    for (text, ending) in [
        ("fail some-code some text", Ending::Failed),
        ("panic", Ending::Trapped),
        ("spin", Ending::Deadline),
    ] {
        let input = worker.post(text).await;
        let outcome = worker.outcome(input).await;
        let failures = worker.entries_of(EntryKind::Failure).await;
        let entry = failures.last().unwrap();
        assert_eq!((entry.input_id, entry.ending), (Some(input), Some(ending)));
        let error = serde_json::from_slice::<TurnError>(&entry.payload.body).unwrap();
        assert_eq!(&error, trouble(&outcome, ending));
    }
    let input = worker.post("echo hello").await;
    let outcome = worker.outcome(input).await;
    let [output] = &worker.entries_of(EntryKind::Output).await[..] else { panic!("one output") };
    assert_eq!((body(output), output.input_id), (answer(&outcome), Some(input)));
}

pub(crate) async fn the_transcript_is_read_by_place(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("emit-many 20").await;
    let all = worker.entries().await;
    let last = all.last().unwrap().seq;
    for limit in [1, 7, 100] {
        let mut seen = Vec::new();
        let mut after = Cursor(0);
        loop {
            let page = worker
                .runtime()
                .transcript(worker.id, ListEntries::after(after, limit))
                .await
                .unwrap();
            assert!(!page.entries.is_empty() && page.entries.len() <= limit);
            assert_eq!(page.next, page.entries.last().unwrap().seq);
            assert_eq!(page.more, page.next < last, "{limit} on a page");
            seen.extend(page.entries);
            after = page.next;
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, all, "{limit} on a page");
    }
    let middle =
        worker.runtime().transcript(worker.id, ListEntries::after(Cursor(5), 3)).await.unwrap();
    assert_eq!(middle.entries, all[5..8]);
    for after in [last, Cursor(last.0 + 1_000)] {
        let page =
            worker.runtime().transcript(worker.id, ListEntries::after(after, 10)).await.unwrap();
        assert_eq!((page.entries.len(), page.next, page.more), (0, after, false));
    }
}

pub(crate) async fn reading_writes_nothing(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("emit note some text").await;
    let (view, entries) = (worker.view().await, worker.entries().await);
    trial.listed().await;
    worker.runtime().diagnostics(Some(worker.id)).await.unwrap();
    worker.runtime().usage(worker.id).await.unwrap();
    worker.runtime().describe().await.unwrap();
    assert_eq!((worker.view().await, worker.entries().await), (view, entries));
}

pub(crate) async fn a_worker_reads_its_own_entries(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("emit note some text").await;
    let [event] = &worker.entries_of(EntryKind::Event).await[..] else { panic!("one event") };
    let said = worker.ask("read 0 100").await;
    let line = format!("{} event:note some text", event.seq);
    assert!(said.lines().any(|said| said == line), "{line} is not in:\n{said}");
    assert!(said.starts_with("1 created"), "{said}");
    let said = worker.ask(&format!("read {} 1", event.seq.0 - 1)).await;
    assert_eq!(said.lines().next(), Some(line.as_str()));
}

pub(crate) async fn events_are_seen_while_their_turn_runs(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let mut stream = worker.follow(None).await;
    let input = worker.post("emit-many 5000").await;
    let mut seen = Vec::new();
    while seen.len() < 100 {
        let entry = crate::trial::next(&mut stream).await.unwrap();
        seen.push(entry);
    }
    // A streamed entry is already on disk and can be read.
    let after = Cursor(seen[0].seq.0 - 1);
    let page = worker
        .runtime()
        .transcript(worker.id, ListEntries::after(after, seen.len()))
        .await
        .unwrap();
    assert_eq!(page.entries, seen);
    worker.outcome(input).await;
    let expected: Vec<_> = (0..5_000).map(|n| n.to_string()).collect();
    assert_eq!(worker.events().await, expected);
    assert_no_holes(&worker.entries().await);
}
