//! Command workers: each input is a run.

use skep_protocol::*;

use crate::Guest;
use crate::trial::{Trial, args, body, bytes, keyed, run_input, trouble};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

pub(crate) async fn a_run_has_its_arguments_and_environment_and_no_other(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Hello).await;
    let env = [("B", "2"), ("A", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let request = RunRequest { env: env.into(), ..args(&["one", "two words"]) };
    let (outcome, output) = worker.run(request).await;
    assert_eq!((outcome.ending, outcome.error), (Ending::Completed, None));
    assert_eq!(
        text(&output.stdout),
        "hello, one two words\nargument 1: one\nargument 2: two words\n\
         environment A=1\nenvironment B=2\n"
    );
    assert_eq!((output.exit_code, output.stderr, output.truncated), (Some(0), Vec::new(), false));
    let (_, output) = worker.run(RunRequest::default()).await;
    assert_eq!(text(&output.stdout), "hello, world\n", "each run is a new instance");
}

pub(crate) async fn an_exit_code_is_no_failure(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Hello).await;
    for code in [3, 0, 255] {
        let (outcome, output) = worker.run(args(&["--exit", &code.to_string()])).await;
        assert_eq!(outcome.ending, Ending::Completed);
        assert_eq!(output.exit_code, Some(code));
        let view = worker.view().await;
        assert_eq!((view.observed, view.desired), (Observed::Exited { code }, Desired::Running));
        assert_eq!(view.execution, Execution::Unconnected, "no instance outlives its run");
    }
}

pub(crate) async fn the_output_of_a_run_is_logged_line_by_line(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Hello).await;
    let sent = worker.try_send(run_input(&args(&["a"]))).await.unwrap();
    worker.outcome(sent.input_id()).await;
    let logged: Vec<_> = worker
        .entries_of(EntryKind::Log)
        .await
        .into_iter()
        .map(|entry| {
            assert_eq!(entry.input_id, Some(sent.input_id()));
            (entry.label.clone().unwrap(), body(&entry).trim_end().to_owned())
        })
        .collect();
    let line = |line: &str| ("stdout".to_owned(), line.to_owned());
    assert_eq!(logged, [line("hello, a"), line("argument 1: a")]);
    let [output] = &worker.entries_of(EntryKind::Output).await[..] else { panic!("one output") };
    let order = worker.entries_of(EntryKind::Log).await;
    assert!(order.iter().all(|entry| entry.seq < output.seq));
}

pub(crate) async fn standard_input_is_text_or_base64(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Probe).await;
    let plain = RunRequest { stdin: Some("Grüße\nzwei\n".into()), ..args(&["cat"]) };
    assert_eq!(text(&worker.run(plain).await.1.stdout), "Grüße\nzwei\n");
    let coded = RunRequest { stdin_base64: Some("aGVsbG8K".into()), ..args(&["cat"]) };
    assert_eq!(text(&worker.run(coded).await.1.stdout), "hello\n");
    let (_, output) = worker.run(args(&["cat"])).await;
    assert_eq!((output.exit_code, text(&output.stdout)), (Some(0), ""));
}

pub(crate) async fn an_invalid_run_request_is_refused(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Hello).await;
    let json = input::RUN_REQUEST;
    for (content_type, body) in [
        (json, ""),
        (json, "hello"),
        (json, "[]"),
        (json, r#"{"args":"a"}"#),
        (json, r#"{"arguments":[]}"#),
        (json, r#"{"stdin":"a","stdin_base64":"YQ=="}"#),
        (json, r#"{"stdin_base64":"*"}"#),
        (json, r#"{"args":["a\u0000b"]}"#),
        (json, r#"{"env":{"a=b":"c"}}"#),
        (json, r#"{"env":{"":"c"}}"#),
        ("text/plain", "{}"),
        ("application/octet-stream", "{}"),
    ] {
        let refused = worker.try_send(bytes(content_type, body.as_bytes())).await;
        let expected = Err(Error::InvalidRequest(Invalid::RunRequest));
        assert_eq!(refused, expected, "{content_type} {body}");
    }
    assert_eq!(worker.entries_of(EntryKind::Input).await, []);
    assert_eq!(worker.view().await.observed, Observed::Idle);
    let good = bytes("application/json; charset=utf-8", b"{}");
    assert_eq!(worker.send(good).await.ending, Ending::Completed);
}

pub(crate) async fn a_crashed_run_keeps_what_it_wrote(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Probe).await;
    let (outcome, output) = worker.run(args(&["panic"])).await;
    trouble(&outcome, Ending::Trapped);
    assert_eq!(output.exit_code, None);
    assert!(text(&output.stderr).contains("the probe panics"), "{output:?}");
    assert_eq!(worker.view().await.observed, Observed::Idle);
    assert_eq!(worker.run(args(&["cat"])).await.1.exit_code, Some(0));
}

pub(crate) async fn a_run_past_its_deadline_is_ended(trial: &Trial<'_>) {
    let limits = [(LimitName::turn_deadline_ms, 300)];
    let worker = trial.limited_guest(Guest::Probe, &limits).await;
    let (outcome, output) = worker.run(args(&["spin"])).await;
    trouble(&outcome, Ending::Deadline);
    assert_eq!(output.exit_code, None);
    assert_eq!(worker.view().await.observed, Observed::Idle);
}

pub(crate) async fn data_persists_between_runs(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Probe).await;
    let other = trial.worker(Guest::Probe).await;
    for part in ["one", " two"] {
        let (_, output) = worker.run(args(&["append", "/data/note", part])).await;
        assert_eq!(output.exit_code, Some(0), "{output:?}");
    }
    let (_, output) = worker.run(args(&["read", "/data/note"])).await;
    assert_eq!(text(&output.stdout), "one two");
    let (_, output) = other.run(args(&["read", "/data/note"])).await;
    assert_eq!(output.exit_code, Some(1), "workers do not share a directory");
}

pub(crate) async fn a_run_with_a_key_is_run_once(trial: &Trial<'_>) {
    let worker = trial.worker(Guest::Probe).await;
    let payload = run_input(&args(&["append", "/data/note", "once"])).payload;
    let input = NewInput { payload, ..keyed("k", "") };
    let first = worker.try_send(input.clone()).await.unwrap();
    assert_eq!(worker.try_send(input).await.unwrap(), first);
    let (_, output) = worker.run(args(&["read", "/data/note"])).await;
    assert_eq!(text(&output.stdout), "once");
}
