//! A runtime after a restart, clean or by a crash.

use std::collections::BTreeSet;

use skep_protocol::*;

use crate::changes::only_changes;
use crate::trial::{Trial, answer, args, eventually, keyed, labels, message, next, trouble, until};
use crate::{Guest, Restart};

const BOTH: [Restart; 2] = [Restart::Clean, Restart::Crash];

pub(crate) async fn everything_is_there_after_a_restart(trial: &Trial<'_>) {
    let spec = WorkerSpec {
        display_ref: Some("Build № 7".parse().unwrap()),
        labels: labels(&[("a", "1")]),
        config: Some(trial.config(&[("a", "1")]).await),
        limits: LimitChanges([(LimitName::state_bytes, 1_000)].into()),
        ..trial.spec(Guest::Scribe).await
    };
    let worker = trial.create(spec).await;
    worker.ask("set key value").await;
    let input = worker.post("emit note some text").await;
    let outcome = worker.outcome(input).await;
    let runtime_id = trial.runtime().describe().await.unwrap().runtime_id;
    let components = trial.runtime().components(None).await.unwrap();
    let configs = trial.runtime().configs(None).await.unwrap();
    for how in BOTH {
        let before = worker.view().await;
        let (entries, usage) =
            (worker.entries().await, worker.runtime().usage(worker.id).await.unwrap());
        trial.restart(how).await;
        let unconnected = WorkerView { execution: Execution::Unconnected, ..before };
        assert_eq!(worker.view().await, unconnected, "{how:?}");
        assert_eq!(trial.runtime().describe().await.unwrap().runtime_id, runtime_id);
        assert_eq!(trial.runtime().components(None).await.unwrap(), components);
        assert_eq!(trial.runtime().configs(None).await.unwrap(), configs);
        // The shutdown may have added entries; those from before are unchanged.
        assert_eq!(worker.entries().await[..entries.len()], entries, "{how:?}");
        let again = worker.runtime().usage(worker.id).await.unwrap();
        assert_eq!((again.turns, again.state_bytes), (usage.turns, usage.state_bytes));
        assert_eq!(worker.outcome(input).await, outcome);
        assert_eq!(worker.ask("get key").await, "value", "{how:?}");
        assert_eq!(worker.ask("config").await, "a=1");
        let next = worker.entries().await;
        assert!(next.len() > entries.len(), "new entries follow the old ones");
    }
}

pub(crate) async fn a_written_file_survives(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Probe).await;
    worker.put("kept/note", b"written").await.unwrap();
    for how in BOTH {
        trial.restart(how).await;
        assert_eq!(worker.list("").await, ["kept/note"], "{how:?}");
        assert_eq!(worker.read("kept/note").await.unwrap(), b"written", "{how:?}");
        let usage = worker.runtime().usage(worker.id).await.unwrap();
        assert_eq!((usage.disk_bytes, usage.disk_entries), (7, 2), "{how:?}");
        assert!(!worker.diagnosed(DiagnosticCode::DirectoryMissing).await);
    }
    let (_, output) = worker.run(args(&["read", "/data/kept/note"])).await;
    assert_eq!(output.stdout, b"written");
}

pub(crate) async fn a_lost_instance_is_reported_after_a_restart(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let never = trial.worker(Guest::Scribe).await;
    let code = DiagnosticCode::ExecutionNotRestored;
    for how in BOTH {
        worker.ask("echo connect").await;
        assert_eq!(worker.view().await.execution, Execution::Connected);
        assert!(!worker.diagnosed(code).await);
        trial.restart(how).await;
        assert_eq!(worker.view().await.execution, Execution::Unconnected, "{how:?}");
        assert!(worker.diagnosed(code).await, "{how:?}");
        assert!(!never.diagnosed(code).await, "the worker had no instance");
        let all = trial.runtime().diagnostics(None).await.unwrap();
        let about = all.iter().filter(|one| one.code == code).map(|one| one.worker());
        assert_eq!(about.collect::<Vec<_>>(), [Some(worker.id)]);
        eventually("the runtime is ready", async || {
            trial.runtime().describe().await.unwrap().ready.then_some(())
        })
        .await;
        assert_eq!(
            trial.runtime().describe().await.unwrap().connected,
            0,
            "no instance is connected without an input"
        );
        worker.ask("echo connect").await;
        eventually("it is not said any more", async || {
            (!worker.diagnosed(code).await).then_some(())
        })
        .await;
    }
}

