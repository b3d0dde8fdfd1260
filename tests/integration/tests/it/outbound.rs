//! HTTP requests of workers: granted or denied, limited, recorded, and with secrets that the worker
//! never sees.

mod bed;
mod denials;
mod secrets;
mod whole;

use std::net::TcpListener;

use skep_harness::{Run, Server};
use skep_protocol::{Ending, EntryKind, LimitName};

use bed::{Bed, Names};

/// Runs the guest `caller` with a command and these grants.
fn run(grants: &[&str], command: &str) -> Run {
    let flags: Vec<_> = grants.iter().flat_map(|grant| ["--allow-http", grant]).collect();
    Run::with(&flags).args(["--input", "-"]).guest("caller", &[]).stdin(command)
}

#[test]
fn a_run_sends_only_granted_requests() {
    let server = Server::start();
    let (url, grant) = (server.url("/hello?x=1"), server.url(""));
    let get = format!("get {url} x-mine:here");
    run(&[&grant], &get).go().expect(0).prints("status 200").prints("hello");
    let head = server.heads().remove(0);
    assert!(head.starts_with("GET /hello?x=1 HTTP/1.1\r\n"), "{head}");
    let host = format!("host: {}\r\n", server.address());
    assert!(head.to_ascii_lowercase().contains(&host) && head.contains("x-mine: here"), "{head}");

    // No request is sent without a grant, with another method or to another host.
    let other = format!("http://127.0.0.2:{}", server.port());
    for grants in [&[][..], &[&*format!("POST {grant}")], &[&*other], &["https://127.0.0.1"]] {
        let ran = run(grants, &get).go().expect(0).prints("error ErrorCode::HttpRequestDenied");
        ran.says(&format!("denied: GET {grant} (allow with --allow-http '{grant}')"));
    }
    assert_eq!(server.heads().len(), 1);
}

