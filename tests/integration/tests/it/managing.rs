//! The commands that look after many workers and a host: forks, state, inputs, labels, the
//! audit.

use serde_json::{Value, json};
use skep_harness::guest;

use crate::hosting::{Hosted, Said};

/// Starts a host with workers of these names.
fn with_workers(names: &[&str]) -> Hosted {
    let hosted = Hosted::start();
    for name in names {
        hosted.good(&["worker", "create", guest("scribe").to_str().unwrap(), "--name", name]);
    }
    hosted
}

/// Parses the lines of standard output as JSON.
fn lines(said: &Said) -> Vec<Value> {
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_fork_has_the_state_and_none_of_the_grants() {
    let hosted = with_workers(&["tally"]);
    hosted.good(&["worker", "grant", "tally", "--http", "https://a.example"]);
    hosted.good(&["worker", "send", "tally", "set", "colour", "amber"]);
    let made = hosted
        .good(&["worker", "fork", "tally", "--name", "copy", "--label", "a=b", "--output", "json"]);
    assert_eq!(made.json()["grants"], json!({ "scopes": [] }));
    assert_eq!(made.json()["labels"], json!({ "a": "b" }));
    assert_eq!(hosted.good(&["worker", "send", "copy", "get", "colour"]).out.trim_end(), "amber");
    hosted.good(&["worker", "send", "copy", "set", "colour", "blue"]);
    assert_eq!(hosted.good(&["worker", "send", "tally", "get", "colour"]).out.trim_end(), "amber");

    let id = made.text("worker_id");
    let again =
        hosted.good(&["worker", "fork", "tally", "--id", &id, "--name", "copy", "--label", "a=b"]);
    assert!(again.out.contains(&id), "{}", again.out);
    let other = hosted.skep(&["worker", "fork", "tally", "--id", &id, "--name", "other"]);
    assert_eq!(other.code, 125, "{}", other.out);
    let command = guest("hello");
    let refused =
        hosted.skep(&["worker", "fork", "tally", "--component", command.to_str().unwrap()]);
    assert_eq!(refused.code, 125, "{}", refused.out);
}

#[test]
fn state_is_listed_by_prefix() {
    let hosted = with_workers(&["tally"]);
    for pair in ["user/1 amber", "user/2 two\nlines", "other x"] {
        let (key, value) = pair.split_once(' ').unwrap();
        hosted.good(&["worker", "send", "tally", "set", key, value]);
    }
    let listed = hosted.good(&["worker", "state", "tally", "user/", "--output", "json"]).json();
    let keys: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|item| &item["key"]).collect();
    assert_eq!(keys, ["user/1", "user/2"]);
    let shown = hosted.good(&["worker", "state", "tally"]).out;
    assert_eq!(shown.lines().count(), 4, "{shown}");
    assert!(shown.contains("other") && shown.contains("amber"), "{shown}");
}

#[test]
fn inputs_and_usage_are_listed() {
    let hosted = with_workers(&["tally"]);
    for text in ["one", "two", "three"] {
        hosted.good(&["worker", "send", "tally", "echo", text]);
    }
    hosted.skep(&["worker", "send", "tally", "fail", "not-today"]);
    let listed =
        hosted.good(&["worker", "inputs", "tally", "--last", "2", "--output", "json"]).json();
    let endings: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|item| &item["ending"]).collect();
    assert_eq!(endings, ["failed", "completed"]);
    let shown = hosted.good(&["worker", "inputs", "tally"]).out;
    assert_eq!(shown.lines().count(), 5, "{shown}");
    assert!(shown.contains(" ms  completed"), "{shown}");
    let history =
        hosted.good(&["worker", "usage", "tally", "--history", "--output", "json"]).json();
    assert!(history["interval_ms"].as_u64().unwrap() > 0);
    let shown = hosted.good(&["worker", "usage", "tally", "--history"]).out;
    assert!(shown.starts_with("AT "), "{shown}");
    let since = hosted.good(&["worker", "logs", "tally", "--since", "1h"]);
    assert_eq!(since.out, hosted.good(&["worker", "logs", "tally"]).out);
    let future = hosted.good(&["worker", "events", "tally", "--since", "2099-01-01T00:00:00Z"]);
    assert_eq!(future.out, "");
    assert_eq!(hosted.skep(&["worker", "logs", "tally", "--since", "soon"]).code, 125);
}

