//! Malformed and oversized requests.

use serde_json::json;
use skep_api::{ServerLimits, Surface};
use skep_conformance::Guest;
use skep_protocol::Error;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::bed::Bed;
use crate::client::rest;

#[tokio::test]
async fn every_error_has_its_own_problem() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Echo).await;
    for error in Error::every() {
        bed.home.fail(Some(error.clone()));
        let said = bed.admin("GET", &worker).send().await.refused(error.status(), error.code());
        let problem: skep_protocol::Problem = serde_json::from_slice(&said.body).unwrap();
        let again = problem.into_error().unwrap();
        assert_eq!((again.code(), again.to_string()), (error.code(), error.to_string()));
        let timed = matches!(error.code(), "busy" | "mailbox_full" | "too_many_attempts");
        assert_eq!(said.header("retry-after"), if timed { "2" } else { "" });
        let login = error.code() == "unauthenticated";
        assert_eq!(said.header("www-authenticate"), if login { "Bearer" } else { "" });
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    for bed in [Bed::browser().await, Bed::runtime().await] {
        for path in
            ["/x", "/v1", "/v2/workers", "/api", "/api/", "//", "/healthz/", "/api/../healthz"]
        {
            bed.ask("GET", path).send().await.refused(404, "not_found");
        }
        let said = bed.admin("PATCH", &bed.at("/workers")).send().await;
        let said = said.refused(405, "method_not_allowed");
        assert_eq!(said.header("allow"), "GET,HEAD,POST");
        bed.ask("POST", "/healthz").send().await.refused(405, "method_not_allowed");
        bed.admin("TRACE", &bed.at("/workers")).send().await.refused(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn every_route_needs_a_login() {
    let bed = Bed::browser().await;
    let document: serde_json::Value = serde_json::from_str(&skep_api::openapi()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let path = path.replace("{runtime_id}", "home").replace(['{', '}'], "");
            let method = method.to_uppercase();
            if operation.get("security").is_some() {
                continue;
            }
            let none = bed.ask(&method, &path).send().await.refused(401, "unauthenticated");
            assert_eq!(none.header("www-authenticate"), "Bearer");
            let in_url = format!("{path}?token={0}&access_token={0}", bed.admin);
            bed.ask(&method, &in_url).send().await.refused(401, "unauthenticated");
        }
    }
    for wrong in ["Bearer", "Bearer ", "Basic eDp5", "Bearer skep_x_y", "Bearer \u{e9}"] {
        let said = bed.ask("GET", "/api/me").header("authorization", wrong).send().await;
        said.refused(401, "unauthenticated");
    }
}

#[tokio::test]
async fn malformed_ids_are_refused() {
    let bed = Bed::browser().await;
    let long = "a".repeat(10 << 10);
    let worker = bed.worker(Guest::Echo).await;
    for id in [
        "x",
        "..",
        ".",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "%00",
        "%0d%0ax:%20y",
        "019B0D2E-7C31-7E0A-8F7D-0A6D2F3C1B55",
        "019b0d2e-7c31-4e0a-8f7d-0a6d2f3c1b55",
        &long,
        "*",
        "%E2%80%AE",
    ] {
        let path = bed.at(&format!("/workers/{id}"));
        let said = bed.admin("GET", &path).send().await.refused(400, "invalid_request");
        assert_eq!(said.json()["reason"], "id", "{id}");
        let said = bed.admin("GET", &format!("{worker}/inputs/{id}")).send().await;
        assert_eq!(said.refused(400, "invalid_request").json()["reason"], "id");
        let said = bed.admin("GET", &bed.at(&format!("/components/{id}"))).send().await;
        assert_eq!(said.refused(400, "invalid_request").json()["reason"], "digest");
        if !matches!(id, "x" | "019b0d2e-7c31-4e0a-8f7d-0a6d2f3c1b55") {
            let said = bed.admin("GET", &format!("/api/runtimes/{id}/workers")).send().await;
            assert_eq!(said.refused(400, "invalid_request").json()["reason"], "runtime_id");
        }
    }
}

#[tokio::test]
async fn file_names_cannot_leave_the_directory() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Echo).await;
    for name in [
        "..%2f..%2fetc%2fpasswd",
        "../identity.json",
        "%2e%2e/%2e%2e/state.db",
        "a/../../b",
        "a//b",
        "/a",
        "a/",
        ".",
        "a%00b",
        "a%0ab",
        "%2fetc%2fpasswd",
        &"x".repeat(300),
        &"x/".repeat(2_500),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let said = bed.admin(method, &format!("{worker}/files/{name}")).send().await;
            let reason = said.refused(400, "invalid_request").json()["reason"].clone();
            assert_eq!(reason, "file_name", "{name}");
        }
    }
}

