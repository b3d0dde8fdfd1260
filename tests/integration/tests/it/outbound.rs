//! Requests of workers to others: granted or denied, held to limits, recorded, and with a secret
//! that the worker never sees.

mod bed;
mod secrets;
mod server;

use std::net::{IpAddr, TcpListener};
use std::time::{Duration, Instant};

use skep_harness::Run;
use skep_protocol::{Ending, EntryKind, LimitName};

use bed::{Bed, Names};
use server::Server;

/// `skep run` of the caller with a command and these grants.
fn run(grants: &[&str], command: &str) -> Run {
    let flags: Vec<_> = grants.iter().flat_map(|grant| ["--allow-http", grant]).collect();
    Run::with(&flags).args(["--input", "-"]).guest("caller", &[]).stdin(command)
}

#[test]
fn a_run_asks_whom_it_may() {
    let server = Server::start();
    let (url, grant) = (server.url("/hello?x=1"), server.url(""));
    let get = format!("get {url} x-mine:here");
    run(&[&grant], &get).go().expect(0).prints("status 200").prints("hello");
    let head = server.heads().remove(0);
    assert!(head.starts_with("GET /hello?x=1 HTTP/1.1\r\n"), "{head}");
    let host = format!("host: {}\r\n", server.address);
    assert!(head.to_ascii_lowercase().contains(&host) && head.contains("x-mine: here"), "{head}");

    // Nobody is asked without a grant, by another method than the one that is named, or elsewhere.
    let other = format!("http://127.0.0.2:{}", server.address.port());
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

/// What is not a public address is reached by no name and by no spelling of it.
#[test]
fn an_inner_address_is_refused_in_every_form() {
    let server = Server::start();
    let port = server.address.port();
    let grants = [format!("http://*:{port}"), "http://*".to_owned()];
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    let prohibited = "error ErrorCode::DestinationIpProhibited";
    let unreadable = "error ErrorCode::HttpRequestUriInvalid";
    for (host, port, error) in [
        ("127.0.0.1", port, prohibited),
        ("127.9.9.9", port, prohibited),
        ("0.0.0.0", port, prohibited),
        ("[::1]", port, prohibited),
        ("[::]", port, prohibited),
        ("[::ffff:127.0.0.1]", port, prohibited),
        ("[0:0:0:0:0:ffff:7f00:1]", port, prohibited),
        ("[64:ff9b::7f00:1]", port, prohibited),
        ("localhost", port, prohibited),
        ("LOCALHOST.", port, prohibited),
        ("10.0.0.1", 80, prohibited),
        ("172.16.0.1", 80, prohibited),
        ("192.168.1.1", 80, prohibited),
        ("169.254.169.254", 80, prohibited),
        ("[fd00:ec2::254]", 80, prohibited),
        ("[fe80::1]", 80, prohibited),
        ("100.64.0.1", 80, prohibited),
        ("2130706433", port, unreadable),
        ("0x7f000001", port, unreadable),
        ("0x7f.1", port, unreadable),
        ("0177.0.0.1", port, unreadable),
        ("127.1", port, unreadable),
        ("example.com@127.0.0.1", port, unreadable),
    ] {
        let ran = run(&grants, &format!("get http://{host}:{port}/")).go().expect(0).prints(error);
        ran.says("denied: GET http://");
    }
    assert_eq!(server.heads().len(), 0);
    // Unless the operator says so.
    let inner = format!("http://localhost:{port} inner");
    let get = format!("get http://LOCALHOST.:{port}/hello");
    run(&[&inner], &get).go().expect(0).prints("status 200");
    let head = server.heads().remove(0).to_ascii_lowercase();
    assert!(head.contains(&format!("host: localhost:{port}\r\n")), "{head}");
}

#[test]
fn some_methods_and_headers_are_the_hosts_own() {
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
async fn a_redirect_is_a_request_like_any_other() {
    let (outer, inner) = (Server::start(), Server::start());
    let names = Names::of(|_| vec!["127.0.0.1".parse().unwrap()]);
    let bed = Bed::with(names, &[]);
    let port = outer.address.port();
    let worker = bed.caller(&[&format!("http://outer.test:{port} inner")], &[], &[]).await;
    let to = format!("http://outer.test:{port}/to?{}", inner.url("/hello"));
    let answer = bed.ask(worker, &format!("follow {to}")).await;
    assert!(answer.contains("/hello error ErrorCode::HttpRequestDenied"), "{answer}");
    // The same host by another name.
    let to = format!("http://outer.test:{port}/to?http://127.0.0.1:{port}/hello");
    let answer = bed.ask(worker, &format!("follow {to}")).await;
    assert!(answer.contains("error ErrorCode::HttpRequestDenied"), "{answer}");
    assert_eq!((outer.heads().len(), inner.heads().len()), (2, 0));
    let denied = bed.entries(worker, EntryKind::Denied).await;
    let denied: Vec<_> = denied.iter().map(bed::json).collect();
    assert_eq!(denied[0]["wanted"], format!("GET {}", inner.url("")));
    assert_eq!(denied[0]["grant"]["http"][0]["host"], "127.0.0.1");
    assert_eq!(denied.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_looked_up_once_and_what_it_has_become_is_checked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let first = Server::serve(listener, None);
    let second = Server::serve(TcpListener::bind(("127.0.0.2", port)).unwrap(), None);
    // A name that has another address each time it is asked for.
    let names = Names::of(|asked| {
        let address = if asked == 0 { "127.0.0.1" } else { "127.0.0.2" };
        vec![address.parse().unwrap()]
    });
    let bed = Bed::with(names.clone(), &[]);
    let grant = format!("http://shifty.test:{port} inner");
    let worker = bed.caller(&[&grant], &[], &[]).await;
    let get = format!("get http://shifty.test:{port}/hello");
    assert!(bed.ask(worker, &get).await.contains("status 200"));
    assert_eq!(names.asked(), 1);
    assert_eq!((first.heads().len(), second.heads().len()), (1, 0));

    // One that was public when it was granted, and now leads inside; and one that has both kinds.
    let inside: Vec<IpAddr> = ["10.0.0.1", "::1", "127.0.0.1"].map(|a| a.parse().unwrap()).into();
    let bed = Bed::with(Names::of(move |_| inside.clone()), &[]);
    let worker = bed.caller(&[&format!("http://shifty.test:{port}")], &[], &[]).await;
    let answer = bed.ask(worker, &get).await;
    assert_eq!(answer, "error ErrorCode::DestinationIpProhibited");
    assert_eq!((first.heads().len(), second.heads().len()), (1, 0));
    let record = bed::json(&bed.entries(worker, EntryKind::Request).await[0]);
    assert_eq!(record["error"], "destination-IP-prohibited");
    let denied = bed::json(&bed.entries(worker, EntryKind::Denied).await[0]);
    assert_eq!(denied["grant"]["http"][0]["inner"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_recorded_and_leaves_no_sooner_than_its_input_is_kept() {
    let server = Server::start();
    let bed = Bed::new();
    let worker = bed.caller(&[&server.url("")], &[], &[]).await;
    // An instance that is there already, so that nothing else takes time.
    bed.ask(worker, "say nothing").await;
    for _ in 0..5 {
        let inputs = bed.entries(worker, EntryKind::Input).await.len();
        let get = format!("get {}", server.url("/wait"));
        let turn = bed.ask(worker, &get);
        let (arrived, seen) = tokio::join!(turn, async {
            let go = tokio::task::block_in_place(|| server.waiting.recv().unwrap());
            let seen = bed.entries(worker, EntryKind::Input).await.len();
            go.send(()).unwrap();
            seen
        });
        assert!(arrived.contains("at last"));
        assert_eq!(seen, inputs + 1, "it was asked for something that nobody would remember");
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
    assert!(rest.contains("connection terminated"), "{rest}");
    assert_eq!(bed.entries(worker, EntryKind::Request).await.len(), 1);

    // A turn that is ended in the middle of one.
    let limits = [(LimitName::turn_deadline_ms, 400)];
    let worker = bed.caller(&[&server.url("")], &limits, &[]).await;
    let outcome = bed.send(worker, &format!("get {}", server.url("/silent"))).await;
    assert_eq!(outcome.ending, Ending::Deadline);
    let record = bed::json(&bed.entries(worker, EntryKind::Request).await[0]);
    assert_eq!((record.get("status"), &record["error"]), (None, &"turn-ended".into()));
    bed::until("the connection's end", || server.at_once() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_header_bytes() {
    let server = Server::start();
    let bed = Bed::new();
    let worker = bed.caller(&[&server.url("")], &[], &[]).await;
    for path in ["/bomb", "/many-headers"] {
        let answer = bed.ask(worker, &format!("get {}", server.url(path))).await;
        assert!(answer.contains("HttpResponseHeaderSectionSize(Some(32768))"), "{path}: {answer}");
    }
    let long = "x".repeat(40_000);
    let get = format!("get {}?{long}", server.url("/hello"));
    let answer = bed.ask(worker, &get).await;
    assert!(answer.contains("HttpRequestHeaderSectionSize(Some(32768))"), "{answer}");
    let outcome = bed.send(worker, "fields 1 40000").await;
    assert_eq!(outcome.error.unwrap().limit, Some(LimitName::http_header_bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_body_bytes() {
    let server = Server::start();
    let bed = Bed::new();
    let limits = [(LimitName::http_body_bytes, 100_000)];
    let worker = bed.caller(&[&server.url("")], &limits, &[]).await;
    let answer = bed.ask(worker, &format!("drain {}", server.url("/endless"))).await;
    assert!(answer.contains("HTTP response body size exceeds limit: 100000 bytes"), "{answer}");
    let answer = bed.ask(worker, &format!("send POST {} 200000", server.url("/hello"))).await;
    assert!(answer.contains("HttpRequestBodySize(Some(100000))"), "{answer}");
    bed::until("the connections' end", || server.at_once() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_chunk_bytes() {
    let server = Server::start();
    let bed = Bed::new();
    let limits = [(LimitName::http_chunk_bytes, 1_000), (LimitName::http_body_bytes, 100_000)];
    let worker = bed.caller(&[&server.url("")], &limits, &[]).await;
    let answer = bed.ask(worker, &format!("drain {}", server.url("/endless"))).await;
    assert!(answer.contains("largest 1000 "), "{answer}");
    // Who does not read is not sent to: what is under way is what the sockets hold.
    let worker = bed.caller(&[&server.url("")], &[], &[]).await;
    assert_eq!(bed.ask(worker, &format!("hold {} 1", server.url("/endless"))).await, "held");
    assert!(server.written() < 16 << 20, "{}", server.written());
}

#[tokio::test(flavor = "multi_thread")]
async fn http_wait_ms() {
    let server = Server::start();
    let bed = Bed::new();
    let limits = [(LimitName::http_wait_ms, 300)];
    let worker = bed.caller(&[&server.url("")], &limits, &[]).await;
    let began = Instant::now();
    let answer = bed.ask(worker, &format!("get {}", server.url("/silent"))).await;
    assert_eq!(answer, "error ErrorCode::HttpResponseTimeout");
    let answer = bed.ask(worker, &format!("drain {}", server.url("/stall"))).await;
    assert!(
        answer.contains("received 4 ") && answer.contains("connection read timeout"),
        "{answer}"
    );
    // The guest may be less patient, not more.
    for (millis, most) in [(50, 250), (100_000, 5_000)] {
        let began = Instant::now();
        let answer = bed.ask(worker, &format!("hurry {} {millis}", server.url("/silent"))).await;
        assert_eq!(answer, "error ErrorCode::HttpResponseTimeout");
        assert!(began.elapsed() < Duration::from_millis(most), "{:?}", began.elapsed());
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let answer = bed.ask(worker, &format!("drain {}", server.url("/cut"))).await;
    assert!(answer.contains("received 4 ") && answer.contains("incomplete"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn outbound_connections() {
    let server = Server::start();
    let bed = Bed::new();
    let limits = [(LimitName::outbound_connections, 4)];
    let worker = bed.caller(&[&server.url("")], &limits, &[]).await;
    let answer = bed.ask(worker, &format!("many 30 {}", server.url("/nap"))).await;
    assert_eq!(answer, "30 200\n");
    assert_eq!(server.most(), 4);
    let answer = bed.ask(worker, &format!("many 50 {}", server.url("/nap"))).await;
    assert_eq!(answer, "36 200\n14 error ErrorCode::ConnectionLimitReached\n");
    assert_eq!(server.most(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_requests_at_once_are_no_neighbours_business() {
    let server = Server::start();
    let bed = Bed::new();
    let greedy = bed
        .caller(
            &[&server.url("")],
            &[(LimitName::component_handles, 50_000), (LimitName::host_resources, 50_000)],
            &[],
        )
        .await;
    let neighbour = bed.caller(&[&server.url("")], &[], &[]).await;
    let get = format!("get {}", server.url("/hello"));
    bed.ask(neighbour, &get).await;
    let many = format!("many 10000 {}", server.url("/nap"));
    let (answer, slowest) = tokio::join!(bed.ask(greedy, &many), async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let began = Instant::now();
            assert!(bed.ask(neighbour, &get).await.contains("status 200"));
            slowest = slowest.max(began.elapsed());
        }
        slowest
    });
    let counted = |what: &str| -> u64 {
        let line = answer.lines().find(|line| line.ends_with(what));
        line.map_or(0, |line| line.split(' ').next().unwrap().parse().unwrap())
    };
    assert_eq!(counted(" 200") + counted("ConnectionLimitReached"), 10_000, "{answer}");
    assert!(counted(" 200") >= 288, "{answer}");
    assert!(server.most() <= 33, "{}", server.most());
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[test]
fn the_hosts_own_port_is_never_asked() {
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
async fn https_is_for_whom_an_authority_vouches() {
    let key = rcgen::generate_simple_self_signed(["good.test".to_owned()]).unwrap();
    let tls = bed::tls(&key);
    let server = Server::serve(TcpListener::bind("127.0.0.1:0").unwrap(), Some(tls));
    let port = server.address.port();
    let names = || Names::of(|_| vec!["127.0.0.1".parse().unwrap()]);
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
    // Where the machine has no authorities at all there is nothing to set up.
    let refused = ["TlsCertificateError", "ConfigurationError"];
    assert!(refused.iter().any(|code| answer.ends_with(code)), "{answer}");
    assert_eq!(server.heads().len(), 1);
}
