//! A server that a test scripts byte by byte.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use skep_protocol::{Error, Problem};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A listener with scripted connections.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

/// A received request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// A connection.
pub(crate) struct Connection<S = TcpStream> {
    socket: S,
    read: Vec<u8>,
    requests: Arc<Mutex<Vec<Received>>>,
    /// Number of the connection, from 0.
    pub(crate) nth: usize,
}

impl Server {
    /// Runs `deal` for each connection, then closes it.
    pub(crate) async fn start<F>(deal: impl Fn(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Received>>>::default();
        let connections = Arc::<AtomicUsize>::default();
        let (noted, counted) = (requests.clone(), connections.clone());
        let accepting = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let nth = counted.fetch_add(1, Ordering::Relaxed);
                let requests = noted.clone();
                tokio::spawn(deal(Connection { socket, read: Vec::new(), requests, nth }));
            }
        });
        Self { url, requests, connections, accepting }
    }

    /// Answers requests in turn, repeating the last answer, and closes after each.
    pub(crate) async fn answering(answers: &[String]) -> Self {
        let answers: Arc<[String]> = answers.into();
        Self::start(move |mut connection| {
            let answers = answers.clone();
            async move {
                connection.request().await;
                let answer = &answers[connection.nth.min(answers.len() - 1)];
                connection.send(answer).await;
            }
        })
        .await
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Wraps another socket, such as TLS.
    pub(crate) fn over(socket: S, requests: Arc<Mutex<Vec<Received>>>) -> Self {
        Self { socket, read: Vec::new(), requests, nth: 0 }
    }

    /// Reads a whole request; none if the connection ends.
    pub(crate) async fn request(&mut self) -> Option<Received> {
        let head = self.head().await?;
        let body = self.body(&head).await?;
        let received = Received { head, body };
        self.requests.lock().unwrap().push(received.clone());
        Some(received)
    }

    /// Reads a request's head.
    pub(crate) async fn head(&mut self) -> Option<String> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        Some(String::from_utf8(self.read.drain(..end).collect()).unwrap())
    }

    async fn body(&mut self, head: &str) -> Option<Vec<u8>> {
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            let mut body = Vec::new();
            loop {
                let line = loop {
                    if let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") {
                        break self.read.drain(..end + 2).collect::<Vec<_>>();
                    }
                    self.more().await?;
                };
                let length = std::str::from_utf8(&line).unwrap().trim();
                let length = usize::from_str_radix(length, 16).unwrap();
                while self.read.len() < length + 2 {
                    self.more().await?;
                }
                body.extend(self.read.drain(..length + 2).take(length));
                if length == 0 {
                    return Some(body);
                }
            }
        }
        let length = header(head, "content-length").map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            self.more().await?;
        }
        Some(self.read.drain(..length).collect())
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.socket.read_buf(&mut self.read).await;
        read.ok().filter(|&read| read > 0).map(drop)
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        // The client may have closed the connection.
        let _ = self.socket.write_all(text.as_ref()).await;
        let _ = self.socket.flush().await;
    }

    /// Sends text, and returns true if that succeeded.
    pub(crate) async fn try_send(&mut self, text: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(text.as_ref()).await.is_ok()
    }

    /// Waits until the client disconnects.
    pub(crate) async fn hang(&mut self) {
        while self.more().await.is_some() {}
    }
}

impl Received {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap().strip_suffix(" HTTP/1.1").unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Returns a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.line().split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Formats a response with a body.
pub(crate) fn answer(status: u16, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

pub(crate) fn json(status: u16, body: &str) -> String {
    answer(status, "application/json", body)
}

pub(crate) fn problem(error: &Error) -> String {
    let body = serde_json::to_string(&Problem::from(error)).unwrap();
    answer(error.status(), "application/problem+json", &body)
}

pub(crate) const RUNTIME: &str =
    r#"{"runtime_id":"there","host_id":"h","version":"1","workers":2,"connected":1,"ready":true}"#;
