//! Samples of usage, kept in memory: of workers at the ends of their turns, of the runtime by its
//! sweeper.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use skep_protocol::{RuntimeSample, Timestamp, WorkerId, WorkerSample};

/// Distance of two samples. A sparkline needs no more.
pub(crate) const INTERVAL_MS: u64 = 10_000;

/// Samples kept: an hour without a pause.
const SAMPLES: usize = 360;

/// Workers with samples. With the samples of each, at most about 25 MB.
const WORKERS: usize = 1_000;

/// The samples of a runtime.
#[derive(Debug, Default)]
pub(crate) struct UsageSamples {
    workers: Mutex<HashMap<WorkerId, VecDeque<WorkerSample>>>,
    runtime: Mutex<VecDeque<RuntimeSample>>,
    turns: AtomicU64,
}

impl UsageSamples {
    /// Records a worker's usage after a turn. Within an interval the newest sample replaces the one
    /// before. `transcript_bytes` has to ask the store, so it is called once an interval.
    pub(crate) fn note_turn(
        &self,
        worker: WorkerId,
        mut sample: WorkerSample,
        transcript_bytes: impl FnOnce() -> Option<u64>,
    ) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        let interval = |at: Timestamp| at.as_millis() / INTERVAL_MS;
        let last = self.workers().get(&worker).and_then(|samples| samples.back().copied());
        let replaced = last.filter(|last| interval(last.at) == interval(sample.at));
        // The store is read without the lock. Only the worker's own driver adds samples of it.
        let bytes = replaced.map_or_else(transcript_bytes, |last| Some(last.transcript_bytes));
        // A missing sample is a gap; one with a zero would be a drop that never was.
        let Some(bytes) = bytes else { return };
        sample.transcript_bytes = bytes;
        let mut workers = self.workers();
        if workers.len() >= WORKERS && !workers.contains_key(&worker) {
            let last = |samples: &VecDeque<WorkerSample>| samples.back().map(|sample| sample.at);
            let oldest = workers.iter().min_by_key(|(_, samples)| last(samples));
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                workers.remove(&oldest);
            }
        }
        let samples = workers.entry(worker).or_default();
        if replaced.is_some() {
            samples.pop_back();
        }
        push(samples, sample);
    }

    /// Returns the samples of a worker.
    pub(crate) fn of(&self, worker: WorkerId) -> Vec<WorkerSample> {
        self.workers()
            .get(&worker)
            .map(|samples| samples.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Forgets a removed worker.
    pub(crate) fn forget(&self, worker: WorkerId) {
        self.workers().remove(&worker);
    }

    /// Records the runtime's load, if the last sample is old enough. `load` is not asked otherwise.
    pub(crate) fn note_load(
        &self,
        now: Timestamp,
        load: impl FnOnce(u64) -> Option<RuntimeSample>,
    ) {
        let last = self.runtime().back().map(|sample| sample.at.as_millis());
        // The clock may have been set back.
        let is_due = last.is_none_or(|last| now.as_millis().abs_diff(last) >= INTERVAL_MS);
        if is_due && let Some(sample) = load(self.turns.load(Ordering::Relaxed)) {
            push(&mut self.runtime(), sample);
        }
    }

    /// Returns the samples of the runtime.
    pub(crate) fn of_runtime(&self) -> Vec<RuntimeSample> {
        self.runtime().iter().copied().collect()
    }

    fn workers(&self) -> MutexGuard<'_, HashMap<WorkerId, VecDeque<WorkerSample>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runtime(&self) -> MutexGuard<'_, VecDeque<RuntimeSample>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push<T>(samples: &mut VecDeque<T>, sample: T) {
    if samples.len() == SAMPLES {
        samples.pop_front();
    }
    samples.push_back(sample);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, turns: u64) -> WorkerSample {
        WorkerSample {
            at: Timestamp(at),
            turns,
            cpu_us: 0,
            wall_us: 0,
            memory_bytes: 0,
            disk_bytes: 0,
            transcript_bytes: 0,
            queued_inputs: 0,
        }
    }

    fn worker(n: u64) -> WorkerId {
        WorkerId::new(n, [7; 10])
    }

    #[test]
    fn a_worker_has_one_sample_an_interval() {
        let samples = UsageSamples::default();
        for turn in 1..=25 {
            samples.note_turn(worker(1), sample(turn * 1_000, turn), || Some(turn));
        }
        let turns: Vec<_> = samples.of(worker(1)).iter().map(|sample| sample.turns).collect();
        assert_eq!(turns, [9, 19, 25]);
        let asked: Vec<_> =
            samples.of(worker(1)).iter().map(|sample| sample.transcript_bytes).collect();
        assert_eq!(asked, [1, 10, 20], "once an interval");
        assert_eq!(samples.of(worker(2)), []);
        samples.forget(worker(1));
        assert_eq!(samples.of(worker(1)), []);
    }

    #[test]
    fn samples_and_workers_are_bounded() {
        let samples = UsageSamples::default();
        for turn in 0..1_000 {
            samples.note_turn(worker(0), sample(turn * INTERVAL_MS, turn), || Some(0));
        }
        let kept = samples.of(worker(0));
        assert_eq!((kept.len(), kept[SAMPLES - 1].turns), (SAMPLES, 999));
        for n in 1..=WORKERS as u64 {
            samples.note_turn(worker(n), sample((1_000 + n) * INTERVAL_MS, 1), || Some(0));
        }
        // The one that did nothing for longest was forgotten.
        assert_eq!((samples.of(worker(0)).len(), samples.of(worker(1)).len()), (0, 1));
    }

    #[test]
    fn a_failed_reading_leaves_a_gap() {
        let samples = UsageSamples::default();
        samples.note_turn(worker(1), sample(INTERVAL_MS, 1), || Some(7));
        samples.note_turn(worker(1), sample(2 * INTERVAL_MS, 2), || None);
        samples.note_load(Timestamp(INTERVAL_MS), |_| None);
        let bytes: Vec<_> =
            samples.of(worker(1)).iter().map(|sample| sample.transcript_bytes).collect();
        assert_eq!((bytes, samples.of_runtime()), (vec![7], Vec::new()));
    }
}
