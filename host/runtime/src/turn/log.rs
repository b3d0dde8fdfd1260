//! The writes of one turn, in order, and their progress to the store.
//!
//! Events and log lines are buffered until the turn ends, or until 5 ms, 64 KiB or 64 rows are
//! reached. Each batch is one commit. Once 1 MiB or 1,024 rows are in flight no further batch is
//! submitted, so that one guest's output does not delay the commits of others: an event then waits,
//! a log line stays buffered. State changes are kept for the transaction that ends the turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use skep_protocol::{Cursor, EntryKind, InputId, LimitName, Limits, Payload, RequestRecord};
use skep_store::record::{NewEntry, Receipt, Transaction, WorkerNumber, WorkerWrite};
use skep_store::{Store, StoreError};
use tokio::sync::Notify;

use skep_sandbox::stdio::LineSink;
use skep_sandbox::{RecordError, RequestLog};

use super::commit_delay::{CommitDelay, Flush};
use crate::clock::now;

/// Bytes and rows that trigger a batch, and the most rows in a batch.
const FLUSH_BYTES: usize = 64 << 10;
const FLUSH_ROWS: usize = 64;

/// Bytes and rows in flight beyond which no further batch is submitted.
const MAX_INFLIGHT_BYTES: usize = 1 << 20;
const MAX_INFLIGHT_ROWS: usize = 1_024;

/// The transcript entries and state changes of one turn.
pub(crate) struct TurnLog {
    store: Store,
    commit_delay: Arc<CommitDelay>,
    host: tokio::runtime::Handle,
    worker: WorkerNumber,
    limits: Limits,
    buffer: Mutex<LogBuffer>,
    committed: Notify,
    /// Receives the result of the held input's acceptance.
    accepted: Box<dyn Fn(Result<Cursor, StoreError>) + Send + Sync>,
}

struct LogBuffer {
    /// The input of the turn; none during a shutdown hook.
    input: Option<InputId>,
    buffered: VecDeque<WorkerWrite>,
    buffered_bytes: usize,
    /// True if the first buffered write is the acceptance of the input.
    holds_input: bool,
    /// Rows written by the turn, and rows committed.
    rows_written: u64,
    rows_committed: u64,
    inflight_bytes: usize,
    inflight_rows: usize,
    delay_registered: bool,
    ended: bool,
    events: u64,
    log_bytes: u64,
    log_lines: u64,
    failed: Option<StoreError>,
    state: BTreeMap<String, Option<Vec<u8>>>,
    state_bytes: u64,
    /// The reason why state cannot be written, if it cannot.
    state_closed: Option<&'static str>,
}

impl std::fmt::Debug for TurnLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnLog").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// The parts of a turn log.
pub(crate) struct TurnLogParts {
    pub(crate) store: Store,
    pub(crate) commit_delay: Arc<CommitDelay>,
    /// The host's own threads, which no guest blocks.
    pub(crate) host: tokio::runtime::Handle,
    pub(crate) worker: WorkerNumber,
    pub(crate) limits: Limits,
    pub(crate) input: Option<InputId>,
    /// Bytes of state before the turn.
    pub(crate) state_bytes: u64,
    /// The acceptance of the turn's own input, if it is held.
    pub(crate) held: Option<WorkerWrite>,
    pub(crate) accepted: Box<dyn Fn(Result<Cursor, StoreError>) + Send + Sync>,
}

/// The writes left to commit at the end of a turn.
pub(crate) struct Uncommitted {
    /// True if the first write is the acceptance of the input.
    pub(crate) holds_input: bool,
    pub(crate) writes: Vec<WorkerWrite>,
    pub(crate) state: BTreeMap<String, Option<Vec<u8>>>,
    pub(crate) state_bytes: u64,
}

impl Flush for TurnLog {
    fn flush(self: Arc<Self>) {
        let mut buffer = self.buffer();
        buffer.delay_registered = false;
        if buffer.ended {
            return;
        }
        self.submit_buffered(&mut buffer, 1);
        if !buffer.buffered.is_empty() && buffer.failed.is_none() {
            self.register(&mut buffer);
        }
    }
}

