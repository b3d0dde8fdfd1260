//! Inputs: accepted, handled in order, done.

use std::collections::BTreeSet;
use std::time::Duration;

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, answer, body, bytes, eventually, input_id, message};

pub(crate) async fn an_input_is_accepted_and_then_done(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    // A sender that does not wait may still get an outcome that is already there. If the machine
    // was delayed for the length of a short nap, a longer one follows.
    let mut naps = ["nap 0.2", "nap 5"].into_iter();
    let (nap, input_id, seq) = loop {
        let nap = naps.next().expect("the longest nap is longer than any delay");
        if let Sent::Accepted { input_id, seq } = worker.try_send(message(nap)).await.unwrap() {
            break (nap, input_id, seq);
        }
    };
    let outcome = worker.outcome(input_id).await;
    assert_eq!(answer(&outcome), "ok");
    let view = worker.input(input_id).await;
    let (state, attempt, outcome) = (InputState::Done, 1, Some(outcome));
    assert_eq!(view, InputView { input_id, seq, state, attempt, outcome });
    let entries = worker.entries().await;
    let entry = entries.iter().find(|entry| entry.seq == seq).unwrap();
    assert_eq!((entry.kind, entry.input_id), (EntryKind::Input, Some(input_id)));
    assert_eq!(body(entry), nap);
}

pub(crate) async fn a_waited_input_comes_back_with_its_outcome(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let wait = Some(Duration::from_secs(20));
    let sent = worker.try_send(NewInput { wait, ..message("echo hello") }).await.unwrap();
    let Sent::Done { input_id, outcome } = sent else { panic!("expected an outcome: {sent:?}") };
    assert_eq!(answer(&outcome), "hello");
    assert_eq!(worker.input(input_id).await.outcome, Some(outcome));
}

pub(crate) async fn inputs_are_listed_newest_first(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    assert_eq!(worker.ask("echo one").await, "one");
    let second = worker.post("panic").await;
    worker.outcome(second).await;
    let third = worker.post("nap 3").await;
    let fourth = worker.post("echo four").await;
    worker.running(third).await;

    let list = |limit, cursor| async move {
        let query = ListInputs { limit, cursor };
        trial.runtime().inputs(worker.id, query).await.unwrap()
    };
    let page = list(3, None).await;
    let ids: Vec<_> = page.items.iter().map(|input| input.input_id).collect();
    assert_eq!(ids, [fourth, third, second]);
    let states: Vec<_> = page.items.iter().map(|input| input.state).collect();
    assert_eq!(states, [InputState::Queued, InputState::Running, InputState::Done]);
    let ended = &page.items[2];
    assert_eq!(ended.ending, Some(Ending::Trapped));
    let entries = worker.entries().await;
    let entry = entries.iter().find(|entry| entry.seq == ended.seq).unwrap();
    assert_eq!(ended.sender.as_ref().map(ToString::to_string), entry.label);
    let started_at = ended.started_at.unwrap();
    assert!(ended.accepted_at <= started_at && ended.ended_at.is_some_and(|at| at >= started_at));
    assert!(page.items[1].started_at.is_some(), "a running input has started");
    assert_eq!(page.items[0].started_at, None, "a queued input has not");
    assert_eq!((ended.bytes, ended.content_type.as_str()), (5, "text/plain"));
    assert_eq!((page.items[1].ended_at, page.items[1].ending), (None, None));

    let rest = list(3, page.next_cursor).await;
    assert_eq!((rest.items.len(), rest.next_cursor), (1, None));
    assert_eq!(rest.items[0].ending, Some(Ending::Completed));
    let unknown = ListInputs { limit: 0, cursor: Some("x".into()) };
    let refused = trial.runtime().inputs(worker.id, unknown).await;
    assert_eq!(refused, Err(Invalid::Cursor.into()));
}

pub(crate) async fn a_wait_that_elapses_leaves_the_input_to_its_turn(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let wait = Some(Duration::from_millis(50));
    // The input must be read while the worker naps. If that was too late, a longer nap follows.
    let mut naps = ["nap 1", "nap 5"].into_iter();
    let (input_id, seq) = loop {
        let nap = message(naps.next().expect("the longest nap is longer than any delay"));
        let sent = worker.try_send(NewInput { wait, ..nap }).await.unwrap();
        let Sent::Accepted { input_id, seq } = sent else { continue };
        let queued = worker.view().await.queued_inputs;
        if worker.input(input_id).await.state != InputState::Done {
            assert_eq!(queued, 1);
            break (input_id, seq);
        }
    };
    assert_eq!(answer(&worker.outcome(input_id).await), "ok");
    let view = worker.input(input_id).await;
    assert_eq!((view.seq, view.attempt), (seq, 1));
}

pub(crate) async fn an_input_is_handled_after_its_sender_disconnects(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let wait = Some(Duration::from_secs(20));
    let runtime = worker.runtime();
    let id = worker.id;
    let nap = NewInput { wait, ..message("nap 0.3") };
    let waiter = tokio::spawn(async move { runtime.send(id, nap).await });
    let input = eventually("the input is accepted", async || {
        worker.entries_of(EntryKind::Input).await.first().and_then(|entry| entry.input_id)
    })
    .await;
    waiter.abort();
    assert_eq!(answer(&worker.outcome(input).await), "ok");
}

