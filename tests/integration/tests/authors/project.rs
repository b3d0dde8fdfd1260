//! Projects: from an empty folder to a component, its tests, and a worker that follows the source.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use skep_harness::{TestDir, test_dir};

use crate::artefact::{command, rust_command, succeed};

const LANGUAGES: [&str; 4] = ["rust", "js", "python", "c"];

fn new(language: &str) -> (TestDir, PathBuf) {
    let dir = test_dir();
    let project = dir.join("tally");
    succeed(command().arg("new").arg(&project).args(["--lang", language]));
    (dir, project)
}

#[test]
fn a_new_project_builds_and_its_tests_pass() {
    for language in LANGUAGES {
        let (_dir, project) = new(language);
        let (out, _) =
            succeed(rust_command().args(["build", "--output", "json", "--project"]).arg(&project));
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["component"], "build/tally.wasm");
        assert_eq!(report["kind"], "service");
        let (out, err) = succeed(rust_command().args(["test", "--project"]).arg(&project));
        let last = out.lines().last().unwrap();
        assert_eq!(last, "test result: ok. unit tests ok, 1 files passed; 0 failed", "{out}{err}");
    }
}

#[test]
fn a_project_becomes_a_worker_by_its_folder() {
    let (_dir, project) = new("c");
    let store = project.join("store");
    succeed(command().args(["build", "--project"]).arg(&project));
    let manifest = project.join("skep-worker.toml");
    let mut text = std::fs::read_to_string(&manifest).unwrap();
    text.push_str("\n[config]\ncolour = \"blue\"\n\n[limits]\nstate_bytes = \"64KiB\"\n");
    std::fs::write(&manifest, text).unwrap();
    let mut up = command()
        .args(["up", "--listen", "127.0.0.1:0", "--store"])
        .arg(&store)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(up.stderr.take().unwrap()).lines();
    let _up = Background(up);
    assert!(lines.by_ref().any(|line| line.unwrap().starts_with("ready: ")));
    let worker = |words: &[&str], place: &Path| {
        let mut command = command();
        command.arg("worker").args(words).arg("--output").arg("json").arg("--store").arg(&store);
        let (out, _) = succeed(command.arg(place));
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let created = worker(&["create"], &project);
    assert_eq!(created["display_ref"], "tally");
    assert_eq!(created["limits"]["state_bytes"], 65_536);
    assert!(created["config"].is_string());
    let sent = worker(&["send"], Path::new("tally"));
    assert_eq!(sent["output"]["body"], "1", "{sent}");
    edit(
        &project,
        "src/worker.c",
        "return skep_reply(",
        "return skep_reply(output, \"new %d\", 7);\n    return skep_reply(",
    );
    succeed(command().args(["build", "--project"]).arg(&project));
    let updated = worker(&["update"], &project);
    assert_ne!(updated["component"], created["component"]);
    assert_eq!(worker(&["send"], Path::new("tally"))["output"]["body"], "new 7");
}

#[test]
fn a_test_that_fails_says_what_was_expected_and_what_came() {
    let (_dir, project) = new("c");
    std::fs::write(
        project.join("tests/wrong.json"),
        r#"{"turns": [{"input": "x", "expect": {"body": "7", "state": {"count": "1"}}}]}"#,
    )
    .unwrap();
    let ran = command()
        .args(["test", "--no-unit", "--output", "json", "--project"])
        .arg(&project)
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((&report["passed"], &report["failed"]), (&1.into(), &1.into()));
    let mismatches = &report["files"][1]["failures"][0]["mismatches"];
    let expected = serde_json::json!([{ "what": "body", "expected": "7", "actual": "1" }]);
    assert_eq!(*mismatches, expected);
}

#[test]
fn a_tool_that_is_missing_is_named_with_the_way_to_get_it() {
    let (_dir, project) = new("js");
    let empty = test_dir();
    let ran =
        command().env("PATH", &*empty).args(["build", "--project"]).arg(&project).output().unwrap();
    assert_eq!(ran.status.code(), Some(125));
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.contains("node is not installed") && said.contains("install Node.js"), "{said}");
}

