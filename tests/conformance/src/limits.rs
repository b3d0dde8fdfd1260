//! Limits on what a caller or a guest can grow.

use std::time::Duration;

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, answer, args, bytes, eventually, message, trouble};

/// Returns the mailbox limit that refused an input.
fn full(sent: Result<Sent, Error>) -> LimitName {
    match sent {
        Err(Error::MailboxFull { name, retry_after }) => {
            assert!(retry_after > Duration::ZERO);
            name
        }
        sent => panic!("the mailbox is full: {sent:?}"),
    }
}

pub(crate) async fn mailbox_inputs(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::mailbox_inputs, 2)]).await;
    let running = worker.post("spin").await;
    worker.running(running).await;
    let queued = worker.post("emit note queued").await;
    assert_eq!(worker.view().await.queued_inputs, 2);
    for _ in 0..3 {
        assert_eq!(full(worker.try_send(message("echo")).await), LimitName::mailbox_inputs);
    }
    assert_eq!(
        worker.entries_of(EntryKind::Input).await.len(),
        2,
        "a refused input leaves no record"
    );
    worker.runtime().cancel(worker.id, running).await.unwrap();
    assert_eq!(answer(&worker.outcome(queued).await), "ok");
    assert_eq!(worker.ask("echo room").await, "room");
}

pub(crate) async fn mailbox_bytes(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::mailbox_bytes, 1_000)]).await;
    let running = worker.post("spin").await;
    let text = |length| bytes("text/plain", &vec![b'.'; length]);
    let refused = worker.try_send(text(997)).await;
    assert_eq!(full(refused), LimitName::mailbox_bytes);
    let queued = worker.try_send(text(996)).await.unwrap().input_id();
    assert_eq!(full(worker.try_send(text(1)).await), LimitName::mailbox_bytes);
    worker.runtime().cancel(worker.id, running).await.unwrap();
    worker.outcome(queued).await;
    assert_eq!(worker.ask("echo room").await, "room");
}

pub(crate) async fn input_bytes(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Echo).await;
    let limits = LimitChanges([(LimitName::input_bytes, 1_000)].into());
    let worker = trial.create(WorkerSpec { limits, ..spec }).await;
    let refused = worker.try_send(bytes("text/plain", &[b'.'; 1_001])).await;
    let (name, limit) = (LimitName::input_bytes, 1_000);
    assert_eq!(refused, Err(Error::LimitExceeded { name, limit }));
    assert_eq!(worker.entries_of(EntryKind::Input).await, []);
    worker.send(bytes("text/plain", &[b'.'; 1_000])).await.output.unwrap();
}

pub(crate) async fn state_bytes(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::state_bytes, 10)]).await;
    worker.ask("set key 1234567").await;
    trouble(&worker.say("set key 12345678").await, Ending::Failed);
    trouble(&worker.say("set k2 1").await, Ending::Failed);
    assert_eq!(worker.ask("get key").await, "1234567");
    worker.ask("set key 1234").await;
    worker.ask("set k2 1").await;
    assert_eq!(worker.runtime().usage(worker.id).await.unwrap().state_bytes, 10);
}

pub(crate) async fn events_per_turn(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::events_per_turn, 3)]).await;
    worker.ask("emit-many 3").await;
    trouble(&worker.say("emit-many 4").await, Ending::Failed);
    worker.ask("emit-many 1").await;
    assert_eq!(worker.events().await, ["0", "1", "2", "0", "1", "2", "0"]);
}

pub(crate) async fn event_bytes(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::event_bytes, 1_000)]).await;
    // The type and kind may count as well.
    let (fits, past) = (".".repeat(900), ".".repeat(1_001));
    worker.ask(&format!("emit note {fits}")).await;
    trouble(&worker.say(&format!("emit note {past}")).await, Ending::Failed);
    assert_eq!(worker.events().await, [fits]);
}