pub(crate) async fn queued_inputs_run_after_a_restart(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    for how in BOTH {
        let before = worker.events().await.len();
        let running = worker.post("spin").await;
        worker.running(running).await;
        let mut queued = Vec::new();
        for n in 0..3 {
            queued.push(worker.post(&format!("emit note {n}")).await);
        }
        trial.restart(how).await;
        // It runs without a further request.
        worker.running(running).await;
        let view = worker.input(running).await;
        assert_eq!(view.attempt, 2, "{how:?}");
        worker.runtime().cancel(worker.id, running).await.unwrap();
        for input in queued {
            assert_eq!(answer(&worker.outcome(input).await), "ok");
        }
        assert_eq!(worker.events().await[before..], ["0", "1", "2"], "{how:?}");
        let interrupted = worker.entries_of(EntryKind::Interrupted).await;
        assert_eq!(interrupted.last().unwrap().input_id, Some(running));
    }
}

pub(crate) async fn an_interrupted_turn_is_run_again_and_counts_once(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let input = worker.post("nap 5").await;
    worker.running(input).await;
    trial.restart(Restart::Crash).await;
    assert_eq!(answer(&worker.outcome(input).await), "ok");
    assert_eq!(worker.input(input).await.attempt, 2);
    assert_eq!(worker.entries_of(EntryKind::Input).await.len(), 1);
    let [interrupted] = &worker.entries_of(EntryKind::Interrupted).await[..] else {
        panic!("the turn was interrupted once");
    };
    assert_eq!(interrupted.input_id, Some(input));
    assert_eq!(worker.entries_of(EntryKind::Output).await.len(), 1);
}

pub(crate) async fn acknowledged_inputs_survive_a_crash(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let mut posted = Vec::new();
    for n in 0..30 {
        posted.push(worker.post(&format!("set {n} {n}")).await);
    }
    trial.restart(Restart::Crash).await;
    for &input in &posted {
        assert_eq!(answer(&worker.outcome(input).await), "ok");
    }
    for n in 0..30 {
        assert_eq!(worker.ask(&format!("get {n}")).await, n.to_string());
    }
    let outcomes: Vec<_> = worker
        .entries_of(EntryKind::Output)
        .await
        .into_iter()
        .filter_map(|entry| entry.input_id)
        .collect();
    assert_eq!(outcomes[..posted.len()], posted, "each once and in order");
    assert_eq!(outcomes.iter().collect::<BTreeSet<_>>().len(), outcomes.len());
}

pub(crate) async fn streamed_entries_survive_a_crash(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let mut stream = worker.follow(Some(Cursor(0))).await;
    let input = worker.post("emit-many 9999").await;
    let mut seen = Vec::new();
    while seen.len() < 50 {
        seen.push(next(&mut stream).await.unwrap());
    }
    trial.restart(Restart::Crash).await;
    assert_eq!(worker.entries().await[..seen.len()], seen);
    worker.outcome(input).await;
    assert_eq!(worker.entries().await[..seen.len()], seen);
}

