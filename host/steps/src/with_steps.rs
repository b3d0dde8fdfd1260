//! A runtime of workers that runs steps too, or says why it does not.

use std::sync::Arc;

use skep_protocol::{
    Answer, Artifacts, Error, Files, Http, Invocation, Layer, Overview, RuntimeHandle, Turns, Verb,
    Workers,
};

use crate::host::StepHost;

/// A runtime of workers whose steps another one runs.
#[derive(Clone)]
pub struct WithSteps {
    workers: Arc<dyn RuntimeHandle>,
    /// None if their store cannot be used.
    steps: Option<Arc<dyn RuntimeHandle>>,
}

impl WithSteps {
    /// Adds steps to a runtime. Without them, their verbs answer [`Error::StepsUnavailable`].
    pub fn new(workers: Arc<dyn RuntimeHandle>, steps: Option<StepHost>) -> Self {
        Self { workers, steps: steps.map(|steps| Arc::new(steps) as _) }
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
        let runtime = match (is_of_steps, &self.steps) {
            (false, _) => &self.workers,
            (true, Some(steps)) => steps,
            (true, None) => return Err(Error::StepsUnavailable),
        };
        invocation.forward(runtime.clone()).await
    }
}

/// A host of steps has no workers.
impl Overview for StepHost {}
impl Workers for StepHost {}
impl Turns for StepHost {}
impl Http for StepHost {}
impl Artifacts for StepHost {}
impl Files for StepHost {}
