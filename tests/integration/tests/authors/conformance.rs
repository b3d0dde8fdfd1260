//! One suite that the guests of all languages pass.

use std::time::Instant;

use skep_protocol::{Ending, EntryKind, LimitName, Output};

use crate::artefact::{Artefact, command, succeed};
use crate::worker::Worker;

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        suite! { @of rust Rust; $($name),* }
        suite! { @of js Js; $($name),* }
        suite! { @of python Python; $($name),* }
        suite! { @of c C; $($name),* }
        suite! { @of js_by_the_runner JsRunner; $($name),* }
        suite! { @of python_by_the_runner PythonRunner; $($name),* }
    };
    (@of $module:ident $artefact:ident; $($name:ident),*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name(super::Artefact::$artefact).await;
                }
            )*
        }
    };
}

suite! {
    counts_and_emits,
    a_failure_undoes_the_state,
    state_is_read_listed_and_deleted,
    errors_of_the_state_have_the_same_codes,
    errors_of_the_transcript_have_the_same_codes,
    the_transcript_is_read_in_pages,
    config_and_context,
    files,
    four_mebibytes_in_and_out,
    lifecycle_hooks,
    logs,
    waiting_and_exceptions,
    unknown_verbs_and_bytes_that_are_not_text,
    randomness_differs_between_instances,
}

async fn counts_and_emits(artefact: Artefact) {
    let worker = Worker::new(artefact).await;
    for count in ["1", "2", "3"] {
        assert_eq!(worker.answer("count").await, count);
    }
    let entries = worker.entries().await;
    let events: Vec<_> = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Event)
        .map(|entry| (entry.label.as_deref().unwrap(), &entry.payload))
        .collect();
    assert_eq!(events.len(), 3);
    assert_eq!(events[2].0, "counted");
    assert_eq!(events[2].1.content_type, "text/plain; charset=utf-8");
    assert_eq!(&events[2].1.body[..], b"3");
    let worker = worker.after_a_kill().await;
    assert_eq!(worker.answer("count").await, "4");
    worker.end().await;
}

async fn a_failure_undoes_the_state(artefact: Artefact) {
    let worker = Worker::new(artefact).await;
    assert_eq!(worker.answer("set key before").await, "ok");
    let failed = worker.failure("set-then-fail key after").await;
    assert_eq!(failed, ("asked".into(), "as asked".into()));
    assert_eq!(worker.answer("get key").await, "before");
    worker.end().await;
}

async fn state_is_read_listed_and_deleted(artefact: Artefact) {
    let worker = Worker::new(artefact).await;
    assert_eq!(worker.failure("get none").await.0, "missing");
    assert_eq!(worker.answer("set a/1 one and a half").await, "ok");
    assert_eq!(worker.answer("set a/2 ü€😀").await, "ok");
    assert_eq!(worker.answer("set b x").await, "ok");
    assert_eq!(worker.answer("get a/1").await, "one and a half");
    assert_eq!(worker.answer("get a/2").await, "ü€😀");
    assert_eq!(worker.answer("keys a/").await.trim_end(), "a/1\na/2");
    assert_eq!(worker.answer("delete a/1").await, "true");
    assert_eq!(worker.answer("delete a/1").await, "false");
    assert_eq!(worker.answer("fill 2500").await, "ok");
    let keys = worker.answer("keys key-").await;
    assert_eq!(keys.trim_end().lines().count(), 2_500, "the keys are fetched in pages");
    assert!(keys.trim_end().ends_with("key-02499"));
    worker.end().await;
}

async fn errors_of_the_state_have_the_same_codes(artefact: Artefact) {
    let worker = Worker::with(artefact, &[(LimitName::state_bytes, 4_096)]).await;
    assert_eq!(worker.failure("set-long-key").await.0, "state-invalid-key");
    let (code, message) = worker.failure("set-large 5000").await;
    assert_eq!(code, "state-too-large");
    assert!(message.contains("4096"), "{message}");
    worker.end().await;
}

