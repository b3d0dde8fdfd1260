//! When a runtime that did not answer is asked again.
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

/// The circuit of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Circuit(Option<Open>);

#[derive(Debug)]
struct Open {
    since: Timestamp,
    failures: u32,
    due: Instant,
}

/// What a circuit says to somebody who wants through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Go on.
    Closed,
    /// Do not try.
    Open,
    /// Try, if nobody else does.
    HalfOpen,
}

impl Circuit {
    pub(crate) fn state(&self, now: Instant) -> State {
        match &self.0 {
            None => State::Closed,
            Some(open) if now < open.due => State::Open,
            Some(_) => State::HalfOpen,
        }
    }

    /// It answered.
    pub(crate) fn succeeded(&mut self) {
        self.0 = None;
    }

    /// It did not. `random` is from 0 to 1. Who hears it late, from before the circuit opened, says
    /// nothing new.
    pub(crate) fn failed(&mut self, now: Instant, at: Timestamp, random: f64) {
        let (since, failures) = match &self.0 {
            Some(open) if now < open.due => return,
            Some(open) => (open.since, open.failures.saturating_add(1)),
            None => (at, 0),
        };
        let full = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
        let due = now + full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        self.0 = Some(Open { since, failures, due });
    }

    /// Since when it does not answer.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.0.as_ref().map(|open| open.since)
    }

    /// When it may be tried again, if it is not to be used.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.as_ref().map(|open| open.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circuit_opens_for_longer_each_time_and_remembers_since_when() {
        let mut circuit = Circuit::default();
        let mut now = Instant::now();
        assert_eq!(circuit.state(now), State::Closed);
        let mut pauses = Vec::new();
        for n in 0..9 {
            circuit.failed(now, Timestamp(100 + n), 1.0);
            assert_eq!(circuit.since(), Some(Timestamp(100)));
            assert_eq!(circuit.state(now), State::Open);
            let due = circuit.due().unwrap();
            pauses.push((due - now).as_millis());
            now = due;
            assert_eq!(circuit.state(now), State::HalfOpen);
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        circuit.succeeded();
        assert_eq!((circuit.state(now), circuit.since()), (State::Closed, None));
    }

    #[test]
    fn pauses_are_of_random_length_and_news_count_once() {
        let mut circuit = Circuit::default();
        let now = Instant::now();
        circuit.failed(now, Timestamp(1), 0.0);
        assert_eq!(circuit.due(), Some(now + FIRST / 2));
        circuit.failed(now, Timestamp(2), 1.0);
        circuit.failed(now + FIRST / 4, Timestamp(3), 1.0);
        assert_eq!(circuit.due(), Some(now + FIRST / 2));
    }
}
