//! The record of a run while it runs, so that a console can follow it and a killed run can be read.
//!
//! Steps may end a thousand times a second, and each record is written whole. So one thread writes
//! the present state, at most [`PAUSE`] apart and never for more than a tenth of the time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::digest::BlobDigest;
use crate::plan::{Plan, PlannedStep};
use crate::records::RunRecord;
use crate::result::{HostFacts, RunOutcome, RunResult, StepOutcome, StepResult};

/// Least time between two writes.
const PAUSE: Duration = Duration::from_millis(200);

/// Most time between two writes, so that the record of a killed run tells about when it ended.
const BEAT: Duration = Duration::from_secs(10);

/// The record of a run that has not ended.
pub(crate) struct LiveRecord<'a> {
    record: &'a RunRecord,
    began: Instant,
    /// The run without its steps.
    head: RunResult,
    state: Mutex<LiveState>,
    changed: Condvar,
}

struct LiveState {
    steps: Vec<StepResult>,
    dirty: bool,
    ended: bool,
}

/// Ends the writing when it is dropped, also by a panic.
pub(crate) struct EndsWriting<'r>(&'r LiveRecord<'r>);

impl Drop for EndsWriting<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

impl<'a> LiveRecord<'a> {
    /// Writes the first record of a plan, from the file with this digest, in which all steps wait.
    pub(crate) fn begin(
        record: &'a RunRecord,
        project: &str,
        (plan, pipeline): (&Plan, &BlobDigest),
        host: HostFacts,
    ) -> std::io::Result<Self> {
        let steps = &plan.steps;
        let waiting = |step: &PlannedStep| {
            let mut result = StepResult::new(&step.id, &step.name, StepOutcome::Waiting);
            result.matrix.clone_from(&step.matrix);
            result.tool = step.program.tool().unwrap_or_default().to_owned();
            result.needs = step.needs.iter().map(|&need| steps[need].id.clone()).collect();
            result.allowed_to_fail = step.allow_fail;
            result
        };
        let head = RunResult {
            run_id: record.run_id.clone(),
            pipeline_digest: pipeline.text(),
            started_at_ms: now_ms(),
            wall_ms: 0.0,
            outcome: RunOutcome::Running,
            host,
            steps: Vec::new(),
        };
        let steps = steps.iter().map(waiting).collect();
        let state = Mutex::new(LiveState { steps, dirty: false, ended: false });
        let (began, changed) = (Instant::now(), Condvar::new());
        let live = Self { record, began, head, state, changed };
        record.name_project(project)?;
        record.write(&live.as_of_now(&live.lock()))?;
        Ok(live)
    }

    fn lock(&self) -> MutexGuard<'_, LiveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn as_of_now(&self, state: &LiveState) -> RunResult {
        RunResult { wall_ms: self.wall_ms(), steps: state.steps.clone(), ..self.head.clone() }
    }

    fn wall_ms(&self) -> f64 {
        (self.began.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }

    fn change(&self, change: impl FnOnce(&mut Vec<StepResult>)) {
        let mut state = self.lock();
        change(&mut state.steps);
        // The thread that writes is awake, or will look, unless this is the first change.
        if !std::mem::replace(&mut state.dirty, true) {
            self.changed.notify_all();
        }
    }

    /// Notes that a step starts.
    pub(crate) fn started(&self, at: usize) {
        self.change(|steps| {
            steps[at].outcome = StepOutcome::Running;
            steps[at].started_at_ms = Some(now_ms());
        });
    }

    /// Notes the end of a step.
    pub(crate) fn finished(&self, at: usize, result: &StepResult) {
        self.change(|steps| steps[at] = result.clone());
    }

    /// Writes changes until the run ends. A write that fails is left to the next one; the last one
    /// reports.
    pub(crate) fn keep_written(&self) {
        let mut pause = PAUSE;
        let mut state = self.lock();
        loop {
            let waited = self.changed.wait_timeout_while(state, pause, |it| !it.ended);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            let quiet = |it: &mut LiveState| !it.ended && !it.dirty;
            let waited = self.changed.wait_timeout_while(state, BEAT, quiet);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended {
                return;
            }
            state.dirty = false;
            let present = self.as_of_now(&state);
            drop(state);
            let began = Instant::now();
            drop(self.record.write(&present));
            pause = PAUSE.max(began.elapsed() * 10);
            state = self.lock();
        }
    }

    /// Returns a guard that ends the writing.
    pub(crate) fn ends_with_this(&self) -> EndsWriting<'_> {
        EndsWriting(self)
    }

    /// Writes the last record.
    pub(crate) fn finish(
        self,
        outcome: RunOutcome,
        steps: Vec<StepResult>,
    ) -> std::io::Result<RunResult> {
        let result = RunResult { outcome, wall_ms: self.wall_ms(), steps, ..self.head };
        self.record.write(&result)?;
        Ok(result)
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
