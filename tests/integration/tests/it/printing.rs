//! A command fails if its output does not reach the reader: no output is lost silently.

use std::fs::{File, OpenOptions};
use std::process::{Command, Stdio};

use skep_harness::{guest, skep, test_dir};

use crate::hosting::{Hosted, Said};

/// Opens a device that is always full.
fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// Opens a directory for reading, as a shell's `<` does.
fn directory() -> Stdio {
    File::open("/tmp").unwrap().into()
}

/// Makes a pipe whose reader has gone.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn command(hosted: &Hosted, line: &[&str]) -> Command {
    let mut command = Command::new(skep());
    command.args(line).env("SKEP_STORE", hosted.dir.join("store")).stdin(Stdio::null());
    command.env("XDG_CACHE_HOME", hosted.dir.join("cache"));
    command
}

/// Starts a host with a worker that has a file and a transcript.
fn hosted() -> Hosted {
    let hosted = Hosted::start();
    let component = guest("scribe");
    hosted.good(&["worker", "create", component.to_str().unwrap(), "--name", "tally"]);
    hosted.good(&["worker", "send", "tally", "echo", "x"]);
    let file = hosted.dir.file("file", "content");
    hosted.good(&["worker", "files", "put", "tally", "file", file.to_str().unwrap()]);
    hosted
}

/// Lists commands that answer on standard output.
fn commands(hosted: &Hosted) -> Vec<Vec<String>> {
    let order = hosted.dir.file("order", "echo x");
    let order = order.to_str().unwrap();
    let hello = guest("hello");
    let scribe = guest("scribe");
    let (hello, scribe) = (hello.to_str().unwrap(), scribe.to_str().unwrap());
    let lines: &[&[&str]] = &[
        &["run", hello],
        &["run", "--output", "json", hello],
        &["run", "--input", order, scribe],
        &["inspect", hello],
        &["inspect", "--output", "json", hello],
        &["worker", "list"],
        &["worker", "show", "tally"],
        &["worker", "usage", "tally"],
        &["worker", "diagnostics", "tally"],
        &["worker", "diagnostics"],
        &["worker", "state", "tally"],
        &["worker", "inputs", "tally"],
        &["worker", "fork", "tally"],
        &["worker", "stop", "--filter", "tally", "--dry-run"],
        &["worker", "send", "tally", "echo", "x"],
        &["worker", "send", "--output", "json", "tally", "echo", "x"],
        &["worker", "events", "tally"],
        &["worker", "events", "tally", "--output", "json"],
        &["worker", "files", "list", "tally"],
        &["worker", "files", "get", "tally", "file"],
        &["worker", "files", "export", "tally"],
        &["worker", "grant", "tally", "--http", "https://a.example"],
        &["worker", "stop", "tally"],
        &["worker", "start", "tally"],
        &["component", "list"],
        &["component", "push", hello],
        &["runtimes"],
        &["token", "list"],
        &["session", "list"],
        &["audit"],
        &["limits"],
        &["whoami"],
        &["remote", "list"],
        &["doctor"],
        &["completions", "bash"],
        &["--help"],
        &["run", "--help"],
        &["--version"],
    ];
    lines.iter().map(|line| line.iter().map(ToString::to_string).collect()).collect()
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let hosted = hosted();
    for line in commands(&hosted) {
        let line: Vec<_> = line.iter().map(String::as_str).collect();
        for (stdout, reason) in [(full(), "No space left on device"), (directory(), "Bad file")] {
            let said: Said = command(&hosted, &line).stdout(stdout).output().unwrap().into();
            let expected = format!("cannot write to standard output: {reason}");
            assert!(said.err.contains(&expected), "{line:?}: {}", said.err);
            assert_ne!(said.code, 0, "{line:?}: {}", said.err);
        }
    }
}

#[test]
fn a_result_for_a_closed_standard_output_is_an_error() {
    let hosted = hosted();
    for line in commands(&hosted) {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"exec "$0" "$@" >&-"#]).arg(skep()).args(&line);
        shell.env("SKEP_STORE", hosted.dir.join("store")).stdin(Stdio::null());
        let said: Said =
            shell.env("XDG_CACHE_HOME", hosted.dir.join("cache")).output().unwrap().into();
        let expected = "cannot write to standard output: Bad file descriptor";
        assert!(said.err.contains(expected), "{line:?}: {}", said.err);
        assert_ne!(said.code, 0, "{line:?}: {}", said.err);
    }
}

#[test]
fn a_reader_that_closes_early_is_no_error() {
    let hosted = hosted();
    for line in commands(&hosted).iter().filter(|line| line[0] != "run") {
        let line: Vec<_> = line.iter().map(String::as_str).collect();
        let said: Said = command(&hosted, &line).stdout(gone()).output().unwrap().into();
        assert!(!said.err.contains("cannot write"), "{line:?}: {}", said.err);
        assert_eq!(said.code, 0, "{line:?}: {}", said.err);
    }
}

#[test]
fn a_notice_that_cannot_be_written_is_an_error() {
    let hosted = hosted();
    for line in [
        &["worker", "send", "--no-wait", "tally", "echo", "x"][..],
        &["worker", "rm", "tally"],
        &["run", guest("probe").to_str().unwrap(), "panic"],
    ] {
        let status = command(&hosted, line).stdout(Stdio::null()).stderr(full()).status().unwrap();
        assert_ne!(status.code(), Some(0), "{line:?}");
    }
}

#[test]
fn a_token_that_was_not_shown_is_not_valid() {
    let hosted = hosted();
    let before = hosted.good(&["token", "list", "--output", "json"]).json();
    let before = before["items"].as_array().unwrap().len();
    for unwritable in [full, directory, gone] {
        for format in ["text", "json"] {
            let line = ["token", "create", "--role", "viewer", "--output", format];
            let stdout = unwritable();
            let said: Said = command(&hosted, &line).stdout(stdout).output().unwrap().into();
            assert_eq!(said.code, 125, "{}", said.err);
            assert!(said.err.contains("the token was revoked"), "{}", said.err);
        }
    }
    let tokens = hosted.good(&["token", "list", "--output", "json"]).json();
    let tokens = tokens["items"].as_array().unwrap();
    let revoked = tokens.iter().filter(|token| !token["revoked_at"].is_null()).count();
    assert_eq!((tokens.len(), revoked), (before + 6, 6));
}

#[test]
fn a_first_token_that_was_not_shown_is_not_valid() {
    let dir = test_dir();
    let store = dir.join("store");
    let mut up = Command::new(skep());
    up.args(["up", "--listen", "127.0.0.1:0", "--output", "json"]).env("SKEP_STORE", &store);
    up.env("XDG_CACHE_HOME", dir.join("cache"));
    let said: Said = up.stdout(full()).output().unwrap().into();
    assert_eq!(said.code, 125, "{}", said.err);
    let listed = crate::hosting::skep(&dir, &["token", "list", "--output", "json"]).json();
    let tokens = listed["items"].as_array().unwrap().clone();
    assert!(tokens.len() == 1 && !tokens[0]["revoked_at"].is_null(), "{listed}");
}