async fn errors_of_the_transcript_have_the_same_codes(artefact: Artefact) {
    let limits = [(LimitName::events_per_turn, 3), (LimitName::event_bytes, 1_000)];
    let worker = Worker::with(artefact, &limits).await;
    assert_eq!(worker.answer("emit fine text of an event").await, "ok");
    assert_eq!(worker.failure("emit Not-Valid x").await.0, "transcript-invalid-kind");
    let (code, message) = worker.failure("emit-large 1001").await;
    assert_eq!(code, "transcript-too-large");
    assert!(message.contains("1000"), "{message}");
    assert_eq!(worker.answer("emit-many 3").await, "ok");
    let (code, message) = worker.failure("emit-many 4").await;
    assert_eq!(code, "transcript-too-many");
    assert!(message.contains('3'), "{message}");
    worker.end().await;
}

async fn the_transcript_is_read_in_pages(artefact: Artefact) {
    let worker = Worker::new(artefact).await;
    worker.answer("emit greeting hello").await;
    let read = worker.answer("read 0 1000").await;
    let lines: Vec<_> = read.trim_end().lines().collect();
    assert!(lines[0].starts_with("1 created - "), "{read}");
    let event = "event greeting text/plain; charset=utf-8";
    assert!(lines.iter().any(|line| line.ends_with(event)), "{read}");
    assert_eq!(*lines.last().unwrap(), "end");
    let page = worker.answer("read 0 2").await;
    assert_eq!(page.trim_end().lines().count(), 3, "{page}");
    assert_eq!(page.trim_end().lines().last().unwrap(), "next 2");
    // A page ends early where its bodies are large.
    worker.send("application/octet-stream", &vec![0; 4 << 20]).await;
    let page = worker.answer("read 0 1000").await;
    assert!(page.trim_end().lines().last().unwrap().starts_with("next "), "{page}");
    worker.end().await;
}

async fn config_and_context(artefact: Artefact) {
    let worker = Worker::new(artefact).await;
    assert_eq!(worker.answer("config colour").await, "blue");
    assert_eq!(worker.failure("config none").await.0, "missing");
    assert_eq!(worker.answer("config-all").await.trim_end(), "colour=blue\nsize=7");
    let context = worker.answer("context").await;
    assert!(context.starts_with("runtime=test-runtime worker="), "{context}");
    assert!(
        context.contains(" attempt=1 remaining=yes") && !context.contains("input=-"),
        "{context}"
    );
    worker.end().await;
}

async fn files(artefact: Artefact) {
    let worker = Worker::new(artefact).await;
    assert_eq!(worker.failure("read-file notes.txt").await.0, "io");
    assert_eq!(worker.answer("write notes.txt water the plants").await, "ok");
    assert_eq!(worker.answer("read-file notes.txt").await, "water the plants");
    worker.end().await;
}

async fn four_mebibytes_in_and_out(artefact: Artefact) {
    let worker = Worker::new(artefact).await;
    let body: Vec<u8> = (0..4_u32 << 20).map(|at| (at % 251) as u8).collect();
    for _ in 0..3 {
        let outcome = worker.send("application/octet-stream", &body).await;
        let Some(Output::Message(payload)) = &outcome.output else { panic!("{:?}", outcome.error) };
        assert_eq!(payload.content_type, "application/octet-stream");
        assert!(payload.body == body, "the bytes differ");
    }
    worker.end().await;
}

async fn lifecycle_hooks(artefact: Artefact) {
    let worker = Worker::new(artefact).await;
    assert_eq!(worker.answer("lifecycle").await, "created");
    let worker = worker.after_a_kill().await;
    assert_eq!(worker.answer("lifecycle").await, "input");
    worker.end().await;
}

async fn logs(artefact: Artefact) {
    let worker = Worker::new(artefact).await;
    worker.answer("log to standard output").await;
    worker.answer("log-error to standard error").await;
    let entries = worker.entries().await;
    let logs: Vec<_> = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Log)
        .map(|entry| (entry.label.as_deref().unwrap(), &entry.payload.body[..]))
        .collect();
    let expected = [("stdout", &b"to standard output"[..]), ("stderr", &b"to standard error"[..])];
    assert_eq!(logs, expected);
    worker.end().await;
}

