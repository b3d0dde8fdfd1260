//! A server that does not speak the protocol is reported as an unavailable runtime, within the
//! deadlines.

use std::time::{Duration, Instant};

use skep_client::ClientDeadlines;
use skep_protocol::{Error, Overview, Workers};
use tokio::net::TcpListener;

use crate::server::{RUNTIME, Server, answer, json};
use crate::{client, hurried, worker};

/// Returns the result of one response, and the number of requests.
async fn meets(answer: String) -> (Result<(), Error>, usize) {
    let server = Server::answering(&[answer]).await;
    let answered = client(&server.url).describe().await.map(drop);
    (answered, server.requests().len())
}

async fn assert_foreign(answer: String) {
    let (answered, requests) = meets(answer.clone()).await;
    let shown: String = answer.chars().take(300).collect();
    assert_eq!(answered, Err(Error::RuntimeUnavailable), "{shown}");
    assert_eq!(requests, 1, "a retry would not help: {shown}");
}

/// Short deadlines.
fn short() -> ClientDeadlines {
    let soon = Duration::from_millis(200);
    ClientDeadlines { headers: soon, body: soon, answer: soon * 2, ..ClientDeadlines::default() }
}

#[tokio::test]
async fn an_answer_is_read() {
    let server = Server::answering(&[json(200, RUNTIME)]).await;
    let view = client(&server.url).describe().await.unwrap();
    assert_eq!((view.runtime_id.as_str(), view.workers, view.ready), ("there", 2, true));
    let request = &server.requests()[0];
    assert_eq!(request.line(), "GET /v1/runtime");
    assert_eq!(request.header("authorization"), Some("Bearer one-token"));
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let begun = Instant::now();
    assert_eq!(client(&url).describe().await.err(), Some(Error::RuntimeUnavailable));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_connection_that_closes_without_a_response_is_retried() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
    })
    .await;
    let answered = client(&server.url).describe().await;
    assert_eq!(answered.err(), Some(Error::RuntimeUnavailable));
    assert_eq!(server.requests().len(), 3, "reads are retried, up to a limit");
}

#[tokio::test]
async fn a_silent_server_is_unavailable_after_the_deadline() {
    let server = Server::start(|mut connection| async move { connection.hang().await }).await;
    let begun = Instant::now();
    let answered = hurried(&server.url, short()).describe().await;
    assert_eq!(answered.err(), Some(Error::RuntimeUnavailable));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(server.connections(), 1, "one deadline covers all attempts");
}

