//! The observation of one case.

use std::time::Duration;

use crate::end::End;

/// The observation of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The end.
    pub end: End,
    /// The time from exceeding the limit to the end, at most. If nothing ran, the time until the
    /// refusal.
    pub stopped_in: Duration,
    /// True if something ran that had to be stopped.
    pub ran: bool,
}

impl Seen {
    /// Observes an end before which nothing had to be stopped.
    pub fn told(end: End) -> Self {
        Self { end, stopped_in: Duration::ZERO, ran: false }
    }
}
