//! The system clock. No other file of this crate reads it.

use std::time::{Duration, SystemTime};

use skep_protocol::Timestamp;

/// Returns the current time.
pub(crate) fn now() -> Timestamp {
    Timestamp::since_epoch(since_epoch())
}

/// Returns the time since the Unix epoch, or zero if the clock is set before it.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
