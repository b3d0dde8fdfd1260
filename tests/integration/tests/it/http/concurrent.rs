//! `skep serve` with a handler of WASI 0.3.

use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use skep_harness::{Server, guest, shared_cache};

use super::Serving;
use super::client::{connect, get, raw, read_head, request, with};

fn serve(flags: &[&str]) -> Serving {
    Serving::of(&guest("concurrent_web"), &[&["--wasi-0.3"], flags].concat(), &[])
}

#[test]
fn a_handler_is_refused_while_wasi_0_3_is_off() {
    let refused = Command::new(skep_harness::skep())
        .args(["serve", "--addr", "127.0.0.1:0"])
        .arg(guest("concurrent_web"))
        .env("XDG_CACHE_HOME", shared_cache())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(126), "{said}");
    assert!(said.contains("it needs WASI 0.3") && said.contains("--wasi-0.3"), "{said}");
}

#[test]
fn answers_are_streamed_and_whole() {
    let serving = serve(&[]);
    let hello = get(&serving.url, "/").is(200);
    assert_eq!(hello.header("content-type"), Some("text/plain"));
    assert_eq!(hello.text(), "hello from WASI 0.3\n");
    let large = get(&serving.url, "/large").is(200);
    assert!(large.is_whole && large.body.len() == 4 << 20, "{} bytes", large.body.len());
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 + n / 251) as u8).collect();
    let echoed = with(&serving.url, "POST", "/echo", &[], &body).is(200);
    assert!(echoed.is_whole && echoed.body == body, "{} bytes", echoed.body.len());
    let sent = [("x-one", "1"), ("authorization", "secret")];
    let head = with(&serving.url, "GET", "/head", &sent, b"").is(200).text();
    assert!(head.contains("x-one") && !head.contains("connection"), "{head}");
}

#[test]
fn chunks_leave_as_they_are_written() {
    let serving = serve(&[]);
    let mut stream = connect(&serving.url);
    stream.write_all(request(&serving.url, "GET", "/ticks", &[], 0).as_bytes()).unwrap();
    let began = Instant::now();
    read_head(&mut stream).unwrap();
    assert!(began.elapsed() < Duration::from_millis(140), "{:?}", began.elapsed());
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
}

#[test]
fn an_answer_with_a_length_is_answered_when_it_is_sent() {
    let mut serving = serve(&[]);
    let exact = get(&serving.url, "/exact").is(200);
    assert_eq!((exact.text().as_str(), exact.header("content-length")), ("one\ntwo\n", Some("8")));
    let line = serving.line();
    assert_eq!((&line["bytes_out"], &line["end"]), (&8.into(), &"answered".into()), "{line}");
}

#[test]
fn failures_are_problems_and_cut_answers_look_cut() {
    let serving = serve(&["--timeout", "700ms"]);
    for (target, status, reason) in [
        ("/trap", 502, "trap"),
        ("/error", 502, "guest_error"),
        ("/spin", 504, "deadline"),
        ("/sleep", 504, "deadline"),
    ] {
        let answer = get(&serving.url, target).is(status);
        assert_eq!(answer.json()["reason"], reason, "{target}");
        assert!(!answer.text().contains("as asked"), "{target}");
    }
    let cut = request(&serving.url, "GET", "/cut", &[], 0);
    if let Some(cut) = raw(&serving.url, cut.as_bytes()) {
        assert!(!cut.is_whole, "{cut:?}");
    }
    get(&serving.url, "/").is(200);
}

#[test]
fn a_guest_of_wasi_0_3_whose_client_left_ends() {
    let mut serving = serve(&[]);
    for target in ["/spin", "/sleep", "/ticks"] {
        let mut stream = connect(&serving.url);
        stream.write_all(request(&serving.url, "GET", target, &[], 0).as_bytes()).unwrap();
        if target == "/ticks" {
            read_head(&mut stream).unwrap();
        } else {
            std::thread::sleep(Duration::from_millis(200));
        }
        drop(stream);
        let line = serving.line();
        assert_eq!((&line["target"], &line["end"]), (&target.into(), &"client left".into()));
    }
    get(&serving.url, "/").is(200);
}

#[test]
fn an_instance_is_used_again_unless_it_left_a_task() {
    let count = |serving: &Serving, target: &str| get(&serving.url, target).is(200).text();
    let fresh = serve(&[]);
    assert_eq!((count(&fresh, "/count"), count(&fresh, "/count")), ("1\n".into(), "1\n".into()));
    let serial =
        serve(&["--instances", "serial", "--reuse", "1000000", "--limit", "http_at_once=1"]);
    assert_eq!((count(&serial, "/count"), count(&serial, "/count")), ("1\n".into(), "2\n".into()));
    assert_eq!(count(&serial, "/leave"), "3\n");
    assert_eq!(count(&serial, "/count"), "1\n", "its task would run with the next request");
}

#[test]
fn requests_of_wasi_0_3_take_the_one_way_out() {
    let server = Server::start();
    let authority = format!("127.0.0.1:{}", server.port());
    let target = format!("/fetch/{authority}");
    let mut serving = serve(&[]);
    let refused = get(&serving.url, &target).is(200);
    assert_eq!(refused.text(), "refused: ErrorCode::HttpRequestDenied\n");
    let line = serving.line();
    assert!(line["denials"].to_string().contains("wasi:http/client"), "{line}");
    let grant = format!("http://{authority} inner");
    let serving = serve(&["--allow-http", &grant]);
    let fetched = get(&serving.url, &target).is(200);
    assert!(!fetched.text().contains("refused") && server.heads().len() == 1, "{fetched:?}");
}
