//! The system clock. No other file of this crate reads it.

use std::time::{Duration, SystemTime};

use skep_protocol::{Timestamp, quantity};

/// Returns the current time.
pub(crate) fn now() -> Timestamp {
    Timestamp::since_epoch(since_epoch())
}

/// Returns the time since the Unix epoch, or zero if the clock is set before it.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Parses a time on the command line: RFC 3339, or a duration before now.
pub(crate) fn past(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ago = quantity::duration(text).map_err(|_| {
        format!(
            "`{text}` is neither a time such as 2026-11-21T08:02:00Z nor a duration such as 24h"
        )
    })?;
    let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    Ok(Timestamp(now().as_millis().saturating_sub(ago)))
}
