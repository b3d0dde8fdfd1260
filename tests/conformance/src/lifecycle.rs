//! Stopping, starting and removing.

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, answer, eventually, keyed, labels, message, next, trouble};

pub(crate) async fn a_stopped_worker_refuses_inputs(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("set a 1").await;
    let view = worker.runtime().stop(worker.id).await.unwrap();
    assert_eq!((view.desired, &view.observed), (Desired::Stopped, &Observed::Stopped));
    assert_eq!(view.execution, Execution::Unconnected);
    assert_eq!(worker.view().await, view);
    assert_eq!(worker.try_send(message("echo")).await, Err(Error::WorkerStopped));
    assert_eq!(worker.try_send(keyed("k", "echo")).await, Err(Error::WorkerStopped));
    assert_eq!(worker.entries_of(EntryKind::Input).await.len(), 1);
    let view = worker.runtime().start(worker.id).await.unwrap();
    assert_eq!((view.desired, view.observed), (Desired::Running, Observed::Idle));
    assert_eq!(worker.ask("get a").await, "1");
}

pub(crate) async fn stop_keeps_the_queue_and_start_runs_it(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let running = worker.post("nap 2").await;
    worker.running(running).await;
    let mut queued = Vec::new();
    for n in 0..3 {
        queued.push(worker.post(&format!("emit note {n}")).await);
    }
    let view = worker.runtime().stop(worker.id).await.unwrap();
    assert_eq!((view.observed, view.queued_inputs), (Observed::Stopped, 3));
    // The turn may have ended within its grace time or not.
    let ending = worker.outcome(running).await.ending;
    assert!(matches!(ending, Ending::Completed | Ending::Cancelled), "{ending:?}");
    for &input in &queued {
        let view = worker.input(input).await;
        assert_eq!((view.state, view.attempt), (InputState::Queued, 0));
    }
    assert_eq!(worker.events().await, Vec::<String>::new());
    worker.runtime().start(worker.id).await.unwrap();
    for input in queued {
        assert_eq!(answer(&worker.outcome(input).await), "ok");
    }
    assert_eq!(worker.events().await, ["0", "1", "2"]);
}

pub(crate) async fn stop_ends_a_turn_that_does_not_end(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let running = worker.post("spin").await;
    worker.running(running).await;
    let view = worker.runtime().stop(worker.id).await.unwrap();
    assert_eq!((view.desired, view.observed), (Desired::Stopped, Observed::Stopped));
    assert_eq!(view.queued_inputs, 0);
    trouble(&worker.outcome(running).await, Ending::Cancelled);
}

pub(crate) async fn a_queued_input_of_a_stopped_worker_can_be_cancelled(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let running = worker.post("spin").await;
    worker.running(running).await;
    let queued = worker.post("emit note queued").await;
    worker.runtime().stop(worker.id).await.unwrap();
    worker.runtime().cancel(worker.id, queued).await.unwrap();
    assert_eq!(worker.view().await.queued_inputs, 0);
    worker.runtime().start(worker.id).await.unwrap();
    assert_eq!(worker.ask("echo on").await, "on");
    assert_eq!(worker.events().await, Vec::<String>::new());
}

pub(crate) async fn start_runs_nothing_by_itself(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.runtime().stop(worker.id).await.unwrap();
    let view = worker.runtime().start(worker.id).await.unwrap();
    assert_eq!((view.observed, view.execution), (Observed::Idle, Execution::Unconnected));
    assert_eq!(worker.runtime().usage(worker.id).await.unwrap().turns, 0);
    let kinds: Vec<_> = worker.entries().await.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::Created, EntryKind::Stopped, EntryKind::Started]);
}

pub(crate) async fn stopping_and_starting_again_changes_nothing(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("echo").await;
    let before = worker.entries().await;
    assert_eq!(worker.runtime().start(worker.id).await.unwrap().observed, Observed::Idle);
    assert_eq!(worker.entries().await, before);
    worker.runtime().stop(worker.id).await.unwrap();
    let stopped = worker.entries().await;
    assert_eq!(worker.runtime().stop(worker.id).await.unwrap().observed, Observed::Stopped);
    assert_eq!(worker.entries().await, stopped);
}

pub(crate) async fn remove_leaves_nothing_but_the_id(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let other = trial.worker(Guest::Scribe).await;
    worker.ask("set a 1").await;
    let input = worker.post("echo hello").await;
    worker.outcome(input).await;
    let runtime = worker.runtime();
    runtime.remove(worker.id).await.unwrap();
    assert_eq!(runtime.get(worker.id).await, Err(Error::WorkerRemoved));
    assert_eq!(runtime.input(worker.id, input).await, Err(Error::WorkerRemoved));
    let transcript = runtime.transcript(worker.id, ListEntries::after(Cursor(0), 10)).await;
    assert_eq!(transcript, Err(Error::WorkerRemoved));
    assert_eq!(trial.listed().await, [other.id]);
    let all = runtime.diagnostics(None).await.unwrap();
    assert!(all.iter().all(|one| one.worker() != Some(worker.id)), "{all:?}");
    assert_eq!(other.ask("echo on").await, "on");
}

pub(crate) async fn a_stopped_worker_can_be_removed(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.runtime().stop(worker.id).await.unwrap();
    worker.runtime().remove(worker.id).await.unwrap();
    assert_eq!(worker.runtime().get(worker.id).await, Err(Error::WorkerRemoved));
}

pub(crate) async fn removing_a_busy_worker_answers_waiting_senders(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let (runtime, id) = (worker.runtime(), worker.id);
    let mut stream = worker.follow(Some(Cursor(0))).await;
    let running = worker.post("spin").await;
    worker.running(running).await;
    let waiter = tokio::spawn(async move { runtime.send(id, keyed("k", "echo")).await });
    eventually("someone waits", async || (worker.view().await.queued_inputs == 2).then_some(()))
        .await;
    worker.runtime().remove(id).await.unwrap();
    match waiter.await.unwrap() {
        Err(Error::WorkerRemoved) => {}
        Ok(Sent::Done { outcome, .. }) => {
            trouble(&outcome, Ending::Cancelled);
        }
        answer => panic!("expected an error for a removed worker: {answer:?}"),
    }
    while next(&mut stream).await.is_some() {}
    assert_eq!(worker.runtime().get(id).await, Err(Error::WorkerRemoved));
}

pub(crate) async fn changes_of_a_worker_update_its_timestamp(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let new = worker.view().await;
    worker.ask("echo").await;
    assert_eq!(worker.view().await.updated_at, new.updated_at, "a turn does not count as a change");
    // Until the clock has advanced.
    let changed = eventually("a change has another time", async || {
        let labels = Some(labels(&[("a", "1")]));
        let change = WorkerChange { labels, ..WorkerChange::default() };
        let view = worker.runtime().update(worker.id, change).await.unwrap();
        (view.updated_at > new.updated_at).then_some(view)
    })
    .await;
    assert_eq!(changed.created_at, new.created_at);
}
