//! Durations in reports.

use std::time::Duration;

/// Converts a duration to milliseconds, rounded to microseconds.
pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
