//! `skep serve`: answers, failures, endings and the reuse of instances.

use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use skep_harness::{guest, shared_cache, test_dir};

use super::Serving;
use super::client::{connect, get, raw, read_head, request, with};

/// The flags with which all requests use one instance. With more at once, one that comes before the
/// instance is back gets another.
const ONE_INSTANCE: [&str; 6] =
    ["--instances", "serial", "--reuse", "1000000", "--limit", "http_at_once=1"];

#[test]
fn a_short_answer_has_a_length_and_a_long_one_is_chunked() {
    let serving = Serving::start(&[]);
    let hello = get(&serving.url, "/hello").is(200);
    assert_eq!(
        (hello.text().as_str(), hello.header("content-type")),
        ("hello\n", Some("text/plain"))
    );
    let long = get(&serving.url, "/bytes/10000000").is(200);
    assert!(long.is_whole && long.body.len() == 10_000_000 && long.body.iter().all(|b| *b == b'x'));
    assert_eq!(get(&serving.url, "/status/418").is(418).text(), "as you wish\n");
    assert_eq!(get(&serving.url, "/status/204").is(204).body, b"");
    let head = with(&serving.url, "HEAD", "/hello", &[], b"").is(200);
    assert_eq!(head.header("content-length"), Some("6"));
    let trailers = with(&serving.url, "GET", "/trailers", &[("te", "trailers")], b"").is(200);
    assert_eq!(trailers.text(), "with a sum");
    assert_eq!(trailers.trailers, [("x-sum".to_owned(), "10".to_owned())]);
}

#[test]
fn a_body_goes_through_a_guest_unchanged() {
    let serving = Serving::start(&[]);
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 + n / 251) as u8).collect();
    let echoed = with(&serving.url, "POST", "/echo", &[], &body).is(200);
    assert!(echoed.is_whole && echoed.body == body);
    assert_eq!(with(&serving.url, "PUT", "/drain", &[], &body).is(200).text(), "3000000 whole\n");
    let chunked =
        b"POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\
                    \r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    assert_eq!(raw(&serving.url, chunked).unwrap().is(200).text(), "abcdefg");
}

