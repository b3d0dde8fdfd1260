//! A well-behaved worker of the same runtime, which works all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use skep_protocol::{Ending, NewInput, Payload, RuntimeHandle, Sent, WorkerId};
use tokio::task::JoinHandle;

/// Between the end of a turn and the next input.
const PAUSE: Duration = Duration::from_millis(5);

/// The longest that one of its turns may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// It is at work.
pub struct Neighbour {
    leave: Arc<AtomicBool>,
    task: JoinHandle<Peace>,
}

/// How it fared.
#[derive(Clone, Debug, Default)]
pub struct Peace {
    /// How long each of its turns took, in order.
    pub turns: Vec<Duration>,
    /// What went wrong.
    pub failures: Vec<String>,
}

impl Neighbour {
    /// Sends a worker one input after the other.
    pub fn start(runtime: Arc<dyn RuntimeHandle>, worker: WorkerId) -> Self {
        Self::pausing(runtime, worker, |_| PAUSE)
    }

    /// The same, from one input to the next so long, where a turn does not take longer.
    pub fn start_every(
        runtime: Arc<dyn RuntimeHandle>,
        worker: WorkerId,
        period: Duration,
    ) -> Self {
        Self::pausing(runtime, worker, move |took| period.saturating_sub(took))
    }

    fn pausing(
        runtime: Arc<dyn RuntimeHandle>,
        worker: WorkerId,
        pause: impl Fn(Duration) -> Duration + Send + 'static,
    ) -> Self {
        let leave = Arc::new(AtomicBool::new(false));
        let left = leave.clone();
        let task = tokio::spawn(async move {
            let mut peace = Peace::default();
            while !left.load(Ordering::SeqCst) {
                let began = Instant::now();
                let text = format!("turn {}", peace.turns.len());
                let payload = Payload { content_type: "text/plain".into(), body: text.into() };
                let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
                match runtime.send(worker, input).await {
                    Ok(Sent::Done { outcome, .. }) if outcome.ending == Ending::Completed => {
                        peace.turns.push(began.elapsed());
                    }
                    other => peace.failures.push(format!("{other:?}")),
                }
                tokio::time::sleep(pause(began.elapsed())).await;
            }
            peace
        });
        Self { leave, task }
    }

    /// Ends its work.
    pub async fn leave(self) -> Peace {
        self.leave.store(true, Ordering::SeqCst);
        self.task.await.unwrap()
    }
}

impl Peace {
    /// The longest turn.
    pub fn slowest(&self) -> Duration {
        self.turns.iter().copied().max().unwrap_or_default()
    }

    /// The time within which that part of its turns ended.
    pub fn percentile(&self, part: f64) -> Duration {
        let mut turns = self.turns.clone();
        turns.sort_unstable();
        let last = turns.len().saturating_sub(1);
        turns.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
    }
}
