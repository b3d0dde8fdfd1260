//! The accept loop, under hostile clients.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use skep_api::{ServerLimits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::client::{Ask, LONG, rest};

const HEAD: Duration = Duration::from_millis(200);
const IDLE: Duration = Duration::from_secs(3);
const STALL: Duration = Duration::from_millis(300);

fn limits() -> ServerLimits {
    ServerLimits { head: HEAD, idle: IDLE, stall: STALL, ..ServerLimits::default() }
}

struct Server {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
    /// Number of endless responses in flight.
    endless: Arc<AtomicUsize>,
    /// Notified when one has ended.
    ended: Arc<Notify>,
}

struct Endless(Arc<AtomicUsize>, Arc<Notify>);

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        self.1.notify_one();
    }
}

impl Server {
    async fn start(limits: ServerLimits) -> Self {
        let endless = Arc::new(AtomicUsize::new(0));
        let ended = Arc::new(Notify::new());
        let (count, told) = (Arc::clone(&endless), Arc::clone(&ended));
        let flood = move || async move {
            count.fetch_add(1, Ordering::SeqCst);
            let guard = Endless(count, told);
            let piece = Bytes::from(vec![b'.'; 64 << 10]);
            Body::from_stream(stream::repeat(Ok::<_, Infallible>(piece)).map(move |piece| {
                let _held = &guard;
                piece
            }))
        };
        let router = Router::new().route("/", get(|| async { "ok" })).route("/flood", get(flood));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move {
            serve(listener, router, limits, stopped).await.unwrap();
        });
        Self { addr, stop: Some(stop), served, endless, ended }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Waits until no endless response is in flight.
    async fn is_quiet(&self) {
        let quiet = async {
            while self.endless.load(Ordering::SeqCst) > 0 {
                self.ended.notified().await;
            }
        };
        tokio::time::timeout(LONG, quiet).await.expect("the responses are dropped");
    }
}

#[tokio::test]
async fn an_unfinished_head_closes_the_connection() {
    let server = Server::start(limits()).await;
    for begun in ["G", "GET / HTTP/1.1\r\nhost: x\r\nx: ", "PRI * HTTP/2.0\r\n\r\nS"] {
        let mut stream = server.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        let (_, took) = rest(&mut stream).await;
        assert!(took >= HEAD / 2 && took < IDLE, "{begun:?} took {took:?}");
    }
}

#[tokio::test]
async fn a_trickling_head_gets_no_extra_time() {
    let server = Server::start(limits()).await;
    let (mut read, mut write) = server.connect().await.into_split();
    let began = Instant::now();
    let drip = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(HEAD / 10);
        write.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        while write.write_all(b"x: y\r\n").await.is_ok() {
            ticks.tick().await;
        }
    });
    let mut all = Vec::new();
    let _ = tokio::time::timeout(LONG, read.read_to_end(&mut all)).await.unwrap();
    assert!(began.elapsed() < IDLE, "{:?}", began.elapsed());
    drip.abort();
}

#[tokio::test]
async fn a_connection_is_kept_alive_for_a_limited_time() {
    let server = Server::start(limits()).await;
    let mut stream = server.connect().await;
    let mut answer = [0; 1024];
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
        // Longer than the timeout for a head, which does not apply between requests.
        tokio::time::sleep(HEAD * 2).await;
    }
    let (_, took) = rest(&mut stream).await;
    assert!(took < IDLE * 2, "{took:?}");
}

#[tokio::test]
async fn a_connection_over_the_limit_gets_503() {
    let server = Server::start(ServerLimits { connections: 2, ..limits() }).await;
    let first = server.connect().await;
    let mut second = server.connect().await;
    second.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    second.read_u8().await.unwrap();
    let mut third = server.connect().await;
    let (told, _) = rest(&mut third).await;
    let told = String::from_utf8(told).unwrap();
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("\"code\":\"busy\""), "{told}");
    let (_, body) = told.split_once("\r\n\r\n").unwrap();
    assert!(told.contains(&format!("content-length: {}\r\n", body.len())));
    drop(first);
}

#[tokio::test]
async fn a_response_that_is_not_read_is_dropped() {
    let server = Server::start(limits()).await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        stream.read_u8().await.unwrap();
        readers.push(stream);
    }
    server.is_quiet().await;
    Ask::new(server.addr, "GET", "/").send().await.is(200);
}

