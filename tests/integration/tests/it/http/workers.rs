//! HTTP workers on a host and on a remote runtime: the API's path, its headers, versions, stops,
//! entries and usage.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;
use skep_harness::guest;

use super::client::{Answer, connect, read_head, request, with};
use crate::hosting::{Hosted, skep};
use crate::served::{Served, Serves, prepared};

/// A host with an HTTP worker.
pub(super) struct Bed {
    pub(super) hosted: Hosted,
    pub(super) worker: String,
}

impl Bed {
    /// Creates a worker of the guest `responder` with these flags.
    pub(super) fn start(flags: &[&str]) -> Self {
        Self::of("responder", flags)
    }

    /// Creates a worker of a guest with these flags.
    pub(super) fn of(guest: &str, flags: &[&str]) -> Self {
        let hosted = Hosted::start();
        let worker = create(&hosted, guest, flags);
        Self { hosted, worker }
    }

    pub(super) fn url(&self) -> &str {
        &self.hosted.host.url
    }

    /// Returns the path of a target of the worker.
    pub(super) fn path(&self, target: &str) -> String {
        let runtime = &self.hosted.host.runtime_id;
        format!("/api/runtimes/{runtime}/workers/{}/http{target}", self.worker)
    }

    pub(super) fn with(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let token = format!("Bearer {}", self.hosted.host.token);
        let headers = [headers, &[("authorization", &token)]].concat();
        with(self.url(), method, &self.path(target), &headers, body)
    }

    pub(super) fn get(&self, target: &str) -> Answer {
        self.with("GET", target, &[], b"")
    }

