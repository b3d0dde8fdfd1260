//! The host's clock.

use std::time::SystemTime;

use skep_protocol::Timestamp;

/// Returns the current time of day.
pub(crate) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::since_epoch(now.unwrap_or_default())
}
