//! The executor of this machine.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use skep_ci::{Executed, Executor, HostFacts, StepJob, StepOutcome, Store};
use skep_protocol::SecretName;
use skep_sandbox::OperatorSecret;

use super::local::LocalExecutor;

/// An executor that starts with its first step: a run that comes from the cache needs none.
pub(super) struct LazyExecutor {
    store: Store,
    jobs: usize,
    secrets: BTreeMap<SecretName, OperatorSecret>,
    started: OnceLock<Result<LocalExecutor, String>>,
    cancelled: OnceLock<()>,
}

impl LazyExecutor {
    /// Creates an executor for this many steps at a time.
    pub(super) fn new(
        store: &Store,
        jobs: usize,
        secrets: BTreeMap<SecretName, OperatorSecret>,
    ) -> Self {
        let (started, cancelled) = Default::default();
        Self { store: store.clone(), jobs, secrets, started, cancelled }
    }

    /// Ends all guests, and those that start later.
    pub(super) fn cancel(&self) {
        let _ = self.cancelled.set(());
        if let Some(Ok(executor)) = self.started.get() {
            executor.cancel();
        }
    }
}

impl Executor for LazyExecutor {
    fn facts(&self) -> HostFacts {
        HostFacts {
            version: env!("CARGO_PKG_VERSION").into(),
            world: skep_ci::WORLD,
            executor: "local".into(),
        }
    }

    fn execute(&self, job: &StepJob) -> Executed {
        let fault = |error: String| Executed::not_run(StepOutcome::HostFault, error);
        let start = || LocalExecutor::start(&self.store, self.jobs, self.secrets.clone());
        let executor = match self.started.get_or_init(start) {
            Ok(executor) => executor,
            Err(error) => return fault(error.clone()),
        };
        if self.cancelled.get().is_some() {
            // The signal may have come while it started.
            executor.cancel();
        }
        let executed = executor.execute(job);
        executed.unwrap_or_else(|error| fault(format!("cannot run the step: {error}")))
    }
}
