//! The state of HTTP workers: one transaction a request, durable before the answer's head.

use rustix::process::Signal;
use skep_harness::guest;

use super::client::{get, raw, request, with};
use super::workers::Bed;
use crate::hosting::Hosted;
use crate::served::{Served, Serves};

/// The flags of a worker whose requests may write its state.
const WRITES: [&str; 4] = ["--instances", "serial", "--limit", "http_at_once=1"];

#[test]
fn requests_at_once_lose_no_change() {
    let bed = Bed::start(&[&WRITES[..], &["--limit", "http_queue=1000"]].concat());
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                for _ in 0..25 {
                    bed.get("/add/n").is(200);
                }
            });
        }
    });
    assert_eq!(bed.get("/get/n").text(), "200");
}

#[test]
fn a_request_without_an_answer_changes_nothing() {
    let bed = Bed::start(&WRITES);
    assert_eq!(bed.get("/add/n").text(), "1\n");
    bed.get("/add-and-trap/n").is(502);
    assert_eq!(bed.get("/get/n").text(), "1");
    let late = bed.get("/add-after-head/n").is(200);
    assert!(late.text().contains("until the answer begins"), "{}", late.text());
    assert_eq!(bed.get("/get/n").text(), "1");
    // What the state shows elsewhere is the same.
    let shown = bed.hosted.good(&["worker", "state", &bed.worker, "--output", "json"]).json();
    assert_eq!(shown["items"].as_array().unwrap().len(), 1, "{shown}");
}

#[test]
fn requests_of_other_workers_cannot_write_and_are_told_how_they_could() {
    for flags in [&[][..], &["--instances", "serial"]] {
        let bed = Bed::start(flags);
        let refused = bed.get("/add/n").is(500).text();
        assert!(refused.contains("http_at_once") && refused.contains("serial"), "{refused}");
        assert_eq!(bed.get("/get/n").is(200).text(), "");
    }
}

/// An answered request's change is there after a power cut; an unanswered one's is whole or absent.
#[test]
fn an_answered_change_survives_a_kill() {
    let mut hosted = Hosted::start();
    let component = guest("responder");
    let words = ["worker", "create", component.to_str().unwrap(), "--output", "json"];
    let worker = hosted.good(&[&words[..], &WRITES].concat()).text("worker_id");
    let mut answered = 0;
    for round in 0..6 {
        let host = &hosted.host;
        let path = format!("/api/runtimes/{}/workers/{worker}/http", host.runtime_id);
        let bearer = format!("Bearer {}", host.token);
        let headers = [("authorization", &*bearer)];
        let now = with(&host.url, "GET", &format!("{path}/get/n"), &headers, b"").is(200).text();
        let now: u64 = now.parse().unwrap_or(0);
        assert!(now == answered || now == answered + 1, "round {round}: {now} for {answered}");
        answered = now;
        let head = request(&host.url, "GET", &format!("{path}/add/n"), &headers, 0);
        let before = answered;
        answered = std::thread::scope(|threads| {
            let asking = threads.spawn(|| {
                let mut last = before;
                while let Some(answer) = answer(&host.url, &head) {
                    last = answer;
                }
                last
            });
            std::thread::sleep(std::time::Duration::from_millis(400));
            host.signal(Signal::KILL);
            asking.join().unwrap()
        });
        hosted.host = Served::start(Serves::Up, &hosted.dir);
    }
    assert!(answered > 6, "{answered}");
}

/// Sends a request, and returns the number in its answer. None if the host is gone.
fn answer(url: &str, head: &str) -> Option<u64> {
    std::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).ok()?;
    let answer = std::panic::catch_unwind(|| raw(url, head.as_bytes())).ok()??;
    (answer.is_whole && answer.status == 200).then(|| answer.text().trim().parse().unwrap())
}

#[test]
fn a_served_component_has_no_state() {
    let serving = super::Serving::start(&["--instances", "serial", "--limit", "http_at_once=1"]);
    assert!(get(&serving.url, "/add/x").is(500).text().contains("keeps no state"));
}
