//! The host on non-wasm targets: one in-memory double per thread, on which a test runs.
//! [`testing`](crate::testing) is its public interface.
//!
//! It follows the rules that a worker can notice (keys, kinds, limits, rollback), but nothing is
//! durable and there is no deadline.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::fetch::{Error, Request, Response};
use crate::testing::Event;
use crate::transcript::Entry;

/// The host's defaults.
const STATE_BYTES: u64 = 64 << 20;
const EVENT_BYTES: u64 = 256 << 10;
const EVENTS_PER_TURN: u64 = 10_000;
const KEY_BYTES: usize = 512;
const KIND_BYTES: usize = 64;
const PAGE: usize = 1_000;

/// Answers the HTTP requests of a worker.
pub(crate) type Server = dyn Fn(&Request) -> Result<Response, Error>;

/// The state of the double.
pub(crate) struct Double {
    pub(crate) runtime_id: String,
    pub(crate) worker_id: String,
    pub(crate) attempt: u32,
    pub(crate) remaining_ms: Option<u64>,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) state: BTreeMap<String, Vec<u8>>,
    /// The transcript; an entry's `seq` is its position, from 1.
    pub(crate) entries: Vec<Entry>,
    /// The events of the running turn; their `seq` is 0 until the turn ends.
    pub(crate) emitted: Vec<Entry>,
    /// All events ever emitted.
    pub(crate) events: Vec<Event>,
    pub(crate) input_id: Option<String>,
    /// The number of inputs so far.
    pub(crate) inputs: u64,
    /// Answers HTTP requests.
    pub(crate) server: Option<Rc<Server>>,
    /// False in lifecycle hooks.
    pub(crate) state_writable: bool,
    data_dir: Option<ScratchDir>,
}

thread_local! {
    static DOUBLE: RefCell<Double> = RefCell::new(Double::new());
}

/// Gives access to this thread's double. Worker code must not run inside.
pub(crate) fn with<T>(look: impl FnOnce(&mut Double) -> T) -> T {
    DOUBLE.with_borrow_mut(look)
}

impl Double {
    pub(crate) fn new() -> Self {
        Self {
            runtime_id: "00000000-0000-7000-8000-000000000001".to_owned(),
            worker_id: "00000000-0000-7000-8000-000000000002".to_owned(),
            attempt: 1,
            remaining_ms: Some(30_000),
            config: BTreeMap::new(),
            state: BTreeMap::new(),
            entries: Vec::new(),
            emitted: Vec::new(),
            events: Vec::new(),
            input_id: None,
            inputs: 0,
            server: None,
            state_writable: true,
            data_dir: None,
        }
    }

    /// Appends an entry of the running turn to the transcript.
    pub(crate) fn append(&mut self, kind: &str, content_type: &str, body: &[u8]) {
        let entry = self.entry(kind, None, content_type, body);
        self.settle(entry);
    }

    /// Appends the emitted events to the transcript.
    pub(crate) fn settle_emitted(&mut self) {
        for entry in std::mem::take(&mut self.emitted) {
            self.settle(entry);
        }
    }

    fn settle(&mut self, entry: Entry) {
        let seq = self.entries.len() as u64 + 1;
        self.entries.push(Entry { seq, ..entry });
    }

    fn entry(&self, kind: &str, event: Option<&str>, content_type: &str, body: &[u8]) -> Entry {
        Entry {
            seq: 0,
            at: SystemTime::now(),
            kind: kind.to_owned(),
            event: event.map(str::to_owned),
            input_id: self.input_id.clone(),
            content_type: content_type.to_owned(),
            body: body.to_vec(),
        }
    }
}

/// A directory that is created on first use and removed with its thread.
struct ScratchDir(&'static Path);

impl ScratchDir {
    fn create() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("skep-guest-{}-{count}", std::process::id()));
        // A worker always has a directory, so there is no error for it to handle here.
        std::fs::create_dir_all(&path)
            .unwrap_or_else(|error| panic!("a test needs a directory {}: {error}", path.display()));
        // One short path per test thread that uses it. It is leaked, since `/data` is static as
        // well.
        Self(Box::leak(path.into_boxed_path()))
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // A leftover file in the system's temporary directory is not worth a panic.
        let _ = std::fs::remove_dir_all(self.0);
    }
}

pub(crate) fn data_dir() -> &'static Path {
    with(|double| double.data_dir.get_or_insert_with(ScratchDir::create).0)
}

pub(crate) mod context {
    use super::with;

    pub(crate) fn runtime_id() -> String {
        with(|double| double.runtime_id.clone())
    }

    pub(crate) fn worker_id() -> String {
        with(|double| double.worker_id.clone())
    }

