//! A local HTTP server whose paths select its behaviour, some of it malicious.
//!
//! `/hello`; `/echo` returns the request's head, `/drip` the same a byte at a time, `/before` that
//! of the request before, `/mirror` the header `x-key`; `/gzip` claims to be compressed; `/nap`
//! takes 20 ms; `/silent` never answers, `/stall` stops in the middle; `/endless` never ends, nor
//! does `/drizzle`, a byte at a time; `/bomb` has endless headers, `/many-headers` 5,000 of them;
//! `/cut` ends early; `/to?URL` is a redirect; `/wait` answers when the test permits it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The pause between two bytes of `/drizzle`.
const DRIZZLE: Duration = Duration::from_millis(20);

/// A server that listens until it is dropped.
pub struct Server {
    address: SocketAddr,
    log: Arc<Log>,
    waiting: Mutex<Receiver<Sender<()>>>,
}

/// A duplex byte stream.
pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// The layer below HTTP: makes a stream of a connection.
pub type Wrap = Arc<dyn Fn(TcpStream) -> io::Result<Box<dyn Stream>> + Send + Sync>;

#[derive(Default)]
struct Log {
    heads: Mutex<Vec<String>>,
    at_once: AtomicUsize,
    naps: AtomicUsize,
    most_naps: AtomicUsize,
    written: AtomicUsize,
    closed: AtomicBool,
}

impl Server {
    /// Starts a server on a free port.
    pub fn start() -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").expect("a port is free"))
    }

    /// Starts a plain HTTP server.
    pub fn serve(listener: TcpListener) -> Self {
        Self::wrapped(listener, Arc::new(|stream| Ok(Box::new(stream))))
    }

    /// Starts a server behind a layer such as TLS.
    pub fn wrapped(listener: TcpListener, wrap: Wrap) -> Self {
        let address = listener.local_addr().expect("the listener has an address");
        let log = Arc::new(Log::default());
        let (sender, waiting) = channel();
        let accepting = log.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.closed.load(Ordering::SeqCst) {
                    return;
                }
                let (log, sender, wrap) = (accepting.clone(), sender.clone(), wrap.clone());
                std::thread::spawn(move || {
                    log.at_once.fetch_add(1, Ordering::SeqCst);
                    // The client may disconnect at any time.
                    let _ = stream.and_then(|s| wrap(s)).and_then(|s| answer(s, &log, &sender));
                    log.at_once.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, log, waiting: Mutex::new(waiting) }
    }

    /// Returns the address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Waits for a request of `/wait`; sending on the result answers it.
    pub fn waiting(&self) -> Sender<()> {
        let waiting = self.waiting.lock().expect("no panic happens under the lock");
        waiting.recv().expect("the server runs")
    }

    /// Returns `http://127.0.0.1:PORT` and a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the heads of the requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.log.heads.lock().expect("no server thread panics").clone()
    }

    /// Returns the most concurrent requests of `/nap`, each on its own connection. A request counts
    /// until it is answered, since its sender may then send another.
    pub fn most(&self) -> usize {
        self.log.most_naps.load(Ordering::SeqCst)
    }

    /// Counts the open connections; one whose answer has arrived may still be among them.
    pub fn at_once(&self) -> usize {
        self.log.at_once.load(Ordering::SeqCst)
    }

    /// Counts the bytes of endless answers so far.
    pub fn written(&self) -> usize {
        self.log.written.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.log.closed.store(true, Ordering::SeqCst);
        // Wakes the listening thread.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(stream: Box<dyn Stream>, log: &Log, waiting: &Sender<Sender<()>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        head += &line;
    }
    // A connection without a request.
    if head.is_empty() {
        return Ok(());
    }
    log.heads.lock().expect("no server thread panics").push(head.clone());
    io::copy(&mut stream.by_ref().take(length), &mut io::sink())?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let out = stream.get_mut();
    let whole = |out: &mut Box<dyn Stream>, headers: &str, body: &[u8]| {
        let length = body.len();
        write!(out, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{headers}\r\n")?;
        out.write_all(body)
    };
    match path.split('?').next().unwrap_or_default() {
        "/echo" => whole(out, "x-echo: yes\r\n", head.as_bytes())?,
        "/drip" => {
            write!(out, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            for byte in head.as_bytes() {
                out.write_all(&[*byte])?;
                out.flush()?;
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        "/before" => {
            let heads = log.heads.lock().expect("no server thread panics").clone();
            let before = heads.iter().rev().nth(1).cloned().unwrap_or_default();
            whole(out, "", before.as_bytes())?;
        }
        "/mirror" => {
            let header = head.lines().find_map(|line| line.strip_prefix("x-key: "));
            whole(out, &format!("x-mirror: {}\r\n", header.unwrap_or_default()), b"")?;
        }
        "/gzip" => whole(out, "content-encoding: gzip\r\n", b"not really")?,
        "/nap" => {
            let now = log.naps.fetch_add(1, Ordering::SeqCst) + 1;
            log.most_naps.fetch_max(now, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            log.naps.fetch_sub(1, Ordering::SeqCst);
            whole(out, "", b"rested")?;
        }
        "/silent" => {
            let _ = out.read(&mut [0])?;
        }
        "/stall" => {
            write!(out, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")?;
            out.flush()?;
            let _ = out.read(&mut [0])?;
        }
        "/cut" => write!(out, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")?,
        "/endless" => {
            write!(out, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            loop {
                log.written.fetch_add(out.write(&[b'.'; 16 << 10])?, Ordering::SeqCst);
            }
        }
        "/drizzle" => {
            write!(out, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            loop {
                out.write_all(b".")?;
                out.flush()?;
                std::thread::sleep(DRIZZLE);
            }
        }
        "/bomb" => {
            write!(out, "HTTP/1.1 200 OK\r\nx: ")?;
            loop {
                out.write_all(&[b'x'; 16 << 10])?;
            }
        }
        "/many-headers" => {
            write!(out, "HTTP/1.1 200 OK\r\n")?;
            for n in 0..5_000 {
                write!(out, "x-{n}: {n}\r\n")?;
            }
            write!(out, "content-length: 0\r\n\r\n")?;
        }
        "/to" => {
            let to = path.split_once('?').map_or("", |(_, to)| to);
            let length = "content-length: 0";
            write!(out, "HTTP/1.1 302 Found\r\nlocation: {to}\r\n{length}\r\n\r\n")?;
        }
        "/wait" => {
            let (go, told) = channel();
            let _ = waiting.send(go);
            let _ = told.recv();
            whole(out, "", b"at last")?;
        }
        _ => whole(out, "", b"hello")?,
    }
    out.flush()
}
