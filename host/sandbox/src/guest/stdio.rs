//! The guest's standard streams: bounded queues, each served by a host thread.
//!
//! Guests never get the inherited streams. A write to a pipe without a reader blocks its thread,
//! and would block the code that has to end the guest. Here only the writer thread blocks, the
//! queue fills up, and the guest waits as for any slow reader. Standard input is read only on
//! demand, so that input the guest leaves unread remains for the next program.
//!
//! The queue of a captured or logged stream never fills, because there is no slow reader. The streams
//! of a guest may share an [`OutputBudget`]: what is written past it is counted and dropped.
//!
//! A guest sees the errors of the host's stream: a full disk fails its writes, and a failed read is
//! not reported as the end of input. A closed pipe is not an error, because closing it is the
//! reader's choice.

mod budget;
mod lines;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use skep_protocol::ComponentDigest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

pub use budget::OutputBudget;
pub use lines::{LINE_BYTES, LineSink};

use lines::LineSplitter;

/// Maximum bytes in one queue.
const CAPACITY: usize = 256 << 10;

/// Bytes at the end of a turn's output that are remembered, and the lines that are shown of them.
const END: usize = 2 << 10;
const END_LINES: usize = 10;

/// Maximum bytes of one read from the host.
const CHUNK: usize = 64 << 10;

#[derive(Debug)]
struct StreamQueue {
    bytes: VecDeque<u8>,
    /// The last bytes of the turn's output, if they are remembered.
    end: Option<VecDeque<u8>>,
    /// The sending side has finished.
    ended: bool,
    /// The error that ended the host's side.
    failure: Option<io::Error>,
    /// The guest is waiting for input.
    wanted: bool,
    /// The host thread is writing bytes that it took from the queue.
    writing: bool,
    /// The bound on the bytes that are kept.
    budget: Option<OutputBudget>,
    /// The hash of all bytes, if it is wanted.
    hash: Option<Sha256>,
}

#[derive(Debug)]
struct Pipe {
    queue: Mutex<StreamQueue>,
    guest: Notify,
    host: Condvar,
    /// Bytes transferred.
    total: AtomicU64,
    /// Bytes of them that were not dropped.
    kept: AtomicU64,
    terminal: bool,
    overflow: Overflow,
    lines: Option<LineSplitter>,
}

#[derive(Debug, PartialEq, Eq)]
enum Overflow {
    /// The guest waits.
    Wait,
    /// Excess bytes are counted and discarded.
    Discard { limit: usize },
}

impl StreamQueue {
    /// Fails if the guest cannot write. The host's error is repeated on each call, so that a retry
    /// does not look like a success.
    fn writable(&self) -> StreamResult<()> {
        match &self.failure {
            None => Ok(()),
            Some(error) if is_closed_pipe(error) => Err(StreamError::Closed),
            Some(error) => Err(StreamError::LastOperationFailed(copy(error).into())),
        }
    }

    /// Returns `Ok` while more input may come. The host's error is repeated on each call, so that a
    /// guest does not mistake partial input for all of it.
    fn readable(&self) -> StreamResult<()> {
        match &self.failure {
            Some(error) => Err(StreamError::LastOperationFailed(copy(error).into())),
            None if self.ended => Err(StreamError::Closed),
            None => Ok(()),
        }
    }
}

fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Copies an error.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl Pipe {
    fn new(terminal: bool, overflow: Overflow) -> Arc<Self> {
        Arc::new(Self::open(terminal, overflow, None))
    }

    fn open(terminal: bool, overflow: Overflow, lines: Option<LineSplitter>) -> Self {
        Self {
            queue: Mutex::new(StreamQueue {
                bytes: VecDeque::new(),
                end: None,
                ended: false,
                failure: None,
                wanted: false,
                writing: false,
                budget: None,
                hash: None,
            }),
            guest: Notify::new(),
            host: Condvar::new(),
            total: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            terminal,
            overflow,
            lines,
        }
    }

    fn queue(&self) -> MutexGuard<'_, StreamQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, StreamQueue>) -> MutexGuard<'a, StreamQueue> {
        self.host.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the host's side with an error.
    fn fail(&self, error: io::Error) {
        let mut queue = self.queue();
        queue.failure = Some(error);
        queue.writing = false;
        drop(queue);
        self.host.notify_all();
        self.guest.notify_waiters();
    }

    fn room(&self, queue: &StreamQueue) -> usize {
        // What is dropped needs no room, so a guest that floods its output does not wait.
        let is_spent = queue.budget.as_ref().is_some_and(OutputBudget::is_spent);
        match self.overflow {
            Overflow::Wait if !is_spent => CAPACITY.saturating_sub(queue.bytes.len()),
            Overflow::Wait | Overflow::Discard { .. } => CAPACITY,
        }
    }
}

/// Standard output or standard error of a guest.
#[derive(Clone, Debug)]
pub struct GuestOutput(Arc<Pipe>);

/// The host's end of a [`GuestOutput`] that a thread writes out.
#[derive(Debug)]
pub struct OutputWriter(Arc<Pipe>);

impl GuestOutput {
    /// Creates an output that a dedicated thread writes to `target`. `terminal` is what the guest
    /// sees as [`IsTerminal`].
    pub fn to_writer(
        mut target: impl Write + Send + 'static,
        terminal: bool,
    ) -> io::Result<(Self, OutputWriter)> {
        let pipe = Pipe::new(terminal, Overflow::Wait);
        let thread = pipe.clone();
        std::thread::Builder::new().name("skep-output".into()).spawn(move || {
            let mut queue = thread.queue();
            loop {
                queue.writing = false;
                thread.host.notify_all();
                while queue.bytes.is_empty() && !queue.ended {
                    queue = thread.wait(queue);
                }
                if queue.bytes.is_empty() {
                    return;
                }
                let taken: Vec<u8> = queue.bytes.drain(..).collect();
                queue.writing = true;
                drop(queue);
                thread.guest.notify_waiters();
                if let Err(error) = target.write_all(&taken).and_then(|()| target.flush()) {
                    return thread.fail(error);
                }
                queue = thread.queue();
            }
        })?;
        Ok((Self(pipe.clone()), OutputWriter(pipe)))
    }

    /// Creates an output that keeps its first `limit` bytes and counts the rest.
    pub fn captured(limit: usize) -> Self {
        Self(Pipe::new(false, Overflow::Discard { limit }))
    }

    /// Creates an output whose lines go to `sink`. The guest never waits.
    pub fn lines(sink: Arc<dyn LineSink>) -> Self {
        Self::lines_and_captured(sink, 0)
    }

    /// Creates an output whose lines go to `sink` and that also keeps its first `limit` bytes.
    pub fn lines_and_captured(sink: Arc<dyn LineSink>, limit: usize) -> Self {
        let lines = Some(LineSplitter::to(sink));
        Self(Arc::new(Pipe::open(false, Overflow::Discard { limit }, lines)))
    }

    /// Drops what exceeds a budget, which other outputs may share. Call it before the guest writes.
    #[must_use]
    pub fn within(self, budget: &OutputBudget) -> Self {
        self.0.queue().budget = Some(budget.clone());
        self
    }

    /// Hashes all bytes, also those that are dropped. Call it before the guest writes.
    #[must_use]
    pub fn hashed(self) -> Self {
        self.0.queue().hash = Some(Sha256::new());
        self
    }

    /// Starts to remember the last lines, for the report of a crash.
    pub(crate) fn remember_end(&self) {
        self.0.queue().end = Some(VecDeque::new());
    }

    /// Returns the last lines since they began to be remembered.
    pub(crate) fn end(&self) -> Vec<String> {
        let queue = self.0.queue();
        let Some(end) = &queue.end else { return Vec::new() };
        let bytes: Vec<u8> = end.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        // What is left of a line that began earlier is no line.
        let text = match text.split_once('\n') {
            Some((_, rest)) if bytes.len() == END && !rest.is_empty() => rest,
            _ => &text,
        };
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(END_LINES)..].to_vec()
    }

    /// Passes on an incomplete last line at the end of a turn.
    pub fn finish_lines(&self) {
        if let Some(lines) = &self.0.lines {
            lines.finish();
        }
    }

    /// Returns the captured bytes.
    pub fn contents(&self) -> Vec<u8> {
        self.0.queue().bytes.iter().copied().collect()
    }

    /// Returns the number of bytes that the guest has written.
    pub fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes that were passed on, or captured if none are. The others exceeded
    /// the budget or the capture.
    pub fn kept(&self) -> u64 {
        self.0.kept.load(Ordering::Relaxed)
    }

    /// Returns the SHA-256 of all bytes that the guest has written, if it is [`hashed`](Self::hashed).
    pub fn digest(&self) -> Option<ComponentDigest> {
        let hash = self.0.queue().hash.clone()?;
        Some(ComponentDigest::from_sha256(hash.finalize().into()))
    }

    /// Accepts output of an out-of-process guest, at most 64 KiB at a time. Waits for a slow reader,
    /// which captured and logged streams do not have.
    pub(crate) fn accept(&self, bytes: &[u8]) {
        let mut queue = self.0.queue();
        while queue.failure.is_none() && bytes.len() > self.0.room(&queue) {
            queue = self.0.wait(queue);
        }
        drop(queue);
        // A closed stream discards the bytes.
        let _ = self.push(bytes);
    }

    /// Accepts as many bytes as there is room for. Returns `None` if the guest has to wait for room.
    pub(crate) fn write_some(&self, bytes: &[u8]) -> StreamResult<Option<usize>> {
        let queue = self.0.queue();
        queue.writable()?;
        let room = self.0.room(&queue);
        drop(queue);
        if room == 0 {
            return Ok(None);
        }
        // Only the guest fills the queue, and it is in this call.
        let accepted = &bytes[..bytes.len().min(room)];
        self.push(accepted)?;
        Ok(Some(accepted.len()))
    }

    fn push(&self, bytes: &[u8]) -> StreamResult<()> {
        let mut queue = self.0.queue();
        queue.writable()?;
        if bytes.len() > self.0.room(&queue) {
            return Err(StreamError::trap("wrote more than check-write allowed"));
        }
        self.0.total.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let within = queue.budget.as_ref().map_or(bytes.len(), |budget| budget.take(bytes.len()));
        let keep = match self.0.overflow {
            Overflow::Wait => within,
            Overflow::Discard { limit } => within.min(limit.saturating_sub(queue.bytes.len())),
        };
        let kept = if self.0.lines.is_some() { within } else { keep };
        self.0.kept.fetch_add(kept as u64, Ordering::Relaxed);
        queue.bytes.extend(&bytes[..keep]);
        if let Some(hash) = &mut queue.hash {
            hash.update(bytes);
        }
        if let Some(end) = &mut queue.end {
            end.extend(&bytes[bytes.len().saturating_sub(END)..]);
            let excess = end.len().saturating_sub(END);
            end.drain(..excess);
        }
        drop(queue);
        self.0.host.notify_all();
        if let Some(lines) = &self.0.lines {
            lines.push(&bytes[..within]);
        }
        Ok(())
    }
}