    pub(crate) fn input_id() -> Option<String> {
        with(|double| double.input_id.clone())
    }

    pub(crate) fn attempt() -> u32 {
        with(|double| double.attempt)
    }

    pub(crate) fn remaining_ms() -> Option<u64> {
        with(|double| double.remaining_ms)
    }
}

pub(crate) mod config {
    use super::with;

    pub(crate) fn get(key: &str) -> Option<String> {
        with(|double| double.config.get(key).cloned())
    }

    pub(crate) fn get_all() -> Vec<(String, String)> {
        with(|double| double.config.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
    }
}

pub(crate) mod state {
    use std::ops::Bound;

    use super::{Double, KEY_BYTES, PAGE, STATE_BYTES, with};
    use crate::state::{Error, Page};

    pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
        check(key)?;
        Ok(with(|double| double.state.get(key).cloned()))
    }

    pub(crate) fn set(key: &str, value: &[u8]) -> Result<(), Error> {
        check(key)?;
        with(|double| {
            writable(double)?;
            let others = double.state.iter().filter(|(other, _)| *other != key);
            let bytes: usize = others.map(|(key, value)| key.len() + value.len()).sum();
            if (bytes + key.len() + value.len()) as u64 > STATE_BYTES {
                return Err(Error::TooLarge(STATE_BYTES));
            }
            double.state.insert(key.to_owned(), value.to_vec());
            Ok(())
        })
    }

    pub(crate) fn delete(key: &str) -> Result<bool, Error> {
        check(key)?;
        with(|double| {
            writable(double)?;
            Ok(double.state.remove(key).is_some())
        })
    }

    pub(crate) fn list(prefix: &str, cursor: Option<&str>) -> Result<Page, Error> {
        with(|double| {
            let from = cursor.map_or(Bound::Included(prefix), Bound::Excluded);
            let mut keys: Vec<String> = double
                .state
                .range::<str, _>((from, Bound::Unbounded))
                .map(|(key, _)| key)
                .take_while(|key| key.starts_with(prefix))
                .take(PAGE + 1)
                .cloned()
                .collect();
            let more = keys.len() > PAGE;
            keys.truncate(PAGE);
            let next = keys.last().filter(|_| more).cloned();
            Ok(Page { keys, next })
        })
    }

    fn check(key: &str) -> Result<(), Error> {
        if (1..=KEY_BYTES).contains(&key.len()) { Ok(()) } else { Err(Error::InvalidKey) }
    }

    fn writable(double: &Double) -> Result<(), Error> {
        if double.state_writable {
            Ok(())
        } else {
            Err(Error::Unavailable("state cannot be written outside of a turn".to_owned()))
        }
    }
}

pub(crate) mod fetch {
    use super::with;
    use crate::fetch::{Error, Request, Response};

    pub(crate) fn send(request: &Request) -> Result<Response, Error> {
        // The server may look at the double.
        match with(|double| double.server.clone()) {
            Some(server) => server(request),
            None => Err(Error::Denied("the test has no server: see `set_server`".to_owned())),
        }
    }
}

pub(crate) mod transcript {
    use super::{EVENT_BYTES, EVENTS_PER_TURN, KIND_BYTES, PAGE, with};
    use crate::testing::Event;
    use crate::transcript::{Error, Page};

    pub(crate) fn emit(kind: &str, content_type: &str, body: &[u8]) -> Result<(), Error> {
        let allowed = |c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        if !(1..=KIND_BYTES).contains(&kind.len()) || !kind.bytes().all(allowed) {
            return Err(Error::InvalidKind);
        }
        if body.len() as u64 > EVENT_BYTES {
            return Err(Error::TooLarge(EVENT_BYTES));
        }
        with(|double| {
            if double.emitted.len() as u64 >= EVENTS_PER_TURN {
                return Err(Error::TooMany(EVENTS_PER_TURN));
            }
            double.emitted.push(double.entry("event", Some(kind), content_type, body));
            double.events.push(Event {
                kind: kind.to_owned(),
                content_type: content_type.to_owned(),
                body: body.to_vec(),
            });
            Ok(())
        })
    }

    pub(crate) fn read(after: u64, limit: u32) -> Result<Page, Error> {
        with(|double| {
            let limit = PAGE.min(limit as usize);
            let start = usize::try_from(after).unwrap_or(usize::MAX).min(double.entries.len());
            let end = (start + limit).min(double.entries.len());
            let more = end < double.entries.len();
            Ok(Page {
                entries: double.entries[start..end].to_vec(),
                next: more.then_some(end as u64),
            })
        })
    }
}
