//! The identity of the worker, and the current input.

use std::time::Duration;

use crate::host;

/// Returns the id of the runtime that this worker belongs to.
pub fn runtime_id() -> String {
    host::context::runtime_id()
}

/// Returns this worker's id within its runtime, a UUID.
pub fn worker_id() -> String {
    host::context::worker_id()
}

/// Returns the id of the current input, or `None` outside of a turn.
pub fn input_id() -> Option<String> {
    host::context::input_id()
}

/// Returns the number of this attempt at the input, from 1. It is above 1 if the host died during
/// an earlier attempt: that attempt's writes to [`state`](crate::state) are gone, its files are
/// not.
pub fn attempt() -> u32 {
    host::context::attempt()
}

/// Returns the time left until the turn's deadline, in whole milliseconds, or `None` if there is no
/// deadline.
pub fn remaining() -> Option<Duration> {
    host::context::remaining_ms().map(Duration::from_millis)
}
