//! A runtime of workers that runs steps too.

use std::sync::Arc;

use skep_protocol::{
    Answer, Artifacts, Error, Files, Invocation, Layer, Overview, RuntimeHandle, Turns, Verb,
    Workers,
};

use crate::host::StepHost;

/// A runtime of workers whose steps another one runs.
#[derive(Clone)]
pub struct WithSteps {
    workers: Arc<dyn RuntimeHandle>,
    steps: Arc<dyn RuntimeHandle>,
}

impl WithSteps {
    /// Adds steps to a runtime.
    pub fn new(workers: Arc<dyn RuntimeHandle>, steps: StepHost) -> Self {
        Self { workers, steps: Arc::new(steps) }
    }
}

impl Layer for WithSteps {
    async fn pass<A: Send + 'static, T: Answer>(
        &self,
        mut invocation: Invocation<A, T>,
    ) -> Result<T, Error> {
        let is_of_steps = matches!(
            invocation.verb(),
            Verb::missing_blobs { .. }
                | Verb::put_blob { .. }
                | Verb::read_blob { .. }
                | Verb::start_step { .. }
                | Verb::step { .. }
                | Verb::cancel_step { .. }
        );
        invocation
            .forward(if is_of_steps { self.steps.clone() } else { self.workers.clone() })
            .await
    }
}

/// A host of steps has no workers.
impl Overview for StepHost {}
impl Workers for StepHost {}
impl Turns for StepHost {}
impl Artifacts for StepHost {}
impl Files for StepHost {}
