//! Unit tests for workers, without wasm: an in-memory double of the host for each thread.
//!
//! Each test has a thread of its own under `cargo test`, so each begins with an empty state, no
//! config and an identity that is always the same. A worker that starts threads finds another
//! double in each.
//!
//! [`handle`] does what the host does around a turn; calling `Worker::handle` yourself does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::host::{Double, with};
use crate::message::TEXT;
use crate::{ConnectReason, Failure, Input, Lifecycle, Output, Worker};

/// Sets what `context::runtime_id` and `context::worker_id` say.
pub fn set_identity(runtime_id: impl Into<String>, worker_id: impl Into<String>) {
    let (runtime_id, worker_id) = (runtime_id.into(), worker_id.into());
    with(|double| (double.runtime_id, double.worker_id) = (runtime_id, worker_id));
}

/// Replaces the config bundle.
pub fn set_config<K: Into<String>, V: Into<String>>(values: impl IntoIterator<Item = (K, V)>) {
    let config = values.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    with(|double| double.config = config);
}

/// Sets what `context::attempt` says, 1 until then.
pub fn set_attempt(attempt: u32) {
    with(|double| double.attempt = attempt);
}

/// Sets what `context::remaining` says, to the millisecond; 30 seconds until then. Time does not
/// pass by itself.
pub fn set_remaining(remaining: Option<Duration>) {
    let remaining_ms = remaining.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    with(|double| double.remaining_ms = remaining_ms);
}

/// Puts this thread's double back to its beginning, `/data` included.
pub fn reset() {
    with(|double| *double = Double::new());
}

/// The worker's keys and values as they are now.
pub fn state() -> BTreeMap<String, Vec<u8>> {
    with(|double| double.state.clone())
}

/// All that was emitted, in order, failed turns included.
pub fn events() -> Vec<Event> {
    with(|double| double.events.clone())
}

/// What stands for `/data`: the same as [`data_dir`](crate::data_dir).
pub fn data_dir() -> &'static Path {
    crate::data_dir()
}

/// Runs one turn as the host does: with an input id, an empty set of events, and the state put
/// back where the worker fails or panics. Events stay.
///
/// # Errors
/// The worker's own failure.
pub fn handle<W: Worker>(input: Input) -> Result<Output, Failure> {
    let turn = Turn::begin(&input);
    let outcome = W::handle(input);
    turn.end(&outcome);
    outcome
}

/// Calls the hook for a new instance, with a state that cannot be written.
pub fn connected<W: Lifecycle>(reason: ConnectReason) {
    without_writes(|| W::connected(reason));
}

/// Calls the hook for an instance that goes, with a state that cannot be written.
pub fn disconnecting<W: Lifecycle>() {
    without_writes(W::disconnecting);
}

/// What a worker emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The worker's own word for it.
    pub kind: String,
    /// The media type of `body`.
    pub content_type: String,
    /// The content.
    pub body: Vec<u8>,
}

/// A turn that is running. Dropped without an end, by a panic, it has failed.
struct Turn {
    before: BTreeMap<String, Vec<u8>>,
    ended: bool,
}

impl Turn {
    fn begin(input: &Input) -> Self {
        with(|double| {
            double.settle_emitted();
            double.inputs += 1;
            double.input_id = Some(format!("00000000-0000-7000-8000-{:012}", double.inputs));
            double.append("input", &input.content_type, &input.body);
            Self { before: double.state.clone(), ended: false }
        })
    }

    fn end(mut self, outcome: &Result<Output, Failure>) {
        self.ended = true;
        match outcome {
            Ok(output) => self.record("output", &output.content_type, &output.body),
            Err(failure) => {
                self.undo();
                self.record("failure", TEXT, failure.to_string().as_bytes());
            }
        }
    }

    fn undo(&mut self) {
        let before = std::mem::take(&mut self.before);
        with(|double| double.state = before);
    }

    fn record(&self, kind: &str, content_type: &str, body: &[u8]) {
        with(|double| {
            double.settle_emitted();
            double.append(kind, content_type, body);
            double.input_id = None;
        });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.ended {
            self.undo();
            self.record("failure", TEXT, b"trapped");
        }
    }
}

fn without_writes(hook: impl FnOnce()) {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            with(|double| double.state_writable = true);
        }
    }

    with(|double| double.state_writable = false);
    // A hook may panic, and the test go on.
    let _restore = Restore;
    hook();
}
