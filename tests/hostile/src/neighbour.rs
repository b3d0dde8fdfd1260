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
    /// From its first input to the end of its last turn.
    pub lasted: Duration,
}

impl Neighbour {
    /// Sends a worker one input after the other.
    pub fn start(runtime: Arc<dyn RuntimeHandle>, worker: WorkerId) -> Self {
        Self::at(runtime, worker, |now, _| now + PAUSE)
    }

    /// The same, but an input is due after each such time, whether the turn before has ended or not.
    /// How long a turn took counts from there, so that one that is held up is the next ones' as well.
    pub fn start_every(
        runtime: Arc<dyn RuntimeHandle>,
        worker: WorkerId,
        period: Duration,
    ) -> Self {
        let began = Instant::now();
        let due = move |_, turns| began + period * u32::try_from(turns).unwrap();
        Self::at(runtime, worker, due)
    }

    /// One whose turns are due when this says, of the time now and the number of those before.
    fn at(
        runtime: Arc<dyn RuntimeHandle>,
        worker: WorkerId,
        due: impl Fn(Instant, usize) -> Instant + Send + 'static,
    ) -> Self {
        let leave = Arc::new(AtomicBool::new(false));
        let left = leave.clone();
        let task = tokio::spawn(async move {
            let mut peace = Peace::default();
            let began = Instant::now();
            while !left.load(Ordering::SeqCst) {
                let due = due(Instant::now(), peace.sent());
                tokio::time::sleep_until(due.into()).await;
                let text = format!("turn {}", peace.sent());
                let payload = Payload { content_type: "text/plain".into(), body: text.into() };
                let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
                match runtime.send(worker, input).await {
                    Ok(Sent::Done { outcome, .. }) if outcome.ending == Ending::Completed => {
                        peace.turns.push(due.elapsed());
                    }
                    other => peace.failures.push(format!("{other:?}")),
                }
            }
            peace.lasted = began.elapsed();
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
    /// All turns, those that failed too.
    fn sent(&self) -> usize {
        self.turns.len() + self.failures.len()
    }

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