#[test]
fn a_folder_without_a_manifest_is_no_project() {
    let dir = test_dir();
    let ran = command().arg("build").current_dir(&*dir).output().unwrap();
    assert_eq!(ran.status.code(), Some(125));
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(
        said.contains("there is no skep-worker.toml in ") && said.contains("skep new"),
        "{said}"
    );
}

/// A running `skep dev`. It is ended with this value.
struct Dev {
    _child: Background,
    stdin: ChildStdin,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Dev {
    fn start(project: &Path, flags: &[&str]) -> Self {
        let mut child = command()
            .args(["dev", "--project"])
            .arg(project)
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let streams: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines() {
                    if sender.send(line.unwrap()).is_err() {
                        return;
                    }
                }
            });
        }
        let stdin = child.stdin.take().unwrap();
        Self { _child: Background(child), stdin, lines, seen: Vec::new() }
    }

    /// Waits for a line that contains a text.
    #[track_caller]
    fn until(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(Duration::from_secs(180)) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("no line has {text:?}: {:#?}", self.seen),
            }
        }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }
}

/// A process that is ended with this value.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn edit(project: &Path, file: &str, from: &str, to: &str) {
    let path = project.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn an_edit_changes_the_worker_and_keeps_its_state() {
    let (_dir, project) = new("js");
    let mut dev = Dev::start(&project, &[]);
    dev.until("worker: ");
    dev.type_line("one");
    dev.until("reply: 1");
    edit(&project, "src/worker.js", "return count", "return `second ${count}`");
    dev.until("updated: ");
    dev.type_line("two");
    dev.until("reply: second 2");
    // A syntax error changes nothing.
    edit(&project, "src/worker.js", "return `second", "return ] `second");
    dev.until("src/worker.js:");
    dev.until("the previous version keeps running");
    dev.type_line("three");
    dev.until("reply: second 3");
    drop(dev);
    // A killed session keeps the state.
    edit(&project, "src/worker.js", "return ] `second", "return `third");
    let mut dev = Dev::start(&project, &[]);
    dev.until("worker: ");
    dev.type_line("four");
    dev.until("reply: third 4");
}