    /// Waits for the first entry of a kind.
    pub(super) fn entry(&self, kind: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(first) = self.entries(kind).into_iter().next() {
                return first;
            }
            assert!(Instant::now() < until, "there is no entry of kind {kind}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn entries(&self, kind: &str) -> Vec<Value> {
        let token = format!("Bearer {}", self.hosted.host.token);
        let runtime = &self.hosted.host.runtime_id;
        let path = format!(
            "/api/runtimes/{runtime}/workers/{}/transcript?kind={kind}&limit=1000",
            self.worker
        );
        let answer = with(self.url(), "GET", &path, &[("authorization", &token)], b"").is(200);
        answer.json()["items"].as_array().unwrap().clone()
    }
}

pub(super) fn create(hosted: &Hosted, guest: &str, flags: &[&str]) -> String {
    let component = skep_harness::guest(guest);
    let words = ["worker", "create", component.to_str().unwrap(), "--output", "json"];
    hosted.good(&[&words[..], flags].concat()).text("worker_id")
}

#[test]
fn the_api_passes_requests_on_without_its_own_credentials() {
    let bed = Bed::start(&["--name", "web", "--config", "step=7"]);
    let sent = [
        ("cookie", "a=b; skep_session=secret; c=d"),
        ("skep-from", "worker"),
        ("forwarded", "for=6.6.6.6"),
        ("x-mine", "kept"),
    ];
    let seen = bed.with("GET", "/headers", &sent, b"").is(200).text();
    assert_eq!(seen, "cookie: a=b; c=d\nforwarded: for=127.0.0.1;proto=http\nx-mine: kept\n");
    let target = bed.get("/target?q=%20/a").is(200).text();
    assert!(target.contains(r#"Some("/target?q=%20/a")"#), "{target}");
    assert_eq!(bed.get("").is(200).text(), "hello\n");
    assert_eq!(bed.get("?next=/status/500").is(200).text(), "hello\n");
    assert_eq!(bed.get("/config/step").text(), "7");
    let body: Vec<u8> = (0..2_000_000u32).map(|n| (n % 251) as u8).collect();
    let echoed = bed.with("POST", "/echo", &[], &body).is(200);
    assert!(echoed.is_whole && echoed.body == body);
    bed.get("/status/404").is(404);
    assert_eq!(bed.get("/trap").is(502).json()["reason"], "trap");

    for (headers, status) in [
        (&[][..], 401),
        (&[("authorization", "Bearer skep_000000000000_x")], 401),
        (&[("cookie", "skep_session=x")], 401),
    ] {
        with(bed.url(), "GET", &bed.path("/hello"), headers, b"").is(status);
    }
    let viewer = bed.hosted.good(&["token", "create", "--role", "viewer"]).out;
    let viewer = format!("Bearer {}", viewer.trim());
    with(bed.url(), "GET", &bed.path("/hello"), &[("authorization", &viewer)], b"").is(403);
}

#[test]
fn a_workers_answer_cannot_act_on_the_consoles_origin() {
    let bed = Bed::start(&[]);
    for (name, value) in [
        ("set-cookie", "skep_session=mine"),
        ("clear-site-data", "*"),
        ("strict-transport-security", "max-age=9"),
        ("www-authenticate", "Basic"),
        ("service-worker-allowed", "x"),
        ("skep-from", "worker"),
        ("alt-svc", "h2=evil"),
        ("nel", "x"),
    ] {
        let answer = bed.get(&format!("/set/{name}/{value}")).is(200);
        assert_eq!(answer.header(name), None, "{name}");
    }
    let answer = bed.get("/set/content-security-policy/none").is(200);
    assert_eq!(answer.header("content-security-policy"), Some("sandbox"));
    let kept = bed.get("/set/x-mine/a").is(200);
    assert_eq!(kept.header("x-mine"), Some("a"));
    for header in [("service-worker", "script"), ("sec-fetch-dest", "script")] {
        bed.with("GET", "/hello", &[header], b"").is(403);
    }
    bed.with("GET", "/hello", &[("upgrade", "websocket")], b"").is(501);
    bed.with("GET", "/hello", &[("upgrade", "h2c")], b"").is(200);
}

#[test]
fn a_remote_worker_answers_like_one_of_the_host() {
    let hosted = Hosted::start();
    let dir = prepared();
    let remote = Served::start_with(Serves::Runtime, &dir, &["--id", "attic"]);
    let token = skep(&dir, &["token", "create", "--role", "admin"]).out;
    std::fs::write(hosted.dir.join("attic.token"), token.trim()).unwrap();
    hosted.good(&["remote", "add", "attic", &remote.url, "--token-file", "attic.token"]);
    let component = guest("responder");
    let words =
        ["worker", "create", component.to_str().unwrap(), "--output", "json", "--runtime", "attic"];
    let until = Instant::now() + Duration::from_secs(60);
    let made = loop {
        let made = hosted.skep(&words);
        if made.code == 0 {
            break made;
        }
        assert!(Instant::now() < until, "{}{}", made.out, made.err);
        std::thread::sleep(Duration::from_millis(50));
    };
    let worker = made.text("worker_id");
    let bearer = format!("Bearer {}", hosted.host.token);
    let ask = |method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]| {
        let path = format!("/api/runtimes/attic/workers/{worker}/http{target}");
        let headers = [headers, &[("authorization", &bearer)]].concat();
        with(&hosted.host.url, method, &path, &headers, body)
    };
    assert_eq!(ask("GET", "/hello", &[], b"").is(200).text(), "hello\n");
    let seen = ask("GET", "/headers", &[("x-mine", "1"), ("skep-target", "/trap")], b"").is(200);
    assert_eq!(seen.text(), "forwarded: for=127.0.0.1;proto=http\nx-mine: 1\n");
    let target = ask("GET", "/target/../%2e%2e/a?q=1", &[], b"").is(200).text();
    let host = hosted.host.url.strip_prefix("http://").unwrap();
    assert!(target.contains(r#"Some("/target/../%2e%2e/a?q=1")"#), "{target}");
    assert!(target.contains(host), "the client's own host: {target}");
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let echoed = ask("POST", "/echo", &[], &body).is(200);
    assert!(echoed.is_whole && echoed.body == body);
    ask("GET", "/status/418", &[], b"").is(418);
    assert_eq!(ask("GET", "/trap", &[], b"").is(502).json()["reason"], "trap");
    let denied = ask("GET", "/denied", &[], b"").is(502);
    assert_eq!(denied.header("proxy-status"), Some("skep; error=http_request_denied"));
    assert!(!ask("GET", "/trap-after-head", &[], b"").is_whole);
    let answer = ask("GET", "/set/content-security-policy/none", &[], b"").is(200);
    assert_eq!(answer.header("content-security-policy"), Some("sandbox"));
    // A client that leaves ends the guest two hosts away, which frees its place.
    for _ in 0..40 {
        let path = format!("/api/runtimes/attic/workers/{worker}/http/stall");
        let head = request(&hosted.host.url, "GET", &path, &[("authorization", &bearer)], 0);
        let mut stream = connect(&hosted.host.url);
        stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(read_head(&mut stream).unwrap().0.status, 200);
    }
    assert_eq!(ask("GET", "/hello", &[], b"").is(200).text(), "hello\n");
}

#[test]
fn an_update_counts_from_the_next_request_and_a_stop_ends_those_in_flight() {
    let bed = Bed::start(&["--instances", "serial", "--config", "step=1"]);
    assert_eq!(bed.get("/config/step").text(), "1");
    let token = format!("Bearer {}", bed.hosted.host.token);
    let head = request(bed.url(), "GET", &bed.path("/events/100"), &[("authorization", &token)], 0);
    let mut before = connect(bed.url());
    before.write_all(head.as_bytes()).unwrap();
    read_head(&mut before).unwrap();
    bed.hosted.good(&["worker", "update", &bed.worker, "--config", "step=2"]);
    assert_eq!(bed.get("/config/step").text(), "2");
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut before, &mut rest).unwrap();
    assert!(rest.contains("data: 99"), "a request in flight goes on: {rest}");

    let head = request(bed.url(), "GET", &bed.path("/stall"), &[("authorization", &token)], 0);
    let mut stalled = connect(bed.url());
    stalled.write_all(head.as_bytes()).unwrap();
    read_head(&mut stalled).unwrap();
    bed.hosted.good(&["worker", "stop", &bed.worker]);
    let mut rest = Vec::new();
    // The connection ends, with an error or without.
    let _ = std::io::Read::read_to_end(&mut stalled, &mut rest);
    assert_eq!(bed.get("/hello").is(503).json()["reason"], "stopped");
    bed.hosted.good(&["worker", "start", &bed.worker]);
    bed.get("/hello").is(200);
    bed.hosted.good(&["worker", "rm", &bed.worker]);
    bed.get("/hello").is(410);
}

#[test]
fn the_transcript_has_output_failures_and_no_entry_for_each_request() {
    let bed = Bed::start(&[]);
    for _ in 0..5 {
        bed.get("/hello").is(200);
    }
    bed.get("/print/words").is(200);
    bed.get("/trap").is(502);
    bed.entry("access");
    let access = bed.entries("access");
    assert_eq!(access.len(), 1, "{access:?}");
    assert_eq!(access[0]["label"], "trap");
    let logs = bed.hosted.good(&["worker", "logs", &bed.worker]);
    assert!(logs.out.contains("out words"), "{}", logs.out);
    assert!(logs.err.contains("err words") && logs.err.contains("as you wish"), "{}", logs.err);
    let usage = bed.hosted.good(&["worker", "usage", &bed.worker, "--output", "json"]).json();
    assert_eq!(usage["turns"], 7, "{usage}");
}

#[test]
fn answered_requests_have_entries_where_the_spec_asks_for_them() {
    for (entries, expected) in [("all", 4), ("every=3", 2), ("failures", 0)] {
        let bed = Bed::start(&["--entries", entries]);
        for _ in 0..4 {
            bed.get("/hello?secret").is(200);
        }
        bed.get("/trap").is(502);
        bed.entry("access");
        // The entry of the failure is the last that is written.
        let of = |label: &str| {
            let all = bed.entries("access");
            all.into_iter().filter(|entry| entry["label"] == label).collect::<Vec<_>>()
        };
        let until = Instant::now() + Duration::from_secs(60);
        while of("trap").is_empty() {
            assert!(Instant::now() < until, "there is no entry of the trap");
            std::thread::sleep(Duration::from_millis(20));
        }
        let answered = of("answered");
        assert_eq!(answered.len(), expected, "{entries}: {answered:?}");
        for entry in answered {
            let record: Value = serde_json::from_str(entry["body"].as_str().unwrap()).unwrap();
            assert_eq!((&record["target"], &record["status"]), (&"/hello".into(), &200.into()));
            assert_eq!((&record["sent_bytes"], &record["others"]), (&6.into(), &0.into()));
        }
    }
    let bed = Bed::start(&["--entries", "all"]);
    bed.hosted.good(&["worker", "update", &bed.worker, "--entries", "every=7"]);
    let shown = bed.hosted.good(&["worker", "show", &bed.worker, "--output", "json"]).json();
    assert_eq!(shown["http"]["entries"]["every"], 7, "{shown}");
}

#[test]
fn a_worker_of_another_kind_takes_no_requests() {
    let hosted = Hosted::start();
    let component = guest("counter");
    let words = ["worker", "create", component.to_str().unwrap(), "--output", "json"];
    let worker = hosted.good(&words).text("worker_id");
    let path = format!("/api/runtimes/{}/workers/{worker}/http/", hosted.host.runtime_id);
    let bearer = format!("Bearer {}", hosted.host.token);
    with(&hosted.host.url, "GET", &path, &[("authorization", &bearer)], b"").is(501);
    // And an HTTP worker takes no inputs.
    let worker = create(&hosted, "responder", &[]);
    let said = hosted.skep(&["worker", "send", &worker, "x"]);
    assert_ne!(said.code, 0, "{}{}", said.out, said.err);
}
