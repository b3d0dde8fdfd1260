//! Instances of WASI 0.3 that handle several requests at once.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use skep_harness::{guest, shared_cache};

use super::Serving;
use super::client::{Answer, connect, get, over, read_head, request};
use super::workers::{Bed, create};
use crate::hosting::Hosted;
use crate::served::{Served, Serves, prepared};

const CONCURRENT: [&str; 3] = ["--wasi-0.3", "--instances", "concurrent"];

fn serve(flags: &[&str]) -> Serving {
    Serving::of(&guest("concurrent_web"), &[&CONCURRENT, flags].concat(), &[])
}

/// Sends a request, and leaves its answer unread.
fn send(serving: &Serving, target: &str) -> TcpStream {
    let mut stream = connect(&serving.url);
    stream.write_all(request(&serving.url, "GET", target, &[], 0).as_bytes()).unwrap();
    stream
}

/// Sends a request, and lets the guest begin with it.
fn begin(serving: &Serving, target: &str) -> TcpStream {
    let stream = send(serving, target);
    settle();
    stream
}

/// Lets the guest wait: while it computes, a request gets another instance. On a busy machine that
/// may be long after its answer has come.
fn settle() {
    std::thread::sleep(Duration::from_secs(1));
}

fn finish(mut stream: TcpStream) -> Answer {
    over(&mut stream, b"").expect("there is an answer")
}

/// Reads lines until one is about a request for this target.
fn line_about(serving: &mut Serving, target: &str) -> Value {
    loop {
        let line = serving.line();
        if line["target"] == target {
            return line;
        }
    }
}

fn number(answer: &Answer) -> u32 {
    answer.text().trim().parse().unwrap()
}

#[test]
fn two_requests_meet_in_one_instance() {
    let serving = serve(&["--timeout", "20s"]);
    let first = begin(&serving, "/meet");
    assert_eq!(get(&serving.url, "/meet").is(200).text(), "met\n");
    assert_eq!(finish(first).is(200).text(), "met\n");
}

#[test]
fn requests_meet_in_no_other_kind_of_instance() {
    for instances in ["fresh", "serial"] {
        let flags = ["--wasi-0.3", "--instances", instances, "--timeout", "600ms"];
        let serving = Serving::of(&guest("concurrent_web"), &flags, &[]);
        let first = begin(&serving, "/meet");
        get(&serving.url, "/meet").is(504);
        finish(first).is(504);
    }
}

#[test]
fn an_instance_is_replaced_after_its_last_request_or_when_it_has_grown() {
    let counts = |flags: &[&str], target: &str| {
        let serving = serve(flags);
        let counts: Vec<u32> = (0..12).map(|_| number(&get(&serving.url, target))).collect();
        counts
    };
    assert_eq!(counts(&["--reuse", "1"], "/count"), [1; 12]);
    let serving = serve(&["--reuse", "1000000"]);
    for expected in 1..5 {
        // Between two requests the instance is put aside. One that comes before has one of its own.
        assert_eq!(number(&get(&serving.url, "/count")), expected);
        settle();
    }
    let few = counts(&["--reuse", "4"], "/count");
    assert!(few.iter().all(|count| *count <= 4), "{few:?}");
    let grown = counts(&["--reuse", "1000000"], "/grow");
    assert!(grown.iter().all(|count| *count <= 2), "{grown:?}");
}

#[test]
fn one_client_that_leaves_ends_its_own_request_alone() {
    let mut serving = serve(&["--timeout", "20s"]);
    let stays = begin(&serving, "/meet");
    drop(begin(&serving, "/sleep"));
    let line = line_about(&mut serving, "/sleep");
    assert_eq!(line["end"], "client left");
    // The task that sleeps stays in the instance, which goes on.
    settle();
    assert_eq!(get(&serving.url, "/meet").is(200).text(), "met\n");
    assert_eq!(finish(stays).is(200).text(), "met\n");
}

#[test]
fn an_instance_takes_no_more_requests_after_many_were_given_up() {
    let serving = serve(&["--timeout", "4s", "--reuse", "1000000"]);
    let stays = begin(&serving, "/meet");
    for _ in 0..24 {
        let leaves = send(&serving, "/sleep");
        std::thread::sleep(Duration::from_millis(20));
        drop(leaves);
    }
    // It would meet the first in the same instance.
    get(&serving.url, "/meet").is(504);
    finish(stays).is(504);
}

#[test]
fn a_guest_that_spins_for_a_client_that_left_is_ended() {
    for target in ["/spin", "/block"] {
        let mut serving = serve(&["--timeout", "30s"]);
        let other = begin(&serving, "/sleep");
        let spinning = begin(&serving, target);
        let began = Instant::now();
        drop(spinning);
        assert_eq!(finish(other).is(502).json()["reason"], "instance", "{target}");
        assert_eq!(line_about(&mut serving, target)["end"], "client left");
        assert!(began.elapsed() < Duration::from_secs(5), "{target}: {:?}", began.elapsed());
        get(&serving.url, "/").is(200);
    }
}

#[test]
fn a_task_that_spins_after_its_answer_ends_with_its_instance() {
    let mut serving = serve(&["--timeout", "30s"]);
    let other = begin(&serving, "/sleep");
    assert_eq!(get(&serving.url, "/spin-afterwards").is(200).text(), "done\n");
    assert_eq!(finish(other).is(502).json()["reason"], "instance");
    assert_eq!(line_about(&mut serving, "/sleep")["end"], "instance");
    get(&serving.url, "/").is(200);
}

