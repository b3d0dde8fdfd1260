//! Who the worker is, and what it is handling.

use std::time::Duration;

use crate::host;

/// The runtime that this worker belongs to.
pub fn runtime_id() -> String {
    host::context::runtime_id()
}

/// This worker's id within its runtime, a UUID.
pub fn worker_id() -> String {
    host::context::worker_id()
}

/// The input being handled, or `None` outside of a turn.
pub fn input_id() -> Option<String> {
    host::context::input_id()
}

/// Which attempt at this input this is, from 1. It is above 1 where the host died in an earlier
/// one: its writes to [`state`](crate::state) are gone, its files are not.
pub fn attempt() -> u32 {
    host::context::attempt()
}

/// How much of the turn's deadline is left, in whole milliseconds, or `None` where there is no
/// deadline.
pub fn remaining() -> Option<Duration> {
    host::context::remaining_ms().map(Duration::from_millis)
}
