//! The circuit breaker of a remote runtime: it decides when a failed runtime is tried again.
//!
//! ```text
//!            failed                     due
//!  closed ----------> open (refuses) ----------> half-open (one may try)
//!    ^                  ^                            |     |
//!    |                  '---------- failed ----------'     |
//!    '-------------------------- succeeded ----------------'
//! ```

use std::time::Duration;

use skep_protocol::Timestamp;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// The circuit breaker of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Circuit(Option<OpenCircuit>);

#[derive(Debug)]
struct OpenCircuit {
    since: Timestamp,
    failures: u32,
    due: Instant,
}

/// The state of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CircuitState {
    /// Requests pass.
    Closed,
    /// Requests are refused.
    Open,
    /// One request may try.
    HalfOpen,
}

impl Circuit {
    pub(crate) fn state(&self, now: Instant) -> CircuitState {
        match &self.0 {
            None => CircuitState::Closed,
            Some(open) if now < open.due => CircuitState::Open,
            Some(_) => CircuitState::HalfOpen,
        }
    }

    /// Records an answer.
    pub(crate) fn succeeded(&mut self) {
        self.0 = None;
    }

    /// Records a failure. `random` is from 0 to 1. A failure reported while the circuit is open is
    /// from before it opened, so it is ignored.
    pub(crate) fn failed(&mut self, now: Instant, at: Timestamp, random: f64) {
        let (since, failures) = match &self.0 {
            Some(open) if now < open.due => return,
            Some(open) => (open.since, open.failures.saturating_add(1)),
            None => (at, 0),
        };
        let full = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
        let due = now + full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        self.0 = Some(OpenCircuit { since, failures, due });
    }

    /// Returns the start of the outage.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.0.as_ref().map(|open| open.since)
    }

    /// Returns the time of the next attempt, if the circuit is not closed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.as_ref().map(|open| open.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circuit_opens_for_longer_each_time_and_keeps_the_start_of_the_outage() {
        let mut circuit = Circuit::default();
        let mut now = Instant::now();
        assert_eq!(circuit.state(now), CircuitState::Closed);
        let mut pauses = Vec::new();
        for n in 0..9 {
            circuit.failed(now, Timestamp(100 + n), 1.0);
            assert_eq!(circuit.since(), Some(Timestamp(100)));
            assert_eq!(circuit.state(now), CircuitState::Open);
            let due = circuit.due().unwrap();
            pauses.push((due - now).as_millis());
            now = due;
            assert_eq!(circuit.state(now), CircuitState::HalfOpen);
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        circuit.succeeded();
        assert_eq!((circuit.state(now), circuit.since()), (CircuitState::Closed, None));
    }

    #[test]
    fn pauses_are_random_and_late_failures_are_ignored() {
        let mut circuit = Circuit::default();
        let now = Instant::now();
        circuit.failed(now, Timestamp(1), 0.0);
        assert_eq!(circuit.due(), Some(now + FIRST / 2));
        circuit.failed(now, Timestamp(2), 1.0);
        circuit.failed(now + FIRST / 4, Timestamp(3), 1.0);
        assert_eq!(circuit.due(), Some(now + FIRST / 2));
    }
}