#[tokio::test]
async fn a_trickling_response_times_out() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.send(json(200, RUNTIME).split_at(60).0).await;
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while connection.try_send(" ").await {
            ticks.tick().await;
        }
    })
    .await;
    let slow =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n";
    let body = Server::start(move |mut connection| async move {
        connection.request().await;
        connection.send(slow).await;
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while connection.try_send(" ").await {
            ticks.tick().await;
        }
    })
    .await;
    for server in [server, body] {
        let begun = Instant::now();
        let answered = hurried(&server.url, short()).describe().await;
        assert_eq!(answered.err(), Some(Error::RuntimeUnavailable));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_http_is_unavailable() {
    for banner in ["SSH-2.0-OpenSSH_9.6\r\n", "\0\u{1}\u{2}\u{3}", "HTTP/9.9 200 OK\r\n\r\n"] {
        let (answered, _) = meets(banner.to_owned()).await;
        assert_eq!(answered, Err(Error::RuntimeUnavailable), "{banner:?}");
    }
}

#[tokio::test]
async fn malformed_json_is_unavailable() {
    let deep = "[".repeat(100_000);
    let missing = RUNTIME.replace("\"ready\"", "\"steady\"");
    let hostile = RUNTIME.replace("there", "../there");
    for body in ["", "{", "null", "[]", "\"x\"", "disk full", &deep, &missing, &hostile] {
        assert_foreign(json(200, body)).await;
    }
}

#[tokio::test]
async fn a_wrong_content_type_is_unavailable() {
    for content_type in ["text/html", "text/plain; charset=utf-8", "application/problem+json"] {
        assert_foreign(answer(200, content_type, RUNTIME)).await;
    }
    assert_foreign(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{RUNTIME}")).await;
    assert_foreign("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".into()).await;
}

#[tokio::test]
async fn a_foreign_error_is_unavailable() {
    assert_foreign(answer(500, "text/plain", "disk full")).await;
    assert_foreign(answer(507, "text/html", "<h1>disk full: /var/lib/skep</h1>")).await;
    assert_foreign(answer(404, "text/html", "nginx")).await;
    assert_foreign(answer(401, "text/html", "who are you?")).await;
    assert_foreign(answer(503, "application/json", "{}")).await;
    let teapot = r#"{"type":"about:blank","title":"","status":418,"code":"teapot","detail":""}"#;
    assert_foreign(answer(418, "application/problem+json", teapot)).await;
    let elsewhere = r#"{"type":"","title":"","status":410,"code":"worker_removed","detail":""}"#;
    assert_foreign(answer(500, "application/problem+json", elsewhere)).await;
    assert_foreign(answer(410, "application/problem+json", "disk full")).await;
    let long = format!("{}{elsewhere}", " ".repeat(1 << 20));
    assert_foreign(answer(410, "application/problem+json", &long)).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::answering(&[json(200, RUNTIME)]).await;
    for status in [300, 301, 302, 303, 304, 307, 308] {
        let location = &elsewhere.url;
        let head = format!("HTTP/1.1 {status} There\r\nlocation: {location}/v1/runtime\r\n");
        assert_foreign(format!("{head}content-length: 0\r\nconnection: close\r\n\r\n")).await;
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_truncated_response_is_unavailable() {
    let half = json(200, RUNTIME);
    let half = &half[..half.len() - 1];
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("{head}{:x}\r\n{RUNTIME}\r\n", RUNTIME.len());
    let bad = format!("{head}zz\r\n{RUNTIME}\r\n0\r\n\r\n");
    for cut in [half, &half[..30], &chunk, &bad] {
        let (answered, requests) = meets(cut.to_owned()).await;
        assert_eq!(answered, Err(Error::RuntimeUnavailable), "{cut:?}");
        assert_eq!(requests, 3, "{cut:?}");
    }
}

#[tokio::test]
async fn endless_headers_are_unavailable() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.send("HTTP/1.1 200 OK\r\n").await;
        while connection.try_send(format!("x: {}\r\n", "y".repeat(10_000))).await {}
    })
    .await;
    assert_eq!(client(&server.url).describe().await.err(), Some(Error::RuntimeUnavailable));
}

#[tokio::test]
async fn a_compressed_body_is_not_decompressed() {
    let body = answer(200, "application/json", RUNTIME);
    let claimed = body.replace("connection: close", "content-encoding: gzip\r\nconnection: close");
    let (answered, _) = meets(claimed).await;
    assert_eq!(answered, Ok(()), "compression was not requested, so the body is taken as it is");
    let server = Server::answering(&[body]).await;
    client(&server.url).describe().await.unwrap();
    assert_eq!(server.requests()[0].header("accept-encoding"), None);
}

#[tokio::test]
async fn a_servers_date_and_cookies_are_ignored() {
    let odd =
        "date: Thu, 01 Jan 1970 00:00:00 GMT\r\nset-cookie: a=b\r\nexpires: 0\r\nage: 999999\r\n";
    let answer = json(200, RUNTIME).replace("connection: close\r\n", odd);
    let server = Server::start(move |mut connection| {
        let answer = answer.clone();
        async move {
            while connection.request().await.is_some() {
                connection.send(&answer).await;
            }
        }
    })
    .await;
    let client = client(&server.url);
    for _ in 0..3 {
        client.describe().await.unwrap();
    }
    assert_eq!(server.connections(), 1, "the connection is reused");
    assert!(server.requests().iter().all(|request| request.header("cookie").is_none()));
}

#[tokio::test]
async fn concurrent_requests_do_not_wait_for_each_other() {
    let server = Server::start(|mut connection| async move {
        let request = connection.request().await.unwrap();
        if request.line().ends_with("/usage") {
            connection.hang().await;
        }
        connection.send(json(200, RUNTIME)).await;
    })
    .await;
    let client = client(&server.url);
    let stuck = client.clone();
    let stuck = tokio::spawn(async move { stuck.usage(worker()).await });
    for _ in 0..10 {
        client.describe().await.unwrap();
    }
    assert!(!stuck.is_finished());
    stuck.abort();
}
