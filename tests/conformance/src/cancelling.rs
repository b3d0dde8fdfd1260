//! Cancelling inputs.

use std::time::Duration;

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, answer, keyed, trouble};

pub(crate) async fn a_queued_input_is_cancelled_and_never_runs(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let running = worker.post("spin").await;
    worker.running(running).await;
    let first = worker.post("emit note first").await;
    let second = worker.post("emit note second").await;
    let view = worker.runtime().cancel(worker.id, first).await.unwrap();
    assert_eq!((view.input_id, view.state, view.attempt), (first, InputState::Done, 0));
    trouble(&view.outcome.unwrap(), Ending::Cancelled);
    assert_eq!(
        worker.input(running).await.state,
        InputState::Running,
        "another input was cancelled"
    );
    worker.runtime().cancel(worker.id, running).await.unwrap();
    assert_eq!(answer(&worker.outcome(second).await), "ok");
    assert_eq!(worker.events().await, ["second"]);
    trouble(&worker.outcome(first).await, Ending::Cancelled);
}

pub(crate) async fn a_running_input_is_cancelled_and_the_next_one_runs(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("set a 1").await;
    // One guest computes, the other waits for the host.
    for busy in ["spin", "nap 600"] {
        let running = worker.post(busy).await;
        let next = worker.post("get a").await;
        worker.running(running).await;
        let view = worker.runtime().cancel(worker.id, running).await.unwrap();
        assert_eq!(view.input_id, running);
        trouble(&worker.outcome(running).await, Ending::Cancelled);
        assert_eq!(answer(&worker.outcome(next).await), "1");
    }
    assert_eq!(worker.view().await.observed, Observed::Idle);
}

pub(crate) async fn cancelling_the_next_input_leaves_the_one_that_ends_alone(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    // The end of one turn may start the next one at the same time.
    for round in 0..200_u64 {
        let first = worker.post("echo first").await;
        let next = worker.post("echo next").await;
        tokio::time::sleep(Duration::from_micros(round * 37 % 1_000)).await;
        let cancelled = worker.runtime().cancel(worker.id, next).await;
        assert_eq!(answer(&worker.outcome(first).await), "first");
        let ended = worker.outcome(next).await.ending;
        match cancelled {
            Ok(view) => assert_eq!(ended, Ending::Cancelled, "{view:?}"),
            Err(error) => {
                assert_eq!((error, ended), (Error::Conflict(Conflict::Ended), Ending::Completed));
            }
        }
        assert!(worker.input(first).await.attempt <= 1, "the input was run again");
    }
    assert_eq!(worker.entries_of(EntryKind::Interrupted).await.len(), 0);
}

pub(crate) async fn an_ended_input_cannot_be_cancelled(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let input = worker.post("echo hello").await;
    let outcome = worker.outcome(input).await;
    let refused = worker.runtime().cancel(worker.id, input).await;
    assert_eq!(refused, Err(Error::Conflict(Conflict::Ended)));
    assert_eq!(worker.outcome(input).await, outcome);
}

pub(crate) async fn a_sender_waiting_for_a_cancelled_input_is_answered(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let (runtime, id) = (worker.runtime(), worker.id);
    let waiter = tokio::spawn(async move { runtime.send(id, keyed("k", "spin")).await });
    // The key finds the same input without waiting.
    let again = NewInput { wait: None, ..keyed("k", "spin") };
    let input = worker.try_send(again).await.unwrap().input_id();
    worker.running(input).await;
    worker.runtime().cancel(id, input).await.unwrap();
    let Sent::Done { input_id, outcome } = waiter.await.unwrap().unwrap() else {
        panic!("the input has ended");
    };
    assert_eq!(input_id, input);
    trouble(&outcome, Ending::Cancelled);
}

pub(crate) async fn a_cancelled_input_is_one_failure_in_the_transcript(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let running = worker.post("spin").await;
    worker.running(running).await;
    let queued = worker.post("echo hello").await;
    for input in [queued, running] {
        worker.runtime().cancel(worker.id, input).await.unwrap();
        worker.outcome(input).await;
    }
    let failures: Vec<_> = worker
        .entries_of(EntryKind::Failure)
        .await
        .into_iter()
        .map(|entry| (entry.input_id, entry.ending))
        .collect();
    let cancelled = Some(Ending::Cancelled);
    assert_eq!(failures, [(Some(queued), cancelled), (Some(running), cancelled)]);
    assert_eq!(worker.entries_of(EntryKind::Output).await, []);
}