impl TurnLog {
    pub(crate) fn new(parts: TurnLogParts) -> Arc<Self> {
        let holds_input = parts.held.is_some();
        // A short turn ends with about this many: input, event, state, outcome, usage.
        let mut buffered = VecDeque::with_capacity(6);
        buffered.extend(parts.held);
        let log = Arc::new(Self {
            store: parts.store,
            commit_delay: parts.commit_delay,
            host: parts.host,
            worker: parts.worker,
            limits: parts.limits,
            buffer: Mutex::new(LogBuffer {
                input: parts.input,
                buffered,
                buffered_bytes: 0,
                holds_input,
                rows_written: u64::from(holds_input),
                rows_committed: 0,
                inflight_bytes: 0,
                inflight_rows: 0,
                delay_registered: false,
                ended: false,
                events: 0,
                log_bytes: 0,
                log_lines: 0,
                failed: None,
                state: BTreeMap::new(),
                state_bytes: parts.state_bytes,
                state_closed: None,
            }),
            committed: Notify::new(),
            accepted: parts.accepted,
        });
        if holds_input {
            log.register(&mut log.buffer());
        }
        log
    }

    /// Appends an entry to the transcript.
    pub(crate) fn append(self: &Arc<Self>, kind: EntryKind, label: Option<&str>, payload: Payload) {
        self.append_as(kind, label, payload, false);
    }

    fn append_as(
        self: &Arc<Self>,
        kind: EntryKind,
        label: Option<&str>,
        payload: Payload,
        truncated: bool,
    ) {
        let mut buffer = self.buffer();
        let entry = NewEntry {
            at: now(),
            kind,
            input_id: buffer.input,
            label: label.map(str::to_owned),
            ending: None,
            payload,
            truncated,
        };
        self.push(&mut buffer, WorkerWrite::Append(entry));
    }

    /// Adds a write other than a transcript entry, to be committed with the rest.
    pub(crate) fn push_write(self: &Arc<Self>, write: WorkerWrite) {
        self.push(&mut self.buffer(), write);
    }

    /// Appends an event of the guest. Waits while too many rows are in flight.
    pub(crate) async fn emit(
        self: &Arc<Self>,
        kind: &str,
        payload: Payload,
    ) -> Result<(), RecordError> {
        {
            let mut buffer = self.buffer();
            if buffer.ended {
                return Err(RecordError::Unavailable("there is no turn".into()));
            }
            if buffer.events >= self.limits.events_per_turn {
                let (name, limit) = (LimitName::events_per_turn, self.limits.events_per_turn);
                return Err(RecordError::Limit { name, limit });
            }
            buffer.events += 1;
        }
        self.append(EntryKind::Event, Some(kind), payload);
        loop {
            let committed = self.committed.notified();
            {
                let buffer = self.buffer();
                if buffer.failed.is_some() {
                    return Err(RecordError::Unavailable(
                        "the transcript cannot be written".into(),
                    ));
                }
                if !buffer.is_backlogged() {
                    return Ok(());
                }
            }
            committed.await;
        }
    }

    /// Forbids state changes from now on. The guest is told why.
    pub(crate) fn close_state(&self, why: &'static str) {
        self.buffer().state_closed = Some(why);
    }

    /// Returns true if nothing was written.
    pub(crate) fn is_untouched(&self) -> bool {
        let buffer = self.buffer();
        buffer.rows_written == 0 && buffer.state.is_empty()
    }

    /// Allows state changes again.
    pub(crate) fn open_state(&self) {
        self.buffer().state_closed = None;
    }

    /// Forbids state changes from now on, and returns those so far with the bytes of state after them.
    pub(crate) fn take_state(&self, why: &'static str) -> (BTreeMap<String, Option<Vec<u8>>>, u64) {
        let mut buffer = self.buffer();
        buffer.state_closed = Some(why);
        (std::mem::take(&mut buffer.state), buffer.state_bytes)
    }

    /// Returns this turn's change to a key, or `None` if it has made none.
    pub(crate) fn state_overlay(&self, key: &str) -> Option<Option<Vec<u8>>> {
        self.buffer().state.get(key).cloned()
    }

