//! Requests with whole bodies (`skep:worker/fetch`): the same grants, limits, secrets and records as
//! requests of `wasi:http`.

use std::time::{Duration, Instant};

use skep_harness::Server;
use skep_protocol::{Ending, EntryKind, LimitName};

use super::bed::{self, Bed, Names};
use super::{run, secrets};

#[test]
fn a_run_fetches_only_what_is_granted() {
    let server = Server::start();
    let (url, grant) = (server.url("/hello?x=1#part"), server.url(""));
    let fetch = format!("fetch GET {url} - 0 x-mine:here");
    let ran = run(&[&grant], &fetch).go().expect(0);
    ran.prints("status 200").prints("content-length: 5").prints("hello");
    let head = server.heads().remove(0);
    assert!(head.starts_with("GET /hello?x=1 HTTP/1.1\r\n"), "{head}");
    let host = format!("host: {}\r\n", server.address());
    let lower = head.to_ascii_lowercase();
    assert!(lower.contains(&host) && head.contains("x-mine: here"), "{head}");
    assert!(!lower.contains("content-length"), "{head}");

    for grants in [&[][..], &[&*format!("POST {grant}")], &["https://127.0.0.1"]] {
        let ran = run(grants, &fetch).go().expect(0);
        let told = format!(
            "error Error::Denied(\"GET {grant} is not granted; the grant `{grant}` allows it\")"
        );
        ran.prints(&told).says(&format!("denied: GET {grant} (allow with --allow-http '{grant}')"));
    }
    assert_eq!(server.heads().len(), 1);

    // A body and its length. A redirect is not followed.
    run(&[&grant], &format!("fetch PUT {} - 3", server.url("/echo")))
        .go()
        .prints("PUT /echo HTTP/1.1")
        .prints("content-length: 3\r\n");
    run(&[&grant], &format!("fetch POST {} - 0", server.url("/echo"))).go().prints("length: 0\r\n");
    let to = server.url(&format!("/to?{}", server.url("/hello")));
    run(&[&grant], &format!("fetch GET {to} - 0"))
        .go()
        .prints("status 302")
        .prints("location: http");
    assert_eq!(server.heads().len(), 4);
}

