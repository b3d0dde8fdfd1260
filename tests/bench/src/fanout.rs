//! Five hundred readers of one worker that emits a thousand events a second over HTTP. None may
//! miss an event; the figure is the delay of the last reader at the end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::host::Host;
use crate::table::{Amount, Row};
use crate::tools::folder;

const READERS: usize = 500;
const SECONDS: u64 = 5;
/// Events per turn, and the time between turns.
const EVENTS: u64 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// The bound on a reader's wait for a byte.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let folder = folder()?;
    let host = Host::start(&folder.path().join("ours"), "scribe", 1, &[])?;
    let worker = &host.workers[0];
    let inputs = format!("{worker}/inputs?wait_ms=30000");
    let events = format!("{worker}/events?after=0");
    let last = SECONDS * 1_000;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let stream = request(&host, "GET", &events, "")?;
        let reader = thread::Builder::new().stack_size(128 << 10);
        readers.push(reader.spawn(move || read(stream, last))?);
    }
    let began = Instant::now();
    for turn in 0..last / EVENTS {
        let at = began + PAUSE * u32::try_from(turn)?;
        thread::sleep(at.saturating_duration_since(Instant::now()));
        let mut answer = String::new();
        request(&host, "POST", &inputs, &format!("emit-many {EVENTS}"))?
            .read_to_string(&mut answer)?;
        if !answer.contains("\"completed\"") {
            return Err(format!("a turn was answered {answer:?}").into());
        }
    }
    let emitted = Instant::now();
    let mut behind = Duration::ZERO;
    for reader in readers {
        let done = reader.join().map_err(|_| "a reader panicked")??;
        behind = behind.max(done.saturating_duration_since(emitted));
    }
    let emitting = Row::alone("5,000 events emitted in", 1, Amount::Time(emitted - began));
    let name = "500 readers, the last one behind";
    Ok(vec![emitting, Row::alone(name, READERS, Amount::Time(behind))])
}

/// Sends a request on a connection of its own.
fn request(host: &Host, method: &str, path: &str, body: &str) -> Result<TcpStream, Failure> {
    let address = host.served.url.strip_prefix("http://").ok_or("no address")?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let token = &host.token;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         connection: close\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    Ok(stream)
}

/// Reads a stream of entries until it has seen enough events, and returns the time of the last.
fn read(stream: TcpStream, events: u64) -> Result<Instant, Failure> {
    let mut lines = BufReader::with_capacity(16 << 10, stream);
    let (mut seq, mut seen, mut line) = (0, 0, String::new());
    while seen < events {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Err(format!("a stream ended after {seen} events").into());
        }
        if let Some(id) = line.strip_prefix("id: ") {
            let id: u64 = id.trim().parse()?;
            if id != seq + 1 {
                return Err(format!("{id} follows {seq}").into());
            }
            seq = id;
        }
        seen += u64::from(line.contains("\"kind\":\"event\""));
    }
    Ok(Instant::now())
}