#[test]
fn workers_are_labelled_stopped_and_removed_by_filter() {
    let hosted = with_workers(&["first", "second", "third"]);
    hosted.good(&["worker", "label", "first", "second", "--set", "env=test"]);
    hosted.good(&["worker", "label", "first", "--set", "team=bees"]);
    let first = hosted.good(&["worker", "show", "first", "--output", "json"]).json();
    assert_eq!(first["labels"], json!({ "env": "test", "team": "bees" }));

    let counted = hosted.good(&["worker", "stop", "--label", "env=test", "--dry-run"]);
    assert_eq!(counted.out, "2 workers\n");
    let idle = hosted.good(&["worker", "list", "--state", "idle", "--output", "json"]).json();
    assert_eq!(idle["items"].as_array().unwrap().len(), 3);
    let stopped = hosted.good(&["worker", "stop", "--label", "env=test", "--output", "json"]);
    let lines = lines(&stopped);
    assert_eq!(lines.len(), 2, "{}", stopped.out);
    assert!(lines.iter().all(|line| line["ok"] == true), "{}", stopped.out);
    let stopped = hosted.good(&["worker", "list", "--state", "stopped", "--output", "json"]).json();
    assert_eq!(stopped["items"].as_array().unwrap().len(), 2);
    hosted.good(&["worker", "rm", "--filter", "env=test"]);
    let left = hosted.good(&["worker", "list", "--output", "json"]).json();
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    assert!(
        hosted.good(&["worker", "rm", "--filter", "env=test"]).err.contains("no worker matches")
    );
}

#[test]
fn a_failure_among_many_workers_is_told_and_the_rest_is_done() {
    let hosted = with_workers(&["first", "second"]);
    let unknown = "019b0d2e-7c31-7e0a-8f7d-0a6d2f3c1b55";
    let said = hosted.skep(&["worker", "label", "first", unknown, "second", "--set", "a=b"]);
    assert_eq!(said.code, 125);
    assert!(
        said.err.contains("1 of 3 workers failed") && said.err.contains(unknown),
        "{}",
        said.err
    );
    let listed = hosted.good(&["worker", "list", "--label", "a=b", "--output", "json"]).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let viewer = hosted.good(&["token", "create", "--role", "viewer"]);
    let token = hosted.dir.file("viewer", viewer.out.trim_end());
    let url = hosted.host.url.clone();
    let refused = hosted.skep(&[
        "worker",
        "rm",
        "--filter",
        "first",
        "--host",
        &url,
        "--token-file",
        token.to_str().unwrap(),
    ]);
    assert_eq!(refused.code, 125);
    assert!(refused.err.contains("operator"), "{}", refused.err);
}

#[test]
fn a_host_shows_its_audit_limits_diagnostics_and_caller() {
    let hosted = with_workers(&["tally"]);
    hosted.good(&["worker", "stop", "tally"]);
    let audit = ["audit", "--action", "worker.stop", "--since", "1h", "--output", "json"];
    let changes = hosted.good(&audit).json();
    assert_eq!(changes["items"].as_array().unwrap().len(), 1);
    let shown = hosted.good(&["audit", "--last", "2"]).out;
    assert!(shown.lines().count() == 3 && shown.contains("worker.stop"), "{shown}");
    let limits = hosted.good(&["limits"]).out;
    assert!(limits.contains("memory_bytes") && limits.contains("256 MiB"), "{limits}");
    let me = hosted.good(&["whoami", "--output", "json"]).json();
    assert_eq!((&me["role"], &me["grants"]["role"]), (&json!("admin"), &json!("admin")));
    assert!(hosted.good(&["whoami"]).out.contains("may grant HTTP"));
    hosted.skep(&["worker", "start", "tally"]);
    hosted.skep(&["worker", "send", "tally", "dial", "https://a.example/"]);
    let all = hosted.good(&["worker", "diagnostics", "--output", "json"]).json();
    let own = hosted.good(&["worker", "diagnostics", "tally", "--output", "json"]).json();
    assert_eq!(all["items"].as_array().unwrap().len(), own["items"].as_array().unwrap().len());
}
