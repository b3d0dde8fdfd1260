//! `skep up` and its client commands, as used on a machine.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use skep_harness::{TestDir, guest};

use crate::served::{Served, Serves, prepared};

/// A host with a store of its own.
pub(crate) struct Hosted {
    pub(crate) host: Served,
    pub(crate) dir: TestDir,
}

/// The result of a command.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    /// Parses standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.err))
    }

    /// Returns a text member of the JSON output.
    pub(crate) fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_else(|| panic!("{}", self.out)).to_owned()
    }
}

/// Runs `skep` with these arguments on the store in a directory.
pub(crate) fn skep(dir: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(skep_harness::skep());
    for name in ["SKEP_HOST", "SKEP_TOKEN", "SKEP_WORKSPACE", "SKEP_CONFIG"] {
        command.env_remove(name);
    }
    command.args(arguments).env("SKEP_STORE", dir.join("store"));
    command.env("XDG_CACHE_HOME", dir.join("cache")).current_dir(dir).output().unwrap().into()
}

impl Hosted {
    pub(crate) fn start() -> Self {
        let dir = prepared();
        Self { host: Served::start(Serves::Up, &dir), dir }
    }

    pub(crate) fn skep(&self, arguments: &[&str]) -> Said {
        skep(&self.dir, arguments)
    }

    /// Runs a command that must succeed.
    pub(crate) fn good(&self, arguments: &[&str]) -> Said {
        let said = self.skep(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.out, said.err);
        said
    }
}

fn path(name: &str) -> String {
    guest(name).to_str().unwrap().to_owned()
}

#[test]
fn a_worker_is_created_used_and_removed_on_the_command_line() {
    let hosted = Hosted::start();
    let scribe = path("scribe");
    let made = hosted.good(&[
        "worker",
        "create",
        &scribe,
        "--name",
        "tally",
        "--label",
        "team=bees",
        "--output",
        "json",
    ]);
    let id = made.text("worker_id");
    assert_eq!(made.json()["observed"]["state"], "idle");

    let said = hosted.good(&["worker", "send", "tally", "echo", "one", "two"]);
    assert_eq!(said.out.trim_end(), "one two");
    let listed = hosted.good(&["worker", "list"]);
    assert!(listed.out.contains(&id) && listed.out.contains("tally"), "{}", listed.out);
    let listed = hosted.good(&["worker", "list", "--label", "team=wasps", "--output", "json"]);
    assert_eq!(listed.json()["items"], serde_json::json!([]));
    let events = hosted.good(&["worker", "events", &id, "--output", "json"]);
    let kinds: Vec<String> = events
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().into())
        .collect();
    assert_eq!(kinds[0], "created");
    assert!(kinds.contains(&"input".into()) && kinds.contains(&"output".into()), "{kinds:?}");

    hosted.good(&["worker", "stop", "tally"]);
    let refused = hosted.skep(&["worker", "send", "tally", "echo", "x", "--output", "json"]);
    assert_eq!(refused.code, 125);
    // Words after the worker's name belong to the guest, so the format must come before it.
    assert!(refused.err.contains("stopped"), "{}{}", refused.out, refused.err);
    hosted.good(&["worker", "start", "tally"]);
    assert_eq!(hosted.good(&["worker", "send", &id, "echo", "back"]).out.trim_end(), "back");

    let echo = path("echo");
    let updated =
        hosted.good(&["worker", "update", "tally", "--component", &echo, "--output", "json"]);
    assert_ne!(updated.json()["component"], made.json()["component"]);
    assert_eq!(hosted.good(&["worker", "send", "tally", "anything"]).out.trim_end(), "anything");
    let back = hosted.good(&["worker", "rollback", "tally", "--output", "json"]);
    assert_eq!(back.json()["component"], made.json()["component"]);

    std::fs::write(hosted.dir.join("note.txt"), "water the plants\n").unwrap();
    hosted.good(&["worker", "files", "put", "tally", "a/note.txt", "note.txt"]);
    let files = hosted.good(&["worker", "files", "list", "tally"]);
    assert!(files.out.contains("a/note.txt"), "{}", files.out);
    let got = hosted.good(&["worker", "files", "get", "tally", "a/note.txt"]);
    assert_eq!(got.out, "water the plants\n");
    hosted.good(&["worker", "files", "export", "tally", "all.tar"]);
    assert!(std::fs::metadata(hosted.dir.join("all.tar")).unwrap().len() >= 1_024);

    hosted.good(&["worker", "rm", "tally"]);
    let gone = hosted.skep(&["worker", "show", &id]);
    assert_eq!(gone.code, 125);
    assert!(gone.err.contains("removed"), "{}", gone.err);
    let unknown = hosted.skep(&["worker", "show", "tally"]);
    assert!(unknown.err.contains("skep worker list"), "{}", unknown.err);
}

#[test]
fn worker_send_returns_the_exit_code_of_a_command() {
    let hosted = Hosted::start();
    hosted.good(&["worker", "create", &path("hello"), "--name", "hello"]);
    let said = hosted.skep(&["worker", "send", "hello", "--", "--exit", "3", "one"]);
    assert!(said.out.contains("hello, one"), "{}{}", said.out, said.err);
    assert_eq!(said.code, 3);
}