pub(crate) async fn an_open_stream_does_not_delay_a_restart(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    for how in BOTH {
        let mut held = worker.follow(Some(Cursor(0))).await;
        let _unread = worker.follow(None).await;
        let _changes = trial.runtime().changes(FollowChanges::default()).await.unwrap();
        let last = next(&mut held).await.unwrap().seq;
        trial.restart(how).await;
        let mut stream = worker.follow(Some(last)).await;
        let input = worker.post("echo on").await;
        let seen = until(&mut stream, |entry| {
            entry.kind == EntryKind::Output && entry.input_id == Some(input)
        })
        .await;
        assert_eq!(seen[0].seq.0, last.0 + 1);
        assert_eq!(seen, worker.entries().await[1..=seen.len()], "{how:?}");
    }
}

pub(crate) async fn a_stopped_worker_stays_stopped_after_a_restart(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let running = worker.post("spin").await;
    worker.running(running).await;
    let queued = worker.post("emit note queued").await;
    worker.runtime().stop(worker.id).await.unwrap();
    for how in BOTH {
        trial.restart(how).await;
        eventually("the runtime is ready", async || {
            trial.runtime().describe().await.unwrap().ready.then_some(())
        })
        .await;
        let view = worker.view().await;
        assert_eq!((view.desired, view.observed), (Desired::Stopped, Observed::Stopped));
        assert_eq!(worker.try_send(message("echo")).await, Err(Error::WorkerStopped));
        assert_eq!(worker.input(queued).await.state, InputState::Queued, "{how:?}");
    }
    worker.runtime().start(worker.id).await.unwrap();
    assert_eq!(answer(&worker.outcome(queued).await), "ok");
}

pub(crate) async fn a_key_is_known_after_a_restart(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let sent = worker.try_send(keyed("k", "emit note once")).await.unwrap();
    for how in BOTH {
        trial.restart(how).await;
        assert_eq!(worker.try_send(keyed("k", "emit note once")).await.unwrap(), sent);
        let other = worker.try_send(keyed("k", "echo other")).await;
        assert_eq!(other, Err(Error::Conflict(Conflict::IdempotencyKey)), "{how:?}");
    }
    assert_eq!(worker.events().await, ["once"]);
}

pub(crate) async fn a_removed_worker_stays_removed_after_a_restart(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Scribe).await;
    for how in BOTH {
        let worker = trial.create(spec.clone()).await;
        worker.ask("set a 1").await;
        worker.runtime().remove(worker.id).await.unwrap();
        trial.restart(how).await;
        assert_eq!(worker.runtime().get(worker.id).await, Err(Error::WorkerRemoved), "{how:?}");
        let request = CreateWorker { worker_id: Some(worker.id), spec: spec.clone() };
        assert_eq!(trial.runtime().create(request).await, Err(Error::WorkerRemoved));
        assert_eq!(trial.listed().await, []);
    }
}

pub(crate) async fn an_update_and_its_rollback_survive_a_restart(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("set a 1").await;
    let echo = trial.component(Guest::Echo).await;
    let change = WorkerChange { component: Some(echo), ..WorkerChange::default() };
    let view = worker.runtime().update(worker.id, change).await.unwrap();
    trial.restart(Restart::Crash).await;
    assert_eq!(worker.view().await.previous, view.previous);
    assert_eq!(worker.ask("get a").await, "get a");
    worker.runtime().rollback(worker.id).await.unwrap();
    trial.restart(Restart::Clean).await;
    assert_eq!(worker.ask("get a").await, "1");
}

pub(crate) async fn changed_grants_survive(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let grants = Grants {
        http: vec!["GET https://*.example.com:8443 inner".parse().unwrap()],
        ..Grants::default()
    };
    let change = WorkerChange { grants: Some(grants.clone()), ..WorkerChange::default() };
    worker.runtime().update(worker.id, change).await.unwrap();
    for how in BOTH {
        trial.restart(how).await;
        assert_eq!(worker.view().await.spec.grants, grants, "{how:?}");
    }
    assert_eq!(worker.ask("echo on").await, "on");
}

