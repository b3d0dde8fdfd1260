//! Following a transcript: no entry is repeated or missing.

use std::sync::Arc;

use futures_util::StreamExt;
use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, assert_no_holes, next, until};

/// Returns a predicate for the output entry of an input.
fn outcome_of(input: InputId) -> impl Fn(&Entry) -> bool {
    move |entry| entry.kind == EntryKind::Output && entry.input_id == Some(input)
}

pub(crate) async fn a_stream_from_the_beginning_is_the_transcript(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("emit-many 300").await;
    let mut stream = worker.follow(Some(Cursor(0))).await;
    let last = worker.post("emit-many 300").await;
    let seen = until(&mut stream, outcome_of(last)).await;
    assert_eq!(seen[0].seq, Cursor(1));
    let mut all = worker.entries().await;
    all.truncate(seen.len());
    assert_eq!(seen, all);
}

pub(crate) async fn a_stream_without_a_place_begins_at_the_end(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("emit note before").await;
    let end = worker.entries().await.last().unwrap().seq;
    let mut stream = worker.follow(None).await;
    let input = worker.post("emit note after").await;
    let seen = until(&mut stream, outcome_of(input)).await;
    assert_eq!(seen[0].seq, Cursor(end.0 + 1));
    assert_eq!(seen[0].input_id, Some(input));
    assert_no_holes(&seen);
}

pub(crate) async fn a_stream_goes_on_from_a_place(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let mut first = worker.follow(Some(Cursor(0))).await;
    let one = worker.post("emit-many 10").await;
    let mut seen = until(&mut first, outcome_of(one)).await;
    drop(first);
    let other = worker.post("emit-many 10").await;
    worker.outcome(other).await;
    let mut second = worker.follow(seen.last().map(|entry| entry.seq)).await;
    seen.extend(until(&mut second, outcome_of(other)).await);
    let mut all = worker.entries().await;
    all.truncate(seen.len());
    assert_eq!(seen, all);
}

pub(crate) async fn snapshot_then_follow_neither_loses_nor_repeats(trial: &Trial<'_>) {
    const SENDERS: usize = 4;
    const INPUTS: usize = 10;
    const FOLLOWERS: usize = 6;
    let worker = trial.worker(Guest::Scribe).await;
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (runtime, id) = (worker.runtime(), worker.id);
            tokio::spawn(async move {
                for n in 0..INPUTS {
                    let text = crate::trial::message(&format!("emit s{sender} {n}"));
                    runtime.send(id, text).await.unwrap();
                    runtime.send(id, crate::trial::message("emit-many 5")).await.unwrap();
                }
            })
        })
        .collect();
    // Each reads a snapshot, then follows it, and each starts at another moment.
    let followers: Vec<_> = (0..FOLLOWERS)
        .map(|nth| {
            let (runtime, id) = (worker.runtime(), worker.id);
            tokio::spawn(async move {
                let (mut seen, mut after) = (Vec::new(), Cursor(0));
                while seen.len() < nth * 20 {
                    let page = runtime.transcript(id, ListEntries::after(after, 7)).await.unwrap();
                    seen.extend(page.entries);
                    after = page.next;
                    tokio::task::yield_now().await;
                }
                let stream = runtime.subscribe(id, Some(after), None).await.unwrap();
                let mut stream = stream.map(|entry| entry.map(Arc::unwrap_or_clone));
                let last = |entry: &Entry| {
                    entry.label.as_deref() == Some("last") && entry.kind == EntryKind::Event
                };
                seen.extend(until(&mut stream, last).await);
                seen
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    worker.ask("emit last one").await;
    let all = worker.entries().await;
    for follower in followers {
        let seen = follower.await.unwrap();
        assert_no_holes(&seen);
        assert_eq!(seen, all[..seen.len()]);
    }
    let events = worker.events().await.len();
    assert_eq!(events, SENDERS * INPUTS * 6 + 1);
}

pub(crate) async fn a_slow_reader_loses_nothing_and_delays_no_turn(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let mut slow = worker.follow(Some(Cursor(0))).await;
    assert_eq!(next(&mut slow).await.unwrap().kind, EntryKind::Created);
    let mut last = worker.post("emit-many 4000").await;
    worker.outcome(last).await;
    for n in 0..10 {
        last = worker.post(&format!("emit note {n}")).await;
    }
    worker.outcome(last).await;
    let seen = until(&mut slow, outcome_of(last)).await;
    assert_eq!(seen, worker.entries().await[1..=seen.len()]);
}

pub(crate) async fn a_stream_ends_when_its_worker_is_removed(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let mut read = worker.follow(Some(Cursor(0))).await;
    let mut unread = worker.follow(None).await;
    worker.ask("echo hello").await;
    worker.runtime().remove(worker.id).await.unwrap();
    while next(&mut read).await.is_some() {}
    while next(&mut unread).await.is_some() {}
}

pub(crate) async fn a_stream_is_one_workers_own(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let other = trial.worker(Guest::Scribe).await;
    let mut stream = worker.follow(Some(Cursor(0))).await;
    other.ask("emit note other").await;
    let last = worker.post("emit note own").await;
    let seen = until(&mut stream, outcome_of(last)).await;
    let events = seen.iter().filter(|entry| entry.kind == EntryKind::Event);
    let events: Vec<_> = events.map(crate::trial::body).collect();
    assert_eq!(events, ["own"]);
}
