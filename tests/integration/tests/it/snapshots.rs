//! The texts that a user reads: the help of each command, and errors with their hints.
//!
//! The expected texts are in `snapshots/`. After a change that is meant, run the test with
//! `INSTA_UPDATE=always` and review the difference. Otherwise a changed text fails the test.

use std::fmt::Write;
use std::process::Command;

use skep_harness::{TestDir, test_dir};

/// Runs `skep` in a directory, without a terminal and without the environment of the test.
fn skep(dir: &TestDir, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(skep_harness::skep());
    command.args(arguments).current_dir(&**dir).env_clear();
    command.env("COLUMNS", "100").env("HOME", &**dir).env("TMPDIR", &**dir);
    command.output().unwrap()
}

/// Compares a text with the expected one, without the spaces that the parser leaves at line ends.
fn assert_snapshot(name: &str, text: &str) {
    let text = text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Returns the names of the subcommands that a help text lists.
fn subcommands(help: &str) -> Vec<&str> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

/// Appends the help of a command and of its subcommands.
fn add_help(dir: &TestDir, command: &[&str], text: &mut String) {
    let output = skep(dir, &[command, &["--help"]].concat());
    assert_eq!(output.status.code(), Some(0), "{command:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    write!(text, "$ skep {} --help\n{help}\n", command.join(" ")).unwrap();
    for name in subcommands(&help) {
        add_help(dir, &[command, &[name]].concat(), text);
    }
}

#[test]
fn the_help_of_each_command_is_unchanged() {
    let dir = test_dir();
    let output = skep(&dir, &["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    let commands = subcommands(&help);
    assert!(commands.len() >= 11, "{commands:?}");
    assert_snapshot("help", &help);
    for name in commands {
        let mut text = String::new();
        add_help(&dir, &[name], &mut text);
        assert_snapshot(&format!("help_{name}"), &text);
    }
}

/// A command that ends at once.
const COMMAND: &str = r#"(module (func (export "_start")))"#;

/// A command that never ends.
const LOOP: &str = r#"(module (func (export "_start") (loop br 0)))"#;

/// A command that traps.
const TRAP: &str = r#"(module (func (export "_start") unreachable))"#;

/// A command with an import that Skep does not offer.
const FOREIGN: &str =
    r#"(module (import "env" "launch" (func)) (func (export "_start") (call 0)))"#;

#[test]
fn errors_name_the_reason_and_the_next_step() {
    let dir = test_dir();
    dir.wat("command.wasm", COMMAND);
    dir.wat("loop.wasm", LOOP);
    dir.wat("trap.wasm", TRAP);
    dir.wat("foreign.wasm", FOREIGN);
    dir.file("text.wasm", "no component\n");
    dir.file("bad.toml", "stor = 'x'\n");
    dir.file("secret.toml", "[secrets.key]\nfile = 'api.key'\nhosts = ['https://a.example']\n");
    std::fs::create_dir(dir.join("folder")).unwrap();
    let mut text = String::new();
    for line in [
        // The command line.
        "rn command.wasm",
        "run --no-such-flag command.wasm",
        "run --memory lots command.wasm",
        "run --memory 1TB command.wasm",
        "run --timeout 0.5ms command.wasm",
        "run --timeout 5d command.wasm",
        "run --env NOVALUE command.wasm",
        "run --dir folder::/a/../b command.wasm",
        "run --allow-http ftp://example.com command.wasm",
        "run --input - -",
        "completions nosuchshell",
        // Files and directories.
        "run missing.wasm",
        "run folder",
        "run --dir folder::relative command.wasm",
        "run --dir folder::/x --dir .::/x command.wasm",
        "run --dir folder::/out --out results command.wasm",
        "run --out text.wasm command.wasm",
        "run --input missing.txt command.wasm",
        "run --input text.wasm command.wasm",
        // Components.
        "run text.wasm",
        "run foreign.wasm",
        "inspect text.wasm",
        // Ends of a guest.
        "run trap.wasm",
        "run --timeout 100ms loop.wasm",
        "run --fuel 1000 loop.wasm",
        // Hosts and workers.
        "worker list --store store",
        "worker create command.wasm --limit nosuch=1",
        "worker grant tally",
        "worker revoke tally",
        "up --store store --listen nonsense",
        "up --settings missing.toml",
        "up --settings bad.toml",
        "up --store store --settings secret.toml",
        "token revoke nosuchtoken --store store",
    ] {
        let output = skep(&dir, &line.split(' ').collect::<Vec<_>>());
        let code = output.status.code().unwrap();
        assert_ne!(code, 0, "{line}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        write!(text, "$ skep {line}\n{stderr}exit code {code}\n\n").unwrap();
    }
    let path = dir.display().to_string();
    assert!(!text.contains(&path), "an error quotes a path of the test: {text}");
    assert_snapshot("errors", &text);
}

#[test]
fn the_problem_body_of_each_error_is_unchanged() {
    let mut text = String::new();
    for error in skep_protocol::Error::every() {
        let problem = skep_protocol::problem::Problem::from(&error);
        let body = serde_json::to_string_pretty(&problem).unwrap();
        writeln!(text, "{body}").unwrap();
    }
    assert_snapshot("problems", &text);
}

/// Reads an event stream until an event contains a text, and returns it without what differs from
/// one run to the next.
fn events(url: &str, token: &str, path: &str, until: &str) -> String {
    use std::io::{BufRead, BufReader, Write as _};

    let address = url.trim_start_matches("http://");
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Accept: text/event-stream\r\n\r\n"
    );
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    let mut ended = false;
    for line in BufReader::new(socket).lines() {
        let line = line.unwrap();
        // The rest is the head of the response and the lengths of its chunks.
        let is_event = ["id: ", "event: ", "data: ", "retry: "];
        if is_event.iter().any(|start| line.starts_with(start)) {
            writeln!(text, "{}", plain(&line)).unwrap();
        }
        ended |= line.contains(until);
        if ended && line.starts_with("data: ") {
            return text;
        }
    }
    panic!("the stream ended: {text}");
}

/// Replaces ids, times, digests and measured values.
fn plain(line: &str) -> String {
    let Some(json) = line.strip_prefix("data: ") else { return line.to_owned() };
    let mut value: serde_json::Value = serde_json::from_str(json).unwrap();
    hide(&mut value);
    format!("data: {value}")
}

fn hide(value: &mut serde_json::Value) {
    use serde_json::Value::{Array, Object, String};
    const DIFFERENT: &[&str] = &[
        "at",
        "body",
        "component",
        "config",
        "created_at",
        "cursor",
        "host_id",
        "input_id",
        "runtime_id",
        "since",
        "updated_at",
        "worker_id",
    ];
    match value {
        Object(fields) => {
            for (name, value) in fields {
                match value {
                    String(text) if DIFFERENT.contains(&name.as_str()) && !text.is_empty() => {
                        *text = "...".into();
                    }
                    other => hide(other),
                }
            }
        }
        Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

#[test]
fn the_event_stream_of_a_worker_is_unchanged() {
    use std::io::{BufRead, BufReader};

    let dir = test_dir();
    let store = dir.join("store");
    let counter = skep_harness::guest("counter");
    let mut up = Command::new(skep_harness::skep())
        .args(["up", "--listen", "127.0.0.1:0", "--store"])
        .arg(&store)
        .env("XDG_CACHE_HOME", skep_harness::shared_cache())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(up.stderr.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().starts_with("ready: ")));
    let worker = |words: &[&str]| {
        let mut command = Command::new(skep_harness::skep());
        command.arg("worker").args(&words[..1]).arg("--output").arg("json").arg("--store");
        let ran = command.arg(&store).args(&words[1..]).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&ran.stdout).unwrap()
    };
    let created = worker(&["create", "--name", "tally", counter.to_str().unwrap()]);
    worker(&["send", "tally", "hello"]);
    let host = std::fs::read_to_string(store.join("host.json")).unwrap();
    let host: serde_json::Value = serde_json::from_str(&host).unwrap();
    let field = |value: &serde_json::Value, name: &str| value[name].as_str().unwrap().to_owned();
    let path = format!(
        "/api/runtimes/{}/workers/{}/events",
        field(&created, "runtime_id"),
        field(&created, "worker_id")
    );
    let text = events(
        &field(&host, "url"),
        &field(&host, "token"),
        &format!("{path}?after=0"),
        "\"kind\":\"output\"",
    );
    up.kill().unwrap();
    up.wait().unwrap();
    assert_snapshot("events", &text);
}
