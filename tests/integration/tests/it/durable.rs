//! Durable workers through events that a caller of the protocol cannot cause: a crash of the host
//! during a turn, eviction, limits that take long to reach.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use skep_harness::{killed, test_dir};
use skep_protocol::worker::LimitChanges;
use skep_protocol::{
    Artifacts, CreateWorker, Cursor, DiagnosticCode, Ending, Entry, EntryKind, Error, Execution,
    FailedReason, IdempotencyKey, InputId, InputState, LimitName, ListEntries, NewInput, Observed,
    Outcome, Output, Overview, Payload, Role, Sent, Turns, WorkerChange, WorkerId, WorkerSpec,
    Workers,
};
use skep_runtime::{Embedded, Options};

use crate::embedded::{open, open_with};

const PATIENCE: Duration = Duration::from_secs(30);

fn text(text: &str) -> Payload {
    Payload { content_type: "text/plain".into(), body: text.to_owned().into() }
}

pub(crate) async fn scribe(runtime: &Embedded, limits: &[(LimitName, u64)]) -> WorkerId {
    let wasm = std::fs::read(skep_harness::guest("scribe")).unwrap();
    let bytes = futures_util::stream::iter([Ok(wasm.into())]).boxed();
    let component = runtime.put_component(bytes, Role::Admin).await.unwrap().item;
    let mut spec = WorkerSpec::new(component.digest);
    spec.limits = LimitChanges(limits.iter().copied().collect());
    let request = CreateWorker { worker_id: None, spec };
    runtime.create(request).await.unwrap().item.worker_id
}

async fn post(runtime: &Embedded, worker: WorkerId, command: &str) -> InputId {
    let input = NewInput { payload: text(command), key: None, wait: None, sender: None };
    runtime.send(worker, input).await.unwrap().input_id()
}

pub(crate) async fn ask(runtime: &Embedded, worker: WorkerId, command: &str) -> Outcome {
    let input = NewInput { payload: text(command), key: None, wait: Some(PATIENCE), sender: None };
    match runtime.send(worker, input).await.unwrap() {
        Sent::Done { outcome, .. } => outcome,
        Sent::Accepted { .. } => panic!("{command} took longer than {PATIENCE:?}"),
    }
}

fn answer(outcome: &Outcome) -> String {
    match &outcome.output {
        Some(Output::Message(payload)) => String::from_utf8(payload.body.clone().to_vec()).unwrap(),
        other => panic!("{other:?} of {outcome:?}"),
    }
}

async fn transcript(runtime: &Embedded, worker: WorkerId) -> Vec<Entry> {
    let (mut entries, mut after) = (Vec::new(), Cursor(0));
    loop {
        let page = runtime.transcript(worker, ListEntries::after(after, 1_000)).await.unwrap();
        entries.extend(page.entries);
        after = page.next;
        if !page.more {
            return entries;
        }
    }
}

pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let began = std::time::Instant::now();
    while !done().await {
        assert!(began.elapsed() < PATIENCE, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn running(runtime: &Embedded, worker: WorkerId, input: InputId) {
    until("the turn", async || {
        runtime.input(worker, input).await.unwrap().state == InputState::Running
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_turn_is_recorded_and_run_again() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = scribe(&runtime, &[]).await;
    ask(&runtime, worker, "set count 1").await;
    let input = post(&runtime, worker, "nap 60").await;
    running(&runtime, worker, input).await;
    let copy = killed(&dir);
    let again = open(&copy);
    running(&again, worker, input).await;
    let entries = transcript(&again, worker).await;
    let interrupted: Vec<_> =
        entries.iter().filter(|entry| entry.kind == EntryKind::Interrupted).collect();
    assert_eq!(interrupted.len(), 1);
    assert_eq!(interrupted[0].input_id, Some(input));
    assert_eq!(again.input(worker, input).await.unwrap().attempt, 2);
    let cancelled = again.cancel(worker, input).await.unwrap();
    assert_eq!(cancelled.outcome.unwrap().ending, Ending::Cancelled);
    assert_eq!(answer(&ask(&again, worker, "get count").await), "1");
    again.shutdown(Duration::ZERO).await;
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_per_input() {
    let mut dir = test_dir();
    let runtime = open(&dir);
    let worker = scribe(&runtime, &[(LimitName::attempts_per_input, 2)]).await;
    let fatal = post(&runtime, worker, "nap 60").await;
    let next = post(&runtime, worker, "echo next").await;
    running(&runtime, worker, fatal).await;
    let mut kept = vec![runtime];
    for _ in 0..2 {
        dir = killed(&dir);
        kept.push(open(&dir));
        let runtime = kept.last().unwrap();
        until("the next attempt, or its end", async || {
            runtime.input(worker, fatal).await.unwrap().state != InputState::Queued
        })
        .await;
    }
    let runtime = kept.last().unwrap();
    let ended = runtime.input(worker, fatal).await.unwrap().outcome.unwrap();
    assert_eq!(ended.ending, Ending::Limit);
    assert_eq!(ended.error.unwrap().limit, Some(LimitName::attempts_per_input));
    // The end of the input is on disk before the worker itself fails.
    until("the failure", async || {
        let failed = Observed::Failed { reason: FailedReason::CrashLoop };
        runtime.get(worker).await.unwrap().observed == failed
    })
    .await;
    until("the diagnostic", async || {
        let found = runtime.diagnostics(Some(worker)).await.unwrap();
        found.iter().any(|diagnostic| diagnostic.code == DiagnosticCode::CrashLoop)
    })
    .await;
    // The rest of the queue waits until the worker is started.
    assert_eq!(runtime.input(worker, next).await.unwrap().state, InputState::Queued);
    runtime.start(worker).await.unwrap();
    until("the queue", async || {
        runtime.input(worker, next).await.unwrap().state == InputState::Done
    })
    .await;
    for runtime in kept {
        runtime.shutdown(Duration::ZERO).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_are_on_disk_in_the_order_of_their_turns() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = scribe(&runtime, &[]).await;
    for _ in 0..30 {
        // The first turn runs before its input is on disk. The second input must not be there
        // before it.
        let both = (ask(&runtime, worker, "set a 1"), post(&runtime, worker, "set a 2"));
        futures_util::future::join(both.0, both.1).await;
    }
    ask(&runtime, worker, "get a").await;
    let entries = transcript(&runtime, worker).await;
    let inputs = |kind| {
        let of = entries.iter().filter(move |entry| entry.kind == kind);
        of.map(|entry| entry.input_id.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(inputs(EntryKind::Input), inputs(EntryKind::Output));
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_whose_worker_is_stopped_before_its_turn_is_accepted() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = scribe(&runtime, &[]).await;
    for _ in 0..30 {
        let wait = Some(Duration::from_millis(10));
        let input = NewInput { payload: text("echo a"), key: None, wait, sender: None };
        // Not `ask`: the turn has ended, or it waits for the start.
        let (sent, stopped) =
            futures_util::future::join(runtime.send(worker, input), runtime.stop(worker)).await;
        let (input, _) = (sent.unwrap().input_id(), stopped.unwrap());
        runtime.start(worker).await.unwrap();
        until("the turn", async || {
            runtime.input(worker, input).await.unwrap().state == InputState::Done
        })
        .await;
    }
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_shutdown_records_interrupted_turns() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = scribe(&runtime, &[]).await;
    let input = post(&runtime, worker, "nap 60").await;
    running(&runtime, worker, input).await;
    runtime.shutdown(Duration::from_millis(10)).await;
    let again = open(&dir);
    let entries = transcript(&again, worker).await;
    assert!(entries.iter().any(|entry| entry.kind == EntryKind::Interrupted), "{entries:?}");
    running(&again, worker, input).await;
    again.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_instance_is_evicted_and_reconnected() {
    let dir = test_dir();
    let options = Options { idle: Duration::from_millis(20), ..Options::default() };
    let runtime = open_with(&dir, options);
    let worker = scribe(&runtime, &[]).await;
    ask(&runtime, worker, "set key kept").await;
    until("the eviction", async || {
        runtime.get(worker).await.unwrap().execution == Execution::Unconnected
    })
    .await;
    assert_eq!(answer(&ask(&runtime, worker, "get key").await), "kept");
    let told = answer(&ask(&runtime, worker, "whoami").await);
    assert!(told.contains("connected input"), "{told}");
    let kinds: Vec<_> = transcript(&runtime, worker).await.iter().map(|e| e.kind).collect();
    let count = |kind| kinds.iter().filter(|other| **other == kind).count();
    assert!(count(EntryKind::Disconnected) >= 1, "{kinds:?}");
    assert!(count(EntryKind::Connected) >= 2, "{kinds:?}");
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_beyond_the_instance_limit_take_turns() {
    let dir = test_dir();
    let runtime = open_with(&dir, Options { instances: 2, ..Options::default() });
    let mut workers = Vec::new();
    for _ in 0..5 {
        workers.push(scribe(&runtime, &[]).await);
    }
    for round in 0..3 {
        for (n, worker) in workers.iter().enumerate() {
            ask(&runtime, *worker, &format!("set round {round}-{n}")).await;
            assert!(runtime.describe().await.unwrap().connected <= 2);
        }
    }
    for (n, worker) in workers.iter().enumerate() {
        assert_eq!(answer(&ask(&runtime, *worker, "get round").await), format!("2-{n}"));
    }
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_queued_behind_a_turn_are_bounded() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = scribe(&runtime, &[]).await;
    let spin = post(&runtime, worker, "spin").await;
    until("the turn", async || {
        runtime.input(worker, spin).await.unwrap().state == InputState::Running
    })
    .await;
    let (told, mut refused) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..100 {
        let (runtime, told) = (runtime.clone(), told.clone());
        tokio::spawn(async move {
            let answer = runtime.update(worker, WorkerChange::default()).await;
            told.send(answer.err()).unwrap();
        });
    }
    // 64 updates wait for the end of the turn; the other 36 are refused at once.
    for _ in 0..36 {
        let busy = tokio::time::timeout(PATIENCE, refused.recv()).await.unwrap().unwrap();
        assert!(matches!(busy, Some(Error::Busy { .. })), "{busy:?}");
    }
    // A stop does not wait behind them.
    runtime.stop(worker).await.unwrap();
    for _ in 0..64 {
        assert_eq!(refused.recv().await.unwrap(), None);
    }
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_bytes_per_turn() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = scribe(&runtime, &[(LimitName::log_bytes_per_turn, 40)]).await;
    // The panic writes more than 40 bytes to standard error.
    let outcome = ask(&runtime, worker, "panic").await;
    assert_eq!(outcome.ending, Ending::Trapped);
    let entries = transcript(&runtime, worker).await;
    let logs: Vec<_> = entries.iter().filter(|entry| entry.kind == EntryKind::Log).collect();
    let bytes: usize = logs.iter().map(|entry| entry.payload.body.len() + 1).sum();
    assert!(bytes <= 41, "{logs:?}");
    assert!(logs.last().unwrap().truncated, "{logs:?}");
    assert_eq!(logs.iter().filter(|entry| entry.truncated).count(), 1);
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_keys_and_their_time_are_bounded() {
    let dir = test_dir();
    let runtime = open(&dir);
    let limits = [(LimitName::idempotency_keys, 2), (LimitName::idempotency_ms, 3_600_000)];
    let worker = scribe(&runtime, &limits).await;
    let key = |n: u32| Some(format!("key-{n}").parse::<IdempotencyKey>().unwrap());
    let send = async |n: u32, command: &str| {
        let input =
            NewInput { payload: text(command), key: key(n), wait: Some(PATIENCE), sender: None };
        runtime.send(worker, input).await
    };
    let first = send(1, "echo a").await.unwrap().input_id();
    assert_eq!(send(1, "echo a").await.unwrap().input_id(), first);
    assert!(matches!(send(1, "echo b").await, Err(Error::Conflict(_))));
    let _ = (send(2, "echo a").await.unwrap(), send(3, "echo a").await.unwrap());
    until("the expiry of the oldest key", async || {
        send(1, "echo c").await.is_ok_and(|sent| sent.input_id() != first)
    })
    .await;
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transcript_bytes() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = scribe(&runtime, &[(LimitName::transcript_bytes, 20_000)]).await;
    for _ in 0..40 {
        ask(&runtime, worker, &format!("echo {}", "x".repeat(1_000))).await;
    }
    until("the trimming", async || {
        let first =
            &runtime.transcript(worker, ListEntries::after(Cursor(0), 1)).await.unwrap().entries[0];
        first.kind == EntryKind::Gap
    })
    .await;
    let entries = transcript(&runtime, worker).await;
    let seqs: Vec<_> = entries.iter().map(|entry| entry.seq.0).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
    assert!(seqs[0] > 1);
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_turn_leaves_state_as_it_was() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = scribe(&runtime, &[(LimitName::state_bytes, 100)]).await;
    ask(&runtime, worker, "set key before").await;
    let failed = ask(&runtime, worker, &format!("set big {}", "x".repeat(200))).await;
    assert_eq!(failed.ending, Ending::Failed);
    assert_eq!(answer(&ask(&runtime, worker, "list ").await), "key");
    assert_eq!(runtime.usage(worker).await.unwrap().state_bytes, 9);
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_never_writes() {
    let dir = test_dir();
    let runtime = open(&dir);
    let worker = scribe(&runtime, &[]).await;
    ask(&runtime, worker, "set key value").await;
    let looks = |dir: &Path| {
        let mut files = Vec::new();
        let mut pending = vec![dir.to_owned()];
        while let Some(dir) = pending.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                let meta = entry.metadata().unwrap();
                match meta.is_dir() {
                    true => pending.push(entry.path()),
                    // SQLite's shared memory, which readers mark.
                    false if entry.file_name().to_string_lossy().ends_with("-shm") => {}
                    false => files.push((entry.path(), meta.modified().unwrap(), meta.len())),
                }
            }
        }
        files.sort();
        files
    };
    // The checkpoint after the last write may be in progress.
    let mut before = looks(&dir);
    until("the last checkpoint", async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::mem::replace(&mut before, looks(&dir)) == looks(&dir)
    })
    .await;
    let before = looks(&dir);
    runtime.list(Default::default()).await.unwrap();
    runtime.get(worker).await.unwrap();
    runtime.transcript(worker, ListEntries::after(Cursor(0), 100)).await.unwrap();
    runtime.usage(worker).await.unwrap();
    runtime.diagnostics(None).await.unwrap();
    runtime.components(None).await.unwrap();
    runtime.configs(None).await.unwrap();
    assert_eq!(looks(&dir), before);
    runtime.shutdown(Duration::ZERO).await;
}
