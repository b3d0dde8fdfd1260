//! HTTP workers of authors: one suite that those of all languages pass.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use skep_harness::root;
use skep_protocol::{Error, LimitName, NoAnswer};

use crate::artefact::{command, succeed};
use crate::worker::{Guest, Told, Worker};

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        suite! { @of rust "rust"; $($name),* }
        suite! { @of js "js"; $($name),* }
        suite! { @of python "python"; $($name),* }
    };
    (@of $module:ident $language:literal; $($name:ident),*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name($language).await;
                }
            )*
        }
    };
}

suite! {
    requests_and_answers_are_whole,
    failures_are_502_and_undo_the_state,
    answers_that_http_does_not_allow_are_502,
    instances_are_used_again_and_requests_wait,
}

/// Returns the guest `website` of a language, built once.
fn website(language: &'static str) -> Guest {
    static BUILDING: Mutex<()> = Mutex::new(());
    if language == "rust" {
        return Guest { component: skep_harness::guest("website"), app: None };
    }
    let name = format!("website-{language}");
    let project: PathBuf = root().join("target/authors").join(&name);
    let component = project.join("build").join(format!("{name}.wasm"));
    let _building = BUILDING.lock().unwrap();
    std::fs::create_dir_all(&project).unwrap();
    let from = root().join("tests/guests").join(&name).join(".");
    succeed(Command::new("cp").arg("-r").arg(from).arg(&project));
    let stamp = project.join(format!("built-{}", std::process::id()));
    if !stamp.exists() {
        succeed(command().arg("build").arg("--project").arg(&project));
        std::fs::write(stamp, "").unwrap();
    }
    Guest { component, app: None }
}

async fn start(language: &'static str) -> Worker {
    Worker::of_web(website(language), &[]).await
}

async fn requests_and_answers_are_whole(language: &'static str) {
    let worker = start(language).await;
    let hello = worker.get("/hello").await;
    assert_eq!((hello.status, hello.text().as_str()), (200, "hello\n"));
    assert_eq!(hello.header("content-type"), Some("text/plain; charset=utf-8"));
    let target = worker.ask_http("PATCH", "/target/a?q=1&r", &[], b"").await;
    assert_eq!(target.text(), "PATCH http a.example /target/a?q=1&r\n");
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let sent = [("content-type", "application/x-any")];
    let echoed = worker.ask_http("POST", "/echo", &sent, &body).await;
    assert_eq!(echoed.header("content-type"), Some("application/x-any"));
    assert!(echoed.body == body, "the bytes differ");
    let seen = worker.ask_http("GET", "/header-of/x-mine", &[("x-mine", "bücher")], b"").await;
    assert_eq!(seen.text(), "bücher");
    assert_eq!(worker.get("/query/name?a=b&name=Ada+%F0%9F%90%9D").await.text(), "Ada 🐝");
    assert_eq!(worker.get("/status/418").await.status, 418);
    assert_eq!(worker.get("/dance").await.status, 404);
    assert_eq!(worker.get("/config/colour").await.text(), "blue");
    let answer = worker.ask_http("PUT", "/header/x-own", &[], "ü".as_bytes()).await;
    assert_eq!(answer.header("x-own"), Some("ü"));
    worker.end().await;
}

async fn failures_are_502_and_undo_the_state(language: &'static str) {
    let worker = start(language).await;
    for number in ["1\n", "2\n"] {
        assert_eq!(worker.get("/add/n").await.text(), number);
    }
    let failed = worker.ask_http("GET", "/add-and-fail/n", &[], b"").await;
    assert!(matches!(failed.refused, Some(Error::NoAnswer(NoAnswer::GuestError(_)))), "{failed:?}");
    assert_eq!(worker.get("/get/n").await.text(), "2");
    assert_eq!(worker.access().await, "asked: after the change");
    worker.get("/emit/here").await;
    let thrown = worker.get("/throw/the-plates").await;
    assert_eq!(thrown.status, if language == "rust" { 404 } else { 502 }, "{thrown:?}");
    worker.end().await;
}

async fn answers_that_http_does_not_allow_are_502(language: &'static str) {
    let limits = [(LimitName::input_bytes, 1_000), (LimitName::output_bytes, 1_000)];
    let worker = Worker::of_web(website(language), &limits).await;
    for (target, body) in [
        ("/status/600", &b""[..]),
        ("/header/x-a", b"1\r\nset-cookie: a=b"),
        ("/header/connection", b"close"),
        ("/header/content-length", b"1"),
        ("/bytes/1001", b""),
    ] {
        let answer = worker.ask_http("POST", target, &[], body).await;
        assert_eq!(answer.status, 502, "{target}: {answer:?}");
    }
    assert_eq!(worker.get("/bytes/1000").await.body.len(), 1_000);
    assert_eq!(worker.ask_http("POST", "/echo", &[], &[b'x'; 1_001]).await.status, 413);
    worker.end().await;
}

async fn instances_are_used_again_and_requests_wait(language: &'static str) {
    let limits = [(LimitName::turn_deadline_ms, 2_000)];
    let worker = Worker::of_web(website(language), &limits).await;
    assert_eq!(worker.get("/count").await.text(), "1\n");
    assert_eq!(worker.get("/fail/x").await.status, 502);
    assert_eq!(worker.get("/count").await.text(), "3\n", "a failure keeps the instance");
    assert_eq!(worker.get("/sleep/20").await.text(), "awake\n");
    assert_eq!(worker.get("/spin").await.status, 504);
    assert_eq!(worker.get("/count").await.text(), "1\n");
    worker.end().await;
}

#[test]
fn a_new_project_builds_and_its_tests_pass() {
    for language in ["rust", "js", "python"] {
        let dir = skep_harness::test_dir();
        let project = dir.join("site");
        succeed(command().arg("new").arg(&project).args(["--lang", language, "--kind", "web"]));
        let rust = crate::artefact::rust_command;
        let (out, _) =
            succeed(rust().args(["build", "--output", "json", "--project"]).arg(&project));
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (&report["component"], &report["kind"]),
            (&"build/site.wasm".into(), &"http".into())
        );
        let (out, err) = succeed(rust().args(["test", "--project"]).arg(&project));
        let last = out.lines().last().unwrap();
        assert_eq!(last, "test result: ok. unit tests ok, 0 files passed; 0 failed", "{out}{err}");
        let (out, _) = succeed(command().args(["inspect"]).arg(project.join("build/site.wasm")));
        assert!(!out.contains("skep:worker/fetch"), "it sends no request: {out}");
    }
}

impl Told {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
