//! What is counted of requests, in the words of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the latencies that are told apart, in milliseconds.
const BOUNDS_MS: [u64; 9] = [1, 2, 5, 10, 50, 100, 500, 1_000, 10_000];

/// The counters of one API. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    /// By path and method.
    routes: Mutex<BTreeMap<(String, &'static str), Arc<OfRoute>>>,
    readers: Arc<AtomicU64>,
}

/// The counters of one route.
#[derive(Debug, Default)]
pub(crate) struct OfRoute {
    statuses: Mutex<BTreeMap<u16, u64>>,
    /// Requests by latency; the last is for those past all bounds.
    latencies: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_us: AtomicU64,
}

impl OfRoute {
    /// Counts a request. Of one whose answer goes on, the latency is that of its beginning.
    pub(crate) fn count(&self, status: u16, latency: Duration) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        *statuses.entry(status).or_default() += 1;
        drop(statuses);
        let bounds = BOUNDS_MS.map(Duration::from_millis);
        let place = bounds.iter().position(|bound| latency <= *bound).unwrap_or(bounds.len());
        self.latencies[place].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

impl Metrics {
    /// The counters of a route, by its method and path.
    pub(crate) fn of(&self, method: &'static str, path: &str) -> Arc<OfRoute> {
        let mut routes = self.0.routes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry((path.to_owned(), method)).or_default())
    }

    /// Readers of streams of events that are there now.
    pub(crate) fn readers(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.readers)
    }

    /// Everything that was counted, in Prometheus' text format.
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
        family(out, name, "histogram", "Time to the beginning of the answer.");
        for ((path, method), route) in &routes {
            let mut sum = 0;
            for (place, count) in route.latencies.iter().enumerate() {
                sum += count.load(Ordering::Relaxed);
                let bound = BOUNDS_MS.get(place).map(|ms| (*ms as f64 / 1e3).to_string());
                let bound = bound.unwrap_or_else(|| "+Inf".into());
                let labels = [("method", *method), ("route", path.as_str()), ("le", &bound)];
                sample(out, &format!("{name}_bucket"), &labels, sum);
            }
            let labels = [("method", *method), ("route", path.as_str())];
            let seconds = route.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
            sample(out, &format!("{name}_sum"), &labels, seconds);
            sample(out, &format!("{name}_count"), &labels, sum);
        }
        family(out, "skep_event_readers", "gauge", "Readers of streams of events.");
        sample(out, "skep_event_readers", &[], self.0.readers.load(Ordering::Relaxed));
    }
}

/// The head of samples that belong together.
pub(crate) fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes everything");
}

/// One sample. No label's value has a quote, backslash or line break: they are ids, routes and
/// numbers.
pub(crate) fn sample(
    out: &mut String,
    name: &str,
    labels: &[(&str, &str)],
    value: impl std::fmt::Display,
) {
    let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let labels =
        if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    writeln!(out, "{name}{labels} {value}").expect("a string takes everything");
}
