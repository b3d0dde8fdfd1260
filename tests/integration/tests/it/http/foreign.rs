//! HTTP components that are not ours: examples of crates from crates.io, with the libraries that
//! their authors use.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use xtask::crates::{self, WASI, WSTD};

use super::Serving;
use super::client::{Answer, get, with};

/// The server among the examples of wstd.
fn server() -> PathBuf {
    crates::example(WSTD, "http_server", false).unwrap()
}

/// Serves it with fresh instances and with one that is used again.
fn each(ask: impl Fn(&Serving)) {
    for instances in ["fresh", "serial"] {
        ask(&Serving::of(&server(), &["--instances", instances], &[]));
    }
}

#[test]
fn an_example_without_a_library_answers() {
    let serving = Serving::of(&crates::example(WASI, "http-proxy", true).unwrap(), &[], &[]);
    assert_eq!(get(&serving.url, "/").is(200).text(), "Hello, WASI!");
    assert!(with(&serving.url, "POST", "/any", &[], &[b'x'; 1 << 20]).is(200).is_whole);
}

#[test]
fn the_server_of_wstd_answers_by_path() {
    each(|serving| {
        let home = get(&serving.url, "/").is(200);
        assert_eq!(home.text(), "Hello, wasi:http/proxy world!\n");
        get(&serving.url, "/nowhere").is(404);
        let began = Instant::now();
        let waited = get(&serving.url, "/wait").is(200).text();
        assert!(waited.starts_with("slept for "), "{waited}");
        assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    });
}

#[test]
fn the_server_of_wstd_streams_bodies_and_passes_headers() {
    // The client reads when it has written: more would fill the buffers of both directions.
    let body: Vec<u8> = (0..2_000_000u32).map(|n| (n * 11 + n / 241) as u8).collect();
    each(|serving| {
        let echoed = with(&serving.url, "POST", "/echo", &[], &body).is(200);
        assert!(echoed.is_whole && echoed.body == body);
        let sent = [("x-mine", "1"), ("x-mine", "2"), ("keep-alive", "timeout=5")];
        let headers = with(&serving.url, "GET", "/echo-headers", &sent, b"").is(200);
        let mine = |answer: &Answer| {
            let mine = answer.headers.iter().filter(|(name, _)| name == "x-mine");
            mine.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(mine(&headers), ["1", "2"]);
        assert_eq!(headers.header("keep-alive"), None, "a header of one connection passed on");
        // HTTP/1.1 has no trailers without a header that names them, which this server does not send.
        assert!(with(&serving.url, "POST", "/echo-trailers", &[], b"abc").is(200).is_whole);
    });
}

#[test]
fn an_answer_that_the_server_of_wstd_gives_up_does_not_look_whole() {
    each(|serving| {
        for target in ["/fail", "/bigfail"] {
            let request = super::client::request(&serving.url, "GET", target, &[], 0);
            if let Some(answer) = super::client::raw(&serving.url, request.as_bytes()) {
                assert!(!answer.is_whole || answer.status == 502, "{target}: {answer:?}");
            }
        }
        get(&serving.url, "/").is(200);
    });
}
