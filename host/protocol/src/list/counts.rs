//! Numbers of workers in each state.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ObservedState;

/// Numbers of workers in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerCounts {
    /// All that match the filter except for its state.
    pub total: u64,
    /// Those that wait for an input.
    pub idle: u64,
    /// Those that handle an input.
    pub busy: u64,
    /// Those whose last run exited.
    pub exited: u64,
    /// Those that stay down until a person starts them.
    pub failed: u64,
    /// Those that were stopped.
    pub stopped: u64,
}

impl WorkerCounts {
    /// Counts one worker.
    pub fn add(&mut self, state: ObservedState) {
        self.total += 1;
        *self.of(state) += 1;
    }

    /// Adds the counts of another runtime.
    pub fn merge(&mut self, mut other: Self) {
        self.total += other.total;
        for state in ObservedState::ALL {
            *self.of(state) += *other.of(state);
        }
    }

    /// Returns the number of workers that match a filter with this state, or without one.
    pub fn matched(mut self, state: Option<ObservedState>) -> u64 {
        state.map_or(self.total, |state| *self.of(state))
    }

    fn of(&mut self, state: ObservedState) -> &mut u64 {
        match state {
            ObservedState::Idle => &mut self.idle,
            ObservedState::Busy => &mut self.busy,
            ObservedState::Exited => &mut self.exited,
            ObservedState::Failed => &mut self.failed,
            ObservedState::Stopped => &mut self.stopped,
        }
    }
}
