//! HTTP guests of `skep:worker/web`: in `skep serve` and as workers, with what is refused.

use std::time::{Duration, Instant};

use skep_harness::{Run, guest, test_dir};

use super::Serving;
use super::client::{connect, get, raw, with};
use super::workers::Bed;

/// Serves the guest `website` with these flags.
fn start(flags: &[&str]) -> Serving {
    Serving::of(&guest("website"), flags, &[])
}

#[test]
fn a_request_and_its_answer_are_whole() {
    let serving = start(&[]);
    let hello = get(&serving.url, "/hello").is(200);
    assert_eq!((hello.text().as_str(), hello.header("content-length")), ("hello\n", Some("6")));
    assert_eq!(hello.header("content-type"), Some("text/plain; charset=utf-8"));
    let target = with(&serving.url, "PUT", "/target/a%20b?q=1&r", &[], b"").is(200);
    let host = serving.url.strip_prefix("http://").unwrap();
    assert_eq!(target.text(), format!("PUT http {host} /target/a%20b?q=1&r\n"));
    let sent = [("x-mine", "kept"), ("x-mine", "twice"), ("te", "trailers"), ("X-Other", "\u{e9}")];
    let seen = with(&serving.url, "GET", "/headers", &sent, b"").is(200).text();
    let expected = "forwarded: for=127.0.0.1;proto=http\nx-mine: kept\nx-mine: twice\nx-other: é\n";
    assert_eq!(seen, expected);
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 + n / 251) as u8).collect();
    let echoed = with(&serving.url, "POST", "/echo", &[], &body).is(200);
    assert!(echoed.is_whole && echoed.body == body);
    let chunked =
        b"POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\
                    \r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\nx-sum: 7\r\n\r\n";
    assert_eq!(raw(&serving.url, chunked).unwrap().is(200).text(), "abcdefg");
    let head = with(&serving.url, "HEAD", "/hello", &[], b"").is(200);
    assert_eq!(head.header("content-length"), Some("6"));
    assert_eq!(get(&serving.url, "/status/418").is(418).text(), "as you wish\n");
    assert_eq!(get(&serving.url, "/status/204").is(204).body, b"");
    assert_eq!(get(&serving.url, "/length/5").is(200).text(), "12345");
}

#[test]
fn a_body_past_its_limit_is_refused_before_the_guest_is_called() {
    let mut serving = start(&["--instances", "serial", "--limit", "input_bytes=1000"]);
    let too_large = |body: &[u8], headers: &str| {
        let head = format!("POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n");
        let answer = raw(&serving.url, &[head.as_bytes(), body].concat()).unwrap().is(413);
        let problem = answer.json();
        assert_eq!(
            (&problem["code"], &problem["limit"]),
            (&"limit_exceeded".into(), &"input_bytes".into())
        );
    };
    too_large(&[b'x'; 1001], "content-length: 1001\r\n");
    // It says so before it sends anything.
    too_large(b"", "content-length: 500000000\r\nexpect: 100-continue\r\n");
    let chunk = [b"3e9\r\n".as_slice(), &[b'x'; 1001], b"\r\n0\r\n\r\n"].concat();
    too_large(&chunk, "transfer-encoding: chunked\r\n");
    let fits = with(&serving.url, "POST", "/echo", &[], &[b'x'; 1000]).is(200);
    assert_eq!(fits.body.len(), 1000);
    assert_eq!(get(&serving.url, "/count").is(200).text(), "2\n", "the guest saw one request");
    assert_eq!(serving.line()["end"], "limit_exceeded");
}

