//! A server on this machine that answers as it is asked to, also as no server should.
//!
//! `/hello`; `/echo` gives back the request's head, `/drip` the same a byte at a time; `/gzip` says
//! that it is packed; `/nap` takes 20 ms; `/silent` never answers, `/stall` not to the end;
//! `/endless` has no end; `/bomb` has headers without end, `/many-headers` 5,000 of them; `/cut`
//! ends early; `/to?URL` is a redirect; `/wait` answers when the test lets it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    log: Arc<Log>,
    /// One for each request of `/wait`.
    pub(crate) waiting: Receiver<Sender<()>>,
}

#[derive(Default)]
struct Log {
    heads: Mutex<Vec<String>>,
    at_once: AtomicUsize,
    most: AtomicUsize,
    written: AtomicUsize,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").unwrap(), None)
    }

    pub(crate) fn serve(listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Log { tls, ..Log::default() });
        let (sender, waiting) = channel();
        let accepting = log.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, sender) = (accepting.clone(), sender.clone());
                std::thread::spawn(move || {
                    let now = log.at_once.fetch_add(1, Ordering::SeqCst) + 1;
                    log.most.fetch_max(now, Ordering::SeqCst);
                    // Whoever asks may go at any time.
                    let _ = answer(stream.unwrap(), &log, &sender);
                    log.at_once.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, log, waiting }
    }

    /// `http://127.0.0.1:PORT` and a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of the requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.log.heads.lock().unwrap().clone()
    }

    /// The most connections that there were at once.
    pub(crate) fn most(&self) -> usize {
        self.log.most.load(Ordering::SeqCst)
    }

    /// Connections now.
    pub(crate) fn at_once(&self) -> usize {
        self.log.at_once.load(Ordering::SeqCst)
    }

    /// Bytes of endless answers so far.
    pub(crate) fn written(&self) -> usize {
        self.log.written.load(Ordering::SeqCst)
    }
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

fn answer(stream: TcpStream, log: &Log, waiting: &Sender<Sender<()>>) -> io::Result<()> {
    let stream: Box<dyn Both> = match &log.tls {
        None => Box::new(stream),
        Some(tls) => {
            let session = rustls::ServerConnection::new(tls.clone()).map_err(io::Error::other)?;
            Box::new(rustls::StreamOwned::new(session, stream))
        }
    };
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head += &line;
    }
    log.heads.lock().unwrap().push(head.clone());
    io::copy(&mut stream.by_ref().take(length), &mut io::sink())?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let out = stream.get_mut();
    let whole = |out: &mut Box<dyn Both>, headers: &str, body: &[u8]| {
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
        "/mirror" => {
            let header = head.lines().find_map(|line| line.strip_prefix("x-key: "));
            whole(out, &format!("x-mirror: {}\r\n", header.unwrap_or_default()), b"")?;
        }
        "/gzip" => whole(out, "content-encoding: gzip\r\n", b"not really")?,
        "/nap" => {
            std::thread::sleep(Duration::from_millis(20));
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