#[test]
fn a_token_is_valid_until_it_is_revoked() {
    let hosted = Hosted::start();
    let made = hosted.good(&["token", "create", "--role", "viewer", "--output", "json"]);
    let (token, id) = (made.text("token"), made.text("token_id"));
    let with = |verb: &[&str]| -> Said {
        let mut command = Command::new(skep_harness::skep());
        command.args(verb).args(["--host", &hosted.host.url]).env("SKEP_TOKEN", &token);
        command.output().unwrap().into()
    };
    assert_eq!(with(&["worker", "list"]).code, 0);
    let refused = with(&["worker", "create", &path("echo")]);
    assert_eq!(refused.code, 125);
    assert!(refused.err.contains("role"), "{}", refused.err);
    let listed = hosted.good(&["token", "list"]);
    assert!(listed.out.contains(&id) && !listed.out.contains(&token), "{}", listed.out);
    hosted.good(&["token", "revoke", &id]);
    let refused = with(&["worker", "list"]);
    assert_eq!(refused.code, 125);
    assert!(!refused.err.contains(&token), "{}", refused.err);
}

#[test]
fn workers_of_another_workspace_are_not_found() {
    let (mine, other) = (Hosted::start(), Hosted::start());
    let made = other.good(&["worker", "create", &path("echo"), "--output", "json"]);
    let token = other.good(&["token", "create", "--role", "admin", "--output", "json"]);
    let with = |arguments: &[&str], token: &str| -> Said {
        let mut command = Command::new(skep_harness::skep());
        command.args(arguments).args(["--host", &mine.host.url]).env("SKEP_TOKEN", token);
        command.output().unwrap().into()
    };
    let refused = with(&["worker", "list"], &token.text("token"));
    assert!(refused.err.contains("log in"), "{}{}", refused.out, refused.err);
    let own = mine.host.token.clone();
    let unknown = with(&["worker", "show", &made.text("worker_id")], &own);
    assert!(unknown.err.contains("there is no worker"), "{}", unknown.err);
    let place = format!("{}/{}", other.host.runtime_id, made.text("worker_id"));
    let unknown = with(&["worker", "show", &place], &own);
    assert!(unknown.err.contains("there is no runtime"), "{}", unknown.err);
}

#[test]
fn a_second_host_on_a_store_is_refused() {
    let hosted = Hosted::start();
    let second = hosted.skep(&["up", "--listen", "127.0.0.1:0", "--output", "json"]);
    assert_eq!(second.code, 125);
    assert!(second.json()["error"]["message"].as_str().unwrap().contains("in use"));
}

#[test]
fn commands_without_a_host_hint_at_skep_up() {
    let dir = skep_harness::test_dir();
    let said = skep(&dir, &["worker", "list"]);
    assert_eq!(said.code, 125);
    assert!(said.err.contains("skep up"), "{}", said.err);
}

#[test]
fn listening_beyond_loopback_requires_a_token() {
    let dir = skep_harness::test_dir();
    let said = skep(&dir, &["up", "--listen", "0.0.0.0:0"]);
    assert_eq!(said.code, 125);
    assert!(said.err.contains("skep token create"), "{}", said.err);
}

#[test]
fn an_invalid_listen_address_has_a_hint() {
    let hint = |said: &Said| {
        assert_eq!(said.code, 125, "{}", said.err);
        said.err.lines().find(|line| line.starts_with("hint: ")).unwrap().to_owned()
    };
    let dir = skep_harness::test_dir();
    for wrong in ["nonsense", "7070", "127.0.0.1", "127.0.0.1:99999", "::1:7070:x", "a b:1"] {
        let said = skep(&dir, &["up", "--listen", wrong]);
        let hint = hint(&said);
        assert!(hint.contains("such as 127.0.0.1:7070, [::1]:7070 or localhost:7070"), "{hint}");
        assert!(said.err.contains(&format!("cannot listen on {wrong}: ")), "{}", said.err);
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let said = skep(&dir, &["up", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(hint(&said).contains("another process may be using the port"), "{}", said.err);
    // An address for documents, which nobody has.
    let said = skep(&dir, &["up", "--listen", "192.0.2.1:0"]);
    assert!(hint(&said).contains("does not have that address"), "{}", said.err);
}

#[test]
fn a_foreground_run_is_listed_while_it_runs() {
    let hosted = Hosted::start();
    let mut run = Command::new(skep_harness::skep())
        .args(["run", &path("probe"), "nap", "60"])
        .env("XDG_CACHE_HOME", hosted.dir.join("cache"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let seen = loop {
        let listed = hosted.good(&["worker", "list", "--output", "json"]).json();
        let items = listed["items"].as_array().unwrap().clone();
        if let Some(item) = items.into_iter().find(|item| item["source"] == "local") {
            break item;
        }
        assert!(Instant::now() < until, "the run is not listed");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(seen["runtime_id"], "local");
    let worker = format!("local/{}", seen["worker_id"].as_str().unwrap());
    let refused = hosted.skep(&["worker", "stop", &worker]);
    assert!(refused.err.contains("does not support"), "{}", refused.err);
    run.kill().unwrap();
    run.wait().unwrap();
    let listed = hosted.good(&["worker", "list", "--output", "json"]);
    assert!(!listed.out.contains("\"local\""), "{}", listed.out);
    assert!(listed.err.contains("stale_record"), "{}", listed.err);
}