#[tokio::test]
async fn a_malformed_url_is_refused() {
    let bed = Bed::browser().await;
    for path in ["/api/runtimes/%zz", "/api/runtimes/%", "/api/runtimes/%ff", "/api/workers?x=%f"] {
        bed.admin("GET", path).send().await.refused(400, "malformed_url");
    }
    let long = format!("/api/workers?x={}", "y".repeat(17 << 10));
    bed.admin("GET", &long).send().await.refused(414, "uri_too_long");
    let large = bed.admin("GET", "/api/workers").header("x", &"y".repeat(33 << 10));
    large.send().await.refused(431, "header_fields_too_large");
    let mut many = bed.admin("GET", "/api/workers");
    for n in 0..101 {
        many = many.header(&format!("x-{n}"), "y");
    }
    many.send().await.refused(431, "header_fields_too_large");
}

#[tokio::test]
async fn unknown_query_parameters_are_refused_by_name() {
    let bed = Bed::browser().await;
    let document: serde_json::Value = serde_json::from_str(&skep_api::openapi()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // Repeated failed logins would be throttled, and a worker has parameters of its own.
            if operation["operationId"] == "login" || path.ends_with("/http/{path}") {
                continue;
            }
            let path = path.replace("{runtime_id}", "home").replace(['{', '}'], "");
            let method = method.to_uppercase();
            let asked = bed.admin(&method, &format!("{path}?offset=MARKER"));
            let said = asked.json(&json!({})).send().await.refused(400, "invalid_request").json();
            assert_eq!(said["reason"], "query", "{method} {path}");
            let detail = said["detail"].as_str().unwrap();
            assert!(detail.contains("`offset`") && !detail.contains("MARKER"), "{detail}");
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for known in parameters.filter(|one| one["in"] == "query") {
                let known = format!("`{}`", known["name"].as_str().unwrap());
                assert!(detail.contains(&known), "{method} {path}: {detail}");
            }
        }
    }
    bed.ask("GET", "/login?offset=1").send().await.refused(400, "invalid_request");

    let runtime = Bed::runtime().await;
    for path in ["/v1/runtime", "/v1/workers", "/v1/changes", "/v1/diagnostics", "/healthz"] {
        let said = runtime.admin("GET", &format!("{path}?offset=1")).send().await;
        said.refused(400, "invalid_request");
        let said = runtime.admin("HEAD", &format!("{path}?offset=1")).send().await;
        assert_eq!(said.status, 400, "HEAD {path}");
    }
    let long = format!("/v1/workers?{}%E2%80%AE%1b=1", "x".repeat(100));
    let said = runtime.admin("GET", &long).send().await.refused(400, "invalid_request").json();
    let detail = said["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("`{}…`", "x".repeat(64))), "{detail}");
}

#[tokio::test]
async fn malformed_parameters_are_refused() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Echo).await;
    let workers = bed.at("/workers");
    for path in [
        format!("{workers}?limit=-1"),
        format!("{workers}?limit=1&limit=2"),
        format!("{workers}?limit=x"),
        format!("{workers}?limit="),
        format!("{workers}?limit=18446744073709551616"),
        format!("{workers}?label=x"),
        format!("{workers}?state=asleep"),
        "/api/workers?state=asleep".into(),
        format!("{worker}/transcript?after=x"),
        format!("{worker}/transcript?after=%2B1"),
        format!("{worker}/events?after=-1"),
    ] {
        let said = bed.admin("GET", &path).send().await.refused(400, "invalid_request");
        assert_eq!(said.json()["reason"], "query", "{path}");
    }
    let said = bed.admin("POST", &format!("{worker}/inputs?wait_ms=1s")).send().await;
    assert_eq!(said.refused(400, "invalid_request").json()["reason"], "query");
    for (name, value) in [("last-event-id", "x"), ("last-event-id", "-1")] {
        let said = bed.admin("GET", &format!("{worker}/events")).header(name, value).send().await;
        assert_eq!(said.refused(400, "invalid_request").json()["reason"], "header");
    }
    let long = "k".repeat(256);
    for key in [&long, "", "\u{fc}", "a\tb"] {
        let ask = bed.admin("POST", &format!("{worker}/inputs")).header("idempotency-key", key);
        let said = ask.send().await.refused(400, "invalid_request");
        assert_eq!(said.json()["reason"], "idempotency_key", "{key}");
    }
    let media =
        bed.admin("POST", &format!("{worker}/inputs")).header("content-type", &"x".repeat(256));
    assert_eq!(media.send().await.refused(400, "invalid_request").json()["reason"], "header");
    let cursor = bed.admin("GET", &format!("{workers}?cursor=no-cursor")).send().await;
    assert_eq!(cursor.refused(400, "invalid_request").json()["reason"], "cursor");
}

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Echo).await;
    let deep = |open: &str, n: usize| open.repeat(n);
    let bodies = [
        String::new(),
        "{".into(),
        "[]".into(),
        "null".into(),
        "\u{feff}{}".into(),
        json!({ "component": "sha256:00" }).to_string(),
        json!({ "component": "x", "surprise": 1 }).to_string(),
        format!("{{\"component\":{}", deep("[", 100_000)),
        format!("{{\"labels\":{}1{}", deep("{\"a\":", 100_000), deep("}", 100_000)),
        deep("[", 100_000),
    ];
    for body in bodies {
        for path in [bed.at("/workers"), bed.at("/configs")] {
            let said = bed.admin("POST", &path).body(body.clone()).send().await;
            assert_eq!(said.refused(400, "invalid_request").json()["reason"], "body");
        }
        let said = bed.admin("PATCH", &worker).body(if body == "[]" { "[1]".into() } else { body });
        said.send().await.refused(400, "invalid_request");
    }
    let latin = bed.admin("POST", &bed.at("/configs")).body(&b"{\"values\":{\"a\":\"\xe9\"}}"[..]);
    latin.send().await.refused(400, "invalid_request");
}