async fn waiting_and_exceptions(artefact: Artefact) {
    let worker = Worker::new(artefact).await;
    assert_eq!(worker.answer("sleep 20").await, "slept");
    if artefact.is_dynamic() {
        assert_eq!(worker.answer("gather").await, "gathered 1 2 3");
        let began = Instant::now();
        let (code, message) = worker.failure("never").await;
        assert_eq!(code, "exception", "{message}");
        assert!(began.elapsed().as_secs() < 5, "it took {:?}", began.elapsed());
        let (code, message) = worker.failure("throw the plates").await;
        assert_eq!(code, "exception");
        let source = if artefact.language() == "js" { ".js:" } else { ".py:" };
        assert!(message.contains("the plates") && message.contains(source), "{message}");
    } else {
        for verb in ["gather", "never", "throw x"] {
            assert_eq!(worker.failure(verb).await.0, "unsupported");
        }
        assert_eq!(worker.ask("trap").await.ending, Ending::Trapped);
    }
    // The instance stayed, or another one took its place.
    assert_eq!(worker.answer("count").await, "1");
    worker.end().await;
    let worker = Worker::with(artefact, &[(LimitName::turn_deadline_ms, 1_000)]).await;
    assert_eq!(worker.ask("spin").await.ending, Ending::Deadline);
    assert_eq!(worker.answer("count").await, "1");
    worker.end().await;
}

async fn unknown_verbs_and_bytes_that_are_not_text(artefact: Artefact) {
    let worker = Worker::new(artefact).await;
    let failed = worker.failure("dance").await;
    assert_eq!(failed, ("bad-request".into(), "unknown verb dance".into()));
    let outcome = worker.send("text/plain", &[0xff, 0xfe]).await;
    assert_eq!(outcome.error.unwrap().code, "not-text");
    worker.end().await;
}

async fn randomness_differs_between_instances(artefact: Artefact) {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let worker = Worker::new(artefact).await;
        let random = worker.answer("random").await;
        assert_eq!(random.len(), 32, "{random}");
        assert!(seen.insert(random));
        if artefact.is_dynamic() {
            assert!(seen.insert(worker.answer("random-float").await));
        }
        worker.end().await;
    }
}

/// Runs a script, and returns what its transcript says without ids, times and positions.
async fn story(artefact: Artefact) -> Vec<String> {
    let worker = Worker::new(artefact).await;
    for verb in [
        "count",
        "count",
        "set key value",
        "keys ",
        "set-then-fail key x",
        "get key",
        "config-all",
        "emit greeting hello",
        "log line",
        "log-error line",
        "lifecycle",
        "set-long-key",
        "write a.txt text",
        "read-file a.txt",
        "dance",
    ] {
        worker.ask(verb).await;
    }
    let entries = worker.entries().await;
    worker.end().await;
    let line = |entry: &skep_protocol::Entry| {
        let body = String::from_utf8_lossy(&entry.payload.body).into_owned();
        let kind = entry.kind.as_str();
        format!("{kind} {:?} {:?} {} {body}", entry.label, entry.ending, entry.payload.content_type)
    };
    let told = |entry: &&skep_protocol::Entry| {
        use EntryKind::{Event, Failure, Input, Log, Output};
        matches!(entry.kind, Input | Event | Log | Output | Failure)
    };
    entries.iter().filter(told).map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_tells_the_same_story_as_the_built_component() {
    assert_eq!(story(Artefact::JsRunner).await, story(Artefact::Js).await);
    assert_eq!(story(Artefact::PythonRunner).await, story(Artefact::Python).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_languages_tell_the_same_story() {
    let rust = story(Artefact::Rust).await;
    for artefact in [Artefact::Js, Artefact::Python, Artefact::C] {
        assert_eq!(story(artefact).await, rust, "{artefact:?}");
    }
}

#[test]
fn randomness_repeats_in_deterministic_runs_alone() {
    let dir = skep_harness::test_dir();
    for artefact in [Artefact::Rust, Artefact::Js, Artefact::Python, Artefact::C] {
        let component = artefact.built().component;
        let verbs: &[&str] =
            if artefact.is_dynamic() { &["random", "random-float"] } else { &["random"] };
        for verb in verbs {
            let input = dir.file("verb", verb);
            let run = |flags: &[&str]| {
                let mut run = command();
                run.arg("run").args(flags).args(["--content-type", "text/plain", "--input"]);
                succeed(run.arg(&input).arg(&component)).0
            };
            let fixed = ["--deterministic=7"];
            assert_eq!(run(&fixed), run(&fixed), "{artefact:?}: {verb}");
            assert_ne!(run(&[]), run(&[]), "{artefact:?}: {verb}");
        }
    }
}