impl OutputWriter {
    /// Waits up to `patience` until all output has reached its target. Returns true if it has. A
    /// pipe that its reader closed counts as reached.
    ///
    /// # Errors
    /// The target's error, if output is lost.
    pub fn drain(&self, patience: Option<Duration>) -> io::Result<bool> {
        let until = patience.map(|patience| Instant::now() + patience);
        let mut queue = self.0.queue();
        queue.ended = true;
        self.0.host.notify_all();
        while queue.failure.is_none() && (queue.writing || !queue.bytes.is_empty()) {
            queue = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.0.wait(queue),
                Some(Duration::ZERO) => return Ok(false),
                Some(left) => {
                    self.0.host.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        match &queue.failure {
            Some(error) if !is_closed_pipe(error) => Err(copy(error)),
            _ => Ok(true),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {
        loop {
            let notified = self.0.guest.notified();
            let mut notified = std::pin::pin!(notified);
            notified.as_mut().enable();
            {
                let queue = self.0.queue();
                if queue.failure.is_some() || self.0.room(&queue) > 0 {
                    return;
                }
            }
            notified.await;
        }
    }
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.0.queue().writable()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let queue = self.0.queue();
        queue.writable()?;
        Ok(self.0.room(&queue))
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        self.0.terminal
    }
}

impl StdoutStream for GuestOutput {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only wasmtime-wasi's own streams of 0.3 call this, and they are not linked.
        Box::new(tokio::io::sink())
    }
}

/// Standard input of a guest.
#[derive(Clone, Debug)]
pub struct GuestInput(Arc<Pipe>);

impl GuestInput {
    /// Creates an input that ends at once.
    pub fn empty() -> Self {
        Self::from_bytes(&[])
    }

    /// Creates an input of these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let pipe = Pipe::new(false, Overflow::Wait);
        let mut queue = pipe.queue();
        queue.bytes.extend(bytes);
        queue.ended = true;
        drop(queue);
        Self(pipe)
    }

    /// Creates an input that a dedicated thread reads from `source`, one chunk each time the guest
    /// wants input.
    pub fn from_reader(mut source: impl Read + Send + 'static, terminal: bool) -> io::Result<Self> {
        let pipe = Pipe::new(terminal, Overflow::Wait);
        let thread = pipe.clone();
        std::thread::Builder::new().name("skep-input".into()).spawn(move || {
            let mut chunk = vec![0; CHUNK];
            loop {
                let mut queue = thread.queue();
                while !queue.wanted {
                    queue = thread.wait(queue);
                }
                drop(queue);
                let n = match source.read(&mut chunk) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return thread.fail(error),
                    Ok(n) => n,
                };
                let mut queue = thread.queue();
                queue.bytes.extend(&chunk[..n]);
                queue.wanted = false;
                queue.ended = n == 0;
                drop(queue);
                thread.guest.notify_waiters();
                if n == 0 {
                    return;
                }
            }
        })?;
        Ok(Self(pipe))
    }

    /// Returns the number of bytes that the guest has read.
    pub fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl Pollable for GuestInput {
    async fn ready(&mut self) {
        loop {
            let notified = self.0.guest.notified();
            let mut notified = std::pin::pin!(notified);
            notified.as_mut().enable();
            {
                let mut queue = self.0.queue();
                if queue.readable().is_err() || !queue.bytes.is_empty() {
                    return;
                }
                queue.wanted = true;
            }
            self.0.host.notify_all();
            notified.await;
        }
    }
}

#[async_trait::async_trait]
impl InputStream for GuestInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut queue = self.0.queue();
        if queue.bytes.is_empty() {
            return queue.readable().map(|()| Bytes::new());
        }
        let n = size.min(queue.bytes.len());
        self.0.total.fetch_add(n as u64, Ordering::Relaxed);
        Ok(queue.bytes.drain(..n).collect())
    }
}

impl IsTerminal for GuestInput {
    fn is_terminal(&self) -> bool {
        self.0.terminal
    }
}

impl StdinStream for GuestInput {
    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(tokio::io::empty())
    }
}

#[cfg(test)]
mod tests;