pub(crate) async fn log_bytes_per_turn(trial: &Trial<'_>) {
    const LOG: u64 = 64 << 10;
    const OUTPUT: u64 = 128 << 10;
    let limits = [
        (LimitName::log_bytes_per_turn, LOG),
        (LimitName::output_bytes, OUTPUT),
        (LimitName::turn_deadline_ms, 3_000),
    ];
    let worker = trial.limited_guest(Guest::Probe, &limits).await;
    let (outcome, output) = worker.run(args(&["flood"])).await;
    trouble(&outcome, Ending::Deadline);
    assert!(output.truncated, "the output is not marked as truncated");
    assert!(output.stdout.len() as u64 <= OUTPUT, "{}", output.stdout.len());
    let logged = worker.entries_of(EntryKind::Log).await;
    let kept = logged.iter().map(|entry| entry.payload.body.len() as u64).sum::<u64>();
    assert!((1..=LOG).contains(&kept), "{kept}");
    assert_eq!(logged.iter().filter(|entry| entry.truncated).count(), 1, "one truncation mark");
    assert!(logged.last().unwrap().truncated, "the last line has the mark");
}

pub(crate) async fn transcript_bytes(trial: &Trial<'_>) {
    const LIMIT: u64 = 64 << 10;
    let worker = trial.limited(&[(LimitName::transcript_bytes, LIMIT)]).await;
    let note = format!("emit note {}", "x".repeat(8 << 10));
    let gap = eventually("the oldest entries are trimmed", async || {
        worker.ask(&note).await;
        let first = worker.entries().await.remove(0);
        (first.kind == EntryKind::Gap).then_some(first)
    })
    .await;
    // The gap has the position of the last entry that it replaces, so that the next entry follows
    // it.
    assert!(gap.seq.0 >= 1);
    eventually("what is kept is within the limit", async || {
        let usage = worker.runtime().usage(worker.id).await.unwrap();
        (usage.transcript_bytes <= LIMIT).then_some(())
    })
    .await;
    let mut stream = worker.follow(Some(Cursor(0))).await;
    let first = crate::trial::next(&mut stream).await.unwrap();
    assert_eq!(first.kind, EntryKind::Gap, "a reader sees the gap");
    assert_eq!(worker.ask("echo on").await, "on");
}

pub(crate) async fn limits_apply_per_worker(trial: &Trial<'_>) {
    let small = trial.limited(&[(LimitName::state_bytes, 3)]).await;
    let other = trial.worker(Guest::Scribe).await;
    trouble(&small.say("set key value").await, Ending::Failed);
    assert_eq!(other.ask("set key value").await, "ok");
    assert_eq!(small.view().await.spec.limits.0, [(LimitName::state_bytes, 3)].into());
    assert_eq!(other.view().await.spec.limits, LimitChanges::default());
}

pub(crate) async fn limits_change_between_two_turns(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let to = |limits: &[(LimitName, u64)]| LimitChanges(limits.iter().copied().collect());
    let change = |limits: &LimitChanges| WorkerChange {
        limits: Some(limits.clone()),
        ..WorkerChange::default()
    };
    let small = to(&[(LimitName::input_bytes, 4), (LimitName::mailbox_inputs, 9)]);
    let view = worker.runtime().update(worker.id, change(&small)).await.unwrap();
    assert_eq!(view.spec.limits, small);
    let limit = Error::LimitExceeded { name: LimitName::input_bytes, limit: 4 };
    assert_eq!(worker.try_send(message("echo long")).await, Err(limit));
    let updated = worker.entries_of(EntryKind::Updated).await.pop().unwrap();
    assert_eq!(updated.label.as_deref(), Some("limits"));
    let body: LimitChanges = serde_json::from_slice(&updated.payload.body).unwrap();
    assert_eq!(body, small);

    // The same again changes nothing, and the defaults come back.
    worker.runtime().update(worker.id, change(&small)).await.unwrap();
    assert_eq!(worker.entries_of(EntryKind::Updated).await.len(), 1);
    let stale = WorkerChange {
        limits_before: Some(to(&[])),
        ..change(&to(&[(LimitName::input_bytes, 5)]))
    };
    let refused = worker.runtime().update(worker.id, stale).await;
    assert_eq!(refused, Err(Conflict::Limits.into()));
    let wrong = change(&to(&[(LimitName::component_bytes, 1)]));
    let refused = worker.runtime().update(worker.id, wrong).await;
    assert_eq!(refused, Err(Invalid::Limit(LimitName::component_bytes).into()));
    assert_eq!(worker.view().await.spec.limits, small);
    worker.runtime().update(worker.id, change(&to(&[]))).await.unwrap();
    assert_eq!(worker.ask("echo long").await, "long");
}