#[test]
fn a_request_without_an_answer_gets_a_problem_without_the_guests_words() {
    let serving = Serving::start(&["--timeout", "700ms", "--memory", "64MiB"]);
    for (target, status, reason) in [
        ("/trap", 502, "trap"),
        ("/exit", 502, "exit"),
        ("/unset", 502, "unset"),
        ("/error", 502, "guest_error"),
        ("/denied", 502, "guest_error"),
        ("/memory", 502, "memory"),
        ("/spin", 504, "deadline"),
        ("/sleep/100000", 504, "deadline"),
    ] {
        let answer = get(&serving.url, target).is(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{target}");
        let problem = answer.json();
        assert_eq!((&problem["code"], &problem["reason"]), (&"no_answer".into(), &reason.into()));
        assert!(!answer.text().contains("own words") && !answer.text().contains("as you wish"));
    }
    let denied = get(&serving.url, "/denied");
    assert_eq!(denied.header("proxy-status"), Some("skep; error=http_request_denied"));
    // The operator sees what happened.
    assert!(serving.stderr().contains("as you wish"), "{}", serving.stderr());
    get(&serving.url, "/hello").is(200);
}

#[test]
fn an_answer_that_was_cut_off_does_not_look_whole() {
    let serving = Serving::start(&["--limit", "http_wait_ms=500"]);
    for target in ["/trap-after-head", "/unfinished", "/stall", "/spin-after-head", "/length/9"] {
        let began = Instant::now();
        let request = request(&serving.url, "GET", target, &[], 0);
        if let Some(answer) = raw(&serving.url, request.as_bytes()) {
            assert!(!answer.is_whole, "{target}: {answer:?}");
            assert!(matches!(answer.status, 200 | 502), "{target}");
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{target}");
    }
    get(&serving.url, "/hello").is(200);
}

#[test]
fn a_guest_that_computes_after_its_head_is_ended_by_its_budget() {
    for target in ["/burn", "/spin-after-head"] {
        let mut serving = Serving::start(&["--limit", "http_cpu_ms=200"]);
        let request = request(&serving.url, "GET", target, &[], 0);
        let cut = raw(&serving.url, request.as_bytes());
        assert!(cut.is_none_or(|answer| !answer.is_whole), "{target}");
        let line = serving.line();
        assert_eq!((&line["end"], &line["limit"]), (&"reset: limit".into(), &"http_cpu_ms".into()));
        let cpu_ms = line["cpu_ms"].as_f64().unwrap();
        assert!((200.0..1_000.0).contains(&cpu_ms), "{target}: {line}");
    }
    // A stream that waits is not computing, however long it lasts.
    let serving = Serving::start(&["--limit", "http_cpu_ms=50"]);
    assert!(get(&serving.url, "/events/40").is(200).is_whole);
}

#[test]
fn a_guest_whose_client_left_ends() {
    for flags in [&[][..], &["--instances", "serial"]] {
        let mut serving = Serving::start(flags);
        for target in
            ["/spin-after-head", "/stall", "/bytes/100000000000", "/spin", "/sleep/3600000"]
        {
            let mut stream = connect(&serving.url);
            stream.write_all(request(&serving.url, "GET", target, &[], 0).as_bytes()).unwrap();
            if matches!(target, "/spin" | "/sleep/3600000") {
                std::thread::sleep(Duration::from_millis(200));
            } else {
                read_head(&mut stream).unwrap();
            }
            let left = Instant::now();
            drop(stream);
            let line = serving.line();
            assert_eq!((&line["target"], &line["end"]), (&target.into(), &"client left".into()));
            assert!(left.elapsed() < Duration::from_secs(10), "{target}: {:?}", left.elapsed());
        }
        get(&serving.url, "/hello").is(200);
    }
}

#[test]
fn work_after_the_end_of_an_answer_is_cut() {
    let mut serving = Serving::start(&[]);
    assert_eq!(get(&serving.url, "/spin-after-end").is(200).text(), "done\n");
    let line = serving.line();
    assert_eq!((&line["status"], &line["end"]), (&200.into(), &"answered".into()));
    assert!(line["cpu_ms"].as_f64().unwrap() < 10_000.0, "{line}");
}

#[test]
fn events_arrive_one_by_one() {
    let serving = Serving::start(&[]);
    let mut stream = connect(&serving.url);
    stream.write_all(request(&serving.url, "GET", "/events/50", &[], 0).as_bytes()).unwrap();
    let began = Instant::now();
    let (head, _) = read_head(&mut stream).unwrap();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    // All of it takes a second at least.
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: 49"), "{rest}");
}

#[test]
fn an_instance_is_used_again_until_its_number_is_reached_or_it_fails() {
    let count = |serving: &Serving| get(&serving.url, "/count").is(200).text();
    let fresh = Serving::start(&[]);
    assert_eq!((count(&fresh), count(&fresh)), ("1\n".into(), "1\n".into()));
    let serial = Serving::start(&ONE_INSTANCE);
    assert_eq!((count(&serial), count(&serial)), ("1\n".into(), "2\n".into()));
    get(&serial.url, "/trap").is(502);
    assert_eq!(count(&serial), "1\n", "an instance that trapped handles no other request");
    get(&serial.url, "/grow/20000000").is(200);
    assert_eq!(count(&serial), "3\n");
    get(&serial.url, "/grow/20000000").is(200);
    assert_eq!(count(&serial), "1\n", "one that grew by more than 32 MiB is replaced");
    let twice =
        Serving::start(&["--instances", "serial", "--reuse", "2", "--limit", "http_at_once=1"]);
    let counts: Vec<u32> = (0..12).map(|_| count(&twice).trim().parse().unwrap()).collect();
    assert!(counts.iter().all(|count| *count <= 2) && counts.contains(&1), "{counts:?}");
}

#[test]
fn what_a_request_leaves_behind_does_not_reach_the_next() {
    let serving = Serving::start(&ONE_INSTANCE);
    let kept = get(&serving.url, "/keep-answer").is(200);
    assert_eq!((kept.text().as_str(), kept.is_whole), ("kept", true));
    // Its client may go on although the guest keeps the body.
    let body = vec![b'x'; 1 << 20];
    with(&serving.url, "POST", "/keep-request", &[], &body).is(200);
    let next = with(&serving.url, "POST", "/echo", &[], b"mine").is(200);
    assert_eq!(next.text(), "mine");
    assert_eq!(get(&serving.url, "/kept").is(200).text(), "answer request \n");
}

#[test]
fn more_requests_than_may_wait_are_refused() {
    let flags = ["--limit", "http_at_once=1", "--limit", "http_queue=1"];
    let serving = Serving::start(&flags);
    let answers: Vec<_> = std::thread::scope(|threads| {
        let ask = || get(&serving.url, "/sleep/1500");
        let asked: Vec<_> = (0..4).map(|_| threads.spawn(ask)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert_eq!(
        (refused.len(), answers.iter().filter(|answer| answer.status == 200).count()),
        (2, 2)
    );
    assert!(refused.iter().all(|answer| answer.header("retry-after") == Some("1")));
    assert_eq!(refused[0].json()["code"], "busy");
}

#[test]
fn ctrl_c_drains_the_requests_in_flight() {
    let mut serving = Serving::start(&[]);
    std::thread::scope(|threads| {
        let url = serving.url.clone();
        let slow = threads.spawn(move || get(&url, "/sleep/1500").is(200));
        std::thread::sleep(Duration::from_millis(400));
        serving.signal(Signal::INT);
        assert_eq!(slow.join().unwrap().text(), "awake\n");
    });
    assert_eq!(serving.wait(), Some(0));
}

#[test]
fn a_guest_gets_what_the_flags_give_it() {
    let dir = test_dir();
    dir.file("page.txt", "from the host");
    let mapped = format!("{}::/www", dir.display());
    let flags = ["--dir", &mapped, "--env", "COLOUR=red", "--config", "step=7"];
    let serving = Serving::of(&guest("responder"), &flags, &["--dir=/etc::/h", "--help"]);
    assert_eq!(get(&serving.url, "/file/www/page.txt").text(), "from the host");
    assert_eq!(get(&serving.url, "/env/COLOUR").text(), "red");
    assert_eq!(get(&serving.url, "/config/step").text(), "7");
    assert_eq!(get(&serving.url, "/args").text(), "--dir=/etc::/h\n--help");
    assert_eq!(get(&serving.url, "/write/a").is(200).text(), "Ok(())\n");
    assert!(get(&serving.url, "/add/x").is(500).text().contains("keeps no state"));
}

#[test]
fn output_that_is_lost_to_a_full_disk_is_a_failure() {
    let dir = test_dir();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child = Command::new(skep_harness::skep())
        .args(["serve", "--addr", "127.0.0.1:0"])
        .arg(guest("responder"))
        .env("XDG_CACHE_HOME", shared_cache())
        .stdout(full)
        .stderr(std::fs::File::create(dir.join("stderr")).unwrap())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let url = loop {
        let said = String::from_utf8(dir.read("stderr")).unwrap();
        if let Some(url) = said.split_whitespace().find(|word| word.starts_with("http://")) {
            break url.to_owned();
        }
        assert!(Instant::now() < until, "{said}");
        std::thread::sleep(Duration::from_millis(20));
    };
    // The guest is not to blame, and goes on.
    get(&url, "/print/words").is(200);
    get(&url, "/hello").is(200);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(125));
    assert!(String::from_utf8(dir.read("stderr")).unwrap().contains("standard output"));
}

#[test]
fn a_component_that_handles_no_requests_is_refused() {
    let skep = |words: &[&str], component: &str| {
        let ran = Command::new(skep_harness::skep())
            .args(words)
            .arg(guest(component))
            .env("XDG_CACHE_HOME", shared_cache())
            .output()
            .unwrap();
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    };
    let (code, said) = skep(&["serve", "--addr", "127.0.0.1:0"], "hello");
    assert_eq!(code, Some(126), "{said}");
    assert!(said.contains("skep run"), "{said}");
    let (code, said) = skep(&["run"], "responder");
    assert_eq!(code, Some(126), "{said}");
    assert!(said.contains("skep serve"), "{said}");
}
