//! Unit tests for workers without wasm: an in-memory double of the host per thread.
//!
//! Each test has a thread of its own under `cargo test`, so it starts with empty state, no config
//! and a fixed identity. A worker that starts threads finds another double in each.
//!
//! [`handle`] does what the host does around a turn; calling `Worker::handle` directly does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::fetch::{self, Request, Response};
use crate::host::{Double, with};
use crate::message::TEXT;
use crate::{ConnectReason, Failure, Input, Lifecycle, Output, Worker, web};

/// Sets the results of `context::runtime_id` and `context::worker_id`.
pub fn set_identity(runtime_id: impl Into<String>, worker_id: impl Into<String>) {
    let (runtime_id, worker_id) = (runtime_id.into(), worker_id.into());
    with(|double| (double.runtime_id, double.worker_id) = (runtime_id, worker_id));
}

/// Replaces the config bundle.
pub fn set_config<K: Into<String>, V: Into<String>>(values: impl IntoIterator<Item = (K, V)>) {
    let config = values.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    with(|double| double.config = config);
}

/// Sets the result of `context::attempt`, which is 1 by default.
pub fn set_attempt(attempt: u32) {
    with(|double| double.attempt = attempt);
}

/// Sets the result of `context::remaining`, to the millisecond; it is 30 seconds by default. The
/// time does not advance by itself.
pub fn set_remaining(remaining: Option<Duration>) {
    let remaining_ms = remaining.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    with(|double| double.remaining_ms = remaining_ms);
}

/// Sets the function that answers HTTP requests. Without one, they are denied.
pub fn set_server(server: impl Fn(&Request) -> Result<Response, fetch::Error> + 'static) {
    with(|double| double.server = Some(Rc::new(server)));
}

/// Resets this thread's double, with `/data`.
pub fn reset() {
    with(|double| *double = Double::new());
}

/// Returns the worker's keys and values.
pub fn state() -> BTreeMap<String, Vec<u8>> {
    with(|double| double.state.clone())
}

/// Returns all emitted events in order, with those of failed turns.
pub fn events() -> Vec<Event> {
    with(|double| double.events.clone())
}

/// Returns the directory that replaces `/data`: the same as [`data_dir`](crate::data_dir).
pub fn data_dir() -> &'static Path {
    crate::data_dir()
}

/// Runs one turn as the host does: with an input id, an empty set of events, and a rollback of the
/// state if the worker fails or panics. Events stay.
///
/// # Errors
/// The worker's own failure.
pub fn handle<W: Worker>(input: Input) -> Result<Output, Failure> {
    let turn = Turn::begin(&input);
    let outcome = W::handle(input);
    turn.end(&outcome);
    outcome
}

/// Passes one request to a handler as the host does: without an input id, and with a rollback of the
/// state if the handler fails or panics. Events stay.
///
/// # Errors
/// The handler's own failure.
pub fn respond<E: Into<Failure>>(
    handler: impl FnOnce(web::Request) -> Result<web::Response, E>,
    request: web::Request,
) -> Result<web::Response, Failure> {
    let mut undo = Undo::begin();
    let response = web::answer(handler, request);
    undo.0 = undo.0.take().filter(|_| response.is_err());
    response
}

/// Calls the hook for a new instance, in which the state cannot be written.
pub fn connected<W: Lifecycle>(reason: ConnectReason) {
    without_writes(|| W::connected(reason));
}

/// Calls the hook before an instance is dropped, in which the state cannot be written.
pub fn disconnecting<W: Lifecycle>() {
    without_writes(W::disconnecting);
}

/// An emitted event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The worker's name for it.
    pub kind: String,
    /// The media type of `body`.
    pub content_type: String,
    /// The content.
    pub body: Vec<u8>,
}

/// A running turn. It has failed if it is dropped without an end, by a panic.
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

/// The state before a request, to which a drop returns.
struct Undo(Option<BTreeMap<String, Vec<u8>>>);

impl Undo {
    fn begin() -> Self {
        with(|double| {
            double.settle_emitted();
            Self(Some(double.state.clone()))
        })
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        with(|double| {
            double.settle_emitted();
            if let Some(before) = self.0.take() {
                double.state = before;
            }
        });
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
    // A hook may panic, and the test may continue.
    let _restore = Restore;
    hook();
}
