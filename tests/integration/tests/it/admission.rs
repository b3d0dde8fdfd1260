//! Memory admission across all workers of a runtime: idle instances are evicted, others wait, then
//! new inputs are refused.

use std::time::Duration;

use skep_harness::test_dir;
use skep_protocol::{
    Ending, Error, InputState, LimitName, NewInput, Overview, Payload, Sent, Turns, WorkerId,
    Workers,
};
use skep_runtime::{Embedded, Options};

use crate::durable::{ask, running, scribe, until};
use crate::embedded::open_with;

const MIB: u64 = 1 << 20;

fn open(dir: &std::path::Path, memory_bytes: u64) -> Embedded {
    open_with(dir, Options { memory_bytes, ..Options::default() })
}

async fn post(runtime: &Embedded, worker: WorkerId, command: &str) -> Result<Sent, Error> {
    let payload = Payload { content_type: "text/plain".into(), body: command.to_owned().into() };
    runtime.send(worker, NewInput { payload, key: None, wait: None, sender: None }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_over_the_memory_budget_take_turns() {
    let dir = test_dir();
    let runtime = open(&dir, 64 * MIB);
    let mut workers = Vec::new();
    for _ in 0..6 {
        workers.push(scribe(&runtime, &[(LimitName::memory_bytes, 48 * MIB)]).await);
    }
    for _ in 0..3 {
        let turns = workers.iter().map(|worker| ask(&runtime, *worker, "ask 30000000"));
        for outcome in futures_util::future::join_all(turns).await {
            assert_eq!(outcome.ending, Ending::Completed, "{outcome:?}");
        }
        // Each instance holds 30 MB after its turn, until it is evicted.
        assert!(runtime.describe().await.unwrap().connected <= 2);
    }
    runtime.shutdown(Duration::ZERO).await;
}

/// Some workers have an instance and wait for a turn permit, others the reverse: there is no
/// deadlock.
#[tokio::test(flavor = "multi_thread")]
async fn workers_with_long_queues_do_not_starve_others() {
    let dir = test_dir();
    let options = Options { instances: 2, turns: 2, idle_bytes: u64::MAX, ..Options::default() };
    let runtime = open_with(&dir, options);
    let mut workers = Vec::new();
    for _ in 0..6 {
        workers.push(scribe(&runtime, &[]).await);
    }
    let mut sent = Vec::new();
    for nth in 0..8 {
        for worker in &workers {
            let command = if nth == 0 { "nap 0.2" } else { "echo here" };
            let input = post(&runtime, *worker, command).await.unwrap().input_id();
            sent.push((*worker, input));
        }
    }
    for (worker, input) in sent {
        until("each turn", async || {
            runtime.input(worker, input).await.unwrap().state == InputState::Done
        })
        .await;
        let outcome = runtime.input(worker, input).await.unwrap().outcome.unwrap();
        assert_eq!(outcome.ending, Ending::Completed, "{outcome:?}");
    }
    assert!(runtime.describe().await.unwrap().connected <= 2);
    runtime.shutdown(Duration::ZERO).await;
}

/// A worker that waits for an instance can be cancelled and removed.
#[tokio::test(flavor = "multi_thread")]
async fn an_input_waiting_for_an_instance_can_be_cancelled() {
    let dir = test_dir();
    let runtime = open_with(&dir, Options { instances: 1, ..Options::default() });
    let (sleeper, waiter) = (scribe(&runtime, &[]).await, scribe(&runtime, &[]).await);
    let nap = post(&runtime, sleeper, "nap 20").await.unwrap().input_id();
    running(&runtime, sleeper, nap).await;
    let input = post(&runtime, waiter, "echo never").await.unwrap().input_id();
    running(&runtime, waiter, input).await;
    runtime.cancel(waiter, input).await.unwrap();
    until("its outcome", async || {
        runtime.input(waiter, input).await.unwrap().state == InputState::Done
    })
    .await;
    let outcome = runtime.input(waiter, input).await.unwrap().outcome.unwrap();
    assert_eq!(outcome.ending, Ending::Cancelled);
    runtime.remove(waiter).await.unwrap();
    runtime.cancel(sleeper, nap).await.unwrap();
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_neighbours_changes_no_result() {
    let dir = test_dir();
    let runtime = open(&dir, 64 * MIB);
    let limits = [(LimitName::memory_bytes, 60 * MIB), (LimitName::turn_deadline_ms, 5_000)];
    let hoarder = scribe(&runtime, &limits).await;
    assert_eq!(ask(&runtime, hoarder, "ask 50000000").await.ending, Ending::Completed);
    let Sent::Accepted { input_id, .. } = post(&runtime, hoarder, "nap 60").await.unwrap() else {
        panic!("the nap ended early")
    };
    running(&runtime, hoarder, input_id).await;
    let worker = scribe(&runtime, &[]).await;
    let outcome = ask(&runtime, worker, "ask 30000000").await;
    assert_eq!(outcome.ending, Ending::Completed, "{outcome:?}");
    // The memory is free before the outcome is on disk.
    until("the hoarder's outcome", async || {
        runtime.input(hoarder, input_id).await.unwrap().state == InputState::Done
    })
    .await;
    let hoarded = runtime.input(hoarder, input_id).await.unwrap().outcome.unwrap();
    assert_eq!(hoarded.ending, Ending::Deadline);
    let beyond = ask(&runtime, worker, "ask 80000000").await;
    assert_eq!(beyond.error.unwrap().code, "no-memory", "more memory than the runtime has");
    runtime.shutdown(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_are_refused_as_busy_when_the_memory_queue_is_full() {
    let dir = test_dir();
    let runtime = open(&dir, 48 * MIB);
    let hoarder = scribe(&runtime, &[(LimitName::turn_deadline_ms, 300_000)]).await;
    assert_eq!(ask(&runtime, hoarder, "ask 40000000").await.ending, Ending::Completed);
    let Sent::Accepted { input_id, .. } = post(&runtime, hoarder, "nap 300").await.unwrap() else {
        panic!("the nap ended early")
    };
    running(&runtime, hoarder, input_id).await;
    let mut accepted = Vec::new();
    let refused = loop {
        assert!(accepted.len() < 600, "no input is refused");
        let worker = scribe(&runtime, &[]).await;
        match post(&runtime, worker, "echo here").await {
            Ok(sent) => accepted.push((worker, sent.input_id())),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Busy { .. }), "{refused:?}");
    runtime.cancel(hoarder, input_id).await.unwrap();
    for (worker, input) in accepted {
        until("each turn", async || {
            runtime.input(worker, input).await.unwrap().state == InputState::Done
        })
        .await;
        let outcome = runtime.input(worker, input).await.unwrap().outcome.unwrap();
        assert_eq!(outcome.ending, Ending::Completed);
    }
    assert!(post(&runtime, hoarder, "echo again").await.is_ok());
    runtime.shutdown(Duration::ZERO).await;
}