#[tokio::test]
async fn oversized_bodies_are_refused() {
    let limits =
        ServerLimits { input_bytes: 5 << 20, component_bytes: 1 << 20, ..ServerLimits::default() };
    let bed = Bed::of(Surface::Browser, limits).await;
    let worker = bed.worker(Guest::Echo).await;
    let json = bed.admin("POST", &bed.at("/workers")).body(vec![b' '; (1 << 20) + 1]);
    json.send().await.refused(413, "body_too_large");
    for bytes in [(4 << 20) + 1, (5 << 20) + 1] {
        let input = bed.admin("POST", &format!("{worker}/inputs")).body(vec![0; bytes]);
        let said = input.send().await.refused(413, "limit_exceeded").json();
        assert_eq!(said["limit"], "input_bytes");
    }
    let wasm = bed.admin("POST", &bed.at("/components")).body(vec![0; (1 << 20) + 1]);
    let said = wasm.send().await.refused(413, "limit_exceeded").json();
    assert_eq!(
        (&said["limit"], &said["limit_value"]),
        (&json!("component_bytes"), &json!(1 << 20))
    );
    // An implausible length, and none.
    let mut stream = TcpStream::connect(bed.addr).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-length: 99999999999\r\n\r\n",
        bed.at("/components"),
        bed.admin
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (said, _) = rest(&mut stream).await;
    assert!(said.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&said));
    let mut stream = TcpStream::connect(bed.addr).await.unwrap();
    let head = head.replace("content-length: 99999999999", "transfer-encoding: chunked");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n", &[0; 0x10000][..], b"\r\n"].concat();
    for _ in 0..17 {
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let (said, _) = rest(&mut stream).await;
    assert!(said.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn a_stalled_body_times_out() {
    let body = Duration::from_millis(200);
    let bed = Bed::of(Surface::Browser, ServerLimits { body, ..ServerLimits::default() }).await;
    let worker = bed.worker(Guest::Echo).await;
    for (path, method, status) in [
        (bed.at("/workers"), "POST", "408"),
        (format!("{worker}/inputs"), "POST", "408"),
        (bed.at("/components"), "POST", "400"),
        (format!("{worker}/files/x"), "PUT", "400"),
    ] {
        let mut stream = TcpStream::connect(bed.addr).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             content-length: 10\r\n\r\n12345",
            bed.admin
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let (said, took) = rest(&mut stream).await;
        let said = String::from_utf8_lossy(&said);
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {said}");
        assert!(took < Duration::from_secs(10));
    }
    // No partial file is left.
    bed.admin("GET", &format!("{worker}/files/x")).send().await.refused(404, "unknown_file");
}

#[tokio::test]
async fn every_response_has_security_headers() {
    let bed = Bed::browser().await;
    for path in ["/api/me", "/nothing", "/healthz", "/api/runtimes/x/workers/y", "/login"] {
        let said = bed.ask("GET", path).send().await;
        assert_eq!(said.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(said.header("referrer-policy"), "no-referrer");
        // The console's page is the same for every caller.
        let stored = if path == "/login" { "no-cache" } else { "no-store" };
        assert_eq!(said.header("cache-control"), stored, "{path}");
        assert_eq!(said.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(said.header("cross-origin-opener-policy"), "same-origin");
        let policy = said.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert!(!said.headers.contains_key("access-control-allow-origin"));
    }
}
