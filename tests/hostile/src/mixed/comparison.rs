//! The neighbour's turns beside hostile ones, compared with those of quiet times.

use std::time::Duration;

use crate::neighbour::NeighbourReport;

/// The slowdown over the quiet time that counts as starvation. Other work on the machine does not
/// explain it, since that slows the quiet turns as well.
const STARVED: f64 = 15.0;

/// The share of the due turns that the neighbour must complete.
const MADE: f64 = 0.95;

/// The neighbour's reports of all parts.
pub(super) struct Comparison {
    period: Duration,
    parts: Vec<Part>,
}

/// The neighbour's reports of one part.
pub(super) struct Part {
    pub(super) quiet: NeighbourReport,
    pub(super) among: NeighbourReport,
}

/// The 99th percentile of the neighbour's turns in one part, in seconds.
#[derive(Clone, Copy)]
pub(super) struct Slowdown {
    pub(super) quiet: f64,
    pub(super) among: f64,
}

impl Comparison {
    /// Starts a comparison of turns that are due once per period.
    pub(super) fn new(period: Duration) -> Self {
        Self { period, parts: Vec::new() }
    }

    /// Adds a part.
    pub(super) fn add(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// Lists the failures of the neighbour's turns.
    pub(super) fn failures(&self) -> Vec<&String> {
        self.reports().flat_map(|report| &report.failures).collect()
    }

    /// Counts the neighbour's completed turns.
    pub(super) fn turns(&self) -> usize {
        self.reports().map(|report| report.turns.len()).sum()
    }

    /// Returns the part with the least slowdown.
    pub(super) fn best(&self) -> Slowdown {
        let all = self.parts.iter().map(Part::slowdown);
        all.min_by(|a, b| a.ratio().total_cmp(&b.ratio())).unwrap()
    }

    /// Lists the slowdown of every part.
    pub(super) fn ratios(&self) -> String {
        let ratios = self.parts.iter().map(|part| format!("{:.1}", part.slowdown().ratio()));
        ratios.collect::<Vec<_>>().join(", ")
    }

    /// Returns the 99th percentiles of every part in microseconds, as pairs of quiet and busy.
    pub(super) fn micros(&self) -> Vec<[u64; 2]> {
        let micros = |report: &NeighbourReport| report.percentile(0.99).as_micros() as u64;
        self.parts.iter().map(|part| [micros(&part.quiet), micros(&part.among)]).collect()
    }

    /// Returns the least share of due turns that the neighbour completed in any time.
    pub(super) fn least_made(&self) -> f64 {
        let made = |report: &NeighbourReport| {
            report.turns.len() as f64 * self.period.as_secs_f64() / report.lasted.as_secs_f64()
        };
        self.reports().map(made).min_by(f64::total_cmp).unwrap()
    }

    /// Describes the delays that are too long.
    pub(super) fn slow(&self) -> Vec<String> {
        let mut slow = Vec::new();
        if self.best().ratio() > STARVED {
            let ratios = self.ratios();
            slow.push(format!("the neighbour's turns took {ratios} times as long as in quiet"));
        }
        let least = self.least_made();
        if least < MADE {
            slow.push(format!("the neighbour completed only {:.1} % of its turns", least * 1e2));
        }
        slow
    }

    fn reports(&self) -> impl Iterator<Item = &NeighbourReport> {
        self.parts.iter().flat_map(|part| [&part.quiet, &part.among])
    }
}

impl Part {
    fn slowdown(&self) -> Slowdown {
        let seconds = |report: &NeighbourReport| report.percentile(0.99).as_secs_f64();
        Slowdown { quiet: seconds(&self.quiet), among: seconds(&self.among) }
    }
}

impl Slowdown {
    /// Returns the busy time over the quiet time.
    pub(super) fn ratio(self) -> f64 {
        self.among / self.quiet
    }
}
