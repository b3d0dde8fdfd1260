//! Many hostile clients, and one that must not be affected.

use std::time::{Duration, Instant};

use skep_api::{ServerLimits, Surface};
use skep_conformance::Guest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::bed::Bed;
use crate::client::{Ask, LONG};
use crate::events::Reader;

/// Returns the 99th percentile latency of sequential requests.
async fn slowest(bed: &Bed, worker: &str) -> Duration {
    let mut stream = TcpStream::connect(bed.addr).await.unwrap();
    let ask = format!(
        "GET {worker} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
        bed.admin
    );
    let mut took = Vec::new();
    let mut answer = vec![0; 8 << 10];
    for _ in 0..300 {
        let began = Instant::now();
        stream.write_all(ask.as_bytes()).await.unwrap();
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200 "));
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// Asserts that a client's latency is unaffected, as far as a shared test machine allows: at most
/// five times slower, and at least 25 ms are allowed, in one of several attempts.
async fn is_quick(bed: &Bed, worker: &str, quiet: Duration) {
    let most = (quiet * 5).max(Duration::from_millis(25));
    let mut took = Vec::new();
    for _ in 0..10 {
        took.push(slowest(bed, worker).await);
        if took.iter().any(|took| *took < most) {
            return;
        }
    }
    panic!("{quiet:?} became {took:?}");
}

/// Serializes these tests: each measures the effect of its own hostile clients.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_readers_do_not_slow_others() {
    let _alone = ALONE.lock().await;
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Scribe).await;
    let quiet = slowest(&bed, &worker).await;
    let mut readers = Vec::new();
    for _ in 0..1_000 {
        let path = format!("{worker}/events");
        readers.push(Reader::open(&bed, &path, &bed.admin, "").await);
    }
    is_quick(&bed, &worker, quiet).await;
    bed.handle(&worker, "emit tick 1").await;
    for reader in &mut readers {
        assert_eq!(reader.next().await.unwrap().name, "entry");
    }
    let metrics = bed.admin("GET", "/metrics").send().await.is(200);
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("\nskep_event_readers 1000\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_stalled_readers_are_dropped_without_affecting_others() {
    let _alone = ALONE.lock().await;
    let stall = Duration::from_millis(500);
    let limits = ServerLimits { stall, send_buffer_bytes: 16 << 10, ..ServerLimits::default() };
    let bed = Bed::of(Surface::Browser, limits).await;
    let worker = bed.worker(Guest::Scribe).await;
    // More than the buffers of both sockets hold.
    for _ in 0..8 {
        let done = bed.handle(&worker, "blob 32768").await;
        assert_eq!(done["outcome"], "completed");
    }
    let quiet = slowest(&bed, &worker).await;
    let mut readers = Vec::new();
    for _ in 0..1_000 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let mut stream = socket.connect(bed.addr).await.unwrap();
        let ask = format!(
            "GET {worker}/events?after=0 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
            bed.admin
        );
        stream.write_all(ask.as_bytes()).await.unwrap();
        readers.push(stream);
    }
    is_quick(&bed, &worker, quiet).await;
    let gone = async {
        loop {
            let metrics = bed.admin("GET", "/metrics").send().await.is(200);
            let text = String::from_utf8(metrics.body.to_vec()).unwrap();
            if text.contains("\nskep_event_readers 0\n") {
                break;
            }
            tokio::time::sleep(stall / 5).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("stalled readers are dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_and_bodies_do_not_slow_others() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Scribe).await;
    let quiet = slowest(&bed, &worker).await;
    let mut slow = Vec::new();
    for n in 0..500 {
        let mut stream = TcpStream::connect(bed.addr).await.unwrap();
        let begun = if n % 2 == 0 {
            "GET /api/me HTTP/1.1\r\nhost: localho".to_owned()
        } else {
            format!(
                "POST {worker}/inputs HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
                 content-length: 1000\r\n\r\n1",
                bed.admin
            )
        };
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    is_quick(&bed, &worker, quiet).await;
}

/// Sends the beginning of a request's body, and no more.
async fn begins(bed: &Bed, path: &str, bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(bed.addr).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        bed.admin,
        bytes + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; bytes]).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_bodies_are_bounded_by_their_quota() {
    const ROOM: usize = 256 << 10;
    let limits = ServerLimits { bodies_bytes: ROOM as u64, ..ServerLimits::default() };
    let bed = Bed::of(Surface::Browser, limits).await;
    let worker = bed.worker(Guest::Scribe).await;
    let inputs = format!("{worker}/inputs");
    let input = || bed.admin("POST", &inputs).body(vec![b'.'; 8 << 10]).send();
    let login = || Ask::new(bed.addr, "POST", "/api/login").body(r#"{"token":"of nobody"}"#).send();
    let until = async |what: &str, is: &dyn Fn(u16, u16) -> bool| {
        let began = Instant::now();
        loop {
            let (input, login) = (input().await.status, login().await.status);
            if is(input, login) {
                return;
            }
            assert!(began.elapsed() < LONG, "{what}: {input}, {login}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    until("without load", &|input, login| (input, login) == (202, 401)).await;
    // Each takes half of its quota, so that the second of a kind leaves nothing.
    let mut strangers = Vec::new();
    for _ in 0..2 {
        strangers.push(begins(&bed, "/api/login", ROOM / 16 / 2).await);
    }
    until("logins use up their own quota", &|input, login| (input, login) == (202, 503)).await;
    let mut known = Vec::new();
    for _ in 0..2 {
        known.push(begins(&bed, &inputs, ROOM / 2).await);
    }
    until("both quotas are used up", &|input, login| (input, login) == (503, 503)).await;
    drop(strangers);
    until("logins have room again", &|input, login| (input, login) == (503, 401)).await;
    drop(known);
    until("both have room again", &|input, login| (input, login) == (202, 401)).await;
    // A long body without authentication is refused, however much of the quota is left.
    let long = Ask::new(bed.addr, "POST", "/api/login").body(" ".repeat((16 << 10) + 1));
    assert_eq!(long.send().await.status, 413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deeply_nested_json_is_refused_quickly() {
    let _alone = ALONE.lock().await;
    let bed = std::sync::Arc::new(Bed::browser().await);
    let worker = bed.worker(Guest::Scribe).await;
    let quiet = slowest(&bed, &worker).await;
    let nested = {
        let bed = std::sync::Arc::clone(&bed);
        tokio::spawn(async move {
            for _ in 0..50 {
                let deep = bed.admin("POST", &bed.at("/workers")).body("[".repeat(100_000));
                deep.send().await.refused(400, "invalid_request");
            }
        })
    };
    is_quick(&bed, &worker, quiet).await;
    nested.await.unwrap();
}