#[test]
fn what_cannot_be_sent_is_named() {
    let server = Server::start();
    let (grant, hello) = (server.url(""), server.url("/hello"));
    for (method, url, header, said) in [
        ("CONNECT", &*hello, "a:b", "the method CONNECT cannot be used"),
        ("TRACE", &hello, "a:b", "the method TRACE cannot be used"),
        ("get", &hello, "a:b", "the method get cannot be used"),
        ("A/B", &hello, "a:b", r#"\"A/B\" is not a method"#),
        ("GET", "/hello", "a:b", "the URL is not absolute"),
        ("GET", "localhost:80", "a:b", "the URL is not absolute"),
        ("GET", "ftp://a.b/", "a:b", "the URL's scheme is ftp"),
        ("GET", "http://", "a:b", "the URL is not valid"),
        ("GET", "http://127.1/", "a:b", "the URL's host is not a valid name or address"),
        ("GET", "http://u:p@a.b/", "a:b", "the URL's host is not a valid name or address"),
        ("GET", &hello, "host:evil", "the header host is set by the host"),
        ("GET", &hello, "Connection:close", "the header Connection is set by the host"),
        ("GET", &hello, "transfer-encoding:chunked", "transfer-encoding is set by the host"),
        ("GET", &hello, "a@:b", r#"\"a@\" is not a header name"#),
        ("GET", &hello, "Content-Length:7", "Content-Length does not match the body (0 bytes)"),
    ] {
        let fetch = format!("fetch {method} {url} - 0 {header}");
        let ran = run(&[&grant], &fetch).go().expect(0);
        ran.prints("error Error::InvalidRequest(").prints(said);
    }
    assert_eq!(server.heads().len(), 0);
    run(&[&grant], &format!("fetch PUT {hello} - 7 content-length:7")).go().prints("status 200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_response_is_bounded() {
    let server = Server::start();
    let bed = Bed::new();
    let worker = bed.caller(&[&server.url("")], &[], &[]).await;
    let endless = bed.ask(worker, &format!("measure {}", server.url("/endless"))).await;
    assert_eq!(endless, "error Error::TooLarge(8388608)");
    let record = bed::json(&bed.entries(worker, EntryKind::Request).await[0]);
    assert_eq!(
        (&record["status"], &record["error"]),
        (&200.into(), &"HTTP-response-body-size".into())
    );
    bed::until("the connection's end", || server.at_once() == 0).await;
    for path in ["/bomb", "/many-headers"] {
        let answer = bed.ask(worker, &format!("measure {}", server.url(path))).await;
        assert!(
            answer == "error Error::TooLarge(32768)" || answer.contains("HTTP-protocol-error"),
            "{path}: {answer}"
        );
    }
    let cut = bed.ask(worker, &format!("measure {}", server.url("/cut"))).await;
    let said = format!("HTTP-response-incomplete: GET {}", server.url(""));
    assert_eq!(cut, format!("error Error::Failed({said:?})"));

    let limits = [(LimitName::http_body_bytes, 100_000)];
    let worker = bed.caller(&[&server.url("")], &limits, &[]).await;
    let endless = bed.ask(worker, &format!("measure {}", server.url("/endless"))).await;
    assert_eq!(endless, "error Error::TooLarge(100000)");
    for (bytes, answer) in [(100_000, "status 200"), (100_001, "error Error::TooLarge(100000)")] {
        let send = format!("fetch POST {} - {bytes}", server.url("/hello"));
        assert!(bed.ask(worker, &send).await.starts_with(answer), "{bytes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_exchange_has_one_timeout() {
    let server = Server::start();
    let bed = Bed::new();
    let worker = bed.caller(&[&server.url("")], &[], &[]).await;
    // `/drizzle` sends a byte now and then, so only a bound on the whole ends it.
    for path in ["/silent", "/stall", "/drizzle"] {
        let began = Instant::now();
        let answer = bed.ask(worker, &format!("fetch GET {} 300 0", server.url(path))).await;
        assert_eq!(answer, "error Error::TimedOut", "{path}");
        assert!(began.elapsed() < Duration::from_secs(10), "{path}: {:?}", began.elapsed());
        let record = bed::json(bed.entries(worker, EntryKind::Request).await.last().unwrap());
        assert_eq!(record["error"], "HTTP-response-timeout", "{path}");
    }
    bed::until("the connections' end", || server.at_once() == 0).await;
    // Without one, the limit on each wait and the turn's deadline apply.
    let limits = [(LimitName::http_wait_ms, 300)];
    let worker = bed.caller(&[&server.url("")], &limits, &[]).await;
    let answer = bed.ask(worker, &format!("fetch GET {} - 0", server.url("/stall"))).await;
    assert_eq!(answer, "error Error::TimedOut");
    let limits = [(LimitName::turn_deadline_ms, 2_000)];
    let worker = bed.caller(&[&server.url("")], &limits, &[]).await;
    let outcome = bed.send(worker, &format!("fetch GET {} 60000 0", server.url("/stall"))).await;
    assert_eq!(outcome.ending, Ending::Deadline);
    let record = bed::json(&bed.entries(worker, EntryKind::Request).await[0]);
    assert_eq!(record["error"], "turn-ended");
    bed::until("the connection's end", || server.at_once() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_fetch_is_recorded_under_its_interface() {
    let bed = Bed::with(Names::of(&["10.0.0.1", "::1"]), &[]);
    let worker = bed.caller(&["http://shifty.test"], &[], &[]).await;
    let answer = bed.ask(worker, "fetch GET http://shifty.test/hello - 0").await;
    let said = "GET http://shifty.test, which has no public address, is not granted; \
                the grant `http://shifty.test inner` allows it";
    assert_eq!(answer, format!("error Error::Denied({said:?})"));
    let answer = bed.ask(worker, "fetch POST http://other.test/ - 0").await;
    assert!(answer.starts_with("error Error::Denied("), "{answer}");
    let entries = bed.entries(worker, EntryKind::Denied).await;
    let denied: Vec<_> = entries.iter().map(bed::json).collect();
    assert_eq!(denied[0]["grant"]["http"][0]["inner"], true);
    assert_eq!(denied[1]["wanted"], "POST http://other.test");
    assert!(entries.iter().all(|entry| entry.label.as_deref() == Some("skep:worker/fetch")));
    assert_eq!(entries.len(), 2);
    // Only the request that was granted by name got as far as a record.
    assert_eq!(bed.entries(worker, EntryKind::Request).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_fetch_reaches_only_its_own_host() {
    let (friend, stranger) = (Server::start(), Server::start());
    let bed = secrets::bed(&friend);
    let grants = [&friend.url(""), &stranger.url("")];
    let worker = bed.caller(&grants.map(String::as_str), &[], &["token"]).await;
    let placeholder = bed.ask(worker, "say secret.token").await;
    let asked = "?key=$token - 0 authorization:Bearer_$token x-key:$token";
    for (server, knows) in [(&friend, true), (&stranger, false)] {
        for path in ["/echo", "/drip", "/mirror"] {
            let seen = bed.ask(worker, &format!("fetch GET {}{asked}", server.url(path))).await;
            assert!(seen.contains(&placeholder) && !seen.contains("MARKER"), "{seen}");
        }
        for head in server.heads() {
            let bearer = if knows { secrets::VALUE } else { &placeholder };
            assert!(head.contains(&format!("authorization: Bearer {bearer}\r\n")), "{head}");
            assert_eq!(head.contains("MARKER"), knows);
        }
    }
    let packed = format!("fetch GET {} - 0 x-key:$token", friend.url("/gzip"));
    let packed = bed.ask(worker, &packed).await;
    assert!(
        packed.starts_with("error Error::Failed(\"HTTP-response-content-coding: GET"),
        "{packed}"
    );
    // An error does not repeat the URL, which may contain the secret's placeholder.
    let odd = bed.ask(worker, "fetch GET http://a.b/$token|^ - 0 x-key:$token").await;
    assert!(!odd.contains("skep-secret-"), "{odd}");
    assert_eq!(secrets::tainted(&bed.dir), [""; 0]);
}
