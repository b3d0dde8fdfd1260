//! A well-behaved worker of the same runtime, which works throughout a case.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use skep_protocol::{Ending, NewInput, Payload, RuntimeHandle, Sent, WorkerId};
use tokio::task::JoinHandle;

/// The pause between the end of a turn and the next input.
const PAUSE: Duration = Duration::from_millis(5);

/// The bound on one of its turns on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running worker.
pub struct Neighbour {
    leave: Arc<AtomicBool>,
    task: JoinHandle<NeighbourReport>,
}

/// The neighbour's turns and failures.
#[derive(Clone, Debug, Default)]
pub struct NeighbourReport {
    /// The time of each turn, in order.
    pub turns: Vec<Duration>,
    /// The results of the turns that failed.
    pub failures: Vec<String>,
    /// The time from the first input to the end of the last turn.
    pub lasted: Duration,
}

impl Neighbour {
    /// Starts a worker that gets one input after another.
    pub fn start(runtime: Arc<dyn RuntimeHandle>, worker: WorkerId) -> Self {
        Self::at(runtime, worker, |now, _| now + PAUSE)
    }

    /// Starts a worker that gets an input every `period`, even if the turn before has not ended.
    /// Each turn is timed from the moment that it was due, so a delay also counts against the turns
    /// after it.
    pub fn start_every(
        runtime: Arc<dyn RuntimeHandle>,
        worker: WorkerId,
        period: Duration,
    ) -> Self {
        let began = Instant::now();
        let due = move |_, turns| began + period * u32::try_from(turns).unwrap();
        Self::at(runtime, worker, due)
    }

    /// Starts a worker whose turns are due at the time that `due` computes from the current time
    /// and the number of turns before.
    fn at(
        runtime: Arc<dyn RuntimeHandle>,
        worker: WorkerId,
        due: impl Fn(Instant, usize) -> Instant + Send + 'static,
    ) -> Self {
        let leave = Arc::new(AtomicBool::new(false));
        let left = leave.clone();
        let task = tokio::spawn(async move {
            let mut report = NeighbourReport::default();
            let began = Instant::now();
            while !left.load(Ordering::SeqCst) {
                let due = due(Instant::now(), report.sent());
                tokio::time::sleep_until(due.into()).await;
                let text = format!("turn {}", report.sent());
                let payload = Payload { content_type: "text/plain".into(), body: text.into() };
                let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
                match runtime.send(worker, input).await {
                    Ok(Sent::Done { outcome, .. }) if outcome.ending == Ending::Completed => {
                        report.turns.push(due.elapsed());
                    }
                    other => report.failures.push(format!("{other:?}")),
                }
            }
            report.lasted = began.elapsed();
            report
        });
        Self { leave, task }
    }

    /// Stops the worker and returns its report.
    pub async fn stop(self) -> NeighbourReport {
        self.leave.store(true, Ordering::SeqCst);
        self.task.await.unwrap()
    }
}

impl NeighbourReport {
    /// Counts all turns, with those that failed.
    fn sent(&self) -> usize {
        self.turns.len() + self.failures.len()
    }

    /// Returns the time of the longest turn.
    pub fn slowest(&self) -> Duration {
        self.turns.iter().copied().max().unwrap_or_default()
    }

    /// Returns the time within which this share of the turns ended.
    pub fn percentile(&self, part: f64) -> Duration {
        let mut turns = self.turns.clone();
        turns.sort_unstable();
        let last = turns.len().saturating_sub(1);
        turns.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
    }
}
