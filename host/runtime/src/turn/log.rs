//! What one turn has to say to the store, in order, and how much of it is on its way.
//!
//! Events and log lines are gathered until the turn ends or something makes them leave earlier: 5
//! ms, 64 KiB, 64 rows. What has left comes back as a commit. Where a turn is a mebibyte or a thousand
//! rows ahead of the disk, no more leaves: others' commits are not to wait behind all that one guest
//! has to say. An event waits then, a line is kept. State is kept back for the transaction that ends
//! the turn.

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

/// Bytes and rows that leave without waiting for more, and the most rows that leave together.
const FLUSH_BYTES: usize = 64 << 10;
const FLUSH_ROWS: usize = 64;

/// Bytes and rows under way before no more leaves.
const AHEAD_BYTES: usize = 1 << 20;
const AHEAD_ROWS: usize = 1_024;

/// One turn's share of the transcript and of the state.
pub(crate) struct TurnLog {
    store: Store,
    commit_delay: Arc<CommitDelay>,
    host: tokio::runtime::Handle,
    worker: WorkerNumber,
    limits: Limits,
    pages: Mutex<Pages>,
    landed: Notify,
    /// Told when the input that was held back is on disk, or is not going to be.
    accepted: Box<dyn Fn(Result<Cursor, StoreError>) + Send + Sync>,
}

struct Pages {
    /// The input whose turn it is; none while an instance is only being let go.
    input: Option<InputId>,
    waiting: VecDeque<WorkerWrite>,
    waiting_bytes: usize,
    /// The first of those that wait is the input's acceptance.
    holds_input: bool,
    /// Rows that were said so far, and that are on disk.
    said: u64,
    landed: u64,
    flying_bytes: usize,
    flying_rows: usize,
    registered: bool,
    ended: bool,
    events: u64,
    log_bytes: u64,
    log_lines: u64,
    failed: Option<StoreError>,
    state: BTreeMap<String, Option<Vec<u8>>>,
    state_bytes: u64,
    state_open: bool,
}

impl std::fmt::Debug for TurnLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnLog").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// What a turn log is made of.
pub(crate) struct TurnLogParts {
    pub(crate) store: Store,
    pub(crate) commit_delay: Arc<CommitDelay>,
    /// The host's own threads, which no guest keeps busy.
    pub(crate) host: tokio::runtime::Handle,
    pub(crate) worker: WorkerNumber,
    pub(crate) limits: Limits,
    pub(crate) input: Option<InputId>,
    /// Bytes of state before the turn.
    pub(crate) state_bytes: u64,
    /// The acceptance of the turn's own input, if it was held back for this.
    pub(crate) held: Option<WorkerWrite>,
    pub(crate) accepted: Box<dyn Fn(Result<Cursor, StoreError>) + Send + Sync>,
}

/// What is left to commit at the end of a turn.
pub(crate) struct Rest {
    /// Whether the first event is the acceptance of the input.
    pub(crate) holds_input: bool,
    pub(crate) events: Vec<WorkerWrite>,
    pub(crate) state: BTreeMap<String, Option<Vec<u8>>>,
    pub(crate) state_bytes: u64,
}

impl Flush for TurnLog {
    fn flush(self: Arc<Self>) {
        let mut pages = self.pages();
        pages.registered = false;
        if pages.ended {
            return;
        }
        self.send_off(&mut pages, 1);
        if !pages.waiting.is_empty() && pages.failed.is_none() {
            self.register(&mut pages);
        }
    }
}

impl TurnLog {
    pub(crate) fn new(parts: TurnLogParts) -> Arc<Self> {
        let holds_input = parts.held.is_some();
        // As many as a short turn ends with: input, event, state, outcome, usage.
        let mut waiting = VecDeque::with_capacity(6);
        waiting.extend(parts.held);
        let log = Arc::new(Self {
            store: parts.store,
            commit_delay: parts.commit_delay,
            host: parts.host,
            worker: parts.worker,
            limits: parts.limits,
            pages: Mutex::new(Pages {
                input: parts.input,
                waiting,
                waiting_bytes: 0,
                holds_input,
                said: u64::from(holds_input),
                landed: 0,
                flying_bytes: 0,
                flying_rows: 0,
                registered: false,
                ended: false,
                events: 0,
                log_bytes: 0,
                log_lines: 0,
                failed: None,
                state: BTreeMap::new(),
                state_bytes: parts.state_bytes,
                state_open: true,
            }),
            landed: Notify::new(),
            accepted: parts.accepted,
        });
        if holds_input {
            log.register(&mut log.pages());
        }
        log
    }

