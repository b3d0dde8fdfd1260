//! Request metrics, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the latency histogram, in milliseconds.
const BOUNDS_MS: [u64; 9] = [1, 2, 5, 10, 50, 100, 500, 1_000, 10_000];

/// The counters of one API. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    /// By path and method.
    routes: Mutex<BTreeMap<(String, &'static str), Arc<RouteCounters>>>,
    readers: Arc<AtomicU64>,
}

/// The counters of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteCounters {
    statuses: Mutex<BTreeMap<u16, u64>>,
    /// Requests by latency; the last bucket has no upper bound.
    latencies: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_us: AtomicU64,
}

impl RouteCounters {
    /// Counts a request. The latency of a streaming response is the time to its header.
    pub(crate) fn count(&self, status: u16, latency: Duration) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        *statuses.entry(status).or_default() += 1;
        drop(statuses);
        let bounds = BOUNDS_MS.map(Duration::from_millis);
        let bucket = bounds.iter().position(|bound| latency <= *bound).unwrap_or(bounds.len());
        self.latencies[bucket].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Returns the counters of a route.
    pub(crate) fn of(&self, method: &'static str, path: &str) -> Arc<RouteCounters> {
        let mut routes = self.0.routes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry((path.to_owned(), method)).or_default())
    }

    /// Returns the number of open event streams.
    pub(crate) fn readers(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.readers)
    }

    /// Writes all metrics.
    pub(crate) fn write(&self, out: &mut String) {
        let routes = self.0.routes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        family(out, "skep_http_requests_total", "counter", "Requests answered.");
        for ((path, method), route) in &routes {
            let statuses = route.statuses.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for (status, count) in statuses {
                let labels = [
                    ("method", *method),
                    ("route", path.as_str()),
                    ("status", &status.to_string()),
                ];
                sample(out, "skep_http_requests_total", &labels, count);
            }
        }
        let name = "skep_http_request_seconds";
        family(out, name, "histogram", "Time to the header of the response.");
        for ((path, method), route) in &routes {
            let mut sum = 0;
            for (bucket, count) in route.latencies.iter().enumerate() {
                sum += count.load(Ordering::Relaxed);
                let bound = BOUNDS_MS.get(bucket).map(|ms| (*ms as f64 / 1e3).to_string());
                let bound = bound.unwrap_or_else(|| "+Inf".into());
                let labels = [("method", *method), ("route", path.as_str()), ("le", &bound)];
                sample(out, &format!("{name}_bucket"), &labels, sum);
            }
            let labels = [("method", *method), ("route", path.as_str())];
            let seconds = route.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
            sample(out, &format!("{name}_sum"), &labels, seconds);
            sample(out, &format!("{name}_count"), &labels, sum);
        }
        family(out, "skep_event_readers", "gauge", "Open event streams.");
        sample(out, "skep_event_readers", &[], self.0.readers.load(Ordering::Relaxed));
    }
}

/// Writes the header of a metric.
pub(crate) fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
        .expect("writing to a string cannot fail");
}

/// Writes one sample. Label values are ids, routes and numbers, so none needs escaping.
pub(crate) fn sample(
    out: &mut String,
    name: &str,
    labels: &[(&str, &str)],
    value: impl std::fmt::Display,
) {
    let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let labels =
        if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    writeln!(out, "{name}{labels} {value}").expect("writing to a string cannot fail");
}
