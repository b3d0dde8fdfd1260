//! The transcript's entries about requests: one a second at most, with the number of the others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use skep_lanes::{ExchangeEnd, ExchangeReport};
use skep_protocol::text::{brief, neutral};
use skep_protocol::{AccessRecord, EntryKind, Failure, Payload, Usage};

use crate::turn::log::TurnLog;

/// Minimum time between two entries.
const INTERVAL: Duration = Duration::from_secs(1);

/// Maximum characters of a path or a trap in an entry.
const SHOWN: usize = 400;

/// Maximum characters of a method in an entry.
const METHOD: usize = 32;

/// Decides which requests have an entry.
#[derive(Debug, Default)]
pub(super) struct AccessLog(Mutex<AccessPace>);

#[derive(Debug, Default)]
struct AccessPace {
    last: Option<Instant>,
    others: u64,
}

impl AccessLog {
    /// Records a request that was not answered whole. Returns true if its denials may be recorded too.
    pub(super) fn note(&self, log: &Arc<TurnLog>, report: &ExchangeReport) -> bool {
        let label = match &report.end {
            ExchangeEnd::Answered | ExchangeEnd::ClientLeft => None,
            ExchangeEnd::NoAnswer(why) | ExchangeEnd::Reset(why) => Some(why.reason()),
            ExchangeEnd::Refused(error) => Some(error.code()),
            ExchangeEnd::HostFault(fault) => {
                tracing::error!(fault, "a request to an HTTP worker failed");
                Some("host_fault")
            }
        };
        if label.is_none() && report.denials.is_empty() {
            return false;
        }
        let others = {
            let mut pace = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if pace.last.is_some_and(|last| last.elapsed() < INTERVAL) {
                pace.others += 1;
                return false;
            }
            pace.last = Some(Instant::now());
            std::mem::take(&mut pace.others)
        };
        let Some(label) = label else { return true };
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
        true
    }
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
