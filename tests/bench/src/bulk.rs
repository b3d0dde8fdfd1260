//! Large bodies and the first byte of a stream, over one connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::Failure;

const PIECE: usize = 64 << 10;

/// A path of a server.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// `http://HOST:PORT`.
    pub(crate) url: String,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
}

impl Place {
    /// Sends a body of this many bytes to a path that echoes it, and times the whole exchange.
    ///
    /// # Errors
    /// If another body comes back.
    pub(crate) fn echo(&self, bytes: u64) -> Result<Duration, Failure> {
        let began = Instant::now();
        let mut stream = self.send("POST", bytes)?;
        let mut sending = stream.try_clone()?;
        let sender = std::thread::spawn(move || {
            let piece = [b'x'; PIECE];
            let mut left = bytes;
            while left > 0 {
                let next = left.min(PIECE as u64);
                sending.write_all(&piece[..next as usize])?;
                left -= next;
            }
            Ok::<_, std::io::Error>(())
        });
        let mut read = vec![0; PIECE];
        // Heads and the sizes of chunks contain this letter at most a few times.
        let (mut echoed, mut head) = (0, Vec::new());
        loop {
            let count = stream.read(&mut read)?;
            if count == 0 {
                break;
            }
            if head.len() < 12 {
                head.extend_from_slice(&read[..count.min(12)]);
            }
            echoed += read[..count].iter().filter(|&&byte| byte == b'x').count() as u64;
        }
        sender.join().map_err(|_| "the sender panicked")??;
        if !head.starts_with(b"HTTP/1.1 200") || !(bytes..bytes + 64).contains(&echoed) {
            let head = String::from_utf8_lossy(&head);
            return Err(format!("{echoed} of {bytes} bytes came back, {head:?}").into());
        }
        Ok(began.elapsed())
    }

    /// Asks for a stream, times the first bytes of its body, and leaves.
    pub(crate) fn first_byte(&self) -> Result<Duration, Failure> {
        let began = Instant::now();
        let mut stream = self.send("GET", 0)?;
        let (mut read, mut piece) = (Vec::new(), [0; 4096]);
        // The event is `data: 1`.
        while !read.windows(7).any(|bytes| bytes == b"data: 1") {
            let count = stream.read(&mut piece)?;
            if count == 0 {
                let said = String::from_utf8_lossy(&read);
                return Err(format!("no stream of events: {said:?}").into());
            }
            read.extend_from_slice(&piece[..count]);
        }
        Ok(began.elapsed())
    }

    /// Sends the head of a request.
    fn send(&self, method: &str, bytes: u64) -> Result<TcpStream, Failure> {
        let address = self.url.strip_prefix("http://").ok_or("a URL of a peer is plain HTTP")?;
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut head = format!(
            "{method} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {bytes}\r\n",
            self.path
        );
        if let Some(token) = &self.token {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        Ok(stream)
    }
}
