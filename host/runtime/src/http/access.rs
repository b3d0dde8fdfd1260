//! The transcript's entries about requests: one a second at most, with the number of the others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use skep_lanes::{ExchangeEnd, ExchangeReport};
use skep_protocol::text::{brief, neutral};
use skep_protocol::{AccessRecord, EntryKind, Payload, Usage};

use crate::turn::log::TurnLog;

/// Minimum time between two entries.
const INTERVAL: Duration = Duration::from_secs(1);

/// Maximum characters of a path or a trap in an entry.
const SHOWN: usize = 400;

/// Decides which requests have an entry.
#[derive(Debug, Default)]
pub(super) struct AccessLog(Mutex<AccessPace>);

#[derive(Debug, Default)]
struct AccessPace {
    last: Option<Instant>,
    others: u64,
}

impl AccessLog {
    /// Records a request that was not answered whole.
    pub(super) fn note(&self, log: &Arc<TurnLog>, report: &ExchangeReport) {
        let label = match &report.end {
            ExchangeEnd::Answered | ExchangeEnd::ClientLeft => return,
            ExchangeEnd::NoAnswer(why) | ExchangeEnd::Reset(why) => why.reason(),
            ExchangeEnd::HostFault(fault) => {
                tracing::error!(fault, "a request to an HTTP worker failed");
                "host_fault"
            }
        };
        let others = {
            let mut pace = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if pace.last.is_some_and(|last| last.elapsed() < INTERVAL) {
                pace.others += 1;
                return;
            }
            pace.last = Some(Instant::now());
            std::mem::take(&mut pace.others)
        };
        let record = AccessRecord {
            method: report.method.as_str().to_owned(),
            path: neutral(&brief(report.uri.path(), SHOWN)).to_string(),
            status: report.status,
            received_bytes: report.bytes_in,
            sent_bytes: report.bytes_out,
            wall_ms: u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
            trap: report.crash.as_ref().map(|crash| neutral(&crash.message).to_string()),
            others,
        };
        // Cannot fail: the record has no map with keys other than text.
        let body = serde_json::to_vec(&record).unwrap_or_default();
        let payload = Payload { content_type: "application/json".into(), body: body.into() };
        log.append(EntryKind::Access, Some(label), payload);
    }
}

/// Adds the cost of a request to a worker's usage.
pub(super) fn add_cost(usage: &mut Usage, report: &ExchangeReport) {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    usage.turns += 1;
    usage.wall_us = usage.wall_us.saturating_add(micros(report.cost.wall));
    usage.cpu_us = usage.cpu_us.saturating_add(micros(report.cost.cpu));
    usage.memory_peak_bytes = usage.memory_peak_bytes.max(report.cost.memory_peak_bytes);
}