pub(crate) async fn a_commands_files_and_exit_code_survive(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Probe).await;
    worker.run(args(&["append", "/data/note", "kept"])).await;
    for how in BOTH {
        trial.restart(how).await;
        assert_eq!(worker.view().await.observed, Observed::Exited { code: 0 }, "{how:?}");
        assert!(!worker.diagnosed(DiagnosticCode::ExecutionNotRestored).await, "{how:?}");
        let (_, output) = worker.run(args(&["read", "/data/note"])).await;
        assert_eq!(output.stdout, b"kept", "{how:?}");
    }
}

pub(crate) async fn attempts_per_input(trial: &Trial<'_>) {
    let limits = [(LimitName::attempts_per_input, 2), (LimitName::turn_deadline_ms, 600_000)];
    let worker = trial.limited(&limits).await;
    let poison = worker.post("spin").await;
    let next = worker.post("emit note next").await;
    for attempt in 1..=2 {
        worker.running(poison).await;
        assert_eq!(worker.input(poison).await.attempt, attempt);
        trial.restart(Restart::Crash).await;
    }
    worker.observed(Observed::Failed { reason: FailedReason::CrashLoop }).await;
    assert!(worker.diagnosed(DiagnosticCode::CrashLoop).await);
    let refused = worker.try_send(message("echo")).await;
    assert_eq!(refused, Err(Error::Conflict(Conflict::WorkerFailed)));
    assert_eq!(worker.entries_of(EntryKind::Failed).await.len(), 1);
    // The input has ended, and the worker stays failed until it is started.
    let error = trouble(&worker.outcome(poison).await, Ending::Limit).clone();
    assert_eq!(error.limit, Some(LimitName::attempts_per_input));
    trial.restart(Restart::Clean).await;
    worker.observed(Observed::Failed { reason: FailedReason::CrashLoop }).await;
    assert_eq!(worker.input(next).await.state, InputState::Queued);
    worker.runtime().start(worker.id).await.unwrap();
    assert_eq!(answer(&worker.outcome(next).await), "ok");
}

pub(crate) async fn changes_can_be_followed_over_a_restart(trial: &Trial<'_>) {
    let spec = trial.spec(Guest::Scribe).await;
    let worker = trial.create(spec.clone()).await;
    let events = trial.runtime().changes(FollowChanges::default()).await.unwrap();
    let mut stream = only_changes(events);
    let cursor = next(&mut stream).await.unwrap().cursor;
    worker.runtime().stop(worker.id).await.unwrap();
    trial.restart(Restart::Crash).await;
    let new = trial.create(spec).await;
    // From the old cursor or a new snapshot, the stream shows every change.
    let from = FollowChanges { after: Some(cursor), from_now: false };
    let mut stream = only_changes(trial.runtime().changes(from).await.unwrap());
    let mut missing = BTreeSet::from([worker.id, new.id]);
    while !missing.is_empty() {
        let change = next(&mut stream).await.unwrap();
        let view = change.worker.unwrap();
        if view.worker_id == new.id || view.desired == Desired::Stopped {
            missing.remove(&view.worker_id);
        }
    }
}

pub(crate) async fn a_fork_survives(trial: &Trial<'_>) {
    for how in BOTH {
        let worker = trial.worker(Guest::Probe).await;
        worker.put("note", b"written").await.unwrap();
        let fork = worker.fork(ForkWorker::default()).await;
        let view = fork.view().await;
        trial.restart(how).await;
        assert_eq!(fork.view().await, view, "{how:?}");
        assert_eq!(fork.read("note").await.unwrap(), b"written", "{how:?}");
        assert!(!fork.diagnosed(DiagnosticCode::DirectoryMissing).await);
        let scribe = trial.worker(Guest::Scribe).await;
        scribe.ask("set key value").await;
        let fork = scribe.fork(ForkWorker::default()).await;
        trial.restart(how).await;
        assert_eq!(fork.ask("get key").await, "value", "{how:?}");
    }
}