/// Sends a request and returns the whole answer.
fn request(url: &str, method: &str, target: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    write!(stream, "{head}content-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn an_http_worker_has_a_site_that_follows_the_edits_and_keeps_its_state() {
    let dir = test_dir();
    let project = dir.join("book");
    succeed(command().arg("new").arg(&project).args(["--lang", "js", "--kind", "web"]));
    let mut dev = Dev::start(&project, &[]);
    let url = dev.until("site: ").replace("site: ", "");
    assert!(request(&url, "POST", "/book", "Ada").ends_with("line 1\n"));
    dev.type_line("hello");
    dev.until("takes no inputs");
    edit(&project, "src/worker.js", "`line ${number}", "`number ${number}");
    dev.until("updated: ");
    assert!(request(&url, "POST", "/book", "Bo").ends_with("number 2\n"));
    assert!(request(&url, "GET", "/book", "").ends_with("Ada\nBo\n"));
    edit(&project, "src/worker.js", "async function add(request) {", "async function add() {");
    dev.until("updated: ");
    assert!(request(&url, "POST", "/book", "Cy").starts_with("HTTP/1.1 502 "));
    let said = dev.until("guest_error: POST /book 502");
    assert!(said.contains("exception: ReferenceError") && said.contains("worker.js:"), "{said}");
}

/// The counter of a project whose answers begin with its version.
fn versioned(version: usize) -> String {
    format!(
        "import {{ state }} from \"@skep/guest\";\nconst VERSION = {version};\n\
         export default {{\n  handle() {{\n    \
         const count = Number(state.getText(\"count\") ?? 0) + 1;\n    \
         state.set(\"count\", String(count));\n    return `${{VERSION}} ${{count}}`;\n  }},\n}};\n"
    )
}

/// Returns a client of the host of `skep dev`.
async fn client(project: &Path) -> (skep_client::Client, skep_protocol::WorkerId) {
    use skep_client::{Client, Endpoint, Prefix, Token};
    use skep_protocol::{ListWorkers, Workers};

    let store = project.join(".skep/dev/store");
    let running = std::fs::read_to_string(store.join("host.json")).unwrap();
    let running: Value = serde_json::from_str(&running).unwrap();
    let client = Client::new(Endpoint {
        url: running["url"].as_str().unwrap().parse().unwrap(),
        token: Token::Text(running["token"].as_str().unwrap().to_owned()),
        ca: None,
        insecure: false,
        prefix: Prefix::Runtime("dev".parse().unwrap()),
    })
    .unwrap();
    let query = ListWorkers { limit: 10, ..ListWorkers::default() };
    let worker = client.list(query).await.unwrap().items[0].worker_id;
    (client, worker)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_edits_lose_none_of_a_thousand_inputs() {
    use skep_protocol::{NewInput, Output, Payload, Sent, Turns};

    let (_dir, project) = new("js");
    std::fs::write(project.join("src/worker.js"), versioned(0)).unwrap();
    let mut dev = Dev::start(&project, &[]);
    dev.until("worker: ");
    let (client, worker) = client(&project).await;
    let inputs = tokio::spawn(async move {
        let mut replies = Vec::new();
        for _ in 0..1_000 {
            let payload = Payload { content_type: "text/plain".into(), body: "x".into() };
            let wait = Some(Duration::from_secs(60));
            let input = NewInput { payload, key: None, wait, sender: None };
            let sent = client.send(worker, input).await.unwrap();
            let Sent::Done { outcome, .. } = sent else { panic!("{sent:?}") };
            let Some(Output::Message(payload)) = outcome.output else { panic!("{outcome:?}") };
            replies.push(String::from_utf8(payload.body.to_vec()).unwrap());
        }
        replies
    });
    for version in 1..=50 {
        std::fs::write(project.join("src/worker.js"), versioned(version)).unwrap();
        dev.until("updated: ");
    }
    let replies = inputs.await.unwrap();
    let mut last = 0;
    for (place, reply) in replies.iter().enumerate() {
        let (version, count) = reply.split_once(' ').unwrap();
        assert_eq!(count, (place + 1).to_string(), "an input was lost or counted twice");
        let version: usize = version.parse().unwrap();
        assert!(version >= last && version <= 50, "{version} came after {last}");
        last = version;
    }
    dev.type_line("and now");
    dev.until("reply: 50 1001");
}

#[test]
fn a_component_of_wasi_0_3_is_built_and_tested_where_the_manifest_turns_it_on() {
    let dir = test_dir();
    let wasm = skep_harness::guest("concurrent");
    let manifest = |switch: &str| {
        let text = format!(
            "name = \"late\"\nlang = \"rust\"\nkind = \"command\"\n{switch}\n[build]\n\
             command = [\"cp\", {wasm:?}, \"late.wasm\"]\nartifact = \"late.wasm\"\n"
        );
        std::fs::write(dir.join("skep-worker.toml"), text).unwrap();
    };
    std::fs::create_dir(dir.join("tests")).unwrap();
    let turns = r#"{"turns": [{"args": ["hello"], "expect": {"body": "hello from WASI 0.3\n"}}]}"#;
    std::fs::write(dir.join("tests/hello.json"), turns).unwrap();
    manifest("");
    let ran = rust_command().args(["build", "--project"]).arg(&*dir).output().unwrap();
    assert_eq!(ran.status.code(), Some(126));
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.contains("set `wasi_0_3 = true` in the manifest"), "{said}");
    manifest("wasi_0_3 = true");
    succeed(rust_command().args(["build", "--project"]).arg(&*dir));
    succeed(rust_command().args(["test", "--no-unit", "--project"]).arg(&*dir));
}