#[test]
fn an_answer_that_http_does_not_allow_is_502_and_says_why_to_the_operator() {
    let mut serving = start(&["--limit", "output_bytes=10000"]);
    let cases: [(&str, &str, &[u8], &str, &str); 12] = [
        ("GET", "/status/0", b"", "invalid", "the status 0 is not one from 200 to 599"),
        ("GET", "/status/101", b"", "invalid", "the status 101"),
        ("GET", "/status/600", b"", "invalid", "the status 600"),
        ("GET", "/status/65535", b"", "invalid", "the status 65535"),
        ("POST", "/header/x-a", b"1\r\nset-cookie: stolen", "invalid", "\"x-a\" is not valid"),
        ("POST", "/header/x-a", b"a\0b", "invalid", "\"x-a\" is not valid"),
        ("POST", "/header/x:a", b"1", "invalid", "\"x:a\" is not a header name"),
        ("POST", "/header/transfer-encoding", b"chunked", "invalid", "is set by the host"),
        ("POST", "/header/Connection", b"close", "invalid", "is set by the host"),
        ("GET", "/length/4", b"", "invalid", "which is 5 bytes"),
        ("GET", "/length/+5", b"", "invalid", "\"content-length\" is not valid"),
        ("GET", "/fail/please", b"", "guest_error", "asked: the guest's own words: please"),
    ];
    for (method, target, body, reason, told) in cases {
        let answer = with(&serving.url, method, target, &[], body).is(502);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{target}");
        let problem = answer.json();
        assert_eq!((&problem["code"], &problem["reason"]), (&"no_answer".into(), &reason.into()));
        assert!(!answer.text().contains("own words"), "{target}: {}", answer.text());
        let line = serving.line();
        assert_eq!(line["end"], reason, "{target}");
        let failure = line["failure"].as_str().unwrap();
        assert!(failure.contains(told), "{target}: {failure}");
    }
    for (target, limit) in
        [("/bytes/10001", "output_bytes"), ("/headers-of/1000", "http_header_bytes")]
    {
        assert_eq!(get(&serving.url, target).is(502).json()["reason"], "limit", "{target}");
        assert_eq!(serving.line()["limit"], limit, "{target}");
    }
    assert_eq!(get(&serving.url, "/bytes/10000").is(200).body.len(), 10_000);
    get(&serving.url, "/headers-of/100").is(200);
}

#[test]
fn a_guest_that_ends_otherwise_gets_the_same_problems_as_one_that_streams() {
    let serving = start(&["--timeout", "700ms", "--memory", "64MiB"]);
    for (target, status, reason) in [
        ("/trap", 502, "trap"),
        ("/exit", 502, "exit"),
        ("/memory", 502, "memory"),
        ("/spin", 504, "deadline"),
        ("/sleep/100000", 504, "deadline"),
    ] {
        let answer = get(&serving.url, target).is(status);
        assert_eq!(answer.json()["reason"], reason, "{target}");
        assert!(!answer.text().contains("as you wish"), "{target}");
    }
    assert!(serving.stderr().contains("as you wish"), "{}", serving.stderr());
    // A body that never comes takes no more time than an answer.
    let began = Instant::now();
    let stalled =
        b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nconnection: close\r\n\r\nab";
    assert_eq!(raw(&serving.url, stalled).unwrap().is(504).json()["reason"], "deadline");
    assert!(began.elapsed() < Duration::from_secs(20));
    get(&serving.url, "/hello").is(200);
}