    /// Returns the keys with this prefix that this turn has changed, with true for those that were
    /// set.
    pub(crate) fn state_touched(&self, prefix: &str) -> Vec<(String, bool)> {
        let buffer = self.buffer();
        let from = buffer.state.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.is_some()))
            .collect()
    }

    /// Sets or removes a key. `before` is the length of its current value.
    pub(crate) fn state_put(
        &self,
        key: &str,
        before: Option<usize>,
        value: Option<Vec<u8>>,
    ) -> Result<(), RecordError> {
        let mut buffer = self.buffer();
        if let Some(why) = buffer.state_closed {
            return Err(RecordError::Unavailable(why.into()));
        }
        if buffer.ended {
            return Err(RecordError::Unavailable("there is no turn".into()));
        }
        let size = |length: usize| (key.len() + length) as u64;
        let freed = before.map_or(0, size);
        let added = value.as_ref().map_or(0, |value| size(value.len()));
        let bytes = buffer.state_bytes.saturating_sub(freed).saturating_add(added);
        let over_limit = |name| Err(RecordError::Limit { name, limit: self.limits.get(name) });
        if added > freed && bytes > self.limits.state_bytes {
            return over_limit(LimitName::state_bytes);
        }
        let is_full = buffer.state.len() as u64 >= self.limits.state_changes_per_turn;
        if is_full && !buffer.state.contains_key(key) {
            return over_limit(LimitName::state_changes_per_turn);
        }
        buffer.state_bytes = bytes;
        buffer.state.insert(key.to_owned(), value);
        Ok(())
    }

    /// Ends the turn: waits for the batches in flight and returns the remaining writes. Fails if a
    /// batch was not committed; the turn must then be rolled back.
    pub(crate) async fn end(self: &Arc<Self>) -> Result<Uncommitted, StoreError> {
        self.buffer().ended = true;
        loop {
            let committed = self.committed.notified();
            {
                let mut buffer = self.buffer();
                if let Some(error) = &buffer.failed {
                    return Err(error.clone());
                }
                // The remaining rows are committed with the end of the turn.
                self.submit_buffered(&mut buffer, FLUSH_ROWS + 1);
                if buffer.inflight_rows == 0 {
                    return Ok(Uncommitted {
                        holds_input: std::mem::take(&mut buffer.holds_input),
                        writes: std::mem::take(&mut buffer.buffered).into(),
                        state: std::mem::take(&mut buffer.state),
                        state_bytes: buffer.state_bytes,
                    });
                }
            }
            committed.await;
        }
    }

    fn push(self: &Arc<Self>, buffer: &mut LogBuffer, write: WorkerWrite) {
        if buffer.ended {
            return;
        }
        buffer.rows_written += 1;
        buffer.buffered_bytes += bytes(&write);
        buffer.buffered.push_back(write);
        if buffer.buffered.len() >= FLUSH_ROWS || buffer.buffered_bytes >= FLUSH_BYTES {
            self.submit_buffered(buffer, 1);
        }
        if !buffer.buffered.is_empty() {
            self.register(buffer);
        }
    }

    fn register(self: &Arc<Self>, buffer: &mut LogBuffer) {
        if !std::mem::replace(&mut buffer.delay_registered, true) {
            let log: Arc<dyn Flush> = self.clone();
            self.commit_delay.delay(Arc::downgrade(&log));
        }
    }

    /// Submits batches while at least `min_rows` are buffered and not too many are in flight.
    fn submit_buffered(self: &Arc<Self>, buffer: &mut LogBuffer, min_rows: usize) {
        while buffer.buffered.len() >= min_rows
            && buffer.failed.is_none()
            && !buffer.is_backlogged()
        {
            let rows = buffer.buffered.len().min(FLUSH_ROWS);
            let writes: Vec<_> = match rows == buffer.buffered.len() {
                true => std::mem::take(&mut buffer.buffered).into(),
                false => buffer.buffered.drain(..rows).collect(),
            };
            let bytes: usize = writes.iter().map(bytes).sum();
            let holds_input = std::mem::take(&mut buffer.holds_input);
            buffer.buffered_bytes -= bytes;
            buffer.inflight_rows += rows;
            buffer.inflight_bytes += bytes;
            let commit = self.store.submit(Transaction { worker: self.worker, writes });
            let log = self.clone();
            self.host.spawn(async move {
                let result: Result<Receipt, _> = commit.await;
                let mut buffer = log.buffer();
                buffer.rows_committed += rows as u64;
                buffer.inflight_rows -= rows;
                buffer.inflight_bytes -= bytes;
                if let Err(error) = &result {
                    buffer.failed.get_or_insert_with(|| error.clone());
                }
                if !buffer.ended {
                    log.submit_buffered(&mut buffer, FLUSH_ROWS);
                }
                drop(buffer);
                if holds_input {
                    let first =
                        |receipt: Receipt| receipt.seqs.first().copied().unwrap_or_default();
                    (log.accepted)(result.map(first));
                }
                log.committed.notify_waiters();
            });
        }
    }

    fn buffer(&self) -> MutexGuard<'_, LogBuffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogBuffer {
    fn is_backlogged(&self) -> bool {
        self.inflight_bytes >= MAX_INFLIGHT_BYTES || self.inflight_rows >= MAX_INFLIGHT_ROWS
    }
}