#[test]
fn a_deadline_ends_a_guest_that_spins_and_answers_its_own_client_with_504() {
    let serving = serve(&["--timeout", "700ms"]);
    let spinning = begin(&serving, "/spin");
    // It comes later, and its own deadline has not passed.
    let answer = get(&serving.url, "/").is(200);
    assert_eq!(answer.text(), "hello from WASI 0.3\n");
    assert_eq!(finish(spinning).is(504).json()["reason"], "deadline");
    assert_eq!(get(&serving.url, "/sleep").is(504).json()["reason"], "deadline");
}

#[test]
fn a_trap_ends_the_requests_of_its_instance_and_no_others() {
    let serving = serve(&["--timeout", "20s"]);
    let mut streamed = send(&serving, "/ticks");
    read_head(&mut streamed).unwrap();
    let other = begin(&serving, "/sleep");
    get(&serving.url, "/trap").is(502);
    assert_eq!(finish(other).is(502).json()["reason"], "trap");
    get(&serving.url, "/").is(200);
}

#[test]
fn a_request_that_computes_after_its_head_is_ended_by_its_own_budget() {
    let mut serving = serve(&["--limit", "http_cpu_ms=200", "--timeout", "20s"]);
    let other = begin(&serving, "/sleep");
    let mut burning = send(&serving, "/burn");
    read_head(&mut burning).unwrap();
    let _ = std::io::Read::read_to_end(&mut burning, &mut Vec::new());
    let line = line_about(&mut serving, "/burn");
    assert_eq!((&line["end"], &line["limit"]), (&"reset: limit".into(), &"http_cpu_ms".into()));
    assert_eq!(finish(other).is(502).json()["reason"], "instance");
    get(&serving.url, "/").is(200);
}

#[test]
fn an_error_of_one_request_leaves_the_others_alone() {
    let serving = serve(&["--timeout", "20s"]);
    let first = begin(&serving, "/meet");
    get(&serving.url, "/error").is(502);
    settle();
    assert_eq!(get(&serving.url, "/meet").is(200).text(), "met\n");
    assert_eq!(finish(first).is(200).text(), "met\n");
}

#[test]
fn many_requests_at_once_are_all_answered() {
    let serving = serve(&["--limit", "http_queue=1000"]);
    std::thread::scope(|threads| {
        for _ in 0..16 {
            threads.spawn(|| {
                for _ in 0..25 {
                    let hello = get(&serving.url, "/").is(200);
                    assert!(hello.is_whole && hello.text() == "hello from WASI 0.3\n");
                }
            });
        }
    });
    let large = get(&serving.url, "/large").is(200);
    assert!(large.is_whole && large.body.len() == 4 << 20);
}

#[test]
fn a_component_that_handles_one_request_at_a_time_is_refused() {
    for component in ["responder", "website"] {
        let refused = Command::new(skep_harness::skep())
            .args(["serve", "--addr", "127.0.0.1:0"])
            .args(CONCURRENT)
            .arg(guest(component))
            .env("XDG_CACHE_HOME", shared_cache())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(126), "{said}");
        assert!(said.contains("wasi:http/handler@0.3"), "{said}");
    }
}

/// A host where WASI 0.3 is on.
fn hosted() -> Hosted {
    let dir = prepared();
    dir.file("skep.toml", "[runtime]\nwasi_0_3 = true\nstop_grace_ms = 300\n");
    Hosted { host: Served::start(Serves::Up, &dir), dir }
}

#[test]
fn a_worker_is_refused_what_its_component_cannot_do() {
    let hosted = hosted();
    let component = guest("responder");
    let create = ["worker", "create", component.to_str().unwrap(), "--output", "json"];
    let refused = hosted.skep(&[&create[..], &["--instances", "concurrent"]].concat());
    assert_eq!(refused.code, 126, "{}{}", refused.out, refused.err);
    let problem: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(problem["error"]["code"], "component_refused", "{problem}");
    let worker = hosted.good(&create).text("worker_id");
    let refused = hosted.skep(&["worker", "update", &worker, "--instances", "concurrent"]);
    assert_eq!(refused.code, 126, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("wasi:http/handler@0.3"), "{}", refused.err);
}

#[test]
fn a_worker_with_shared_instances_answers_and_logs() {
    let hosted = hosted();
    let flags = ["--instances", "concurrent", "--limit", "turn_deadline_ms=20000"];
    let worker = create(&hosted, "concurrent_web", &flags);
    let bed = Bed { hosted, worker };
    std::thread::scope(|threads| {
        let first = threads.spawn(|| bed.get("/meet"));
        settle();
        bed.get("/print").is(200);
        settle();
        assert_eq!(bed.get("/meet").is(200).text(), "met\n");
        assert_eq!(first.join().unwrap().is(200).text(), "met\n");
    });
    let log = bed.entry("log");
    assert_eq!(log["body"], "printed", "{log}");
    let usage = bed.hosted.good(&["worker", "usage", &bed.worker, "--output", "json"]).json();
    assert_eq!(usage["turns"], 3, "{usage}");
    // Rolled back to a component that cannot, it is not made serial.
    let before = create(&bed.hosted, "responder", &[]);
    let component = guest("concurrent_web");
    let component = component.to_str().unwrap();
    let words = ["worker", "update", &before, "--component", component];
    bed.hosted.good(&[&words[..], &["--instances", "concurrent"]].concat());
    bed.hosted.good(&["worker", "rollback", &before]);
    let bed = Bed { hosted: bed.hosted, worker: before };
    assert_eq!(bed.get("/hello").is(422).json()["code"], "component_refused");
}