#[test]
fn a_guest_whose_client_left_ends_also_while_its_body_comes_in() {
    let mut serving = start(&[]);
    for (request, end) in [
        (&b"GET /spin HTTP/1.1\r\nhost: a\r\n\r\n"[..], "client left"),
        (b"GET /sleep/3600000 HTTP/1.1\r\nhost: a\r\n\r\n", "client left"),
        // Its body broke off, so that it is no request.
        (b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nab", "invalid_request"),
    ] {
        let mut stream = connect(&serving.url);
        std::io::Write::write_all(&mut stream, request).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let left = Instant::now();
        drop(stream);
        assert_eq!(serving.line()["end"], end);
        assert!(left.elapsed() < Duration::from_secs(10), "{:?}", left.elapsed());
    }
    get(&serving.url, "/hello").is(200);
}

#[test]
fn a_serial_instance_is_used_again_until_it_traps() {
    let flags = ["--instances", "serial", "--reuse", "1000000", "--limit", "http_at_once=1"];
    let serving = start(&flags);
    assert_eq!(get(&serving.url, "/count").text(), "1\n");
    // Neither a failure nor an answer that cannot be sent is a reason to replace it.
    get(&serving.url, "/fail/x").is(502);
    get(&serving.url, "/status/1").is(502);
    assert_eq!(get(&serving.url, "/count").text(), "4\n");
    get(&serving.url, "/trap").is(502);
    assert_eq!(get(&serving.url, "/count").text(), "1\n");
    let fresh = start(&[]);
    for _ in 0..2 {
        assert_eq!(get(&fresh.url, "/count").text(), "1\n");
    }
}

#[test]
fn a_worker_keeps_its_state_and_its_failures_are_in_the_transcript() {
    let flags = ["--instances", "serial", "--limit", "http_at_once=1", "--config", "step=7"];
    let bed = Bed::of("website", &flags);
    for number in ["1\n", "2\n"] {
        assert_eq!(bed.get("/add/n").is(200).text(), number);
    }
    assert_eq!(bed.get("/add-and-fail/n").is(502).json()["reason"], "guest_error");
    assert_eq!(bed.get("/get/n").text(), "2", "a failure undoes what it wrote");
    assert_eq!(bed.get("/add-and-break/n").is(502).json()["reason"], "invalid");
    assert_eq!(bed.get("/get/n").text(), "2", "so does an answer that was not sent");
    assert_eq!(bed.get("/config/step").text(), "7");
    assert_eq!(bed.get("/context").text(), "None 0\n");
    bed.get("/print/words").is(200);
    bed.get("/emit/here").is(200);
    let access = bed.entry("access");
    assert_eq!(access["label"], "guest_error");
    let record: serde_json::Value = serde_json::from_str(access["body"].as_str().unwrap()).unwrap();
    assert_eq!((&record["status"], &record["target"]), (&502.into(), &"/add-and-fail/n".into()));
    assert_eq!(record["failure"], "asked: after the change");
    let event = bed.entry("event");
    assert_eq!((&event["label"], &event["body"]), (&"visited".into(), &"here".into()));
    let logs = bed.hosted.good(&["worker", "logs", &bed.worker]);
    assert!(logs.out.contains("out words"), "{}", logs.out);
    assert!(logs.err.contains("err words"), "{}", logs.err);
    // The same on the console's origin as for one that streams.
    let answer = bed.with("POST", "/header/set-cookie", &[], b"skep_session=mine").is(200);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("content-security-policy"), Some("sandbox"));
}

#[test]
fn fresh_instances_of_a_worker_read_state_and_are_told_how_to_write_it() {
    let bed = Bed::of("website", &[]);
    assert_eq!(bed.get("/get/n").is(200).text(), "");
    assert_eq!(bed.get("/add/n").is(502).json()["reason"], "guest_error");
    let failure = bed.entry("access")["body"].as_str().unwrap().to_owned();
    assert!(failure.contains("http_at_once") && failure.contains("serial"), "{failure}");
}

#[test]
fn inspect_names_the_kind_and_both_exports_at_once_are_refused() {
    let (kind, _) = Run::inspect().args(["--output", "json"]).args([guest("website")]).report();
    assert_eq!(kind["kind"], "http", "{kind}");
    let both = r#"(component
        (instance $empty)
        (export "skep:worker/web@0.1.0" (instance $empty))
        (export "wasi:http/incoming-handler@0.2.12" (instance $empty)))"#;
    let dir = test_dir();
    let path = dir.wat("both", both);
    let words = "this component exports both skep:worker/web and a handler of wasi:http";
    Run::inspect().args([&path]).go().expect(126).prints(&format!("runs     no: {words}"));
    Run::with(&[]).component(&path, &[]).go().expect(126).says(words);
    // A service or a program with one of them beside is what it was before.
    let service = both.replace("wasi:http/incoming-handler@0.2.12", "skep:worker/handler@0.1.0");
    let path = dir.wat("service", &service);
    let (report, _) = Run::inspect().args(["--output", "json"]).args([&path]).report();
    assert_eq!(report["kind"], "service", "{report}");
}

#[test]
fn a_respond_of_another_type_is_refused_before_it_runs() {
    let wrong = r#"(component
        (core module $m (func (export "respond")))
        (core instance $i (instantiate $m))
        (func $respond (canon lift (core func $i "respond")))
        (instance $web (export "respond" (func $respond)))
        (core module $unused)
        (export "skep:worker/web@0.1.0" (instance $web)))"#;
    let dir = test_dir();
    let path = dir.wat("wrong", wrong);
    let words =
        "its types do not match those that Skep offers: `respond` is `func()` in its export";
    Run::with(&[]).component(&path, &[]).go().expect(126).says(words);
}