pub(crate) async fn inputs_are_handled_one_at_a_time_in_their_order(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let mut posted = Vec::new();
    for n in 0..20 {
        posted.push(worker.post(&format!("emit note {n}")).await);
    }
    assert_eq!(posted.iter().collect::<BTreeSet<_>>().len(), posted.len());
    for &input in &posted {
        worker.outcome(input).await;
    }
    let turns: Vec<_> = worker
        .entries()
        .await
        .into_iter()
        .filter(|entry| matches!(entry.kind, EntryKind::Event | EntryKind::Output))
        .map(|entry| (entry.input_id.unwrap(), entry.kind))
        .collect();
    let expected: Vec<_> = posted
        .iter()
        .flat_map(|&input| [(input, EntryKind::Event), (input, EntryKind::Output)])
        .collect();
    assert_eq!(turns, expected);
    let expected: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(worker.events().await, expected);
}

pub(crate) async fn workers_do_not_wait_for_each_other(trial: &Trial<'_>) {
    let sleeper = trial.worker(Guest::Scribe).await;
    let other = trial.worker(Guest::Scribe).await;
    let nap = sleeper.post("spin").await;
    sleeper.running(nap).await;
    assert_eq!(other.ask("echo awake").await, "awake");
    assert_eq!(sleeper.input(nap).await.state, InputState::Running);
    assert_eq!(sleeper.view().await.observed, Observed::Busy);
}

pub(crate) async fn an_answer_is_bytes_with_their_type(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Echo).await;
    for (content_type, body) in [
        ("application/x-any; a=b", &b"\x00\xff\xfe"[..]),
        ("application/octet-stream", &[]),
        ("text/plain; charset=utf-8", "Grüße \u{1b}[31m".as_bytes()),
    ] {
        let outcome = worker.send(bytes(content_type, body)).await;
        let payload = Payload { content_type: content_type.into(), body: body.into() };
        assert_eq!(outcome.output, Some(Output::Message(payload)));
    }
}

pub(crate) async fn a_worker_sees_its_identity_and_input(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let input = worker.post("whoami").await;
    let said = answer(&worker.outcome(input).await);
    let runtime = trial.runtime().describe().await.unwrap().runtime_id;
    for line in [
        format!("runtime {runtime}"),
        format!("worker {}", worker.id),
        format!("input {input}"),
        "attempt 1".to_owned(),
    ] {
        assert!(said.lines().any(|said| said == line), "{line} is not in:\n{said}");
    }
}

pub(crate) async fn an_unknown_input_is_unknown(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let other = trial.worker(Guest::Scribe).await;
    let others = other.post("echo hello").await;
    for id in [input_id(), others] {
        let error = Error::UnknownInput(id);
        assert_eq!(worker.runtime().input(worker.id, id).await, Err(error.clone()));
        assert_eq!(worker.runtime().cancel(worker.id, id).await, Err(error));
    }
}

pub(crate) async fn state_is_kept_from_turn_to_turn(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let other = trial.worker(Guest::Scribe).await;
    worker.ask("set a/1 first value").await;
    worker.ask("set a/2 x").await;
    assert_eq!(worker.ask("get a/1").await, "first value");
    worker.ask("set a/1 another").await;
    assert_eq!(worker.ask("get a/1").await, "another");
    let missing = other.say("get a/1").await;
    assert_eq!(missing.error.unwrap().code, "no-such-key", "workers do not share state");
}

pub(crate) async fn usage_counts_turns_however_they_ended(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    assert_eq!(worker.runtime().usage(worker.id).await.unwrap().turns, 0);
    worker.ask("set key value").await;
    worker.say("fail some-code some text").await;
    worker.say("panic").await;
    let usage = worker.runtime().usage(worker.id).await.unwrap();
    assert_eq!((usage.turns, usage.state_bytes), (3, 8));
    worker.ask("nap 0.05").await;
    let later = worker.runtime().usage(worker.id).await.unwrap();
    assert!(later.wall_us >= usage.wall_us + 50_000, "{later:?}");
    assert!(usage.transcript_bytes >= "set key value".len() as u64, "{usage:?}");
}

pub(crate) async fn usage_has_a_history(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Scribe).await;
    let history = async || trial.runtime().usage_history(worker.id).await.unwrap();
    assert_eq!(history().await.items, [], "it did nothing yet");
    worker.ask("echo one").await;
    worker.ask("echo two").await;
    // The sample follows the outcome.
    let last = eventually("a sample is there", async || {
        let samples = history().await.items;
        assert!(samples.windows(2).all(|pair| pair[0].at <= pair[1].at), "{samples:?}");
        samples.last().copied().filter(|sample| sample.turns == 2)
    })
    .await;
    let usage = trial.runtime().usage(worker.id).await.unwrap();
    assert_eq!((last.cpu_us, last.wall_us), (usage.cpu_us, usage.wall_us));
    assert!(history().await.interval_ms > 0);
    let load = eventually("the runtime has a sample", async || {
        trial.runtime().load_history().await.unwrap().items.last().copied()
    })
    .await;
    assert!(load.workers <= 1, "{load:?}");
}
