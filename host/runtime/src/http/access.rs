//! The transcript's entries about requests: failures, one a second at most, and samples of the others
//! where the worker's spec asks for them. An entry tells how many before it came too fast.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use skep_lanes::{ExchangeEnd, ExchangeReport};
use skep_protocol::text::{brief, neutral};
use skep_protocol::{AccessRecord, EntryKind, Failure, HttpEntries, Payload, Usage};

use crate::turn::log::TurnLog;

/// The interval that has a bounded number of entries.
const INTERVAL: Duration = Duration::from_secs(1);

/// Entries about failures, and about other requests, in one interval.
const FAILURES: u32 = 1;
const SAMPLES: u32 = 100;

/// Maximum characters of a path or a trap in an entry.
const SHOWN: usize = 400;

/// Maximum characters of a method in an entry.
const METHOD: usize = 32;

/// Decides which requests have an entry.
#[derive(Debug)]
pub(super) struct AccessLog {
    entries: HttpEntries,
    failures: Mutex<AccessPace>,
    samples: Mutex<AccessPace>,
    /// Requests that were no failures.
    good: AtomicU32,
}

/// Bounds the entries of an interval.
#[derive(Debug, Default)]
struct AccessPace {
    began: Option<Instant>,
    entries: u32,
    others: u64,
}

impl AccessPace {
    /// Returns the number of those left out since the last entry, if there may be another one now.
    fn take(&mut self, now: Instant, most: u32) -> Option<u64> {
        if self.began.is_none_or(|began| now.duration_since(began) >= INTERVAL) {
            (self.began, self.entries) = (Some(now), 0);
        }
        if self.entries >= most {
            self.others += 1;
            return None;
        }
        self.entries += 1;
        Some(std::mem::take(&mut self.others))
    }
}

impl AccessLog {
    /// Creates the log of a worker whose spec says this.
    pub(super) fn new(entries: HttpEntries) -> Self {
        Self {
            entries,
            failures: Mutex::default(),
            samples: Mutex::default(),
            good: AtomicU32::new(0),
        }
    }

    /// Records a request, if it has an entry. Returns true if its denials may be recorded too.
    pub(super) fn note(&self, log: &Arc<TurnLog>, report: &ExchangeReport) -> bool {
        let (label, is_failure) = match &report.end {
            ExchangeEnd::Answered => ("answered", false),
            ExchangeEnd::ClientLeft => ("client_left", false),
            ExchangeEnd::NoAnswer(why) | ExchangeEnd::Reset(why) => (why.reason(), true),
            ExchangeEnd::Refused(error) => (error.code(), true),
            ExchangeEnd::HostFault(fault) => {
                tracing::error!(fault, "a request to an HTTP worker failed");
                ("host_fault", true)
            }
        };
        let now = Instant::now();
        let take = |pace: &Mutex<AccessPace>, most| {
            pace.lock().unwrap_or_else(PoisonError::into_inner).take(now, most)
        };
        if is_failure {
            let Some(others) = take(&self.failures, FAILURES) else { return false };
            append(log, label, report, others);
            return true;
        }
        if self.is_sample()
            && let Some(others) = take(&self.samples, SAMPLES)
        {
            append(log, label, report, others);
        }
        !report.denials.is_empty() && take(&self.failures, FAILURES).is_some()
    }

    /// Counts a request that is no failure. Returns true if it is a sample.
    fn is_sample(&self) -> bool {
        match self.entries {
            HttpEntries::Failures => false,
            HttpEntries::All => true,
            HttpEntries::Every(number) => {
                self.good.fetch_add(1, Ordering::Relaxed).is_multiple_of(number.get())
            }
        }
    }
}

fn append(log: &Arc<TurnLog>, label: &str, report: &ExchangeReport, others: u64) {
    let record = AccessRecord {
        method: brief(report.method.as_str(), METHOD).into_owned(),
        target: neutral(&brief(report.uri.path(), SHOWN)).to_string(),
        status: report.status,
        received_bytes: report.bytes_in,
        sent_bytes: report.bytes_out,
        wall_ms: u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
        limit: report.limit,
        trap: report.crash.as_ref().map(|crash| neutral(&crash.message).to_string()),
        failure: report.failure.as_ref().map(shown),
        others,
    };
    // Cannot fail: the record has no map with keys other than text.
    let body = serde_json::to_vec(&record).unwrap_or_default();
    let payload = Payload { content_type: "application/json".into(), body: body.into() };
    log.append(EntryKind::Access, Some(label), payload);
}

/// Returns the text of a guest's failure.
fn shown(failure: &Failure) -> String {
    neutral(&format!("{}: {}", failure.code, failure.message)).to_string()
}

/// Adds the cost of a request to a worker's usage.
pub(super) fn add_cost(usage: &mut Usage, report: &ExchangeReport) {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    usage.turns += 1;
    usage.wall_us = usage.wall_us.saturating_add(micros(report.cost.wall));
    usage.cpu_us = usage.cpu_us.saturating_add(micros(report.cost.cpu));
    usage.memory_peak_bytes = usage.memory_peak_bytes.max(report.cost.memory_peak_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_bounded_and_count_those_that_were_left_out() {
        let mut pace = AccessPace::default();
        let began = Instant::now();
        for n in 0..150 {
            let expected = (n < 100).then_some(0);
            assert_eq!(pace.take(began, SAMPLES), expected, "{n}");
        }
        assert_eq!(pace.take(began + INTERVAL / 2, SAMPLES), None);
        assert_eq!(pace.take(began + INTERVAL, SAMPLES), Some(51));
        assert_eq!(pace.take(began + INTERVAL, SAMPLES), Some(0));
    }

    #[test]
    fn one_in_so_many_is_a_sample() {
        let samples = |entries| {
            let log = AccessLog::new(entries);
            (0..9).filter(|_| log.is_sample()).count()
        };
        assert_eq!(samples(HttpEntries::Failures), 0);
        assert_eq!(samples(HttpEntries::All), 9);
        assert_eq!(samples(HttpEntries::Every(4.try_into().unwrap())), 3);
    }
}
