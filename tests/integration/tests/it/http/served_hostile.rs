//! Hostile clients of `skep serve`, and hostile headers both ways.

use std::io::Write;
use std::time::Duration;

use super::Serving;
use super::client::{connect, get, raw, with};

#[test]
fn headers_of_the_connection_and_of_ours_stay_on_their_side() {
    let serving = Serving::start(&[]);
    let sent = [
        ("x-hop", "1"),
        ("keep-alive", "timeout=1"),
        ("proxy-authorization", "Basic x"),
        ("te", "trailers"),
        ("skep-from", "worker"),
        ("skep-authority", "evil.example"),
        ("forwarded", "for=6.6.6.6"),
        ("x-mine", "kept"),
        ("cookie", "a=b"),
    ];
    let head =
        "GET /headers HTTP/1.1\r\nhost: a.example\r\nconnection: close, x-hop\r\n".to_owned();
    let head = sent.iter().fold(head, |head, (name, value)| head + &format!("{name}: {value}\r\n"));
    let seen = raw(&serving.url, format!("{head}\r\n").as_bytes()).unwrap().is(200).text();
    assert_eq!(seen, "cookie: a=b\nforwarded: for=127.0.0.1;proto=http\nx-mine: kept\n");
    for header in ["connection/close", "transfer-encoding/x", "upgrade/x", "keep-alive/x"] {
        get(&serving.url, &format!("/set/{header}")).is(500);
    }
    let ours = get(&serving.url, "/set/skep-from/worker").is(200);
    assert_eq!(ours.header("skep-from"), None);
    let own = get(&serving.url, "/set/set-cookie/a=b").is(200);
    assert_eq!(own.header("set-cookie"), Some("a=b"), "this origin is the guest's own");
    let split = get(&serving.url, "/set/x-a/b%0d%0ax-evil:1").is(200);
    assert_eq!(split.header("x-evil"), None);
}

#[test]
fn targets_of_every_form_reach_the_guest_as_the_client_meant_them() {
    let serving = Serving::start(&[]);
    for (line, host, seen) in [
        ("GET /target?q=%20#", "a", Some(r#"Some("a") Some("/target?q=%20")"#)),
        ("GET /target?q=%20", "a", Some(r#"Some("a") Some("/target?q=%20")"#)),
        ("GET http://b:81/target", "b:81", Some(r#"Some("b:81") Some("/target")"#)),
        ("GET http://b/target", "c", None),
        ("GET /target", "a@b", None),
        ("GET /target", "a b", None),
    ] {
        let request = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        match (raw(&serving.url, request.as_bytes()), seen) {
            (Some(answer), Some(seen)) => {
                assert!(answer.text().contains(seen), "{line}: {answer:?}")
            }
            (Some(answer), None) => assert_eq!(answer.status, 400, "{line} {host}: {answer:?}"),
            (None, _) => panic!("{line}: no answer"),
        }
    }
    let twice = b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(&serving.url, twice).unwrap().status, 400);
    let none = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(&serving.url, none).unwrap().status, 400);
}

#[test]
fn upgrades_and_tunnels_are_clear_errors() {
    let serving = Serving::start(&[]);
    let upgrade = with(
        &serving.url,
        "GET",
        "/",
        &[("upgrade", "websocket"), ("sec-websocket-version", "13")],
        b"",
    );
    assert_eq!((upgrade.status, &upgrade.json()["code"]), (501, &"upgrade_unsupported".into()));
    let tunnel = b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(&serving.url, tunnel).unwrap().status, 501);
}

/// A request whose end two readers see in different places is refused, or read as one request.
#[test]
fn a_request_has_one_end() {
    let serving = Serving::start(&[]);
    let smuggled = "GET /trap HTTP/1.1\r\nhost: a\r\n\r\n";
    for fields in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +5\r\n",
        "content-length: 0x5\r\n",
        "content-length: -1\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding : chunked\r\n",
        "x: a\r\n transfer-encoding: chunked\r\n",
    ] {
        let request = format!("POST /echo HTTP/1.1\r\nhost: a\r\n{fields}\r\n0\r\n\r\n{smuggled}");
        let mut stream = connect(&serving.url);
        stream.set_read_timeout(Some(Duration::from_millis(800))).unwrap();
        let _ = stream.write_all(request.as_bytes());
        let mut all = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut all);
        let all = String::from_utf8_lossy(&all);
        let answers = all.matches("HTTP/1.1 ").count();
        let is_refused = all.starts_with("HTTP/1.1 4") || all.starts_with("HTTP/1.1 5");
        assert!(is_refused || answers <= 1, "{fields:?}: {all}");
    }
}

#[test]
fn heads_and_bodies_that_are_too_large_are_refused() {
    let serving = Serving::start(&["--limit", "http_body_bytes=1000"]);
    let long = "x".repeat(40 << 10);
    assert_eq!(with(&serving.url, "GET", "/", &[("x-long", &long)], b"").status, 431);
    assert_eq!(get(&serving.url, &format!("/{}", "x".repeat(20 << 10))).status, 414);
    let many: Vec<(String, String)> = (0..150).map(|n| (format!("x-{n}"), "1".into())).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(with(&serving.url, "GET", "/", &many, b"").status, 431);
    assert_eq!(with(&serving.url, "POST", "/echo", &[], &[b'x'; 1001]).status, 413);
    let chunks = format!(
        "POST /drain HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
         7d0\r\n{}\r\n0\r\n\r\n",
        "x".repeat(2000)
    );
    assert_eq!(raw(&serving.url, chunks.as_bytes()).unwrap().text(), "0 cut off\n");
    let cut =
        raw(&serving.url, b"GET /bytes/5000 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(cut.is_none_or(|answer| !answer.is_whole));
}

#[test]
fn a_slow_client_delays_no_other() {
    let serving = Serving::start(&["--limit", "http_at_once=2"]);
    let slow: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = connect(&serving.url);
            stream.write_all(b"POST /hello HTTP/1.1\r\nhost: a\r\ncontent-le").unwrap();
            stream
        })
        .collect();
    // A client that does not read its answer holds one of the two places.
    let mut unread = connect(&serving.url);
    unread.write_all(b"GET /bytes/100000000 HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    for _ in 0..20 {
        get(&serving.url, "/hello").is(200);
    }
    drop((slow, unread));
}