/// Returns the size of a write that counts towards the byte bounds.
fn bytes(write: &WorkerWrite) -> usize {
    match write {
        WorkerWrite::Append(entry) => entry.payload.body.len() + entry.payload.content_type.len(),
        _ => 0,
    }
}

/// The request log of a turn. Requests may end after it.
#[derive(Debug)]
pub(crate) struct TurnRequestLog(pub(crate) Arc<TurnLog>);

#[async_trait::async_trait]
impl RequestLog for TurnRequestLog {
    async fn before_leaving(&self) -> Result<(), RecordError> {
        let Self(log) = self;
        let unavailable = || RecordError::Unavailable("the transcript cannot be written".into());
        let target = log.buffer().rows_written;
        loop {
            let committed = log.committed.notified();
            {
                let mut buffer = log.buffer();
                if buffer.failed.is_some() || buffer.ended {
                    return Err(unavailable());
                }
                // Transactions of one worker are committed in the order of their submission.
                if buffer.rows_committed >= target {
                    return Ok(());
                }
                log.submit_buffered(&mut buffer, 1);
            }
            committed.await;
        }
    }

    fn record(&self, request: RequestRecord) {
        let label = format!("{} {}", request.method, request.host);
        // Cannot fail: the record has no map with keys other than text.
        let body = serde_json::to_vec(&request).unwrap_or_default();
        let payload = Payload { content_type: "application/json".into(), body: body.into() };
        self.0.append(EntryKind::Request, Some(&label), payload);
    }
}

/// The lines of one output stream, which go to the current turn of the instance.
#[derive(Debug)]
pub(crate) struct TurnLines {
    stream: &'static str,
    turn: Arc<Mutex<Weak<TurnLog>>>,
}

impl TurnLines {
    pub(crate) fn new(stream: &'static str, turn: &Arc<Mutex<Weak<TurnLog>>>) -> Arc<Self> {
        Arc::new(Self { stream, turn: turn.clone() })
    }
}

impl LineSink for TurnLines {
    fn line(&self, line: &[u8]) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let Some(turn) = turn else { return };
        let (fits, first_over) = {
            let mut buffer = turn.buffer();
            let fits = |buffer: &LogBuffer| {
                buffer.log_bytes <= turn.limits.log_bytes_per_turn
                    && buffer.log_lines <= turn.limits.log_lines_per_turn
            };
            let fitted = fits(&buffer);
            buffer.log_bytes = buffer.log_bytes.saturating_add(line.len() as u64 + 1);
            buffer.log_lines = buffer.log_lines.saturating_add(1);
            (fits(&buffer), fitted)
        };
        let payload = |body: &[u8]| Payload {
            content_type: "text/plain; charset=utf-8".into(),
            body: body.to_vec().into(),
        };
        if fits {
            turn.append(EntryKind::Log, Some(self.stream), payload(line));
        } else if first_over {
            turn.append_as(EntryKind::Log, Some(self.stream), payload(b""), true);
        }
    }
}