    /// An entry of the turn.
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
        let mut pages = self.pages();
        let entry = NewEntry {
            at: now(),
            kind,
            input_id: pages.input,
            label: label.map(str::to_owned),
            ending: None,
            payload,
            truncated,
        };
        self.push(&mut pages, WorkerWrite::Append(entry));
    }

    /// Something beside the transcript that is to be committed with it.
    pub(crate) fn note(self: &Arc<Self>, event: WorkerWrite) {
        self.push(&mut self.pages(), event);
    }

    /// An event of the guest, which waits where it is too far ahead of the disk.
    pub(crate) async fn emit(
        self: &Arc<Self>,
        kind: &str,
        payload: Payload,
    ) -> Result<(), RecordError> {
        {
            let mut pages = self.pages();
            if pages.ended {
                return Err(RecordError::Unavailable("there is no turn".into()));
            }
            if pages.events >= self.limits.events_per_turn {
                let (name, limit) = (LimitName::events_per_turn, self.limits.events_per_turn);
                return Err(RecordError::Limit { name, limit });
            }
            pages.events += 1;
        }
        self.append(EntryKind::Event, Some(kind), payload);
        loop {
            let landed = self.landed.notified();
            {
                let pages = self.pages();
                if pages.failed.is_some() {
                    return Err(RecordError::Unavailable(
                        "the transcript cannot be written".into(),
                    ));
                }
                if !pages.is_ahead() {
                    return Ok(());
                }
            }
            landed.await;
        }
    }

    /// Whether the turn may write its state: not in a lifecycle hook.
    pub(crate) fn open_state(&self, open: bool) {
        self.pages().state_open = open;
    }

    /// What this turn has made of a key: `None` where it has not touched it.
    pub(crate) fn state_overlay(&self, key: &str) -> Option<Option<Vec<u8>>> {
        self.pages().state.get(key).cloned()
    }

    /// The keys that this turn has touched, from a prefix on.
    pub(crate) fn state_touched(&self, prefix: &str) -> Vec<(String, bool)> {
        let pages = self.pages();
        let from = pages.state.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.is_some()))
            .collect()
    }

    /// Sets or removes a key. `before` is the length of the value that it has now.
    pub(crate) fn state_put(
        &self,
        key: &str,
        before: Option<usize>,
        value: Option<Vec<u8>>,
    ) -> Result<(), RecordError> {
        let mut pages = self.pages();
        if !pages.state_open {
            let why = "state cannot be written in a lifecycle hook";
            return Err(RecordError::Unavailable(why.into()));
        }
        if pages.ended {
            return Err(RecordError::Unavailable("there is no turn".into()));
        }
        let size = |length: usize| (key.len() + length) as u64;
        let freed = before.map_or(0, size);
        let added = value.as_ref().map_or(0, |value| size(value.len()));
        let bytes = pages.state_bytes.saturating_sub(freed).saturating_add(added);
        let past = |name| Err(RecordError::Limit { name, limit: self.limits.get(name) });
        if added > freed && bytes > self.limits.state_bytes {
            return past(LimitName::state_bytes);
        }
        let is_full = pages.state.len() as u64 >= self.limits.state_changes_per_turn;
        if is_full && !pages.state.contains_key(key) {
            return past(LimitName::state_changes_per_turn);
        }
        pages.state_bytes = bytes;
        pages.state.insert(key.to_owned(), value);
        Ok(())
    }

    /// Ends the turn: waits for what is under way and returns what is left. `Err` if something that
    /// was under way did not arrive; then nothing of the turn may be committed.
    pub(crate) async fn end(self: &Arc<Self>) -> Result<Rest, StoreError> {
        self.pages().ended = true;
        loop {
            let landed = self.landed.notified();
            {
                let mut pages = self.pages();
                if let Some(error) = &pages.failed {
                    return Err(error.clone());
                }
                // What is left is one transaction, with the end.
                self.send_off(&mut pages, FLUSH_ROWS + 1);
                if pages.flying_rows == 0 {
                    return Ok(Rest {
                        holds_input: std::mem::take(&mut pages.holds_input),
                        events: std::mem::take(&mut pages.waiting).into(),
                        state: std::mem::take(&mut pages.state),
                        state_bytes: pages.state_bytes,
                    });
                }
            }
            landed.await;
        }
    }

    fn push(self: &Arc<Self>, pages: &mut Pages, event: WorkerWrite) {
        if pages.ended {
            return;
        }
        pages.said += 1;
        pages.waiting_bytes += bytes(&event);
        pages.waiting.push_back(event);
        if pages.waiting.len() >= FLUSH_ROWS || pages.waiting_bytes >= FLUSH_BYTES {
            self.send_off(pages, 1);
        }
        if !pages.waiting.is_empty() {
            self.register(pages);
        }
    }

    fn register(self: &Arc<Self>, pages: &mut Pages) {
        if !std::mem::replace(&mut pages.registered, true) {
            let log: Arc<dyn Flush> = self.clone();
            self.commit_delay.delay(Arc::downgrade(&log));
        }
    }

    /// Sends off what waits, while it is as many rows as that and the disk is not too far behind.
    fn send_off(self: &Arc<Self>, pages: &mut Pages, least: usize) {
        while pages.waiting.len() >= least && pages.failed.is_none() && !pages.is_ahead() {
            let rows = pages.waiting.len().min(FLUSH_ROWS);
            let events: Vec<_> = match rows == pages.waiting.len() {
                true => std::mem::take(&mut pages.waiting).into(),
                false => pages.waiting.drain(..rows).collect(),
            };
            let bytes: usize = events.iter().map(bytes).sum();
            let holds_input = std::mem::take(&mut pages.holds_input);
            pages.waiting_bytes -= bytes;
            pages.flying_rows += rows;
            pages.flying_bytes += bytes;
            let commit = self.store.submit(Transaction { worker: self.worker, writes: events });
            let log = self.clone();
            self.host.spawn(async move {
                let result: Result<Receipt, _> = commit.await;
                let mut pages = log.pages();
                pages.landed += rows as u64;
                pages.flying_rows -= rows;
                pages.flying_bytes -= bytes;
                if let Err(error) = &result {
                    pages.failed.get_or_insert_with(|| error.clone());
                }
                if !pages.ended {
                    log.send_off(&mut pages, FLUSH_ROWS);
                }
                drop(pages);
                if holds_input {
                    let first =
                        |receipt: Receipt| receipt.seqs.first().copied().unwrap_or_default();
                    (log.accepted)(result.map(first));
                }
                log.landed.notify_waiters();
            });
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn is_ahead(&self) -> bool {
        self.flying_bytes >= AHEAD_BYTES || self.flying_rows >= AHEAD_ROWS
    }
}

/// What counts of an event.
fn bytes(event: &WorkerWrite) -> usize {
    match event {
        WorkerWrite::Append(entry) => entry.payload.body.len() + entry.payload.content_type.len(),
        _ => 0,
    }
}

/// A turn's requests, which may still end when it has.
#[derive(Debug)]
pub(crate) struct Requests(pub(crate) Arc<TurnLog>);

#[async_trait::async_trait]
impl RequestLog for Requests {
    async fn before_leaving(&self) -> Result<(), RecordError> {
        let Self(log) = self;
        let unwritten = || RecordError::Unavailable("the transcript cannot be written".into());
        let awaited = log.pages().said;
        loop {
            let landed = log.landed.notified();
            {
                let mut pages = log.pages();
                if pages.failed.is_some() || pages.ended {
                    return Err(unwritten());
                }
                // One worker's transactions arrive in the order in which they were sent.
                if pages.landed >= awaited {
                    return Ok(());
                }
                log.send_off(&mut pages, 1);
            }
            landed.await;
        }
    }

    fn record(&self, request: RequestRecord) {
        let label = format!("{} {}", request.method, request.host);
        // It has no map whose keys might not be text.
        let body = serde_json::to_vec(&request).unwrap_or_default();
        let payload = Payload { content_type: "application/json".into(), body: body.into() };
        self.0.append(EntryKind::Request, Some(&label), payload);
    }
}

/// The lines of an instance, which go to whichever turn it is in.
#[derive(Debug)]
pub(crate) struct Lines {
    stream: &'static str,
    turn: Arc<Mutex<Weak<TurnLog>>>,
}

impl Lines {
    pub(crate) fn new(stream: &'static str, turn: &Arc<Mutex<Weak<TurnLog>>>) -> Arc<Self> {
        Arc::new(Self { stream, turn: turn.clone() })
    }
}

impl LineSink for Lines {
    fn line(&self, line: &[u8]) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let Some(turn) = turn else { return };
        let (fits, first_over) = {
            let mut pages = turn.pages();
            let fits = |pages: &Pages| {
                pages.log_bytes <= turn.limits.log_bytes_per_turn
                    && pages.log_lines <= turn.limits.log_lines_per_turn
            };
            let fitted = fits(&pages);
            pages.log_bytes = pages.log_bytes.saturating_add(line.len() as u64 + 1);
            pages.log_lines = pages.log_lines.saturating_add(1);
            (fits(&pages), fitted)
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
