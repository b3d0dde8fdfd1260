//! Idempotency keys: retrying an input has no further effect.

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, eventually, keyed, message};

pub(crate) async fn a_key_sent_again_gives_the_same_outcome_without_a_turn(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let first = worker.try_send(keyed("k", "emit note once")).await.unwrap();
    let Sent::Done { .. } = &first else { panic!("expected an outcome: {first:?}") };
    let again = worker.try_send(keyed("k", "emit note once")).await.unwrap();
    assert_eq!(again, first);
    let unwaited = NewInput { wait: None, ..keyed("k", "emit note once") };
    assert_eq!(worker.try_send(unwaited).await.unwrap(), first, "the outcome is known");
    assert_eq!(worker.events().await, ["once"]);
    assert_eq!(worker.entries_of(EntryKind::Input).await.len(), 1);
    assert_eq!(worker.runtime().usage(worker.id).await.unwrap().turns, 1);
}

pub(crate) async fn a_key_sent_again_gives_a_failure_again(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    for text in ["fail some-code some text", "panic"] {
        let first = worker.try_send(keyed(text, text)).await.unwrap();
        assert_eq!(worker.try_send(keyed(text, text)).await.unwrap(), first);
    }
    assert_eq!(worker.runtime().usage(worker.id).await.unwrap().turns, 2);
}

pub(crate) async fn a_key_sent_again_finds_the_input_that_has_not_ended(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let unwaited = |key, text| NewInput { wait: None, ..keyed(key, text) };
    let spin = worker.try_send(unwaited("spin", "spin")).await.unwrap();
    let queued = worker.try_send(unwaited("queued", "emit note once")).await.unwrap();
    assert_eq!(worker.try_send(unwaited("spin", "spin")).await.unwrap(), spin);
    assert_eq!(worker.try_send(unwaited("queued", "emit note once")).await.unwrap(), queued);
    worker.runtime().cancel(worker.id, spin.input_id()).await.unwrap();
    let done = worker.try_send(keyed("queued", "emit note once")).await.unwrap();
    let Sent::Done { input_id, .. } = done else { panic!("expected an outcome: {done:?}") };
    assert_eq!(input_id, queued.input_id());
    assert_eq!(worker.events().await, ["once"]);
}

pub(crate) async fn a_key_with_another_body_is_a_conflict(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let first = worker.try_send(keyed("k", "emit note one")).await.unwrap();
    let other = worker.try_send(keyed("k", "emit note other")).await;
    assert_eq!(other, Err(Error::Conflict(Conflict::IdempotencyKey)));
    assert_eq!(worker.try_send(keyed("k", "emit note one")).await.unwrap(), first);
    assert_eq!(worker.events().await, ["one"]);
    // The same while the first input is running.
    let spin = worker.try_send(NewInput { wait: None, ..keyed("s", "spin") }).await.unwrap();
    let other = worker.try_send(keyed("s", "echo other")).await;
    assert_eq!(other, Err(Error::Conflict(Conflict::IdempotencyKey)));
    // On a machine that stalls, it may have reached its deadline.
    let cancelled = worker.runtime().cancel(worker.id, spin.input_id()).await;
    assert!(matches!(cancelled, Ok(_) | Err(Error::Conflict(Conflict::Ended))), "{cancelled:?}");
}

pub(crate) async fn a_key_belongs_to_one_worker(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let other = trial.worker(Guest::Scribe).await;
    let one = worker.try_send(keyed("k", "emit note one")).await.unwrap();
    let two = other.try_send(keyed("k", "emit note two")).await.unwrap();
    assert_ne!(one.input_id(), two.input_id());
    assert_eq!(other.events().await, ["two"]);
}

pub(crate) async fn without_a_key_the_same_body_is_another_input(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("emit note twice").await;
    worker.ask("emit note twice").await;
    assert_eq!(worker.events().await, ["twice", "twice"]);
}

pub(crate) async fn many_at_once_with_one_key_are_one_input(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let all: Vec<_> = (0..8)
        .map(|_| {
            let (runtime, id) = (worker.runtime(), worker.id);
            tokio::spawn(
                async move { runtime.send(id, keyed("k", "emit note once")).await.unwrap() },
            )
        })
        .collect();
    let mut inputs = Vec::new();
    for one in all {
        inputs.push(one.await.unwrap().input_id());
    }
    inputs.dedup();
    assert_eq!(inputs.len(), 1);
    assert_eq!(worker.events().await, ["once"]);
}

pub(crate) async fn a_retry_is_answered_where_a_new_input_is_refused(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::mailbox_inputs, 1)]).await;
    let done = worker.try_send(keyed("done", "emit note once")).await.unwrap();
    let spin = NewInput { wait: None, ..keyed("spin", "spin") };
    let running = worker.try_send(spin.clone()).await.unwrap();
    assert!(matches!(worker.try_send(message("echo")).await, Err(Error::MailboxFull { .. })));
    assert_eq!(worker.try_send(spin).await.unwrap(), running);
    assert_eq!(worker.try_send(keyed("done", "emit note once")).await.unwrap(), done);
    worker.runtime().stop(worker.id).await.unwrap();
    assert_eq!(worker.try_send(message("echo")).await, Err(Error::WorkerStopped));
    assert_eq!(worker.try_send(keyed("done", "emit note once")).await.unwrap(), done);
}

pub(crate) async fn idempotency_keys(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::idempotency_keys, 2)]).await;
    let first = worker.try_send(keyed("a", "echo a")).await.unwrap();
    let mut newest = first.clone();
    // An implementation may keep a few more keys than the limit, to forget several at a time.
    for n in 0..50 {
        newest = worker.try_send(keyed(&n.to_string(), "echo")).await.unwrap();
        assert_eq!(worker.try_send(keyed(&n.to_string(), "echo")).await.unwrap(), newest);
    }
    eventually("the oldest key is forgotten", async || {
        let again = worker.try_send(keyed("a", "echo a")).await.unwrap();
        (again.input_id() != first.input_id()).then_some(())
    })
    .await;
    assert_eq!(worker.try_send(keyed("49", "echo")).await.unwrap(), newest);
}

pub(crate) async fn idempotency_ms(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::idempotency_ms, 1)]).await;
    let first = worker.try_send(keyed("k", "echo a")).await.unwrap();
    eventually("the key is forgotten", async || {
        let again = worker.try_send(keyed("k", "echo a")).await.unwrap();
        (again.input_id() != first.input_id()).then_some(())
    })
    .await;
}
