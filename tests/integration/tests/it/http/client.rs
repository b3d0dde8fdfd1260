//! A client that shows the bytes: what a server sends, how it frames it, and whether it ends it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The bound on every wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The names are in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// False if the server closed the connection before the end.
    pub(crate) is_whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}: {}", String::from_utf8_lossy(&self.body));
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Connects to the host and port of a URL.
pub(crate) fn connect(url: &str) -> TcpStream {
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes on a connection of their own and reads what comes until its end. None if nothing does.
pub(crate) fn raw(url: &str, request: &[u8]) -> Option<Answer> {
    over(&mut connect(url), request)
}

/// Sends bytes on a connection and reads what comes until its end.
pub(crate) fn over(stream: &mut (impl Read + Write), request: &[u8]) -> Option<Answer> {
    // A server that refuses the request may close before it has read it.
    let _ = stream.write_all(request);
    read_answer(stream, request.starts_with(b"HEAD "))
}

/// Sends a request without a body.
pub(crate) fn get(url: &str, target: &str) -> Answer {
    with(url, "GET", target, &[], b"")
}

/// Sends a request.
#[track_caller]
pub(crate) fn with(
    url: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let request = request(url, method, target, headers, body.len());
    raw(url, &[request.as_bytes(), body].concat()).expect("there is an answer")
}

/// Writes the head of a request.
pub(crate) fn request(
    url: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    length: usize,
) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head += &format!("host: {}\r\n", url.strip_prefix("http://").unwrap());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if length > 0 {
        head += &format!("content-length: {length}\r\n");
    }
    head + "\r\n"
}

/// Reads the head of an answer, and what came with it.
pub(crate) fn read_head(stream: &mut impl Read) -> Option<(Answer, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 64 << 10];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) if bytes.is_empty() => return None,
            Ok(0) | Err(_) => panic!("half a head: {:?}", String::from_utf8_lossy(&bytes)),
            Ok(n) => bytes.extend(&buffer[..n]),
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let (status, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
    let answer = Answer {
        status: status.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: self::fields(fields),
        body: Vec::new(),
        trailers: Vec::new(),
        is_whole: true,
    };
    Some((answer, bytes[end + 4..].to_vec()))
}

fn read_answer(stream: &mut impl Read, is_head: bool) -> Option<Answer> {
    let (mut answer, mut rest) = read_head(stream)?;
    // After the last byte some servers reset the connection.
    let _ = stream.read_to_end(&mut rest);
    let length = answer.header("content-length").map(|length| length.parse::<usize>().unwrap());
    if is_head || matches!(answer.status, 204 | 304) {
        assert_eq!(rest, b"", "a body where there can be none");
    } else if answer.header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        answer.is_whole = unchunk(&rest, &mut answer);
    } else {
        answer.is_whole = length.is_some_and(|length| length == rest.len());
        answer.body = rest;
    }
    Some(answer)
}

/// Reads chunks. Returns false if the last one is missing.
fn unchunk(mut bytes: &[u8], answer: &mut Answer) -> bool {
    loop {
        let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") else { return false };
        let size = std::str::from_utf8(&bytes[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        bytes = &bytes[end + 2..];
        if size == 0 {
            let fields = std::str::from_utf8(bytes).unwrap();
            answer.trailers = self::fields(fields.trim_end());
            return bytes.ends_with(b"\r\n");
        }
        if bytes.len() < size + 2 {
            answer.body.extend(&bytes[..bytes.len().min(size)]);
            return false;
        }
        answer.body.extend(&bytes[..size]);
        bytes = &bytes[size + 2..];
    }
}

fn fields(text: &str) -> Vec<(String, String)> {
    text.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}