#[test]
fn a_runs_report_has_its_requests_and_denials() {
    let server = Server::start();
    let grant = server.url("");
    let many = format!("many 3 {}", server.url("/hello"));
    let flags = ["--allow-http", &grant, "--output", "json", "--input", "-"];
    let (report, _) = Run::with(&flags).guest("caller", &[]).stdin(many).report();
    let requests = report["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0]["status"], 200);
    assert_eq!(requests[0]["received_bytes"], 5);
    assert!(requests[0].get("error").is_none());
}

/// `cargo xtask hostile` tries more notations of addresses.
#[test]
fn an_inner_address_needs_an_inner_grant() {
    let server = Server::start();
    let port = server.port();
    let any = format!("http://*:{port}");
    for (host, error) in [
        ("LOCALHOST.", "error ErrorCode::DestinationIpProhibited"),
        ("0x7f.1", "error ErrorCode::HttpRequestUriInvalid"),
    ] {
        let ran = run(&[&any], &format!("get http://{host}:{port}/")).go().expect(0).prints(error);
        ran.says("denied: GET http://");
    }
    assert_eq!(server.heads().len(), 0);
    let inner = format!("http://localhost:{port} inner");
    let get = format!("get http://LOCALHOST.:{port}/hello");
    run(&[&inner], &get).go().expect(0).prints("status 200");
    let head = server.heads().remove(0).to_ascii_lowercase();
    assert!(head.contains(&format!("host: localhost:{port}\r\n")), "{head}");
}

#[test]
fn reserved_methods_and_headers_are_refused() {
    let server = Server::start();
    let grant = server.url("");
    for method in ["CONNECT", "TRACE", "get", "A/B"] {
        let send = format!("send {method} {} 0", server.url("/hello"));
        let ran = run(&[&grant], &send).go();
        assert!(!ran.text().contains("status"), "{method}: {}", ran.text());
    }
    for header in ["host:evil", "connection:close", "transfer-encoding:chunked", "upgrade:h2c"] {
        let get = format!("get {} {header}", server.url("/hello"));
        run(&[&grant], &get).go().prints("InternalError(Some(\"header");
    }
    assert_eq!(server.heads().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_target_is_denied_by_its_own_name() {
    let (outer, inner) = (Server::start(), Server::start());
    let names = Names::of(&["127.0.0.1"]);
    let bed = Bed::with(names, &[]);
    let port = outer.port();
    let worker = bed.caller(&[&format!("http://outer.test:{port} inner")], &[], &[]).await;
    let to = format!("http://outer.test:{port}/to?{}", inner.url("/hello"));
    let answer = bed.ask(worker, &format!("follow {to}")).await;
    assert!(answer.contains("/hello error ErrorCode::HttpRequestDenied"), "{answer}");
    let denied = bed.entries(worker, EntryKind::Denied).await;
    let denied: Vec<_> = denied.iter().map(bed::json).collect();
    assert_eq!(denied[0]["wanted"], format!("GET {}", inner.url("")));
    assert_eq!(denied[0]["grant"]["http"][0]["host"], "127.0.0.1");
    assert_eq!(denied.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_an_inner_address_is_recorded_with_the_missing_grant() {
    let bed = Bed::with(Names::of(&["10.0.0.1", "::1"]), &[]);
    let worker = bed.caller(&["http://shifty.test"], &[], &[]).await;
    let answer = bed.ask(worker, "get http://shifty.test/hello").await;
    assert_eq!(answer, "error ErrorCode::DestinationIpProhibited");
    let record = bed::json(&bed.entries(worker, EntryKind::Request).await[0]);
    assert_eq!(record["error"], "destination-IP-prohibited");
    let denied = bed::json(&bed.entries(worker, EntryKind::Denied).await[0]);
    assert_eq!(denied["grant"]["http"][0]["inner"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_recorded_and_sent_only_after_its_input_is_stored() {
    let server = Server::start();
    let bed = Bed::new();
    let worker = bed.caller(&[&server.url("")], &[], &[]).await;
    // The instance exists already, so nothing else takes time.
    bed.ask(worker, "say nothing").await;
    for _ in 0..5 {
        let inputs = bed.entries(worker, EntryKind::Input).await.len();
        let get = format!("get {}", server.url("/wait"));
        let turn = bed.ask(worker, &get);
        let (arrived, seen) = tokio::join!(turn, async {
            let go = tokio::task::block_in_place(|| server.waiting());
            let seen = bed.entries(worker, EntryKind::Input).await.len();
            go.send(()).unwrap();
            seen
        });
        assert!(arrived.contains("at last"));
        assert_eq!(seen, inputs + 1, "the request was sent before its input was stored");
    }
    let send = format!("send POST {} 70000", server.url("/hello"));
    assert!(bed.ask(worker, &send).await.contains("status 200"));
    let entries = bed.entries(worker, EntryKind::Request).await;
    let last = entries.last().unwrap();
    assert_eq!(last.label.as_deref(), Some("POST 127.0.0.1"));
    assert!(last.input_id.is_some());
    let record = bed::json(last);
    assert_eq!(record["sent_bytes"], 70_000);
    assert_eq!((&record["status"], &record["received_bytes"]), (&200.into(), &5.into()));
    assert_eq!(entries.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_request_outlives_its_turn() {
    let server = Server::start();
    let bed = Bed::new();
    let worker = bed.caller(&[&server.url("")], &[], &[]).await;
    assert_eq!(bed.ask(worker, &format!("keep {}", server.url("/endless"))).await, "kept");
    let record = bed::json(&bed.entries(worker, EntryKind::Request).await[0]);
    assert_eq!((&record["status"], &record["error"]), (&200.into(), &"turn-ended".into()));
    bed::until("the connection's end", || server.at_once() == 0).await;
    let rest = bed.ask(worker, "resume").await;
    // Which of the two errors the guest sees is a race.
    let ends = ["connection terminated", "incomplete HTTP response"];
    assert!(ends.iter().any(|end| rest.contains(end)), "{rest}");
    assert_eq!(bed.entries(worker, EntryKind::Request).await.len(), 1);

    // A turn that ends during a request.
    let limits = [(LimitName::turn_deadline_ms, 3_000)];
    let worker = bed.caller(&[&server.url("")], &limits, &[]).await;
    let outcome = bed.send(worker, &format!("get {}", server.url("/silent"))).await;
    assert_eq!(outcome.ending, Ending::Deadline);
    let record = bed::json(&bed.entries(worker, EntryKind::Request).await[0]);
    assert_eq!((record.get("status"), &record["error"]), (None, &"turn-ended".into()));
    bed::until("the connection's end", || server.at_once() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_answer_is_an_error() {
    let server = Server::start();
    let bed = Bed::new();
    let worker = bed.caller(&[&server.url("")], &[], &[]).await;
    let answer = bed.ask(worker, &format!("drain {}", server.url("/cut"))).await;
    assert!(answer.contains("received 4 ") && answer.contains("incomplete"), "{answer}");
    let record = bed::json(&bed.entries(worker, EntryKind::Request).await[0]);
    assert_eq!(
        (&record["received_bytes"], &record["error"]),
        (&4.into(), &"HTTP-response-incomplete".into())
    );
}

#[test]
fn the_hosts_own_port_is_never_requested() {
    use crate::hosting::Hosted;
    let hosted = Hosted::start();
    let address = hosted.host.url.strip_prefix("http://").unwrap().to_owned();
    let wasm = skep_harness::guest("caller");
    let spec = hosted.good(&["component", "push", wasm.to_str().unwrap(), "--output", "json"]);
    bed::create_on(&hosted.host, &spec.text("digest"), &format!("http://{address}"));
    let get = format!("get http://{address}/healthz");
    let said = hosted.good(&["worker", "send", "asker", &get]);
    assert!(said.out.contains("DestinationIpProhibited"), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn https_requires_a_trusted_certificate() {
    let key = rcgen::generate_simple_self_signed(["good.test".to_owned()]).unwrap();
    let tls = bed::tls(&key);
    let server = Server::wrapped(TcpListener::bind("127.0.0.1:0").unwrap(), tls);
    let port = server.port();
    let names = || Names::of(&["127.0.0.1"]);
    let grants = ["good.test", "bad.test"].map(|host| format!("https://{host}:{port} inner"));
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    let trusting = Bed::with(names(), &[key.cert.der().to_vec()]);
    let worker = trusting.caller(&grants, &[], &[]).await;
    let answer = trusting.ask(worker, &format!("get https://good.test:{port}/hello")).await;
    assert!(answer.contains("status 200") && answer.ends_with("hello"), "{answer}");
    let answer = trusting.ask(worker, &format!("get https://bad.test:{port}/hello")).await;
    assert_eq!(answer, "error ErrorCode::TlsCertificateError");
    let wary = Bed::with(names(), &[]);
    let worker = wary.caller(&grants, &[], &[]).await;
    let answer = wary.ask(worker, &format!("get https://good.test:{port}/hello")).await;
    // A machine without any certificate authority has no TLS configuration.
    let refused = ["TlsCertificateError", "ConfigurationError"];
    assert!(refused.iter().any(|code| answer.ends_with(code)), "{answer}");
    assert_eq!(server.heads().len(), 1);
}
