//! The endings of turns that do not complete, and their effects.

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, trouble};

const MIB: u64 = 1 << 20;

pub(crate) async fn a_failure_is_the_workers_own_word(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let outcome = worker.say("fail some-code some text").await;
    let error = trouble(&outcome, Ending::Failed);
    assert_eq!((error.code.as_str(), error.message.as_str()), ("some-code", "some text"));
    assert_eq!((error.limit, &outcome.output), (None, &None));
}

pub(crate) async fn a_crash_is_trapped(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("set a 1").await;
    let outcome = worker.say("panic").await;
    assert_eq!(trouble(&outcome, Ending::Trapped).limit, None);
    assert_eq!(outcome.output, None);
    assert_eq!(worker.view().await.execution, Execution::Unconnected);
    assert_eq!(worker.turns_of_instance().await, 1, "the crashed instance was reused");
    assert_eq!(worker.ask("get a").await, "1");
}

pub(crate) async fn a_service_that_exits_has_not_answered(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    worker.ask("set a 1").await;
    for code in ["0", "3"] {
        let outcome = worker.say(&format!("exit {code}")).await;
        let error = trouble(&outcome, Ending::Trapped);
        assert_eq!((error.code.as_str(), &outcome.output), ("exited", &None));
        assert!(error.message.contains("instead of answering"), "{}", error.message);
        assert_eq!(worker.view().await.execution, Execution::Unconnected);
        assert_eq!(worker.ask("get a").await, "1");
    }
}

pub(crate) async fn turn_deadline_ms(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::turn_deadline_ms, 200)]).await;
    // One guest computes, the other waits for the host.
    for busy in ["spin", "nap 60"] {
        trouble(&worker.say(busy).await, Ending::Deadline);
        let view = worker.view().await;
        assert_eq!((view.observed, view.execution), (Observed::Idle, Execution::Unconnected));
    }
}

pub(crate) async fn memory_bytes(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::memory_bytes, 16 * MIB)]).await;
    let outcome = worker.say("grow").await;
    let error = trouble(&outcome, Ending::Limit);
    assert_eq!(error.limit, Some(LimitName::memory_bytes));
    assert_eq!(worker.view().await.observed, Observed::Idle);
}

pub(crate) async fn output_bytes(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::output_bytes, 1_000)]).await;
    assert_eq!(worker.ask("blob 1000").await.len(), 1_000);
    let outcome = worker.say("blob 1001").await;
    let error = trouble(&outcome, Ending::Limit);
    assert_eq!((error.limit, &outcome.output), (Some(LimitName::output_bytes), &None));
}

pub(crate) async fn a_bad_turn_leaves_the_worker_able(trial: &Trial<'_>) {
    let limits = [(LimitName::turn_deadline_ms, 2_000), (LimitName::memory_bytes, 16 * MIB)];
    let worker = trial.limited(&limits).await;
    worker.ask("set a 1").await;
    for (bad, ending) in [
        ("fail some-code some text", Ending::Failed),
        ("panic", Ending::Trapped),
        ("spin", Ending::Deadline),
        ("grow", Ending::Limit),
    ] {
        trouble(&worker.say(bad).await, ending);
        let view = worker.view().await;
        assert_eq!((view.observed, view.queued_inputs), (Observed::Idle, 0), "{bad}");
        assert_eq!(view.desired, Desired::Running, "{bad}");
        assert_eq!(worker.ask("get a").await, "1", "{bad}");
    }
}

pub(crate) async fn a_bad_turn_does_not_hold_up_the_queue(trial: &Trial<'_>) {
    let worker = trial.limited(&[(LimitName::turn_deadline_ms, 3_000)]).await;
    let mut posted = Vec::new();
    for text in ["panic", "echo one", "spin", "echo two", "fail a b", "echo three"] {
        posted.push(worker.post(text).await);
    }
    let mut endings = Vec::new();
    for input in posted {
        endings.push(worker.outcome(input).await.ending);
    }
    let expected = [
        Ending::Trapped,
        Ending::Completed,
        Ending::Deadline,
        Ending::Completed,
        Ending::Failed,
        Ending::Completed,
    ];
    assert_eq!(endings, expected);
}
