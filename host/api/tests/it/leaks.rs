//! No response, stream or log line contains the path of the store, the address of a remote, or a
//! token.

use std::cell::Cell;
use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use skep_conformance::Guest;
use skep_protocol::Error;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry;

use crate::bed::{Bed, ENDPOINT_MARK, FILE_MARK, ROOT_MARK};
use crate::client::Said;
use crate::events::Reader;

thread_local! {
    /// True on the thread whose log lines are kept.
    static HEARD: Cell<bool> = const { Cell::new(false) };
}

/// A buffer of all log lines.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Returns every path of the document, with ids of existing and of missing things filled in.
fn paths(runtimes: &[&str], worker: &str, digest: &str) -> Vec<(String, String)> {
    let document: serde_json::Value = serde_json::from_str(&skep_api::openapi()).unwrap();
    let id = worker.rsplit('/').next().unwrap();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, _) in methods.as_object().unwrap() {
            let streams = path.ends_with("/events") || path.ends_with("/changes");
            // Too many failed logins would throttle the rest of the test.
            if streams || path == "/api/login" {
                continue;
            }
            for runtime in runtimes {
                let path = path.replace("{runtime_id}", runtime).replace("{host_id}", "fake-host");
                let path = path.replace("{worker_id}", id).replace("{digest}", digest);
                let path = path.replace("{input_id}", id).replace("{name}", "a/b");
                let path = path.replace("{token_id}", "0").replace("{session_id}", "0");
                let path = path.replace("{run_id}", crate::ci::RUN).replace("{path}", "a");
                let path = match path.rsplit_once('/').map(|(_, last)| last) {
                    Some("log" | "explanation") => format!("{path}?step={}", crate::ci::STEP),
                    Some("output") => format!("{path}?step={}&path=a", crate::ci::STEP),
                    _ => path,
                };
                all.push((method.to_uppercase(), path));
            }
        }
    }
    // Deletions come last.
    all.sort_by_key(|(method, _)| method == "DELETE");
    all.dedup();
    all
}

#[tokio::test]
async fn no_response_and_no_log_line_leaks_a_location() {
    let log = Log::default();
    // A global subscriber, because a thread-local one misses call sites that other tests registered
    // before; the filter keeps only this test's thread.
    let here = dynamic_filter_fn(|_, _| HEARD.get());
    let layer = layer().with_ansi(false).with_writer(log.clone()).with_filter(here);
    tracing::subscriber::set_global_default(registry().with(layer)).unwrap();
    HEARD.set(true);
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Scribe).await;
    let digest = bed.push(Guest::Scribe).await;
    bed.handle(&worker, "emit tick 1").await;
    let session = bed.registry.access().login_code().unwrap();
    let code = session.expose().to_owned();
    let login = bed.ask("POST", "/api/login").json(&json!({ "code": code })).send().await.is(200);
    let session = login.header("set-cookie").split([';', '=']).nth(1).unwrap().to_owned();
    let marks =
        [ROOT_MARK, ENDPOINT_MARK, FILE_MARK, &bed.admin, &code, &session, &home_directory()];
    let check = |what: &str, text: &str| {
        for mark in marks {
            assert!(!text.contains(mark), "{what} says {mark}: {text}");
        }
    };
    let said = |what: &str, said: &Said| {
        check(what, &format!("{:?} {}", said.headers, String::from_utf8_lossy(&said.body)));
    };

    for path in ["/api/events", "/api/runtimes/home/changes"] {
        let mut reader = Reader::open(&bed, path, &bed.admin, "").await;
        check(path, &format!("{:?}", reader.next().await));
    }
    let mut errors = vec![None];
    errors.extend(Error::every().into_iter().map(Some));
    for error in errors.into_iter().rev() {
        bed.home.fail(error.clone());
        bed.far.fail(error.clone());
        let all: &[_] = &["home", "far", "none", "local"];
        let runtimes = if error.is_none() { all } else { &all[..1] };
        for (method, path) in paths(runtimes, &worker, &digest) {
            let what = format!("{method} {path} after {error:?}");
            said(&what, &bed.admin(&method, &path).json(&json!({})).send().await);
        }
        said("nobody", &bed.ask("GET", &worker).send().await);
        said("a wrong host", &bed.ask("GET", &worker).header("host", "x").send().await);
    }
    HEARD.set(false);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("runtime_id=home"), "the log contains ids");
    for line in log.lines() {
        // The remote's address is for the operator to see.
        let tokens = [&bed.admin, &code, &session];
        assert!(!tokens.into_iter().any(|token| line.contains(token.as_str())), "{line}");
    }
}

/// Returns the home directory, which every path below it contains; a dummy if there is none.
fn home_directory() -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    if home.len() > 1 { home } else { "no home directory".into() }
}