#[tokio::test]
async fn a_response_that_is_read_slowly_continues() {
    // Much longer than the time between two reads, even on a busy machine.
    let stall = Duration::from_secs(2);
    let server = Server::start(ServerLimits { stall, ..limits() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut some = vec![0; 1 << 20];
    let began = Instant::now();
    while began.elapsed() < stall * 2 {
        tokio::time::sleep(stall / 10).await;
        stream.read_exact(&mut some).await.unwrap();
    }
    assert_eq!(server.endless.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_http_2_response_that_is_not_read_is_dropped() {
    let server = Server::start(limits()).await;
    let stream = server.connect().await;
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("http://localhost/flood").body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    // The connection is read and acknowledged; the stream's window stays closed.
    server.is_quiet().await;
    drop(answer);
    let _ = tokio::time::timeout(LONG, connection).await.unwrap();
}

#[tokio::test]
async fn an_idle_http_2_connection_is_kept_for_a_limited_time() {
    let server = Server::start(limits()).await;
    let stream = server.connect().await;
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..2 {
        let request = http::Request::get("http://localhost/").body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
        tokio::time::sleep(HEAD * 2).await;
    }
    let _ = tokio::time::timeout(LONG, connection).await.expect("the connection is closed");
}

/// Encodes one frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

#[tokio::test]
async fn rapid_resets_close_only_their_own_connection() {
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const SETTINGS: u8 = 4;
    let server = Server::start(limits()).await;
    let mut stream = server.connect().await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, b""));
    for id in (1..20_000).step_by(2) {
        // GET, http, a path of six characters, and the authority "x", with HPACK's static table.
        bytes.extend(frame(HEADERS, 0x4 | 0x1, id, b"\x82\x86\x04\x06/flood\x41\x01x"));
        bytes.extend(frame(RESET, 0, id, &8_u32.to_be_bytes()));
    }
    let (mut read, mut write) = stream.split();
    let mut told = Vec::new();
    let write = async {
        let _ = write.write_all(&bytes).await;
    };
    let both = async { tokio::join!(write, read.read_to_end(&mut told)) };
    let _ = tokio::time::timeout(LONG, both).await.expect("the server closes the connection");
    // GOAWAY, ENHANCE_YOUR_CALM.
    let away = told.windows(4).any(|bytes| bytes == 11_u32.to_be_bytes());
    assert!(away, "the server does not limit resets");
    Ask::new(server.addr, "GET", "/").send().await.is(200);
    server.is_quiet().await;
}

#[tokio::test]
async fn an_endless_header_is_refused() {
    let server = Server::start(limits()).await;
    for head in [
        format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(300 << 10)),
        format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(5_000)),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(300 << 10)),
    ] {
        let mut stream = server.connect().await;
        let _ = stream.write_all(head.as_bytes()).await;
        let (told, _) = rest(&mut stream).await;
        let told = String::from_utf8_lossy(&told);
        let refused = ["HTTP/1.1 431", "HTTP/1.1 414", "HTTP/1.1 400"];
        // Unread input may turn the refusal into a reset.
        assert!(told.is_empty() || refused.iter().any(|one| told.starts_with(one)), "{told}");
    }
    Ask::new(server.addr, "GET", "/").send().await.is(200);
}

#[tokio::test]
async fn garbage_is_refused() {
    let server = Server::start(limits()).await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a browser that expects TLS\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx : y\r\n\r\n",
        b"\r\n\r\n\r\n\0\0\0\0",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(bytes).await.unwrap();
        let (told, _) = rest(&mut stream).await;
        let told = String::from_utf8_lossy(&told);
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 400"), "{told}");
    }
}

#[tokio::test]
async fn a_shutdown_waits_for_responses_for_a_limited_time() {
    let grace = Duration::from_millis(300);
    let mut server = Server::start(ServerLimits { grace, ..limits() }).await;
    let mut kept = server.connect().await;
    kept.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    kept.read_u8().await.unwrap();
    let mut flood = server.connect().await;
    flood.write_all(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    flood.read_u8().await.unwrap();
    server.stop.take().unwrap().send(()).unwrap();
    rest(&mut kept).await;
    tokio::time::timeout(LONG, &mut server.served).await.unwrap().unwrap();
    assert_eq!(server.endless.load(Ordering::SeqCst), 0);
    assert!(TcpStream::connect(server.addr).await.is_err());
}
