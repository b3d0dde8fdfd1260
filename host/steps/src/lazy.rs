//! An executor that starts with its first step: a run that comes from the cache needs none.

use std::sync::{Arc, Mutex, PoisonError};

use skep_ci::{Executed, Executor, HostFacts, StepJob, StepOutcome};

use crate::executor::StepExecutor;
use crate::running::RunningGuests;

/// Starts an executor. Its error is a sentence for people.
pub type StartExecutor = Box<dyn Fn() -> Result<StepExecutor, String> + Send + Sync>;

/// An executor that starts with its first step.
pub struct LazyExecutor {
    start: StartExecutor,
    started: Mutex<Option<Arc<StepExecutor>>>,
}

impl LazyExecutor {
    /// Creates an executor that is started by `start`.
    pub fn new(start: StartExecutor) -> Self {
        Self { start, started: Mutex::default() }
    }

    fn started(&self) -> Result<Arc<StepExecutor>, String> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(executor) = &*started {
            return Ok(executor.clone());
        }
        let executor = Arc::new((self.start)()?);
        *started = Some(executor.clone());
        Ok(executor)
    }
}

/// The executor as one run uses it.
pub struct RunExecutor<'a> {
    /// Executor.
    pub executor: &'a LazyExecutor,
    /// Guests of the run.
    pub running: &'a RunningGuests,
    /// Name of the executor in results.
    pub name: &'a str,
    /// True if each guest that can runs in a process of its own.
    pub apart: bool,
}

impl Executor for RunExecutor<'_> {
    fn facts(&self) -> HostFacts {
        HostFacts {
            version: env!("CARGO_PKG_VERSION").into(),
            world: skep_ci::WORLD,
            executor: self.name.to_owned(),
        }
    }

    fn execute(&self, job: &StepJob) -> Executed {
        let fault = |error: String| Executed::not_run(StepOutcome::HostFault, error);
        let executor = match self.executor.started() {
            Ok(executor) => executor,
            Err(error) => return fault(error),
        };
        let executed = executor.execute(job, self.running, self.apart);
        executed.unwrap_or_else(|error| fault(format!("cannot run the step: {error}")))
    }
}
